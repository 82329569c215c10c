//! What stands around policies, queries of the catalog, and what is refused.

use super::*;

pub(super) fn rows() -> Vec<CorpusRow> {
    [around(), queries(), wrong()].concat()
}

/// What stands around policies in scripts and tools.
fn around() -> Vec<CorpusRow> {
    [
        taken(
            TERRAFORM,
            Taken,
            &[
                "SHOW \"network_policy\";",
                "ALTER SYSTEM RESET \"network_policy\";",
                "ALTER SYSTEM SET \"network_policy\" TO 'default';",
                "GRANT CREATENETWORKPOLICY ON SYSTEM TO \"alice\";",
                "REVOKE CREATENETWORKPOLICY ON SYSTEM FROM \"alice\";",
                "REVOKE ALL PRIVILEGES ON NETWORK POLICY \"OFFICE\" FROM \"alice\";",
                "ALTER NETWORK POLICY \"OFFICE\" SET ( RULES ( \"boston\" (action='allow', direction='ingress', address='5.6.7.8/24'), \"new_york\" (action='allow', direction='ingress', address='1.2.3.4/28') ));",
            ],
        ),
        taken(
            SLT,
            Taken,
            &[
                "SHOW enable_network_policies",
                "SHOW max_network_policies",
                "SHOW max_rules_per_network_policy",
                "CREATE ROLE alice",
                "CREATE ROLE materialize_admin",
                "SHOW NETWORK POLICIES LIKE '%'",
                "COMMENT ON NETWORK POLICY office IS ''",
            ],
        ),
        taken(
            CHECKS,
            Taken,
            &[
                "CREATE NETWORK POLICY network_policy_2 (\n  RULES (\n    np2_rule1 (action='allow', direction='ingress', address='10.0.0.0/16')\n  )\n)",
                "CREATE NETWORK POLICY network_policy_3 (\n  RULES (\n    np3_rule1 (action='allow', direction='ingress', address='192.168.0.0/24')\n  )\n)",
                "DROP NETWORK POLICY network_policy_drop",
            ],
        ),
        taken(
            SQLFLUFF,
            Noted,
            &[
                "GRANT USAGE, CREATE ON DATABASE materialize TO joe;",
                "GRANT ALL ON CLUSTER dev TO joe;",
                "GRANT CREATEDB ON SYSTEM TO alice;",
            ],
        ),
        taken(
            DOCS,
            Noted,
            &[
                "ALTER SYSTEM SET max_network_policies = 25",
                "ALTER SYSTEM RESET max_rules_per_network_policy",
                "SET cluster = quickstart",
                "SET database TO materialize",
                "SET transaction_isolation = 'strict serializable'",
                "RESET cluster",
                "GRANT SELECT ON ALL TABLES IN SCHEMA public TO alice",
                "REVOKE CREATEDB ON SYSTEM FROM alice",
            ],
        ),
    ]
    .concat()
}

fn queries() -> Vec<CorpusRow> {
    taken(
        CATALOG,
        Taken,
        &[
            "SELECT id FROM mz_internal.mz_network_policies WHERE name = 'office'",
            "SELECT mz_network_policies.id, mz_network_policies.name AS policy_name, mz_network_policies.privileges FROM mz_internal.mz_network_policies",
            "SELECT p.id, p.name FROM mz_internal.mz_network_policies AS p WHERE p.name = 'office'",
            "SELECT r.name, r.address FROM mz_internal.mz_network_policies p JOIN mz_internal.mz_network_policy_rules r ON p.id = r.policy_id ORDER BY r.name",
            "SELECT p.name AS policy, action FROM mz_internal.mz_network_policy_rules r INNER JOIN mz_internal.mz_network_policies p ON r.policy_id = p.id WHERE r.address <> '0.0.0.0/0'",
            "SELECT count(*) FROM mz_internal.mz_network_policy_rules",
            "SELECT name FROM (SHOW NETWORK POLICIES)",
            "SELECT name, action, direction FROM mz_internal.mz_network_policy_rules WHERE policy_id = 'u1' AND name = 'minnesota'",
        ],
    )
}

fn wrong() -> Vec<CorpusRow> {
    refused(
        SLT,
        &[
            (
                "CREATE NETWORK POLICY p (RULES (r (ACTION='allow', DIRECTION='ingress', ADDRESS='999.0.0.0/8')))",
                "CIDR",
            ),
            ("CREATE NETWORK POLICY p (RULES (r ()))", "lacks"),
            ("CREATE NETWORK POLICY pg_p (RULES ())", "reserved"),
            ("CREATE NETWORK POLICY external_p (RULES ())", "reserved"),
            (
                "CREATE NETWORK POLICY p (RULES (r (ACTION='allow', ACTION='allow', ADDRESS='::/0')))",
                "twice",
            ),
            ("ALTER NETWORK POLICY office SET (RULES)", "'('"),
            (
                "SELECT name FROM mz_internal.mz_network_policy_rules r JOIN mz_internal.mz_network_policies p ON r.policy_id = p.id",
                "relation before it",
            ),
        ],
    )
}
