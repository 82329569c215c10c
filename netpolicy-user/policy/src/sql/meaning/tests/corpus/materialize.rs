//! Materialize: its documents, tests and Terraform provider.

use super::*;

const DOCS: &str = "materialize docs, sql/*-network-policy";
const CATALOG: &str = "materialize docs, mz_internal";
const MANAGE: &str = "materialize docs, manage-network-policies";
const SLT: &str = "materialize test/sqllogictest, network policies";
const MZCOMPOSE: &str = "materialize test/cluster/mzcompose.py, workflow for network policies";
const CHECKS: &str = "materialize misc/python/materialize/checks, NetworkPolicies";
const WORKLOAD: &str = "materialize test/parallel-workload";
const TERRAFORM: &str = "terraform-provider-materialize, network_policy";
const DBT: &str = "materialize src/mz-deploy, network policies";
const PARSER: &str = "materialize src/sql-parser, DROP and SHOW";

pub(super) fn rows() -> Vec<CorpusRow> {
    vec![
        (
            DOCS,
            "CREATE NETWORK POLICY office_access_policy (RULES (new_york (action='allow', direction='ingress',address='1.2.3.4/28'), minnesota (action='allow',direction='ingress',address='2.3.4.5/32')))",
            Takes,
            Taken,
        ),
        (
            DOCS,
            "ALTER NETWORK POLICY office SET (RULES (new_york (action='allow', direction='ingress',address='1.2.3.4/28'), boston (action='allow',direction='ingress',address='4.5.6.7/32')))",
            Takes,
            Taken,
        ),
        (
            DOCS,
            "ALTER SYSTEM SET network_policy = office",
            Takes,
            Taken,
        ),
        (
            MANAGE,
            "ALTER SYSTEM SET network_policy TO 'office'",
            Takes,
            Taken,
        ),
        (
            MANAGE,
            "ALTER SYSTEM SET network_policy = 'office'",
            Takes,
            Taken,
        ),
        (MANAGE, "ALTER SYSTEM RESET network_policy", Takes, Taken),
        (DOCS, "DROP NETWORK POLICY office", Takes, Taken),
        (DOCS, "DROP NETWORK POLICY IF EXISTS office", Takes, Taken),
        (
            PARSER,
            "DROP NETWORK POLICY IF EXISTS office CASCADE",
            Takes,
            Taken,
        ),
        (PARSER, "DROP NETWORK POLICY office RESTRICT", Takes, Taken),
        (PARSER, "DROP NETWORK POLICY office, mypolicy", Takes, Taken),
        (DOCS, "SHOW NETWORK POLICIES", Takes, Taken),
        (DOCS, "SHOW NETWORK POLICIES LIKE 'office%'", Takes, Taken),
        (
            PARSER,
            "SHOW NETWORK POLICIES WHERE name = 'office'",
            Takes,
            Taken,
        ),
        (MZCOMPOSE, "show network_policy", Takes, Taken),
        (
            MZCOMPOSE,
            "ALTER SYSTEM SET enable_network_policies = true",
            Takes,
            Noted,
        ),
        (
            SLT,
            "ALTER SYSTEM SET enable_network_policies=on",
            Takes,
            Noted,
        ),
        (
            SLT,
            "ALTER SYSTEM RESET enable_network_policies",
            Takes,
            Noted,
        ),
        (
            SLT,
            "ALTER SYSTEM SET enable_network_policies = false",
            Takes,
            Refused("always on"),
        ),
        (
            MZCOMPOSE,
            "ALTER SYSTEM SET network_policy='apples'",
            Takes,
            Taken,
        ),
        (
            MZCOMPOSE,
            "CREATE NETWORK POLICY closed (RULES ())",
            Takes,
            Taken,
        ),
        (
            MZCOMPOSE,
            "ALTER NETWORK POLICY office SET (RULES (open (ACTION='allow', DIRECTION='ingress', ADDRESS='0.0.0.0/0')))",
            Takes,
            Taken,
        ),
        (
            MZCOMPOSE,
            "ALTER NETWORK POLICY office SET (RULES (closed (ACTION='allow', DIRECTION='ingress', ADDRESS='0.0.0.0/32')))",
            Takes,
            Taken,
        ),
        (
            MZCOMPOSE,
            "ALTER SYSTEM SET network_policy='default'",
            Takes,
            Taken,
        ),
        (
            SLT,
            "ALTER SYSTEM SET max_network_policies = 50",
            Takes,
            Refused("fixed"),
        ),
        (
            SLT,
            "ALTER SYSTEM SET max_rules_per_network_policy = 50",
            Takes,
            Refused("fixed"),
        ),
        (SLT, "select * from (SHOW NETWORK POLICIES)", Takes, Taken),
        (
            SLT,
            "CREATE NETWORK POLICY p (RULES (r (ACTION='allow', DIRECTION='ingress', ADDRESS='127.0.0.1')))",
            Refuses,
            Refused("CIDR"),
        ),
        (
            SLT,
            "CREATE NETWORK POLICY p (RULES (r (ACTION='deny', DIRECTION='ingress', ADDRESS='0.0.0.0/0')))",
            Refuses,
            Refused("Allow is the only"),
        ),
        (
            SLT,
            "CREATE NETWORK POLICY p (RULES (r (ACTION='allow', DIRECTION='egress', ADDRESS='0.0.0.0/0')))",
            Refuses,
            Refused("Ingress is the only"),
        ),
        (
            SLT,
            "CREATE NETWORK POLICY p (RULES (r (ACTION='allow', DIRECTION='ingress')))",
            Refuses,
            Refused("ADDRESS"),
        ),
        (
            SLT,
            "CREATE NETWORK POLICY mz_p (RULES ())",
            Refuses,
            Refused("reserved"),
        ),
        (
            SLT,
            "CREATE NETWORK POLICY p (RULES (r (ACTION=allow, DIRECTION=ingress, ADDRESS='0.0.0.0/0')))",
            Takes,
            Taken,
        ),
        (
            SLT,
            "CREATE NETWORK POLICY p (RULES = (r (ACTION 'allow', DIRECTION 'ingress', ADDRESS '::/0')))",
            Takes,
            Taken,
        ),
        (
            SLT,
            "CREATE NETWORK POLICY \"my policy\" (RULES ())",
            Takes,
            Taken,
        ),
        (SLT, "CREATE NETWORK POLICY p", Refuses, Refused("RULES")),
        (
            SLT,
            "CREATE NETWORK POLICY IF NOT EXISTS p (RULES ())",
            Refuses,
            Refused("IF NOT EXISTS"),
        ),
        (
            SLT,
            "COMMENT ON NETWORK POLICY office IS 'head office'",
            Takes,
            Taken,
        ),
        (
            SLT,
            "COMMENT ON NETWORK POLICY office IS NULL",
            Takes,
            Taken,
        ),
        (
            SLT,
            "GRANT CREATENETWORKPOLICY ON SYSTEM TO alice",
            Takes,
            Taken,
        ),
        (
            SLT,
            "REVOKE CREATENETWORKPOLICY ON SYSTEM FROM alice",
            Takes,
            Taken,
        ),
        (
            SLT,
            "GRANT CREATEROLE, CREATENETWORKPOLICY ON SYSTEM TO alice",
            Takes,
            Noted,
        ),
        (
            SLT,
            "GRANT CREATENETWORKPOLICY ON SYSTEM TO alice, dba",
            Takes,
            Taken,
        ),
        (
            SLT,
            "GRANT CREATENETWORKPOLICY ON SYSTEM TO PUBLIC",
            Takes,
            Refused("PUBLIC"),
        ),
        (
            SLT,
            "GRANT CREATEROLE ON SYSTEM TO alice",
            Takes,
            Refused("privilege"),
        ),
        (
            SLT,
            "GRANT USAGE ON NETWORK POLICY office TO alice",
            Takes,
            Taken,
        ),
        (
            SLT,
            "REVOKE USAGE ON NETWORK POLICY office FROM alice",
            Takes,
            Taken,
        ),
        (
            SLT,
            "GRANT ALL PRIVILEGES ON NETWORK POLICY office TO alice",
            Takes,
            Taken,
        ),
        (
            SLT,
            "ALTER NETWORK POLICY office OWNER TO alice",
            Takes,
            Taken,
        ),
        (
            SLT,
            "ALTER NETWORK POLICY office RENAME TO other",
            Refuses,
            Refused("RENAME"),
        ),
        (
            CHECKS,
            "CREATE NETWORK POLICY network_policy_1 (RULES (np1_rule1 (action='allow', direction='ingress', address='1.2.3.4/28'), np1_rule2 (action='allow', direction='ingress', address='5.6.7.8/32')))",
            Takes,
            Taken,
        ),
        (
            CHECKS,
            "SELECT name FROM mz_internal.mz_network_policies WHERE name LIKE 'network_policy_%'",
            Takes,
            Taken,
        ),
        (
            CHECKS,
            "SELECT count(*) FROM mz_internal.mz_network_policies WHERE name = 'network_policy_drop'",
            Takes,
            Taken,
        ),
        (
            CHECKS,
            "SELECT p.name, r.name, r.action, r.direction, r.address FROM mz_internal.mz_network_policy_rules r JOIN mz_internal.mz_network_policies p ON r.policy_id = p.id WHERE p.name LIKE 'network_policy_%'",
            Takes,
            Refused("plain queries"),
        ),
        (
            WORKLOAD,
            "SELECT name FROM mz_internal.mz_network_policies",
            Takes,
            Taken,
        ),
        (WORKLOAD, "DROP NETWORK POLICY \"netpol-1\"", Takes, Taken),
        (
            WORKLOAD,
            "SELECT id, name, owner_id FROM mz_internal.mz_network_policies",
            Takes,
            Taken,
        ),
        (
            CATALOG,
            "SELECT * FROM mz_internal.mz_network_policies",
            Takes,
            Taken,
        ),
        (
            CATALOG,
            "SELECT * FROM mz_internal.mz_network_policy_rules",
            Takes,
            Taken,
        ),
        (
            CATALOG,
            "SELECT name, rules, comment FROM mz_internal.mz_show_network_policies",
            Takes,
            Taken,
        ),
        (
            CATALOG,
            "SELECT name, address FROM mz_internal.mz_network_policy_rules WHERE policy_id = 'office' ORDER BY name",
            Takes,
            Taken,
        ),
        (
            CATALOG,
            "SELECT name FROM mz_internal.mz_network_policies ORDER BY name DESC LIMIT 1",
            Takes,
            Taken,
        ),
        (
            CATALOG,
            "SELECT nothing FROM mz_internal.mz_network_policies",
            Refuses,
            Refused("nothing"),
        ),
        (CATALOG, "SELECT 1", Takes, Refused("plain queries")),
        (
            TERRAFORM,
            "CREATE NETWORK POLICY \"office\" (RULES (\"minnesota\" (action='allow', direction='ingress', address='2.3.4.5/32'), \"new_york\" (action='allow', direction='ingress', address='1.2.3.4/28')))",
            Takes,
            Taken,
        ),
        (
            TERRAFORM,
            "ALTER NETWORK POLICY \"OFFICE\" SET (RULES (\"minnesota\" (action='allow', direction='ingress', address='2.3.4.5/32')))",
            Takes,
            Taken,
        ),
        (
            TERRAFORM,
            "COMMENT ON NETWORK POLICY \"OFFICE\" IS 'Network policy for office locations'",
            Takes,
            Taken,
        ),
        (TERRAFORM, "DROP NETWORK POLICY \"OFFICE\"", Takes, Taken),
        (
            TERRAFORM,
            "ALTER NETWORK POLICY \"OFFICE\" OWNER TO \"alice\"",
            Takes,
            Taken,
        ),
        (
            TERRAFORM,
            "GRANT USAGE ON NETWORK POLICY \"OFFICE\" TO \"alice\"",
            Takes,
            Taken,
        ),
        (
            TERRAFORM,
            "ALTER SYSTEM SET \"network_policy\" TO 'office'",
            Takes,
            Taken,
        ),
        (
            TERRAFORM,
            "WITH policy AS (SELECT 1) SELECT policy.* FROM policy",
            Takes,
            Refused("WITH"),
        ),
        (
            DBT,
            "ALTER NETWORK POLICY office SET (RULES (a (ACTION = 'allow', DIRECTION = 'ingress', ADDRESS = '10.0.0.0/8')))",
            Takes,
            Taken,
        ),
        (
            SLT,
            "CREATE OR REPLACE NETWORK POLICY p (RULES ())",
            Refuses,
            Refused("OR REPLACE"),
        ),
        (SLT, "DESC NETWORK POLICY office", Refuses, Refused("DESC")),
    ]
}
