# Results of load (JSON lines, slurped) -> two Markdown tables: against the limits, and all medians.
def median: sort | if length == 0 then null else .[(length - 1) / 2 | floor] end;
def of($s; $c; f): [.[] | select(.system == $s and .case == $c) | f] | median;
def round1: if . == null then "-" else (. * 10 | round) / 10 | tostring end;
def range($s; $c; f):
  [.[] | select(.system == $s and .case == $c) | f] | sort
  | if length == 0 then "-" else "\(median | round1) (\(.[0] | round1)-\(.[-1] | round1))" end;
def verdict($value; $limit): if $value == null or $limit == null then "not measured" elif $value <= $limit then "ok" else "MISSED" end;
def row($what; $ours; $theirs; $value; $limit; $unit):
  "| \($what) | \($ours | round1) | \($theirs | round1) | \($value | round1)\($unit) | \($limit | round1)\($unit) | \(verdict($value; $limit)) |";
def minus($a; $b): if $a == null or $b == null then null else [$a - $b, 0] | max end;
def over($a; $b): if $a == null or $b == null or $b == 0 then null else $a / $b end;

. as $all
| of("sallyport"; "ka32"; .cpu_us_per_request) as $ka | of("nginx"; "ka32"; .cpu_us_per_request) as $nka
| of("sallyport"; "ka1"; .p50_us) as $p50 | of("nginx"; "ka1"; .p50_us) as $np50 | of("direct"; "ka1"; .p50_us) as $dp50
| of("sallyport"; "ka1"; .p99_us) as $p99 | of("nginx"; "ka1"; .p99_us) as $np99 | of("direct"; "ka1"; .p99_us) as $dp99
| of("sallyport"; "sse"; .cpu_us_per_event) as $ev | of("nginx"; "sse"; .cpu_us_per_event) as $nev
| of("sallyport"; "sse"; .event_p99_us) as $e99 | of("nginx"; "sse"; .event_p99_us) as $ne99 | of("direct"; "sse"; .event_p99_us) as $de99
| of("sallyport"; "sse"; .first_p50_us) as $fb | of("nginx"; "sse"; .first_p50_us) as $nfb
| of("sallyport"; "idle"; .rss_before_kb) as $rss | of("nginx"; "idle"; .rss_before_kb) as $nrss
| of("sallyport"; "pairs"; .kb_per_client) as $kb | of("nginx"; "pairs"; .kb_per_client) as $nkb
| (if $connect == "" then null else ($connect | tonumber) / 1000 end) as $conn
| "| figure | sallyport | nginx | compared | limit | |",
  "|---|---|---|---|---|---|",
  row("keep-alive 2 KB, 32 connections: CPU ms per 1,000 requests"; $ka; $nka; over($ka; $nka); 1.4; " x"),
  row("keep-alive 2 KB, 1 connection: p50 added to direct, us"; minus($p50; $dp50); minus($np50; $dp50); over(minus($p50; $dp50); minus($np50; $dp50)); 2; " x"),
  row("keep-alive 2 KB, 1 connection: p99 added to direct, us"; minus($p99; $dp99); minus($np99; $dp99); minus($p99; $dp99); 1000; " us"),
  row("streams, 100 x 50 events: CPU ms per 1,000 events"; $ev; $nev; over($ev; $nev); 1.4; " x"),
  row("streams: p99 of the delay added to an event, us"; minus($e99; $de99); minus($ne99; $de99); minus($e99; $de99); 1000; " us"),
  row("streams: first byte p50, us"; $fb; $nfb; over($fb; $nfb); 1.5; " x"),
  row("connect() to a host that is no AI: added, us"; $conn; null; $conn; 0.5; " us"),
  row("idle: resident memory of all processes, MB"; (if $rss then $rss / 1024 else null end); (if $nrss then $nrss / 1024 else null end); (if $rss then $rss / 1024 else null end); 60; " MB"),
  row("idle: KB per open connection pair, 500 open"; $kb; $nkb; $kb; 20; " KB"),
  "",
  "| case | system | per s | p50 us | p99 us | CPU us a request | first byte p50 us | event p50 us | event p99 us | CPU us an event | errors |",
  "|---|---|---|---|---|---|---|---|---|---|---|",
  ( [["ka1", "1 connection"], ["ka32", "32 connections"], ["new", "full handshakes, 8 at once"], ["resumed", "resumed, 8 at once"],
     ["big", "256 KB, 8 connections"], ["sse", "100 streams"]][] as [$c, $title]
  | ["direct", "nginx", "sallyport"][] as $s
  | select([$all[] | select(.system == $s and .case == $c)] | length > 0)
  | "| \($title) | \($s) | \($all | of($s; $c; .per_s) | round1) | \($all | range($s; $c; .p50_us)) | \($all | range($s; $c; .p99_us)) | " +
    (if $s == "direct" then "-" else ($all | range($s; $c; .cpu_us_per_request)) end) + " | " +
    (if $c == "sse" then "\($all | range($s; $c; .first_p50_us)) | \($all | range($s; $c; .event_p50_us)) | \($all | range($s; $c; .event_p99_us)) | " +
      (if $s == "direct" then "-" else ($all | range($s; $c; .cpu_us_per_event)) end)
     else "- | - | - | -" end) +
    " | \([$all[] | select(.system == $s and .case == $c) | .errors] | add) |" )
