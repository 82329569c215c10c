//! What is on disk stays readable: the format of a state, pinned.

use super::*;

/// Databases are out there: this may gain cases, never change. The hashes pin the
/// formats of lists and chunks, too.
#[test]
fn the_format_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&rich(), &by("apply")).unwrap();
    let sql = "SELECT CAST(body AS TEXT) FROM objects JOIN revisions ON state = hash";
    let document: String = store.conn.query_row(sql, [], |row| row.get(0)).unwrap();
    let expected = concat!(
        r#"{"format":1,"host":{"mode":"observe","failsafe_ports":[]},"#,
        r#""services":[{"name":"postgres","id":200,"ports":["5432","7000-7010"],"combine":"and","mode":"observe","comment":"the \"main\" one"}],"#,
        r#""policies":[{"name":"nobody","#,
        r#""allow":"aa2e89b6b6be41cbf7aa68eab26da476ed133e6a042a233712939101e49d00d9","#,
        r#""block":"aa2e89b6b6be41cbf7aa68eab26da476ed133e6a042a233712939101e49d00d9","#,
        r#""comment":null,"#,
        r#""owner":"root","created":"1970-01-01T00:00:01.123456789Z","altered":"1970-01-01T00:00:02.123456789Z","active":true,"on_host":true,"services":[]},"#,
        r#"{"name":"office","#,
        r#""allow":"28d044b72f04106b4d5f26662fc8056394243d54aa6045031d5d4472349a6b8d","#,
        r#""block":"28d044b72f04106b4d5f26662fc8056394243d54aa6045031d5d4472349a6b8d","#,
        r#""comment":"head office","#,
        r#""owner":"root","created":"1970-01-01T00:00:01.123456789Z","altered":"1970-01-01T00:00:02.123456789Z","active":false,"on_host":true,"services":["postgres"]}]}"#,
    );
    assert_eq!(document, expected);
}

#[test]
fn a_state_of_an_unknown_format_is_refused() {
    for (body, expected) in [
        (r#"{"format":2,"more":1}"#, "its format is 2, expected 1"),
        (r#"{"format":1,"host":{}}"#, "missing field"),
        (r#"{}"#, "missing field `format`"),
        ("\0", "expected value"),
    ] {
        let error = document::Document::decode(body.as_bytes()).err().unwrap();
        assert!(error.contains(expected), "{body}: {error}");
    }
}
