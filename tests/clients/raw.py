"""Sends exact bytes to a provider's port 443 and shows all that comes back.

raw.py [--sni NAME|-] [--plain] [--slow MS] [--for S] [--half] HOST TEXT...   TEXT: with \\r\\n, \\xff and the like; @FILE
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

out = b""
for t in o.text:
    out += open(t[1:], "rb").read() if t[0] == "@" else t.encode("latin-1").decode("unicode_escape").encode("latin-1")


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
        if o.slow:
            for i in range(len(out)):
                write(out[i:i + 1])
                time.sleep(o.slow / 1000)
        else:
            write(out)
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
    tls.write(out)
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
