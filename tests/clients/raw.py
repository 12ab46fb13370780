"""Sends exact bytes to a provider's port 443 and shows all that comes back.

raw.py [--sni NAME|-] [--plain] [--hello] [--slow MS] [--for S] HOST TEXT...
TEXT may have \\r\\n, \\xff and the like; @FILE is a file's bytes, +S a pause, TEXT*N repeats.
The certificate is verified as by any Python program. Prints the answer, then on stderr how it ended.
"""
import argparse
import socket
import ssl
import sys
import time

p = argparse.ArgumentParser()
p.add_argument("--sni")
p.add_argument("--plain", action="store_true")
p.add_argument("--slow", type=float, default=0)
p.add_argument("--for", type=float, default=5, dest="seconds")
p.add_argument("--hello", action="store_true", help="print a ClientHello byte by byte to the server, then talk")
p.add_argument("host")
p.add_argument("text", nargs="+")
o = p.parse_args()



def piece(t):
    if t[0] == "@":
        return open(t[1:], "rb").read()
    times = 1
    head, star, n = t.rpartition("*")
    if star and n.isdigit():
        t, times = head, int(n)
    return t.encode("latin-1").decode("unicode_escape").encode("latin-1") * times


out = [float(t[1:]) if t[0] == "+" else piece(t) for t in o.text]


def read(recv):
    try:
        while True:
            data = recv(65536)
            if not data:
                return "closed"
            sys.stdout.buffer.write(data)
    except socket.timeout:
        return "still open"
    except ssl.SSLEOFError:
        return "cut without close_notify"
    except ConnectionResetError:
        return "reset"
    except ssl.SSLError as e:
        return f"tls: {e.reason}"


def send(write):
    try:
        for part in out:
            if isinstance(part, float):
                time.sleep(part)
            elif o.slow:
                for b in part:
                    write(bytes([b]))
                    time.sleep(o.slow / 1000)
            else:
                write(part)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        pass


try:
    raw = socket.create_connection((o.host, 443), timeout=o.seconds)
except OSError as e:
    print(f"connect: {e.strerror}", file=sys.stderr)
    sys.exit(1)
raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
if o.plain:
    send(raw.sendall)
    print(read(raw.recv), file=sys.stderr)
    sys.exit(0)
context = ssl.create_default_context()
context.suppress_ragged_eofs = False
if o.sni == "-":
    context.check_hostname = False
if o.hello:
    # The handshake over memory, so that its first flight can go out one byte at a time.
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(inside, outside, server_hostname=o.host)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    for b in outside.read():
        raw.sendall(bytes([b]))
        time.sleep(0.002)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            raw.sendall(outside.read())
            inside.write(raw.recv(65536))
    tls.write(b"".join(out))
    raw.sendall(outside.read())

    def recv(n):
        while True:
            try:
                return tls.read(n)
            except ssl.SSLWantReadError:
                data = raw.recv(65536)
                inside.write(data) if data else inside.write_eof()
    print(read(recv), file=sys.stderr)
    sys.exit(0)
try:
    s = context.wrap_socket(raw, server_hostname=None if o.sni == "-" else o.sni or o.host,
                            suppress_ragged_eofs=False)
except (ssl.SSLError, OSError) as e:
    print(f"tls: {e}", file=sys.stderr)
    sys.exit(1)
send(s.sendall)
print(read(s.recv), file=sys.stderr)
