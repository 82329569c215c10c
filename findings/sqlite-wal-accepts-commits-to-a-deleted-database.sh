#!/bin/sh
# SQLite (3.40.1, Debian 12's python3): a database that is deleted under an open connection
# refuses writes in journal mode DELETE (SQLITE_READONLY_DBMOVED, "attempt to write a readonly
# database"), but in WAL mode commits go on to succeed, and nothing of them is ever found again.
# Seen: "delete: refused: attempt to write a readonly database", "wal: accepted, 0 files left".
set -eu
exec python3 - <<'PY'
import glob, os, sqlite3, sys, tempfile
print("SQLite", sqlite3.sqlite_version)
def attempt(mode):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "a.db")
        db = sqlite3.connect(path)
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute("CREATE TABLE t (a)")
        db.execute("INSERT INTO t VALUES (1)")
        db.commit()
        for file in glob.glob(path + "*"):
            os.unlink(file)
        try:
            db.execute("INSERT INTO t VALUES (2)")
            db.commit()
            result = f"accepted, {len(os.listdir(directory))} files left"
        except sqlite3.OperationalError as error:
            result = f"refused: {error}"
        db.close()
        print(f"{mode}: {result}")
        return result
refused = attempt("delete").startswith("refused")
accepted = attempt("wal") == "accepted, 0 files left"
sys.exit(0 if refused and accepted else 1)
PY
