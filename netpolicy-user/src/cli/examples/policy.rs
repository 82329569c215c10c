//! Examples of the commands on policies, services and the host.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static POLICY: [(&str, [&str; 2]); 27] = [
    (
        "policy",
        [
            "netpolicy policy create office --allow 203.0.113.0/24",
            "netpolicy policy show office",
        ],
    ),
    (
        "policy create",
        [
            "netpolicy policy create office --allow 203.0.113.0/24,10.9.0.1-10.9.0.6 --dry-run",
            "netpolicy policy create abuse --block @bad-hosts,203.0.113.9 --service postgres",
        ],
    ),
    (
        "policy alter",
        [
            "netpolicy policy alter office --add-allow 203.0.113.9 --confirm-within 60s",
            "netpolicy policy alter abuse --add-block 198.51.100.7 --for 4h --rule-comment scanner",
        ],
    ),
    (
        "policy rename",
        [
            "netpolicy policy rename office head_office",
            "netpolicy policy rename office head_office --dry-run",
        ],
    ),
    (
        "policy owner",
        [
            "netpolicy policy owner office user:alice",
            "netpolicy policy owner office group:dba",
        ],
    ),
    (
        "policy drop",
        [
            "netpolicy policy drop office --dry-run",
            "netpolicy policy drop office --yes",
        ],
    ),
    (
        "policy activate",
        [
            "netpolicy policy activate office --dry-run",
            "netpolicy policy activate office --confirm-within 5m",
        ],
    ),
    (
        "policy deactivate",
        [
            "netpolicy policy deactivate office --dry-run",
            "netpolicy policy deactivate office",
        ],
    ),
    (
        "policy evaluate",
        [
            "netpolicy policy evaluate office --since 7d",
            "netpolicy policy evaluate -f policy.toml --output json",
        ],
    ),
    (
        "policy recommend",
        [
            "netpolicy policy recommend --service postgres --aggregate 24 > postgres.toml",
            "netpolicy policy recommend --since 90d --stayed 1d --observe",
        ],
    ),
    (
        "policy list",
        [
            "netpolicy policy list",
            "netpolicy policy list --output json",
        ],
    ),
    (
        "policy show",
        [
            "netpolicy policy show abuse --covers 198.51.100.7",
            "netpolicy policy show office --hits",
        ],
    ),
    (
        "policy lint",
        [
            "netpolicy policy lint office",
            "netpolicy policy lint -f policy.toml",
        ],
    ),
    (
        "policy test",
        [
            "netpolicy policy test",
            "netpolicy policy test --output json",
        ],
    ),
    (
        "policy test set",
        [
            "netpolicy policy test set 203.0.113.9 --service postgres --expect pass",
            "netpolicy policy test set 198.51.100.7 --port 22 --expect drop --comment scanner",
        ],
    ),
    (
        "policy test remove",
        [
            "netpolicy policy test remove 203.0.113.9 --service postgres",
            "netpolicy policy test remove 198.51.100.7 --port 22 --dry-run",
        ],
    ),
    (
        "service",
        [
            "netpolicy service add postgres --port 5432,6432",
            "netpolicy service list",
        ],
    ),
    (
        "service add",
        [
            "netpolicy service add postgresql",
            "netpolicy service add billing --port 5432,7000-7010 --combine and --mode observe",
        ],
    ),
    (
        "service alter",
        [
            "netpolicy service alter postgres --port 5432,6432,7000-7010",
            "netpolicy service alter postgres --on-deny reset",
        ],
    ),
    (
        "service remove",
        [
            "netpolicy service remove postgres",
            "netpolicy service remove postgres --dry-run",
        ],
    ),
    (
        "service list",
        [
            "netpolicy service list",
            "netpolicy service list --output json",
        ],
    ),
    (
        "service known",
        [
            "netpolicy service known",
            "netpolicy service known --output json",
        ],
    ),
    (
        "host",
        ["netpolicy host show", "netpolicy host set --mode observe"],
    ),
    (
        "host show",
        ["netpolicy host show", "netpolicy host show --output json"],
    ),
    (
        "host set",
        [
            "netpolicy host set --mode observe",
            "netpolicy host set --failsafe-ports 22,2222",
        ],
    ),
    (
        "bind",
        [
            "netpolicy bind office --service postgres",
            "netpolicy bind abuse",
        ],
    ),
    (
        "unbind",
        [
            "netpolicy unbind office --service postgres",
            "netpolicy unbind abuse --dry-run",
        ],
    ),
];
