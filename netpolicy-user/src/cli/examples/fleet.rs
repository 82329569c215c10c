//! Examples of `netpolicy fleet`.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static FLEET: [(&str, [&str; 2]); 5] = [
    (
        "fleet",
        [
            "netpolicy fleet push -f policy.toml --message \"tighten office\"",
            "netpolicy fleet leave",
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
        "fleet push",
        [
            "netpolicy fleet push -f policy.toml --dry-run",
            "netpolicy fleet push -f policy.toml --message \"tighten office\"",
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
        "fleet leave",
        ["netpolicy fleet leave", "netpolicy fleet leave --yes"],
    ),
];
