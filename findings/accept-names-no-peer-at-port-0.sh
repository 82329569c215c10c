#!/bin/sh
# What accept(2) tells of a client whose source port is 0 (Linux 6.18).
#
# A good guess: Linux drops such an attempt, or accepts it and tells port 0. Seen: the
# handshake completes, but accept(2) with room for the peer's address fails with
# ECONNABORTED. Without room for an address (accept(fd, NULL, NULL)) it succeeds, and
# getpeername(2) of the socket fails with ENOTCONN. So a server that accepts in the usual
# way loses the connection, and a count of accepted connections is lower than one of
# completed handshakes.
#
# Output seen:
#   source port 40000: SYN-ACK, accept with address: 192.0.2.2:40000
#   source port 0:     SYN-ACK, accept with address: ECONNABORTED
#   source port 0:     SYN-ACK, accept without address: accepted, getpeername: ENOTCONN
#
# Needs root, iproute2, python3, /dev/net/tun. Exits with 1 if the behaviour is another,
# 2 if it cannot be tried.
set -eu
[ "$(id -u)" = 0 ] || { echo "run as root" >&2; exit 2; }
[ -e /dev/net/tun ] || { echo "no tun in this kernel" >&2; exit 2; }
uname -r
exec unshare --net python3 - <<'PY'
import ctypes, errno, fcntl, os, select, socket, struct, subprocess, sys

libc = ctypes.CDLL(None, use_errno=True)
tun = os.open("/dev/net/tun", os.O_RDWR)
# TUNSETIFF with IFF_TUN | IFF_NO_PI
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH14x", b"tun0", 0x1001))
for command in ("addr add 192.0.2.1/24 dev tun0", "link set tun0 up"):
    subprocess.run(["ip", *command.split()], check=True)
HOST = socket.inet_aton("192.0.2.1")

def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

def send(peer, port, seq, ack, flags):
    tcp = struct.pack("!HHIIBBHHH", port, 5432, seq, ack, 5 << 4, flags, 65535, 0, 0)
    pseudo = peer + HOST + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + peer + HOST
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    os.write(tun, ip + tcp)

def syn_ack(port):
    """The sequence number of the answer; None: there is none."""
    while select.select([tun], [], [], 1)[0]:
        packet = os.read(tun, 2048)
        if packet[0] >> 4 == 4 and packet[9] == 6:
            source, target, seq = struct.unpack("!HHI", packet[20:28])
            if (source, target, packet[33] & 0x12) == (5432, port, 0x12):
                return seq
    return None

listener = socket.socket()
listener.bind(("192.0.2.1", 5432))
listener.listen()
listener.settimeout(2)

def attempt(peer, port, with_address):
    peer = socket.inet_aton(peer)
    send(peer, port, 1000, 0, 0x02)
    seq = syn_ack(port)
    if seq is None:
        return "no SYN-ACK"
    send(peer, port, 1001, seq + 1, 0x10)
    if not select.select([listener], [], [], 2)[0]:
        return "SYN-ACK, nothing to accept"
    try:
        if with_address:
            _, peer = listener.accept()
            return "SYN-ACK, accept with address: %s:%d" % peer
        fd = libc.accept(listener.fileno(), None, None)
        if fd < 0:
            return "SYN-ACK, accept without address: " + errno.errorcode[ctypes.get_errno()]
        try:
            told = "%s:%d" % socket.socket(fileno=fd).getpeername()
        except OSError as error:
            told = errno.errorcode[error.errno]
        return f"SYN-ACK, accept without address: accepted, getpeername: {told}"
    except OSError as error:
        return "SYN-ACK, accept with address: " + errno.errorcode.get(error.errno, repr(error))

seen = [
    attempt("192.0.2.2", 40000, True),
    attempt("192.0.2.2", 0, True),
    attempt("192.0.2.3", 0, False),
]
for port, said in zip(("40000:", "0:    ", "0:    "), seen):
    print(f"source port {port} {said}")
expected = [
    "SYN-ACK, accept with address: 192.0.2.2:40000",
    "SYN-ACK, accept with address: ECONNABORTED",
    "SYN-ACK, accept without address: accepted, getpeername: ENOTCONN",
]
sys.exit(0 if seen == expected else 1)
PY
