#!/bin/sh
# What ends an MPTCP connection from outside of its process (Linux 6.18).
#
# A good guess: destroying all of its subflows (`ss -K`). Seen: the connection stays
# established at both ends for net.mptcp.close_timeout (60 s), and neither end hears of it.
# A disconnect (connect() with AF_UNSPEC) of a copy of the server's descriptor, taken by
# pidfd_getfd(2), ends it at once: the server reads the end, the client ECONNRESET.
#
# Output seen:
#   all subflows destroyed: subflows 0, connections 1, client: timeout
#   disconnected:           subflows 0, connections 0, client: ECONNRESET
#
# Needs root, iproute2, python3. Exits with 1 if the behaviour is another, 2 if it cannot
# be tried.
set -eu
[ "$(id -u)" = 0 ] || { echo "run as root" >&2; exit 2; }
[ -e /proc/sys/net/mptcp/enabled ] || { echo "no MPTCP in this kernel" >&2; exit 2; }
uname -r
exec unshare --net python3 - <<'PY'
import ctypes, os, socket, struct, subprocess, sys, time

libc = ctypes.CDLL(None, use_errno=True)
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

def ss(*args):
    out = subprocess.run(["ss", "-Hn", *args], capture_output=True, text=True).stdout
    return out.splitlines()

def server(ready):
    l = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    l.bind(("127.0.0.1", 5432)); l.listen(); os.write(ready, b"x")
    c, _ = l.accept()
    try:
        c.recv(1); os.write(ready, b"y"); c.recv(1)
    except OSError:
        pass
    time.sleep(10); os._exit(0)

def attempt(end):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        server(w)
    os.read(r, 1)
    c = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    c.connect(("127.0.0.1", 5432)); c.send(b"x"); os.read(r, 1)
    c.settimeout(2)
    end(pid)
    try:
        heard = repr(c.recv(1))
    except ConnectionResetError:
        heard = "ECONNRESET"
    except TimeoutError:
        heard = "timeout"
    local = f"sport = :5432"
    result = (len(ss("-t", local)), len(ss("-M", local)), heard)
    os.kill(pid, 9); os.wait(); c.close()
    return result

def destroy(_):
    subprocess.run(["ss", "-K", "-Htn", "sport", "=", ":5432"], capture_output=True, check=True)

def disconnect(pid):
    pidfd = libc.syscall(434, pid, 0)
    for fd in os.listdir(f"/proc/{pid}/fd"):
        if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
            continue
        copy = socket.socket(fileno=libc.syscall(438, pidfd, int(fd), 0))
        try:
            copy.getpeername()
        except OSError:
            continue
        if libc.connect(copy.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16):
            sys.exit(1)
    os.close(pidfd)

seen = attempt(destroy)
print("all subflows destroyed: subflows %d, connections %d, client: %s" % seen)
time.sleep(0.2)
then = attempt(disconnect)
print("disconnected:           subflows %d, connections %d, client: %s" % then)
sys.exit(0 if seen == (0, 1, "timeout") and then == (0, 0, "ECONNRESET") else 1)
PY
