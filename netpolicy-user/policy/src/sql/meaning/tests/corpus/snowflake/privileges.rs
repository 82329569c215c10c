//! Privileges, owners and roles.

use super::*;

pub(super) fn rows() -> Vec<CorpusRow> {
    vec![
        (
            PRIVILEGES,
            "GRANT CREATE NETWORK POLICY ON ACCOUNT TO ROLE alice",
            Takes,
            Taken,
        ),
        (
            PRIVILEGES,
            "GRANT ATTACH POLICY ON ACCOUNT TO ROLE alice",
            Takes,
            Taken,
        ),
        (
            PRIVILEGES,
            "GRANT CREATE NETWORK POLICY, ATTACH POLICY ON ACCOUNT TO ROLE alice",
            Takes,
            Taken,
        ),
        (
            PRIVILEGES,
            "GRANT CREATE NETWORK POLICY ON ACCOUNT TO ROLE alice WITH GRANT OPTION",
            Takes,
            Noted,
        ),
        (
            PRIVILEGES,
            "REVOKE CREATE NETWORK POLICY ON ACCOUNT FROM ROLE alice",
            Takes,
            Taken,
        ),
        (
            PRIVILEGES,
            "REVOKE GRANT OPTION FOR ATTACH POLICY ON ACCOUNT FROM ROLE alice",
            Takes,
            Refused("grant option"),
        ),
        (
            PRIVILEGES,
            "REVOKE ATTACH POLICY ON ACCOUNT FROM ROLE alice CASCADE",
            Takes,
            Taken,
        ),
        (
            PRIVILEGES,
            "GRANT OWNERSHIP ON NETWORK POLICY office TO ROLE alice",
            Takes,
            Taken,
        ),
        (
            PRIVILEGES,
            "GRANT OWNERSHIP ON NETWORK POLICY office TO ROLE alice COPY CURRENT GRANTS",
            Takes,
            Taken,
        ),
        (
            PRIVILEGES,
            "GRANT OWNERSHIP ON NETWORK POLICY office TO ROLE alice REVOKE CURRENT GRANTS",
            Takes,
            Taken,
        ),
        (
            PRIVILEGES,
            "REVOKE OWNERSHIP ON NETWORK POLICY office FROM ROLE alice",
            Refuses,
            Refused("ownership"),
        ),
        (
            PRIVILEGES,
            "GRANT USAGE ON NETWORK POLICY office TO ROLE alice",
            Takes,
            Taken,
        ),
        (
            PRIVILEGES,
            "GRANT ALL PRIVILEGES ON NETWORK POLICY office TO ROLE alice",
            Takes,
            Taken,
        ),
        (
            PRIVILEGES,
            "SHOW GRANTS ON NETWORK POLICY office",
            Takes,
            Taken,
        ),
        (PRIVILEGES, "SHOW GRANTS TO ROLE alice", Takes, Taken),
        (PRIVILEGES, "SHOW GRANTS ON ACCOUNT", Takes, Taken),
        (
            PRIVILEGES,
            "SHOW GRANTS OF ROLE alice",
            Takes,
            Refused("role"),
        ),
        (
            PRIVILEGES,
            "SHOW GRANTS TO USER pg",
            Takes,
            Refused("service"),
        ),
        (
            PRIVILEGES,
            "GRANT ROLE alice TO USER pg",
            Takes,
            Refused("OS user or group"),
        ),
        (
            PRIVILEGES,
            "GRANT OWNERSHIP ON USER pg TO ROLE alice",
            Takes,
            Refused("NETWORK"),
        ),
        (
            PRIVILEGES,
            "CREATE ROLE policy_admin",
            Takes,
            Refused("OS user or group"),
        ),
        (
            SQLFLUFF,
            "GRANT CREATE NETWORK POLICY ON ACCOUNT TO ROLE alice;",
            Takes,
            Taken,
        ),
        (
            TITAN,
            "GRANT CREATE NETWORK POLICY ON ACCOUNT TO ROLE ALICE",
            Takes,
            Taken,
        ),
        (
            TERRAFORM,
            "GRANT OWNERSHIP ON NETWORK POLICY \"OFFICE\" TO ROLE \"ALICE\" REVOKE CURRENT GRANTS",
            Takes,
            Taken,
        ),
        (
            SCRIPTS,
            "GRANT CREATE NETWORK POLICY, CREATE ROLE ON ACCOUNT TO ROLE alice",
            Takes,
            Noted,
        ),
        (
            SCRIPTS,
            "GRANT USAGE ON DATABASE d TO ROLE alice",
            Takes,
            Refused("no tables"),
        ),
        (
            SCRIPTS,
            "GRANT CREATE ROLE ON ACCOUNT TO ROLE alice",
            Takes,
            Refused("privilege"),
        ),
    ]
}
