//! Snowflake: its manual, the tools that write its statements, and public scripts.

use super::*;

mod policies;
mod privileges;
mod scripts;
mod settings;

const MANUAL: &str = "Snowflake manual, CREATE|ALTER|DROP|SHOW|DESC NETWORK POLICY";
const GUIDE: &str = "Snowflake manual, network policies";
const PRIVILEGES: &str = "Snowflake manual, access control privileges, GRANT";
const PARAMETERS: &str = "Snowflake manual, SHOW PARAMETERS, ALTER ACCOUNT, ALTER USER";
const TERRAFORM: &str = "terraform-provider-snowflake a9e86b0, pkg/sdk tests";
const SNOWDDL: &str = "SnowDDL be1e313, snowddl/resolver/network_policy.py";
const TITAN: &str = "Titan a2679a5, tests/fixtures/sql, titan/data_provider.py";
const SQLFLUFF: &str = "sqlfluff e8e8c5d, test/fixtures/dialects/snowflake";
const SCRIPTS: &str = "public scripts and guides that set up an account";

pub(super) fn rows() -> Vec<CorpusRow> {
    [
        policies::rows(),
        settings::rows(),
        privileges::rows(),
        scripts::rows(),
    ]
    .concat()
}
