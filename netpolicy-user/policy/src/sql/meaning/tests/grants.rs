//! Privileges and owners; what is said of missing ones and of lockouts.

use super::Dialect::{Lakehouse, Materialize, Snowflake};
use super::*;

#[track_caller]
fn granted(dialect: Dialect, text: &str) -> Privileged {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.1')",
    );
    match world.ok(dialect, text) {
        Action::Grant(grants) | Action::Revoke(grants) => {
            let [grant] = &grants[..] else {
                panic!("{text}: {grants:?}");
            };
            grant.clone()
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn each_privilege_has_its_counterpart() {
    let alice = || Principal::User("alice".to_owned());
    let dba = || Principal::Group("dba".to_owned());
    for (dialect, text, privilege, to, policy) in [
        (
            Snowflake,
            "GRANT CREATE NETWORK POLICY ON ACCOUNT TO ROLE alice",
            Privilege::Create,
            alice(),
            None,
        ),
        (
            Snowflake,
            "GRANT ATTACH POLICY ON ACCOUNT TO ROLE DBA",
            Privilege::Attach,
            dba(),
            None,
        ),
        (
            Snowflake,
            "REVOKE ATTACH POLICY ON ACCOUNT FROM ROLE \"dba\"",
            Privilege::Attach,
            dba(),
            None,
        ),
        (
            Materialize,
            "GRANT CREATENETWORKPOLICY ON SYSTEM TO Alice",
            Privilege::Create,
            alice(),
            None,
        ),
        (
            Materialize,
            "REVOKE USAGE ON ALL POLICIES FROM dba",
            Privilege::Attach,
            dba(),
            None,
        ),
        (
            Materialize,
            "GRANT USAGE ON NETWORK POLICY office TO alice",
            Privilege::Attach,
            alice(),
            Some("OFFICE"),
        ),
        (
            Materialize,
            "GRANT USAGE ON ALL POLICIES TO both",
            Privilege::Attach,
            Principal::User("both".to_owned()),
            None,
        ),
    ] {
        let grant = granted(dialect, text);
        assert_eq!((grant.privilege, &grant.to), (privilege, &to), "{text}");
        assert_eq!(grant.policy.as_ref().map(Name::as_str), policy, "{text}");
    }
}

#[test]
fn who_is_not_there_gets_nothing() {
    let mut world = World::new();
    assert_eq!(
        world.refused(
            Snowflake,
            "GRANT ATTACH POLICY ON ACCOUNT TO ROLE nobody_here"
        ),
        ["Role 'NOBODY_HERE' does not exist or not authorized."]
    );
    assert_eq!(
        world.refused(Materialize, "GRANT USAGE ON NETWORK POLICY zz TO \"ALICE\""),
        [
            "unknown role 'ALICE'",
            "line 1, column 31: unknown network policy 'zz'"
        ],
        "a quoted role is exact"
    );
}

#[test]
fn ownership_goes_to_another() {
    let mut world = World::new();
    world.ok(
        Snowflake,
        "CREATE NETWORK POLICY p; GRANT OWNERSHIP ON NETWORK POLICY p TO ROLE dba",
    );
    assert_eq!(world.state.policies[0].owner, "group:dba");
    world.ok(Materialize, "ALTER NETWORK POLICY p OWNER TO alice");
    assert_eq!(world.state.policies[0].owner, "alice");
}

fn statement(dialect: Dialect, text: &str) -> Statement<'_> {
    Statements::new(text, Some(dialect))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
}

#[test]
fn lockouts_are_said_in_each_products_words() {
    let said = |dialect, text| {
        let address = "10.0.0.9".parse().unwrap();
        lockout(
            &statement(dialect, text),
            address,
            Some("P"),
            "it is blocked by '10.0.0.9'",
        )
    };
    assert_eq!(
        said(Snowflake, "ALTER ACCOUNT SET NETWORK_POLICY = p"),
        "Network policy P cannot be activated. Requestor IP address, 10.0.0.9, must be included \
         in the allowed_ip_list. it is blocked by '10.0.0.9'."
    );
    assert_eq!(
        said(
            Snowflake,
            "ALTER NETWORK POLICY p SET BLOCKED_IP_LIST=('10.0.0.9')"
        ),
        "Changes cannot be applied to the network policy P because current IP address 10.0.0.9 is \
         not allowed in it. it is blocked by '10.0.0.9'."
    );
    assert_eq!(
        said(Materialize, "ALTER SYSTEM SET network_policy = p"),
        "policy would block current session IP: 10.0.0.9 becomes denied by 'P'; it is blocked by \
         '10.0.0.9'"
    );
    assert_eq!(
        said(Lakehouse, "ALTER NETWORK POLICY ppp ACTIVATE"),
        "network policy P would lock you out: 10.0.0.9 becomes denied; it is blocked by '10.0.0.9'"
    );
}

#[test]
fn missing_rights_are_said_in_each_products_words() {
    let said = |dialect, text| lacks(&statement(dialect, text), &["alice may not".to_owned()]);
    assert_eq!(
        said(Snowflake, "DROP NETWORK POLICY p"),
        "Network policy 'P' does not exist or not authorized. alice may not."
    );
    assert_eq!(
        said(Snowflake, "CREATE NETWORK POLICY p"),
        "SQL access control error: Insufficient privileges to operate on account. alice may not."
    );
    assert_eq!(
        said(Materialize, "DROP NETWORK POLICY p"),
        "permission denied for NETWORK POLICY \"p\": alice may not"
    );
    assert_eq!(
        said(Materialize, "CREATE NETWORK POLICY p (RULES ())"),
        "permission denied for SYSTEM: alice may not"
    );
    assert_eq!(
        said(Lakehouse, "CREATE NETWORK POLICY ppp"),
        "no permission for CREATE NETWORK POLICY ppp: alice may not"
    );
}
