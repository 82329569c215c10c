#!/bin/sh
# What ClickHouse reads networks of HOST IP as (26.9, chdb-core 26.9.0).
#
# A good guess: HOST IP takes networks as they are written, refuses what is none, and a network of
# IPv4 is one of IPv4. Seen: 0.0.0.0/0 becomes ANY, which lets every IPv6 source in too; 10/8
# becomes 0.0.0.0/8; ::ffff:0:0/96, all of IPv4 as mapped addresses, is printed as ::ffff:/96, which
# is no address and is refused when it is read again, as by whoever restores SHOW CREATE USER.
#
# Output seen:
#   HOST IP '0.0.0.0/0' -> HOST ANY
#   HOST IP '10/8' -> HOST IP '0.0.0.0/8'
#   HOST IP '::ffff:0:0/96' -> HOST IP '::ffff:/96'
#   HOST IP '::ffff:/96' -> refused
#
# Needs python3 with pip (cp39 or later, x86-64), 800 MB of disk, network. Exits with 1 if the
# behaviour is another, 2 if it cannot be tried.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
pip install --quiet --disable-pip-version-check --root-user-action ignore --target . --only-binary :all: \
    chdb-core==26.9.0 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6 || exit 2
cat > ask.py <<'ASK'
import sys
sys.path.insert(0, ".")
from chdb import session
server = session.Session("data")
seen = []
for text in ["0.0.0.0/0", "10/8", "::ffff:0:0/96", "::ffff:/96"]:
    statement = "ALTER USER app HOST IP \\'%s\\'" % text
    try:
        answer = str(server.query("SELECT formatQuerySingleLine('%s')" % statement, "TSVRaw"))
        answer = answer.strip().removeprefix("ALTER USER app ")
    except Exception:
        answer = "refused"
    seen.append(answer)
    print("HOST IP '%s' -> %s" % (text, answer))
expected = ["HOST ANY", "HOST IP '0.0.0.0/8'", "HOST IP '::ffff:/96'", "refused"]
sys.exit(seen != expected)
ASK
python3 ask.py
