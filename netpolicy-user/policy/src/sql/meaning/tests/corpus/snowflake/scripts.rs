//! What scripts have around the policies.

use super::*;

pub(super) fn rows() -> Vec<CorpusRow> {
    vec![
        (SCRIPTS, "USE ROLE ACCOUNTADMIN", Takes, Noted),
        (SCRIPTS, "USE ROLE securityadmin;", Takes, Noted),
        (SCRIPTS, "USE WAREHOUSE compute_wh", Takes, Noted),
        (SCRIPTS, "USE DATABASE security_db", Takes, Noted),
        (SCRIPTS, "USE SCHEMA security_db.policies", Takes, Noted),
        (SCRIPTS, "USE SECONDARY ROLES ALL", Takes, Noted),
        (
            SCRIPTS,
            "ALTER SESSION SET QUERY_TAG = 'setup'",
            Takes,
            Noted,
        ),
        (SCRIPTS, "ALTER SESSION UNSET QUERY_TAG", Takes, Noted),
        (GUIDE, "SELECT CURRENT_IP_ADDRESS()", Takes, Taken),
        (
            SCRIPTS,
            "SELECT CURRENT_ROLE()",
            Takes,
            Refused("expected CREATE"),
        ),
        (
            SCRIPTS,
            "// attach it to the account\nALTER ACCOUNT SET NETWORK_POLICY = mypolicy",
            Takes,
            Taken,
        ),
        (
            SCRIPTS,
            "-- attach it\n/* to the account */ ALTER ACCOUNT SET NETWORK_POLICY = mypolicy;",
            Takes,
            Taken,
        ),
        (SCRIPTS, "SET my_ip = '10.0.0.1'", Takes, Refused("DIALECT")),
        (
            SCRIPTS,
            "CREATE NETWORK POLICY IF NOT EXISTS OFFICE_POLICY ALLOWED_IP_LIST = ('203.0.113.0/24', '198.51.100.0/24') BLOCKED_IP_LIST = ()",
            Takes,
            Taken,
        ),
        (
            SCRIPTS,
            "CREATE NETWORK POLICY allow_all ALLOWED_IP_LIST = ('0.0.0.0/0')",
            Takes,
            Taken,
        ),
        (
            SCRIPTS,
            "CREATE NETWORK POLICY IF NOT EXISTS p ALLOWED_IP_LIST = ('192.168.0.0/16', '10.0.0.0/8') BLOCKED_IP_LIST = ('0.0.0.0/0') COMMENT = 'c'",
            Takes,
            Taken,
        ),
        (
            SCRIPTS,
            "ALTER USER pg SET NETWORK_POLICY = allow_all;",
            Takes,
            Taken,
        ),
        (
            SCRIPTS,
            "CREATE DATABASE security_db",
            Takes,
            Refused("NETWORK"),
        ),
        (SCRIPTS, "SHOW USERS", Takes, Refused("NETWORK")),
        (
            SCRIPTS,
            "CREATE NETWORK POLICY p ALLOWED_IP_LIST = (\u{2018}10.0.0.1\u{2019})",
            Refuses,
            Refused("typographic"),
        ),
        (
            SCRIPTS,
            "CREATE NETWORK POLICY `p` ALLOWED_IP_LIST = ('10.0.0.1')",
            Refuses,
            Refused("MySQL and Databend"),
        ),
        (
            SCRIPTS,
            "DROP NETWORK POLICY IF EXISTS LOCAL_PAT_NETWORK_POLICY;",
            Takes,
            Taken,
        ),
    ]
}
