//! Examples of `netpolicy fleet`.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static FLEET: [(&str, [&str; 2]); 18] = [
    (
        "fleet",
        [
            "netpolicy fleet status",
            "netpolicy fleet push -f policy.toml --message \"tighten office\"",
        ],
    ),
    (
        "fleet run",
        [
            "netpolicy fleet run",
            "netpolicy fleet run --settings /etc/netpolicy/fleet-db2.toml",
        ],
    ),
    (
        "fleet init",
        [
            "netpolicy fleet init --must-admit 10.0.0.2:2379",
            "netpolicy fleet init --settings fleet.toml --without-roles",
        ],
    ),
    (
        "fleet join",
        [
            "netpolicy fleet join db-1 --label role=db",
            "netpolicy fleet join db-1 --label role=db --label zone=eu --without-roles",
        ],
    ),
    (
        "fleet leave",
        ["netpolicy fleet leave", "netpolicy fleet leave --yes"],
    ),
    (
        "fleet push",
        [
            "netpolicy fleet push -f policy.toml --dry-run",
            "netpolicy fleet push -f policy.toml --message \"tighten office\"",
        ],
    ),
    (
        "fleet status",
        [
            "netpolicy fleet status",
            "netpolicy fleet status --output json",
        ],
    ),
    (
        "fleet diff",
        [
            "netpolicy fleet diff --from 41 --to 42",
            "netpolicy fleet diff -f policy.toml",
        ],
    ),
    (
        "fleet rollout",
        [
            "netpolicy fleet rollout db",
            "netpolicy fleet rollout db --stages 1,25,100 --soak 30m --max-failed 2",
        ],
    ),
    (
        "fleet pause",
        [
            "netpolicy fleet pause db",
            "netpolicy fleet pause db --settings fleet.toml",
        ],
    ),
    (
        "fleet resume",
        [
            "netpolicy fleet resume db",
            "netpolicy fleet resume db --stages 50,100",
        ],
    ),
    (
        "fleet rollback",
        [
            "netpolicy fleet rollback --group db",
            "netpolicy fleet rollback 41",
        ],
    ),
    (
        "fleet hosts",
        [
            "netpolicy fleet hosts",
            "netpolicy fleet hosts --group db --output json",
        ],
    ),
    (
        "fleet groups",
        [
            "netpolicy fleet groups",
            "netpolicy fleet groups --output json",
        ],
    ),
    (
        "fleet groups set",
        [
            "netpolicy fleet groups set db --selector role=db --must-admit 10.0.0.2:2379",
            "netpolicy fleet groups set db --pin 41",
        ],
    ),
    (
        "fleet label",
        [
            "netpolicy fleet label db-1 role=db zone=eu",
            "netpolicy fleet label db-1 zone-",
        ],
    ),
    (
        "fleet mirror",
        [
            "netpolicy fleet mirror --to mirror.toml",
            "netpolicy fleet mirror --to mirror.toml --once",
        ],
    ),
    (
        "fleet promote",
        [
            "netpolicy fleet promote --settings mirror.toml",
            "netpolicy fleet promote --settings mirror.toml --force",
        ],
    ),
];
