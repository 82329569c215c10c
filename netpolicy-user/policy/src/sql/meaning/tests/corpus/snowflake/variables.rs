//! Variables, and what scripts have around them.

use super::*;

pub(super) fn rows() -> Vec<CorpusRow> {
    [
        taken(
            SQLFLUFF,
            Taken,
            &[
                "set v1 = 10;",
                "set v2 = 'example';",
                "set (v1, v2) = (10, 'example');",
                "set (min, max) = (40, 70);",
                "set v1 = 1; unset v1;",
                "unset (v1, v2);",
            ],
        ),
        taken(
            SCRIPTS,
            Taken,
            &[
                "SET my_ip = '10.0.0.1';\nCREATE NETWORK POLICY mine ALLOWED_IP_LIST = ($my_ip);",
                "SET network_policy_name = 'PAT_POLICY';\nCREATE NETWORK POLICY IF NOT EXISTS IDENTIFIER($network_policy_name) ALLOWED_IP_LIST = ('0.0.0.0/0');",
                "SET network_rule = 'POOL_RULE';\nSET address = '10.0.0.7';\nCREATE NETWORK RULE IF NOT EXISTS IDENTIFIER($network_rule) TYPE = IPV4 MODE = INGRESS VALUE_LIST = ($address);\nCREATE NETWORK POLICY IF NOT EXISTS pool_policy ALLOWED_NETWORK_RULE_LIST = ($network_rule);",
                "SET database = 'DB';\nSET full_network_rule = $database || '.S.R';\nCREATE NETWORK RULE IF NOT EXISTS IDENTIFIER($full_network_rule)\n    type = IPV4\n    value_list = ('184.72.183.187/32', '52.206.71.52/32');\nCREATE NETWORK POLICY IF NOT EXISTS p allowed_network_rule_list = ($full_network_rule);",
                "SET full = CONCAT('DB', '.', 'S', '.', 'R');\nDROP NETWORK RULE IF EXISTS IDENTIFIER($full);",
                "SET policy = 'MYPOLICY';\nALTER ACCOUNT SET NETWORK_POLICY = $policy;",
                "SET policy = 'MYPOLICY';\nALTER USER IDENTIFIER('PG') SET NETWORK_POLICY = IDENTIFIER($policy);",
                "SET minutes = 10;\nALTER USER pg SET MINS_TO_BYPASS_NETWORK_POLICY = $minutes;",
                "SET pattern = 'MY%';\nSHOW NETWORK POLICIES LIKE $pattern;",
                "DROP NETWORK POLICY IF EXISTS IDENTIFIER('mypolicy');",
                "SELECT CURRENT_USER(), CURRENT_ROLE()",
                "SELECT CURRENT_ROLE()",
            ],
        ),
        taken(
            SCRIPTS,
            Noted,
            &[
                "CREATE DATABASE IF NOT EXISTS security_db;",
                "CREATE SCHEMA IF NOT EXISTS security_db.inbound_traffic COMMENT = 'network rules';",
                "SET role = 'SYSADMIN';\nUSE ROLE IDENTIFIER($role);",
                "GRANT USAGE ON DATABASE security_db TO ROLE alice;",
                "GRANT USAGE, CREATE TABLE ON SCHEMA security_db.s TO ROLE alice;",
                "GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA security_db.s TO ROLE alice;",
                "GRANT USAGE ON WAREHOUSE compute_wh TO ROLE alice;",
                "GRANT USAGE ON INTEGRATION external_access TO ROLE alice;",
                "GRANT APPLY MASKING POLICY ON ACCOUNT TO ROLE alice;",
                "REVOKE USAGE ON DATABASE security_db FROM ROLE alice;",
            ],
        ),
        refused(
            SCRIPTS,
            &[
                (
                    "CREATE NETWORK POLICY p ALLOWED_IP_LIST = ($undefined)",
                    "does not exist",
                ),
                ("SET a = 'x'; UNSET a; DROP NETWORK RULE IDENTIFIER($a)", "does not exist"),
                ("SET (a, b) = ('x')", "2 values"),
                ("SET a 'x'", "'='"),
                (
                    "SET a = '10.0.0.300'; CREATE NETWORK POLICY p ALLOWED_IP_LIST = ($a)",
                    "300",
                ),
            ],
        ),
        // A policy's name in several pieces, and expressions.
        vec![
            (
                SCRIPTS,
                "SET env = 'dev'; SET name = $env || '_policy'; CREATE NETWORK POLICY IDENTIFIER($name)",
                Takes,
                Refused("in one piece"),
            ),
            (
                SQLFLUFF,
                "set id_threshold = (select count(*) from table1) / 2;",
                Takes,
                Refused("a text in single quotes"),
            ),
        ],
    ]
    .concat()
}
