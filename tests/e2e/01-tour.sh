#!/usr/bin/env bash
# What the two READMEs name is there: functions, files, links, commands; and the policy example is a good one.
set -u
cd "${0%/*}/../.." || exit 1
passed=0 failed=0

check() { # WHAT COMMAND...
	local what=$1
	shift
	if "$@" >/dev/null 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'not ok - %s\n' "$what"
	fi
}
code() { grep -rqwF --include='*.[ch]' --include='*.def' -- "$1" userspace bpf; }
file() { compgen -G "$1" || compgen -G "userspace/$1" || compgen -G "policies/$1" || compgen -G "bpf/$1" || [ -n "$(find userspace -path '*/'"$1" -print -quit)" ]; }
told_by_help() { build/sallyport "$@" --help; }

tour=userspace/README.md
# Functions and kernel programs, in backticks.
# shellcheck disable=SC2016
while read -r name; do check "$tour: $name" code "$name"; done < <(
	grep -oE '`[a-z0-9_]+\(\)`|`sp_[a-z0-9_]+`' "$tour" | tr -d '`()' | sort -u | grep -v '^cmd_x$\|^report_x$')
for doc in README.md "$tour"; do
	while read -r link; do check "$doc: link $link" test -e "$(dirname "$doc")/$link"; done < <(
		grep -oE '\]\([^)#]+\)' "$doc" | sed 's/^](//; s/)$//')
done
while read -r path; do check "$tour: $path" file "$path"; done < <(
	grep -oE '[a-z0-9_*/-]+\.(bpf\.c|c|h|def|sh|json)\b' "$tour" | grep -v '/x\.\|_x\.\|^_test' | sort -u)
while read -r word; do check "README.md: sallyport $word" told_by_help "$word"; done < <(
	grep -oE 'sallyport [a-z]+( |$|`)' README.md "$tour" | sed 's/.*sallyport //; s/[` ]*$//' | sort -u |
		grep -xF -f <(build/sallyport --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'))
example=$(mktemp)
awk '/^```json/ { on = 1; next } /^```/ { on = 0 } on' README.md >"$example"
check "README.md: the policy example" build/sallyport policy check "$example"
rm -f "$example"
while read -r command; do check "README.md names $command" grep -qw "\`$command\`" README.md; done < <(
	build/sallyport --help | sed -n 's/^  \([a-z]*\)  .*/\1/p')
printf '# %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
