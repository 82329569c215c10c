//! Examples of the commands of bans.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static BANS: [(&str, [&str; 2]); 3] = [
    (
        "ban",
        [
            "netpolicy ban 203.0.113.9 --for 4h --reason 'failed log-ins'",
            "netpolicy ban --file attackers.txt --for 7d --service postgres --by analyst",
        ],
    ),
    (
        "unban",
        [
            "netpolicy unban 203.0.113.9",
            "netpolicy unban --all --by fail2ban/sshd",
        ],
    ),
    (
        "bans",
        [
            "netpolicy bans --by fail2ban --sort until",
            "netpolicy bans --covers 203.0.113.9 --output json",
        ],
    ),
];
