//! Examples of the commands of other programs' decisions.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static INTEGRATIONS: [(&str, [&str; 2]); 3] = [
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
