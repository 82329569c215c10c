//! What tools and scripts have around network policies, as sqlfluff's fixtures write it.

use super::*;

pub(super) fn rows() -> Vec<CorpusRow> {
    let mut rows = [
        taken(
            SQLFLUFF,
            Noted,
            &[
                "ALTER ACCOUNT SET TIMEZONE = 'UTC';",
                "ALTER ACCOUNT UNSET TIMEZONE;",
                "ALTER ACCOUNT UNSET DATA_RETENTION_TIME_IN_DAYS, JSON_INDENT;",
                "ALTER ACCOUNT SET RESOURCE_MONITOR = VERY_RESTRICTIVE_MONITOR;",
                "ALTER ACCOUNT SET PASSWORD POLICY mydb.security.at_least_twelve_characters;",
                "ALTER ACCOUNT SET SESSION POLICY mydb.policies.only_one_hour;",
                "ALTER ACCOUNT UNSET PASSWORD POLICY;",
                "ALTER ACCOUNT SET TAG\n  env = 'prod',\n  domain = 'sales'\n;",
                "ALTER ACCOUNT UNSET TAG env, domain;",
                "ALTER ACCOUNT SET EVENT_TABLE = LOG_TRACE_DB.PUBLIC.EVENT_TABLE;",
                "ALTER NETWORK POLICY office SET TAG admin.my_tag = 'foo';",
                "ALTER NETWORK POLICY office UNSET TAG admin.my_tag;",
                "ALTER USER pg SET password = 'abc123', DEFAULT_ROLE = user_role, type = person;",
                "ALTER USER \"PG\" SET DEFAULT_ROLE = JOHNNY DEFAULT_WAREHOUSE = FEU;",
                "ALTER USER \"PG\" SET DEFAULT_ROLE = JOHNNY DEFAULT_WAREHOUSE = FEU, COMMENT = \"Foo\";",
                "ALTER USER pg unset USE_CACHED_RESULT, must_change_password, type;",
                "create user user1\n    type = person\n    password='abc123'\n    default_role = myrole\n    default_secondary_roles = ('ALL')\n    must_change_password = true;",
                "create user user2\n    type = 'service'\n    default_role = 'myrole'\n    must_change_password = false;",
                "use role my_role;",
                "use warehouse my_warehouse;",
                "use database my_database;",
                "use schema my_schema;",
                "USE ROLE \"MY_ROLE\";",
                "USE \"MY_DATABASE\";",
                "USE \"MY_DATABASE\".\"MY_SCHEMA\";",
                "USE SCHEMA \"MY_DATABASE\".\"MY_SCHEMA\";",
                "USE SECONDARY ROLES NONE;",
                "ALTER SESSION SET TIMEZONE = 'UTC'",
                "ALTER SESSION UNSET TIME_OUTPUT_FORMAT, TWO_DIGIT_CENTURY_START;",
                "GRANT OWNERSHIP ON SCHEMA MY_DATABASE.MY_SCHEMA TO ROLE MY_ROLE;",
                "GRANT OWNERSHIP ON ALL TABLES IN SCHEMA MYDB.PUBLIC TO ROLE ANALYST COPY CURRENT GRANTS;",
                "GRANT USE_ANY_ROLE ON INTEGRATION EXTERNAL_OAUTH_1 TO ROLE1;",
                "GRANT ALL ON FUTURE FILE FORMATS IN DATABASE MY_DB TO ROLE ANALYST;",
                "GRANT CREATE TEMPORARY TABLE ON SCHEMA MY_DB.MY_SCHEMA TO ROLE ANALYST;",
                "GRANT ALL PRIVILEGES ON FUNCTION mydb.myschema.add5(number) TO ROLE ANALYST;",
                "GRANT USAGE ON DATABASE DATABASE1 TO SHARE SHARE1;",
                "GRANT OPERATE ON WAREHOUSE REPORT_WH TO ROLE ANALYST WITH GRANT OPTION;",
                "GRANT MONITOR ON USER SOME_USER TO ROLE MY_ROLE;",
                "GRANT OWNERSHIP ON ROLE TEST_ROLE TO ROLE DIFFERENT_ROLE;",
                "GRANT MANAGE GRANTS ON ACCOUNT TO ROLE alice;",
                "GRANT EXECUTE TASK ON ACCOUNT TO ROLE alice;",
                "GRANT APPLY SESSION POLICY ON ACCOUNT TO ROLE alice;",
                "REVOKE GRANT OPTION FOR OPERATE ON WAREHOUSE REPORT_WH FROM ROLE ANALYST;",
                "REVOKE SELECT, INSERT ON FUTURE TABLES IN SCHEMA MYDB.MYSCHEMA FROM ROLE ROLE1;",
                "REVOKE MONITOR ON USER SOME_USER FROM ROLE MY_ROLE;",
            ],
        ),
        taken(
            SQLFLUFF,
            Taken,
            &[
                "create network policy mypolicy1 allowed_ip_list=('192.168.1.0/24')\n                                blocked_ip_list=('192.168.1.99');",
                "ALTER NETWORK POLICY office SET ALLOWED_IP_LIST=('192.168.1.0/24','192.168.255.100')\n                                   BLOCKED_IP_LIST=('192.168.1.99');",
                "ALTER NETWORK POLICY office RENAME TO bar;",
                "DROP NETWORK POLICY IF EXISTS MY_POLICY;",
                "DESCRIBE NETWORK POLICY my_policy;",
                "DESC NETWORK POLICY my_policy;",
                "DESCRIBE USER test_user;",
                "GRANT ATTACH POLICY ON ACCOUNT TO ROLE alice;",
                "SHOW GRANTS TO ROLE alice;",
            ],
        ),
        taken(
            PARAMETERS,
            Taken,
            &[
                "CREATE ROLE IF NOT EXISTS alice",
                "SHOW NETWORK POLICIES STARTS WITH 'MY' LIMIT 10 FROM 'M'",
                "DESCRIBE POSTGRES INSTANCE pg",
                "SHOW PARAMETERS LIKE 'AUTOCOMMIT' IN ACCOUNT",
            ],
        ),
        taken(
            FROSTLAKE,
            Taken,
            &[
                "ALTER USER pg SET NETWORK_POLICY = 'office'",
                "ALTER USER IF EXISTS np_nobody SET NETWORK_POLICY = office",
                "CREATE NETWORK POLICY np_d COMMENT = 'first'",
                "ALTER NETWORK POLICY office SET ALLOWED_IP_LIST = ('3.3.3.3') COMMENT = 'd'",
            ],
        ),
    ]
    .concat();
    rows.push((
        SQLFLUFF,
        "REVOKE ROLE ANALYST FROM ROLE SYSADMIN;",
        Takes,
        Refused("OS user or group"),
    ));
    rows
}
