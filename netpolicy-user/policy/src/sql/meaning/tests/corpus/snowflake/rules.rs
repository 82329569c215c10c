//! Network rules, and policies that refer to them.

use super::*;

pub(super) fn rows() -> Vec<CorpusRow> {
    [
        made(),
        altered(),
        shown(),
        referred_to(),
        without_effect(),
        wrong(),
    ]
    .concat()
}

fn made() -> Vec<CorpusRow> {
    [
        taken(
            RULES,
            Taken,
            &[
                "CREATE NETWORK RULE cloud_network TYPE = IPV4 VALUE_LIST = ('47.88.25.32/27') COMMENT = 'cloud egress ip range'",
                "CREATE NETWORK RULE ipv6_network TYPE = IPV6 MODE = INGRESS VALUE_LIST = ('2001:db8::/32', '2001:0db8:85a3::8a2e:370:7334')",
                "CREATE OR REPLACE NETWORK RULE office_rule TYPE = IPV4 MODE = INGRESS VALUE_LIST = ('10.0.0.0/8')",
                "CREATE OR ALTER NETWORK RULE office_rule TYPE = IPV4 VALUE_LIST = ('10.0.0.0/8', '10.1.0.0/16') MODE = INGRESS COMMENT = 'offices'",
                "CREATE OR ALTER NETWORK RULE new_rule TYPE = IPV4 VALUE_LIST = ('10.0.0.0/8') MODE = INGRESS",
                "CREATE OR ALTER NETWORK RULE office_rule TYPE = IPV4 VALUE_LIST = ('10.0.0.7')",
                "CREATE NETWORK RULE pg_in TYPE = IPV4 MODE = POSTGRES_INGRESS VALUE_LIST = ('10.0.0.0/8')",
                "CREATE NETWORK RULE \"my rule\" TYPE = IPV4 VALUE_LIST = ('10.0.0.1')",
                "CREATE NETWORK RULE r TYPE = IPV4 VALUE_LIST = () COMMENT = NULL",
            ],
        ),
        taken(
            TERRAFORM,
            Taken,
            &[
                "CREATE NETWORK RULE \"d\".\"s\".\"n\" TYPE = IPV4 VALUE_LIST = ('0.0.0.0', '1.1.1.1') MODE = INGRESS",
                "CREATE OR REPLACE NETWORK RULE \"d\".\"s\".\"n\" TYPE = IPV4 VALUE_LIST = ('0.0.0.0', '1.1.1.1') MODE = INGRESS COMMENT = 'some comment'",
            ],
        ),
        taken(
            SNOWDDL,
            Taken,
            &[
                "CREATE NETWORK RULE \"DB\".\"S\".\"R\"\nTYPE = 'IPV4'\nMODE = 'INGRESS'\nVALUE_LIST = ('10.0.0.1', '10.0.0.2')\nCOMMENT = 'c'",
                "CREATE OR REPLACE NETWORK RULE \"DB\".\"S\".\"R\"\nTYPE = 'IPV4'\nMODE = 'INGRESS'\nVALUE_LIST = ('10.0.0.1')",
            ],
        ),
        taken(
            FROSTLAKE,
            Taken,
            &["CREATE NETWORK RULE np_rule TYPE = IPV4 VALUE_LIST = ('10.0.0.0/8')"],
        ),
        taken(
            SCRIPTS,
            Taken,
            &[
                "CREATE NETWORK RULE IF NOT EXISTS security_db.inbound_traffic.vendor_network\n  TYPE = IPV4\n  MODE = INGRESS\n  VALUE_LIST = ('0.0.0.0/0')",
                "create network rule if not exists pg_network_database.pg_network_schema.dev_vpn_ingress\n    type = ipv4\n    mode = postgres_ingress\n    value_list = ('34.214.158.144/32')\n    comment = 'allow ingress only from corporate dev vpn'",
                "CREATE OR ALTER NETWORK RULE shared.pg.pg_ingress_rule\n  TYPE = IPV4\n  MODE = POSTGRES_INGRESS\n  VALUE_LIST = ('95.19.97.78/32', '153.45.52.0/24')\n  COMMENT = 'Admin client IP'",
                "CREATE NETWORK RULE IF NOT EXISTS raw_vendor.vendor_x.vendor_ingress_rule\n    MODE       = INGRESS\n    TYPE       = IPV4\n    VALUE_LIST = ('203.0.113.0/24')",
            ],
        ),
    ]
    .concat()
}

