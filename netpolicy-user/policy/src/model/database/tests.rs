use super::*;
use crate::model::arbitrary::cx;
use crate::model::file;
use crate::model::{Change, SourceText};

fn parsed(text: &str) -> Result<State, String> {
    let file = SourceText {
        name: "policy.toml".into(),
        text: text.into(),
    };
    let applied = file::parse(&file, &[], false, &cx());
    applied
        .map(|applied| applied.state)
        .map_err(|errors| errors.to_string())
}

const DATABASE: &str = r#"
[[service]]
name = "postgres"
ports = ["5432"]

[[database]]
name = "orders"
kind = "postgresql"
service = "postgres"
"#;

fn with(policies: &str) -> String {
    format!("{DATABASE}{policies}")
}

#[test]
fn binding_to_a_user_is_read_exported_and_removed() {
    let text = with(
        "[[policy]]\nname = \"vpn\"\nallow = [\"10.8.0.0/16\"]\n\
         bind = [\"user:alice@orders\", \"role:analysts@ORDERS\"]\n",
    );
    let state = parsed(&text).unwrap();
    let users: Vec<_> = state.bound_users();
    let users: Vec<_> = users.iter().map(|(user, _)| user.to_string()).collect();
    assert_eq!(users, ["user:alice@orders", "role:analysts@orders"]);
    let again = parsed(&file::export(&state)).unwrap();
    assert_eq!(again.databases, state.databases);
    assert_eq!(again.policies[0].bindings, state.policies[0].bindings);

    let remove = Change::RemoveDatabase {
        name: "orders".into(),
    };
    let refused = state.apply(&remove, &cx()).unwrap_err().to_string();
    assert!(refused.contains("in use: policy 'vpn' is bound to user:alice@orders"));
    let unbind = |name: &str| Change::Unbind {
        policy: "vpn".into(),
        service: Some(name.into()),
    };
    let changes = [
        unbind("user:alice@orders"),
        unbind("role:analysts@orders"),
        remove,
    ];
    let state = state.apply_all(&changes, &cx()).unwrap().state;
    assert!(state.databases.is_empty());
}

#[test]
fn users_whose_name_holds_an_at_sign_are_of_the_database_behind_the_last() {
    let text = with("[[policy]]\nname = \"vpn\"\nbind = [\"user:a@b@orders\"]\n");
    let state = parsed(&text).unwrap();
    assert_eq!(state.bound_users()[0].0.name, "a@b");
}

#[test]
fn what_no_database_can_enforce_is_refused_with_the_reason() {
    for (binding, expected) in [
        (
            "user:alice",
            "names no database; expected user:NAME@DATABASE",
        ),
        ("user:alice@shop", "unknown database 'shop'"),
        ("user:@orders", "it is empty"),
        ("user:/x@orders", "regular expression"),
        ("role:a\\\"b@orders", "double quotes"),
        (
            &format!("user:{}@orders", "x".repeat(64)),
            "longer than 63 bytes",
        ),
    ] {
        let text = with(&format!(
            "[[policy]]\nname = \"vpn\"\nbind = [\"{binding}\"]\n"
        ));
        let refused = parsed(&text).unwrap_err();
        assert!(refused.contains(expected), "{binding}: {refused}");
    }
    let policy = "[[policy]]\nname = \"vpn\"\nbind = [\"user:alice@orders\"]\n";
    let pooled = with(policy).replace("\"5432\"", "\"5432\", \"6432\"");
    let refused = parsed(&pooled).unwrap_err();
    assert!(refused.contains("has the ports 5432,6432"), "{refused}");
    let joined = with(policy).replace("[\"5432\"]", "[\"5432\"]\ncombine = \"and\"");
    let refused = parsed(&joined).unwrap_err();
    assert!(refused.contains("combines with the host"), "{refused}");
    let relative = DATABASE.replace("kind =", "socket = \"run\"\nkind =");
    let refused = parsed(&relative).unwrap_err();
    assert!(refused.contains("expected an absolute path"), "{refused}");
}

#[test]
fn second_database_of_one_server_is_refused() {
    let second = |lines: &str| {
        with(&format!(
            "[[service]]\nname = \"other\"\nports = [\"5433\"]\n[[database]]\nname = \"two\"\n{lines}\n"
        ))
    };
    let refused = parsed(&second("service = \"postgres\"")).unwrap_err();
    assert!(
        refused.contains("databases 'orders' and 'two' have the same service"),
        "{refused}"
    );
    let shared = second("service = \"other\"\nhba_dir = \"/etc/pg.d/\"");
    assert!(parsed(&shared).is_ok());
    let shared = shared.replace(
        "name = \"orders\"\n",
        "name = \"orders\"\nhba_dir = \"/etc/pg.d\"\n",
    );
    let refused = parsed(&shared).unwrap_err();
    assert!(refused.contains("have the same hba_dir"), "{refused}");
}
