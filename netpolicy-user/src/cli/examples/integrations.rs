//! Examples of the commands of other programs' decisions.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static INTEGRATIONS: [(&str, [&str; 2]); 2] = [
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
            "sudo netpolicy crowdsec test",
            "sudo netpolicy crowdsec test --output json",
        ],
    ),
];