fn altered() -> Vec<CorpusRow> {
    [
        taken(
            RULES,
            Taken,
            &[
                "ALTER NETWORK RULE office_rule SET VALUE_LIST = ('47.88.25.32/27')",
                "ALTER NETWORK RULE office_rule SET VALUE_LIST = ('47.88.25.32/27') COMMENT = 'c'",
                "ALTER NETWORK RULE IF EXISTS none_such SET VALUE_LIST = ('10.0.0.1')",
                "ALTER NETWORK RULE home_rule SET VALUE_LIST = ('2001:db8::/32', '2001:0db8:85a3::8a2e:370:7334')",
                "ALTER NETWORK RULE office_rule UNSET VALUE_LIST",
                "ALTER NETWORK RULE office_rule UNSET COMMENT",
                "DROP NETWORK RULE office_rule",
                "DROP NETWORK RULE IF EXISTS none_such",
                "GRANT OWNERSHIP ON NETWORK RULE office_rule TO ROLE alice",
                "GRANT OWNERSHIP ON NETWORK RULE db.s.home_rule TO ROLE alice COPY CURRENT GRANTS",
                "GRANT OWNERSHIP ON NETWORK RULE office_rule TO ROLE dba REVOKE CURRENT GRANTS",
            ],
        ),
        taken(
            TERRAFORM,
            Taken,
            &[
                "ALTER NETWORK RULE \"OFFICE_RULE\" SET VALUE_LIST = ('0.0.0.0', '1.1.1.1'), COMMENT = 'some comment'",
                "ALTER NETWORK RULE \"OFFICE_RULE\" UNSET VALUE_LIST, COMMENT",
                "DROP NETWORK RULE \"OFFICE_RULE\"",
                "DROP NETWORK RULE IF EXISTS \"d\".\"s\".\"n\"",
            ],
        ),
        taken(
            SNOWDDL,
            Taken,
            &[
                "ALTER NETWORK RULE \"OFFICE_RULE\" SET VALUE_LIST = ('10.0.0.1', '10.0.0.2')",
                "ALTER NETWORK RULE \"OFFICE_RULE\" UNSET VALUE_LIST",
                "ALTER NETWORK RULE \"OFFICE_RULE\" SET COMMENT = 'c'",
                "ALTER NETWORK RULE \"OFFICE_RULE\" SET COMMENT = NULL",
                "DROP NETWORK RULE \"OFFICE_RULE\"",
            ],
        ),
        taken(
            SCRIPTS,
            Taken,
            &[
                "ALTER NETWORK RULE security_db.inbound_traffic.office_rule SET\n  VALUE_LIST = ('0.0.0.0/0') -- TODO replace with the real ranges\n  COMMENT = 'c'",
            ],
        ),
    ]
    .concat()
}

