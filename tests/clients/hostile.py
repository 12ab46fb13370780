"""What no honest client does. hostile.py half-hello | half-close | pipeline-v6 N | big-later"""
import socket
import ssl
import sys
import time

HOST = "api.openai.com"
context = ssl.create_default_context()
HEAD = f"HTTP/1.1\r\nHost: {HOST}\r\n".encode()


def dial(family=socket.AF_INET):
    s = socket.socket(family)
    s.settimeout(10)
    s.connect(socket.getaddrinfo(HOST, 443, family, socket.SOCK_STREAM)[0][4])
    return s


def hello(name):
    outside = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), outside, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outside.read()


def statuses(s, n):
    """Of n answers, each with a Content-Length."""
    data, found = b"", []
    while len(found) < n:
        head, end, rest = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0) if end else 0
        if end and len(rest) >= length:
            found.append(head.split(b" ")[1].decode())
            data = rest[length:]
            continue
        more = s.recv(1 << 20)
        if not more:
            break
        data += more
    return found


what = sys.argv[1]
if what == "half-hello":
    held = [dial() for _ in range(3)]
    for s in held:
        s.sendall(hello(HOST)[:100])
        s.shutdown(socket.SHUT_WR)
    time.sleep(3)
elif what == "half-close":
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.settimeout(10)
    s.connect(socket.getaddrinfo(HOST, 443, socket.AF_INET, socket.SOCK_STREAM)[0][4])
    s.sendall(hello("www.example.org"))
    s.shutdown(socket.SHUT_WR)
    time.sleep(3)
elif what == "pipeline-v6":
    n = int(sys.argv[2])
    s = context.wrap_socket(dial(socket.AF_INET6), server_hostname=HOST)
    s.sendall((b"GET /v1/m " + HEAD + b"\r\n") * n)
    data = b""
    while data.count(b"HTTP/1.1 502 ") < n:
        more = s.recv(1 << 20)
        if not more:
            break
        data += more
    print("502", data.count(b"HTTP/1.1 502 "))
elif what == "big-later":
    s = context.wrap_socket(dial(), server_hostname=HOST)
    s.sendall(b"GET /v1/models " + HEAD + b"\r\n")
    first = statuses(s, 1)
    time.sleep(2.5)
    s.sendall(b"POST /v1/chat/completions " + HEAD + b"Content-Length: 3145728\r\n\r\n")
    s.sendall(b"x" * 3145728)
    print(*first, *statuses(s, 1))
