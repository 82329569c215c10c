//! Examples of `netpolicy db`.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static DATABASES: [(&str, [&str; 2]); 8] = [
    (
        "db",
        [
            "netpolicy db add orders --service postgres",
            "netpolicy db list",
        ],
    ),
    (
        "db add",
        [
            "netpolicy db add orders --service postgres",
            "netpolicy db add pool --kind pgbouncer --service pooler --socket-dir /run/pgbouncer",
        ],
    ),
    (
        "db remove",
        [
            "netpolicy db remove orders --dry-run",
            "netpolicy db remove orders",
        ],
    ),
    (
        "db list",
        ["netpolicy db list", "netpolicy db list -o json"],
    ),
    (
        "db bypass",
        [
            "netpolicy db bypass user:alice@orders --minutes 30",
            "netpolicy db bypass user:alice@orders --minutes 0",
        ],
    ),
    (
        "db plan",
        [
            "netpolicy db plan desk --kind mariadb --user app",
            "netpolicy db plan desk --kind clickhouse --user app -o json",
        ],
    ),
    (
        "db lint",
        [
            "netpolicy db lint desk accounts.txt",
            "netpolicy db lint desk accounts.txt -o json",
        ],
    ),
    (
        "db run",
        [
            "netpolicy db run orders",
            "netpolicy db run orders --check-every 60s",
        ],
    ),
];
