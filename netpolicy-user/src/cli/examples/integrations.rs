//! Examples of the console, and of the commands of other programs' decisions.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static INTEGRATIONS: [(&str, [&str; 2]); 4] = [
    (
        "console",
        [
            "netpolicy console",
            "netpolicy console --listen 127.0.0.1:0 --read-only",
        ],
    ),
    (
        "crowdsec",
        ["netpolicy crowdsec test", "netpolicy crowdsec run"],
    ),
    (
        "crowdsec run",
        [
            "netpolicy crowdsec run",
            "netpolicy crowdsec run --settings /etc/netpolicy/crowdsec-db.toml",
        ],
    ),
    (
        "crowdsec test",
        [
            "netpolicy crowdsec test",
            "netpolicy crowdsec test --output json",
        ],
    ),
];