fn shown() -> Vec<CorpusRow> {
    [
        taken(
            RULES,
            Taken,
            &[
                "SHOW NETWORK RULES",
                "SHOW NETWORK RULES LIKE '%testing%'",
                "SHOW NETWORK RULES IN ACCOUNT",
                "SHOW NETWORK RULES IN DATABASE db",
                "SHOW NETWORK RULES IN DATABASE",
                "SHOW NETWORK RULES IN SCHEMA db.s",
                "SHOW NETWORK RULES IN SCHEMA",
                "SHOW NETWORK RULES IN db.s",
                "SHOW NETWORK RULES IN SNOWFLAKE.NETWORK_SECURITY",
                "SHOW NETWORK RULES STARTS WITH 'B'",
                "SHOW NETWORK RULES LIMIT 5",
                "SHOW NETWORK RULES LIMIT 5 FROM 'OFF'",
                "SHOW NETWORK RULES STARTS WITH 'A' LIMIT 10 FROM 'AB'",
                "DESC NETWORK RULE office_rule",
                "DESCRIBE NETWORK RULE db.s.home_rule",
                "SHOW GRANTS ON NETWORK RULE office_rule",
            ],
        ),
        taken(
            TERRAFORM,
            Taken,
            &[
                "SHOW NETWORK RULES LIKE 'name' IN DATABASE \"database-name\" STARTS WITH 'abc' LIMIT 10",
                "DESCRIBE NETWORK RULE \"OFFICE_RULE\"",
            ],
        ),
        taken(
            SNOWDDL,
            Taken,
            &[
                "SHOW NETWORK RULES IN SCHEMA \"DB\".\"S\"",
                "DESC NETWORK RULE \"OFFICE_RULE\"",
                "SELECT * FROM TABLE(snowflake.information_schema.network_rule_references(network_rule_name => 'OFFICE_RULE'))",
                "SELECT * FROM TABLE(snowflake.information_schema.policy_references(policy_name => 'OFFICE', policy_kind => 'NETWORK_POLICY'))",
            ],
        ),
    ]
    .concat()
}

