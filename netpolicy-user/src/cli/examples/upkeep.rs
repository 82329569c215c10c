//! Examples of the commands that run, watch and keep the agent.

/// As [`EXAMPLES`](super::EXAMPLES).
pub(super) static UPKEEP: [(&str, [&str; 2]); 21] = [
    (
        "agent",
        [
            "netpolicy agent --interface eth0",
            "netpolicy agent --interface eth0,eth1 --hook tcx",
        ],
    ),
    (
        "early",
        [
            "netpolicy early",
            "netpolicy early --config /etc/netpolicy/tenant.toml",
        ],
    ),
    (
        "status",
        ["netpolicy status", "netpolicy status --output json"],
    ),
    (
        "doctor",
        [
            "netpolicy doctor",
            "netpolicy doctor --report netpolicy-report.txt",
        ],
    ),
    (
        "verify",
        ["netpolicy verify", "netpolicy verify --output json"],
    ),
    (
        "counters",
        ["netpolicy counters", "netpolicy counters --output json"],
    ),
    (
        "top",
        ["netpolicy top", "netpolicy top --once --output json"],
    ),
    (
        "monitor",
        [
            "netpolicy monitor",
            "netpolicy monitor --count 10 --output json",
        ],
    ),
    (
        "backup",
        [
            "netpolicy backup netpolicy.backup",
            "netpolicy backup /srv/backups/netpolicy.backup --force",
        ],
    ),
    (
        "restore",
        [
            "netpolicy restore netpolicy.backup",
            "netpolicy restore /srv/backups/netpolicy.backup --yes",
        ],
    ),
    (
        "store",
        ["netpolicy store rescue", "netpolicy store acknowledge"],
    ),
    (
        "store rescue",
        [
            "netpolicy store rescue",
            "netpolicy store rescue --output json",
        ],
    ),
    (
        "store acknowledge",
        [
            "netpolicy store acknowledge",
            "netpolicy store acknowledge --yes",
        ],
    ),
    (
        "store reset",
        ["netpolicy store reset", "netpolicy store reset --yes"],
    ),
    ("detach", ["netpolicy detach", "netpolicy detach --yes"]),
    (
        "attach",
        ["netpolicy attach", "netpolicy attach --output json"],
    ),
    (
        "config",
        ["netpolicy config check", "netpolicy config show"],
    ),
    (
        "config check",
        [
            "netpolicy config check",
            "netpolicy config check new.toml --output json",
        ],
    ),
    (
        "config show",
        [
            "netpolicy config show",
            "netpolicy config show --config new.toml --output json",
        ],
    ),
    (
        "config default",
        [
            "netpolicy config default",
            "netpolicy config default > config.toml",
        ],
    ),
    (
        "completions",
        [
            "netpolicy completions bash > /etc/bash_completion.d/netpolicy",
            "netpolicy completions zsh > /usr/local/share/zsh/site-functions/_netpolicy",
        ],
    ),
];
