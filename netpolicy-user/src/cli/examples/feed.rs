//! Examples of `netpolicy feed`.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static FEED: [(&str, [&str; 2]); 9] = [
    (
        "feed",
        [
            "netpolicy feed test https://www.spamhaus.org/drop/drop_v4.json",
            "netpolicy feed list",
        ],
    ),
    (
        "feed list",
        ["netpolicy feed list", "netpolicy feed list -o json"],
    ),
    (
        "feed create",
        [
            "netpolicy feed create drop https://www.spamhaus.org/drop/drop_v4.json --interval 6h",
            "netpolicy feed create jobs /var/lib/lists/jobs.txt --comment \"batch jobs\"",
        ],
    ),
    (
        "feed alter",
        [
            "netpolicy feed alter drop --max-shrink 50% --stale-after 2d",
            "netpolicy feed alter drop --comment \"Spamhaus\" --dry-run",
        ],
    ),
    (
        "feed drop",
        [
            "netpolicy feed drop drop --dry-run",
            "netpolicy feed drop drop --confirm-within 60s",
        ],
    ),
    (
        "feed show",
        [
            "netpolicy feed show drop",
            "netpolicy feed show drop -o json",
        ],
    ),
    (
        "feed refresh",
        [
            "netpolicy feed refresh drop",
            "netpolicy feed refresh drop -o json",
        ],
    ),
    (
        "feed test",
        [
            "netpolicy feed test https://www.spamhaus.org/drop/drop_v4.json",
            "netpolicy feed test https://ip-ranges.amazonaws.com/ip-ranges.json --service S3",
        ],
    ),
    (
        "feed run",
        [
            "netpolicy feed run",
            "netpolicy feed run --ca /etc/netpolicy/ca.pem",
        ],
    ),
];