fn referred_to() -> Vec<CorpusRow> {
    [
        taken(
            RULES,
            Taken,
            &[
                "CREATE NETWORK POLICY rule_based ALLOWED_NETWORK_RULE_LIST = ('office_rule') BLOCKED_NETWORK_RULE_LIST = ('home_rule')",
                "CREATE OR ALTER NETWORK POLICY rule_based ALLOWED_NETWORK_RULE_LIST = ('office_rule') BLOCKED_NETWORK_RULE_LIST = ('db.s.home_rule') COMMENT = 'c'",
                "ALTER NETWORK POLICY IF EXISTS office SET BLOCKED_NETWORK_RULE_LIST = ('home_rule')",
                "ALTER NETWORK POLICY office SET ALLOWED_NETWORK_RULE_LIST = ('office_rule', 'home_rule') COMMENT = 'c'",
                "ALTER NETWORK POLICY office ADD ALLOWED_NETWORK_RULE_LIST = 'office_rule'",
                "ALTER NETWORK POLICY office REMOVE BLOCKED_NETWORK_RULE_LIST = 'office_rule'",
            ],
        ),
        taken(
            TERRAFORM,
            Taken,
            &[
                "CREATE OR REPLACE NETWORK POLICY \"P1\" ALLOWED_NETWORK_RULE_LIST = (\"DB\".\"S\".\"OFFICE_RULE\") BLOCKED_NETWORK_RULE_LIST = (\"DB\".\"S\".\"HOME_RULE\") ALLOWED_IP_LIST = ('123.0.0.1', '32.0.0.1') BLOCKED_IP_LIST = ('123.0.0.1', '32.0.0.1') COMMENT = 'some_comment'",
                "ALTER NETWORK POLICY IF EXISTS \"OFFICE\" SET ALLOWED_NETWORK_RULE_LIST = (\"DB\".\"S\".\"HOME_RULE\")",
                "ALTER NETWORK POLICY IF EXISTS \"OFFICE\" SET ALLOWED_NETWORK_RULE_LIST = ()",
                "ALTER NETWORK POLICY IF EXISTS \"OFFICE\" SET BLOCKED_NETWORK_RULE_LIST = (\"DB\".\"S\".\"HOME_RULE\")",
                "ALTER NETWORK POLICY IF EXISTS \"OFFICE\" SET BLOCKED_NETWORK_RULE_LIST = ()",
                "ALTER NETWORK POLICY IF EXISTS \"OFFICE\" UNSET ALLOWED_NETWORK_RULE_LIST, BLOCKED_NETWORK_RULE_LIST, ALLOWED_IP_LIST, BLOCKED_IP_LIST, COMMENT",
                "ALTER NETWORK POLICY IF EXISTS \"OFFICE\" ADD ALLOWED_NETWORK_RULE_LIST = (\"DB\".\"S\".\"HOME_RULE\")",
                "ALTER NETWORK POLICY IF EXISTS \"OFFICE\" ADD BLOCKED_NETWORK_RULE_LIST = (\"DB\".\"S\".\"HOME_RULE\")",
                "ALTER NETWORK POLICY IF EXISTS \"OFFICE\" REMOVE ALLOWED_NETWORK_RULE_LIST = (\"DB\".\"S\".\"HOME_RULE\")",
                "ALTER NETWORK POLICY IF EXISTS \"OFFICE\" REMOVE BLOCKED_NETWORK_RULE_LIST = (\"DB\".\"S\".\"HOME_RULE\")",
            ],
        ),
        taken(
            SNOWDDL,
            Taken,
            &[
                "CREATE NETWORK POLICY \"NEW\"\nALLOWED_NETWORK_RULE_LIST = (\"DB\".\"S\".\"HOME_RULE\")\nBLOCKED_NETWORK_RULE_LIST = (\"DB\".\"S\".\"OFFICE_RULE\")\nCOMMENT = 'c'",
                "ALTER NETWORK POLICY \"OFFICE\" UNSET ALLOWED_NETWORK_RULE_LIST",
                "-- Required to drop NETWORK RULE\nALTER NETWORK POLICY \"OFFICE\" REMOVE ALLOWED_NETWORK_RULE_LIST = (\"DB\".\"S\".\"HOME_RULE\")",
            ],
        ),
        taken(
            SQLFLUFF,
            Taken,
            &[
                "CREATE NETWORK POLICY np\n  ALLOWED_NETWORK_RULE_LIST = ('blabla','blabla2','blabla3')\n  COMMENT='comment'\n  ;",
                "CREATE NETWORK POLICY np\n  BLOCKED_NETWORK_RULE_LIST = ('blabla','blabla2','blabla3')\n  COMMENT='comment'\n  ;",
                "ALTER NETWORK POLICY foo REMOVE ALLOWED_NETWORK_RULE_LIST='foo';",
                "ALTER NETWORK POLICY foo ADD BLOCKED_NETWORK_RULE_LIST='bar';",
            ],
        ),
        taken(
            FROSTLAKE,
            Taken,
            &[
                "CREATE NETWORK POLICY np_a ALLOWED_NETWORK_RULE_LIST = ('office_rule') ALLOWED_IP_LIST = ('1.2.3.4', '5.6.7.8') BLOCKED_IP_LIST = ('9.9.9.9') COMMENT = 'pol'",
                "ALTER NETWORK POLICY office ADD BLOCKED_NETWORK_RULE_LIST = ('db.s.home_rule')",
                "CREATE OR ALTER NETWORK POLICY np_d ALLOWED_IP_LIST = ('1.1.1.1')",
            ],
        ),
        taken(
            SCRIPTS,
            Taken,
            &[
                "CREATE OR REPLACE NETWORK POLICY pat_policy\n            ALLOWED_NETWORK_RULE_LIST = (db.s.home_rule)\n            COMMENT = 'Network policy for PAT access'",
                "create network policy if not exists postgres_ingress\n    allowed_network_rule_list = (\n        pg_network_database.pg_network_schema.dev_vpn_ingress,\n        snowflake.network_security.githubactions_global\n    )",
                "alter network policy office set allowed_network_rule_list = (db.s.home_rule)",
            ],
        ),
    ]
    .concat()
}

