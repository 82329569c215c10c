//! Examples of the commands of the memory of sources.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static SOURCES: [(&str, [&str; 2]); 2] = [
    (
        "sources",
        [
            "netpolicy sources --denied --since 1h --sort attempts",
            "netpolicy sources --allowed --service postgres --net 24 --output json",
        ],
    ),
    (
        "rates",
        [
            "netpolicy rates --step hour --since 7d",
            "netpolicy rates --policy office --rule 203.0.113.0/24",
        ],
    ),
];
