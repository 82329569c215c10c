//! Examples of `netpolicy list`.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static LIST: [(&str, [&str; 2]); 10] = [
    (
        "list",
        [
            "netpolicy list create bad-hosts 198.51.100.7 --comment \"from the feed\"",
            "netpolicy list show bad-hosts",
        ],
    ),
    (
        "list create",
        [
            "netpolicy list create bad-hosts --file bad-hosts.txt",
            "netpolicy list create offices 203.0.113.0/24,2001:db8:a::/64 --dry-run",
        ],
    ),
    (
        "list alter",
        [
            "netpolicy list alter bad-hosts --set-file bad-hosts.txt --existing cut",
            "netpolicy list alter offices --comment \"all sites\"",
        ],
    ),
    (
        "list add",
        [
            "netpolicy list add bad-hosts 198.51.100.7 --existing cut",
            "netpolicy list add offices 198.51.100.0/25,2001:db8:b::/64 --for 7d",
        ],
    ),
    (
        "list remove",
        [
            "netpolicy list remove bad-hosts 198.51.100.7",
            "netpolicy list remove offices 198.51.100.0/25 --confirm-within 60s",
        ],
    ),
    (
        "list rename",
        [
            "netpolicy list rename offices sites",
            "netpolicy list rename offices sites --dry-run",
        ],
    ),
    (
        "list owner",
        [
            "netpolicy list owner bad-hosts user:alice",
            "netpolicy list owner bad-hosts group:dba",
        ],
    ),
    (
        "list drop",
        [
            "netpolicy list drop bad-hosts --dry-run",
            "netpolicy list drop bad-hosts --yes",
        ],
    ),
    (
        "list list",
        ["netpolicy list list", "netpolicy list list -o json"],
    ),
    (
        "list show",
        [
            "netpolicy list show bad-hosts",
            "netpolicy list show bad-hosts --covers 198.51.100.7",
        ],
    ),
];
