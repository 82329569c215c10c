//! Examples of the console, and of the commands that work with other programs.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static INTEGRATIONS: [(&str, [&str; 2]); 8] = [
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
    (
        "exporter",
        [
            "netpolicy exporter",
            "netpolicy exporter --listen 127.0.0.1:9843 --listen [::1]:9843",
        ],
    ),
    ("notify", ["netpolicy notify test", "netpolicy notify run"]),
    (
        "notify run",
        [
            "netpolicy notify run",
            "netpolicy notify run --ca /etc/ssl/company.pem",
        ],
    ),
    (
        "notify test",
        [
            "netpolicy notify test --ca /etc/ssl/company.pem",
            "netpolicy notify test --output json",
        ],
    ),
];
