#!/bin/sh
# How a dump of TCP sockets tells MPTCP subflows from others (Linux 6.18).
#
# A good guess: sock_diag names a socket's upper layer protocol (INET_DIAG_ULP_INFO, 19)
# to every caller with CAP_NET_ADMIN. Seen: only where the request asks for tcp_info
# (INET_DIAG_INFO) as well; without it a subflow looks like any TCP connection.
#
# Output seen:
#   without INET_DIAG_INFO: ULP information for 0 of 2 subflows
#   with INET_DIAG_INFO:    ULP information for 2 of 2 subflows
#
# Needs root, iproute2, python3. Exits with 1 if the behaviour is another, 2 if it cannot
# be tried.
set -eu
[ "$(id -u)" = 0 ] || { echo "run as root" >&2; exit 2; }
[ -e /proc/sys/net/mptcp/enabled ] || { echo "no MPTCP in this kernel" >&2; exit 2; }
uname -r
exec unshare --net python3 - <<'PY'
import socket, struct, subprocess, sys

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
l = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
l.bind(("127.0.0.1", 0)); l.listen()
c = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
c.connect(l.getsockname())
a, _ = l.accept(); c.send(b"x"); a.recv(1)

def dump(extensions):
    diag = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 4)
    request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, extensions, 0, 1 << 1)
    request += bytes(48)
    diag.send(struct.pack("=IHHII", 16 + len(request), 20, 0x301, 1, 0) + request)
    sockets = ulp = 0
    while True:
        data = diag.recv(65536)
        while data:
            length, kind = struct.unpack_from("=IH", data)
            if kind == 3:
                return ulp, sockets
            sockets += 1
            rest = data[16 + 72:length]
            while len(rest) >= 4:
                size, attribute = struct.unpack_from("=HH", rest)
                ulp += attribute == 19
                rest = rest[(size + 3) & ~3:]
            data = data[(length + 3) & ~3:]

without, with_info = dump(0), dump(1 << 1)
print("without INET_DIAG_INFO: ULP information for %d of %d subflows" % without)
print("with INET_DIAG_INFO:    ULP information for %d of %d subflows" % with_info)
sys.exit(0 if without == (0, 2) and with_info == (2, 2) else 1)
PY