/// Types and modes that an ingress filter of packets cannot judge.
fn without_effect() -> Vec<CorpusRow> {
    [
        taken(
            RULES,
            Noted,
            &[
                "CREATE NETWORK RULE corporate_network TYPE = AWSVPCEID VALUE_LIST = ('vpce-123abc3420c1931') MODE = INTERNAL_STAGE COMMENT = 'corporate privatelink endpoint'",
                "CREATE NETWORK RULE managed_volume_network TYPE = AWSVPCEID VALUE_LIST = ('vpce-123abc3420c1931') MODE = SNOWFLAKE_MANAGED_STORAGE_VOLUME",
                "CREATE NETWORK RULE gcp_rule TYPE = GCPPSCID MODE = INGRESS VALUE_LIST = ('31618973889077266', '{31618973889077288:8.8.8.0/24,172.16.0.0/12}')",
                "CREATE NETWORK RULE external_access_rule TYPE = HOST_PORT MODE = EGRESS VALUE_LIST = ('example.com', 'example.com:443')",
                "CREATE OR REPLACE NETWORK RULE ext_network_access_db.network_rules.azure_sql_private_rule MODE = EGRESS TYPE = PRIVATE_HOST_PORT VALUE_LIST = ('externalaccessdemo.database.windows.net')",
                "CREATE OR ALTER NETWORK RULE corporate_network TYPE = AWSVPCEID VALUE_LIST = ('vpce-123abc3420c1931', 'vpce-456def7891234') MODE = INTERNAL_STAGE",
                "CREATE NETWORK RULE azure_rule TYPE = AZURELINKID MODE = INGRESS VALUE_LIST = ('8a4c8d1f')",
                "CREATE NETWORK RULE pools TYPE = COMPUTE_POOL MODE = INGRESS VALUE_LIST = ('ALL')",
            ],
        ),
        taken(
            SCRIPTS,
            Noted,
            &[
                "CREATE OR ALTER NETWORK RULE applications.flux_postgres_network_rule\n    TYPE = HOST_PORT\n    MODE = EGRESS\n    VALUE_LIST = ('postgres.example.com:5432')",
                "create network rule if not exists nasa_sfauth\n    mode = egress\n    type = host_port\n    value_list = ('tle.ivanstanojevic.me', 'api.nasa.gov')",
                "CREATE NETWORK RULE IF NOT EXISTS nero_db.\"02_CONTROL\".google_sheets_network_rule\n  TYPE = HOST_PORT\n  MODE = EGRESS\n  VALUE_LIST = ('docs.google.com', '*.googleusercontent.com')\n  COMMENT = 'Egress allowlist'",
            ],
        ),
    ]
    .concat()
}

fn wrong() -> Vec<CorpusRow> {
    let mut rows = refused(
        RULES,
        &[
            ("CREATE NETWORK RULE r VALUE_LIST = ('10.0.0.1')", "TYPE"),
            ("CREATE OR REPLACE NETWORK RULE r TYPE = IPV4", "VALUE_LIST"),
            (
                "CREATE NETWORK RULE r TYPE = IPV5 VALUE_LIST = ('10.0.0.1')",
                "IPV4",
            ),
            (
                "CREATE NETWORK RULE r TYPE = IPV4 VALUE_LIST = ('2001:db8::1')",
                "type IPV4",
            ),
            (
                "CREATE NETWORK RULE r TYPE = IPV4 VALUE_LIST = ('10.0.0.0/33')",
                "33",
            ),
            (
                "CREATE NETWORK RULE r TYPE = IPV4 TYPE = IPV6 VALUE_LIST = ()",
                "twice",
            ),
            (
                "CREATE OR REPLACE NETWORK RULE IF NOT EXISTS r TYPE = IPV4 VALUE_LIST = ()",
                "exclude",
            ),
            (
                "ALTER NETWORK RULE office_rule SET TYPE = IPV6",
                "VALUE_LIST",
            ),
            ("ALTER NETWORK RULE office_rule RENAME TO r", "SET"),
            (
                "CREATE NETWORK RULE a.b.c.d TYPE = IPV4 VALUE_LIST = ()",
                "at most",
            ),
            (
                "CREATE NETWORK POLICY p ALLOWED_IP_LIST = ('1.1.1.1') MODE = INGRESS",
                "ALLOWED_IP_LIST",
            ),
            (
                "CREATE NETWORK POLICY p ALLOWED_NETWORK_RULE_LIST = ('a b')",
                "not a network rule's name",
            ),
        ],
    );
    // One privilege is for policies and network rules.
    rows.push((
        PRIVILEGES,
        "GRANT CREATE NETWORK RULE ON SCHEMA db.s TO ROLE alice",
        Takes,
        Refused("both"),
    ));
    rows
}
