//! Singdata Lakehouse: its manual, and the public repositories of its vendor.

use super::*;

/// The pages of its manual on network policies.
const MANUAL: &str = "Lakehouse manual, CREATE|ALTER|DROP|SHOW|DESC NETWORK POLICY";
/// Its page on managing them.
const MANAGE: &str = "Lakehouse manual, om-network-policy";
/// Instructions for agents, which were run against an instance.
const SKILLS: &str = "vendor's skills, commits 9263368, ceab2d5, 2cea466";

pub(super) fn rows() -> Vec<CorpusRow> {
    vec![
        (
            MANUAL,
            "CREATE NETWORK POLICY corp_policy ALLOWED_IP_LIST = ('10.0.0.0/8')",
            Takes,
            Taken,
        ),
        (
            MANUAL,
            "CREATE NETWORK POLICY corp_policy BLOCKED_IP_LIST = ('10.0.1.100')",
            Takes,
            Taken,
        ),
        (
            MANUAL,
            "CREATE NETWORK POLICY p_1 ALLOWED_IP_LIST = ('10.0.0.0/8', '172.16.0.0/12') BLOCKED_IP_LIST = ('10.0.1.100')",
            Takes,
            Taken,
        ),
        (
            MANUAL,
            "CREATE OR REPLACE NETWORK POLICY office ALLOWED_IP_LIST = ('10.0.0.0/8')",
            Takes,
            Taken,
        ),
        (
            SKILLS,
            "CREATE NETWORK POLICY IF NOT EXISTS office ALLOWED_IP_LIST = ('10.0.0.0/8')",
            Takes,
            Taken,
        ),
        (
            SKILLS,
            "CREATE NETWORK POLICY p_2 ALLOWED_IP_LIST = ('10.0.0.0/8') COMMENT 'c'",
            Takes,
            Taken,
        ),
        // Taken nevertheless: text for other products has the sign.
        (
            SKILLS,
            "CREATE NETWORK POLICY p_2 ALLOWED_IP_LIST = ('10.0.0.0/8') COMMENT = 'c'",
            Refuses,
            Taken,
        ),
        (MANUAL, "CREATE NETWORK POLICY p_3", Takes, Taken),
        (
            MANUAL,
            "CREATE NETWORK POLICY p_4 ALLOWED_IP_LIST = ()",
            Takes,
            Taken,
        ),
        (
            MANUAL,
            "CREATE NETWORK POLICY p_4 ALLOWED_IP_LIST = ('0.0.0.0/0')",
            Refuses,
            Refused("0.0.0.0/0"),
        ),
        (
            MANUAL,
            "CREATE NETWORK POLICY p_4 ALLOWED_IP_LIST = ('2001:db8::/32')",
            Refuses,
            Refused("IPv6"),
        ),
        (
            MANUAL,
            "CREATE NETWORK POLICY p_4 ALLOWED_IP_LIST = ('10.0.0.1', '10.0.0.1')",
            Refuses,
            Refused("10.0.0.1"),
        ),
        (
            MANUAL,
            "CREATE NETWORK POLICY ab ALLOWED_IP_LIST = ('10.0.0.1')",
            Refuses,
            Refused("shorter than 3"),
        ),
        (
            MANUAL,
            "CREATE NETWORK POLICY abcdefghijklmnopqrstuvwxyz_123 ALLOWED_IP_LIST = ('10.0.0.1')",
            Refuses,
            Refused("longer than 28"),
        ),
        (
            MANUAL,
            "CREATE NETWORK POLICY \"office\" ALLOWED_IP_LIST = ('10.0.0.1')",
            Refuses,
            Refused("quoted"),
        ),
        (
            MANUAL,
            "CREATE NETWORK POLICY `office` ALLOWED_IP_LIST = ('10.0.0.1')",
            Refuses,
            Refused("backquote"),
        ),
        (
            MANUAL,
            "CREATE NETWORK POLICY s.office2 ALLOWED_IP_LIST = ('10.0.0.1')",
            Takes,
            Noted,
        ),
        (
            MANUAL,
            "ALTER NETWORK POLICY office SET ALLOWED_IP_LIST = ('192.168.1.0/24')",
            Takes,
            Taken,
        ),
        (
            MANUAL,
            "ALTER NETWORK POLICY office SET BLOCKED_IP_LIST = ('192.168.1.7')",
            Takes,
            Taken,
        ),
        (
            MANUAL,
            "ALTER NETWORK POLICY office SET ALLOWED_IP_LIST = ('192.168.1.0/24') BLOCKED_IP_LIST = ('192.168.1.7')",
            Takes,
            Taken,
        ),
        (
            MANUAL,
            "ALTER NETWORK POLICY IF EXISTS none SET ALLOWED_IP_LIST = ('10.0.0.1')",
            Takes,
            Taken,
        ),
        (MANUAL, "ALTER NETWORK POLICY office ACTIVATE", Takes, Taken),
        (
            MANUAL,
            "ALTER NETWORK POLICY office INACTIVATE;",
            Takes,
            Taken,
        ),
        (
            MANUAL,
            "ALTER NETWORK POLICY office RENAME TO other",
            Refuses,
            Refused("RENAME"),
        ),
        (
            MANUAL,
            "ALTER NETWORK POLICY office UNSET COMMENT",
            Refuses,
            Refused("UNSET"),
        ),
        (
            MANUAL,
            "ALTER NETWORK POLICY office SET COMMENT = 'c'",
            Refuses,
            Refused("SET COMMENT"),
        ),
        (MANUAL, "DROP NETWORK POLICY office", Takes, Taken),
        (
            MANUAL,
            "DROP NETWORK POLICY IF EXISTS office;",
            Takes,
            Taken,
        ),
        (MANUAL, "SHOW NETWORK POLICY;", Takes, Taken),
        (SKILLS, "SHOW NETWORK POLICIES", Refuses, Taken),
        (
            SKILLS,
            "SHOW NETWORK POLICY LIKE 'a%'",
            Refuses,
            Refused("LIKE"),
        ),
        (MANUAL, "DESC NETWORK POLICY office", Takes, Taken),
        (MANUAL, "DESCRIBE NETWORK POLICY office", Takes, Taken),
        (
            MANAGE,
            "ALTER USER pg SET NETWORK_POLICY = office",
            Takes,
            Taken,
        ),
        (MANAGE, "ALTER USER pg UNSET NETWORK_POLICY", Takes, Taken),
        (
            MANAGE,
            "ALTER USER pg SET NETWORK_POLICY = public.office",
            Takes,
            Noted,
        ),
        (
            MANAGE,
            "ALTER USER pg SET MINS_TO_BYPASS_NETWORK_POLICY = 3",
            Refuses,
            Refused("Snowflake"),
        ),
        (
            MANUAL,
            "ALTER ACCOUNT SET NETWORK_POLICY = office",
            Refuses,
            Refused("ALTER ACCOUNT"),
        ),
        (
            MANUAL,
            "GRANT USAGE ON NETWORK POLICY office TO alice",
            Refuses,
            Refused("GRANT"),
        ),
    ]
}
