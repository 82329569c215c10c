//! Findings about named lists.

use super::*;

const LIST: &str =
    "[[list]]\nname = \"bad-hosts\"\nentries = [\"203.0.113.66\", \"198.51.100.0/24\"]\n";

#[test]
fn list_in_several_policies_is_no_repetition() {
    let one = policy("one", "block = [\"@bad-hosts\"]");
    let two = policy("two", "block = [\"@bad-hosts\"]");
    assert_eq!(reported(&format!("{LIST}{one}{two}")), [""; 0]);
}

#[test]
fn entries_of_lists_are_compared_with_rules_of_policies() {
    let office = policy(
        "office",
        &format!(
            "allow = [{BOTH}\"198.51.100.1\", \"192.0.2.0/24\"]\nblock = [\"@bad-hosts\", \"203.0.113.0/25\"]"
        ),
    );
    let found = reported(&format!("{LIST}{office}"));
    assert_eq!(
        found,
        [
            "warning allow-inside-block: 198.51.100.1 is allowed, but lies inside the block \
             198.51.100.0/24 of list @bad-hosts (test.toml:3) and a block always wins: remove it, \
             or the block",
            "note covered-by-policy: 203.0.113.66 of list @bad-hosts lies inside 203.0.113.0/25 \
             (test.toml:7) and changes nothing while both count: remove it unless the policies \
             are to work apart"
        ]
    );
    let findings = lint(&state_of(&format!("{LIST}{office}")));
    let named = |rule: &Option<RuleAt>| rule.as_ref().and_then(|rule| rule.named.clone());
    assert_eq!(named(&findings[0].rule), None);
    assert_eq!(named(&findings[0].other).as_deref(), Some("@bad-hosts"));
    assert_eq!(named(&findings[1].rule).as_deref(), Some("@bad-hosts"));
}

#[test]
fn lists_that_govern_nothing_are_found() {
    assert_eq!(
        reported(LIST),
        [
            "note unused-list: no policy refers to list @bad-hosts, so it governs nothing: refer to it, or drop it"
        ]
    );
    let endpoints = "[[list]]\nname = \"vpce\"\nnetwork_rule = { type = \"AWSVPCEID\", mode = \"INGRESS\", values = [\"vpce-1\"] }\n";
    let office = policy(
        "office",
        &format!("allow = [{BOTH}\"192.0.2.0/24\", \"@vpce\"]"),
    );
    let text = format!("{endpoints}{office}");
    assert_eq!(
        reported(&text),
        [
            "note unjudged-list: list @vpce is a network rule of type AWSVPCEID and mode INGRESS, \
             which no filter of incoming packets can judge: it governs nothing here"
        ]
    );
    assert_eq!(lint(&state_of(&text))[0].policies, ["office"]);
    // Only by such a rule, nothing at all is allowed.
    let only = policy("office", "allow = [\"@vpce\"]");
    assert_eq!(
        codes(&format!("{endpoints}{only}")),
        [Code::DeniesAll, Code::UnjudgedList]
    );
}
