use super::*;

const PUBLIC: &str = "allow = [\"0.0.0.0/1\", \"128.0.0.0/2\", \"::/1\"]\n";

#[test]
fn exceptions_and_blocks_without_effect_are_noted() {
    let text = format!(
        "{}{}",
        policy(
            "one",
            &format!(
                "{PUBLIC}block = [\"192.0.2.0/24\", \"198.51.100.7\"]\nexcept = [\"192.0.2.7\", \"198.51.100.0/24\", \"203.0.113.1\"]"
            )
        ),
        policy("two", &format!("{PUBLIC}block = [\"192.0.2.0/28\"]")),
    );
    let found = lint(&state_of(&text));
    let found: Vec<_> = found
        .iter()
        .filter(|finding| {
            [
                Code::ExceptedBlock,
                Code::UnneededException,
                Code::BlockedElsewhere,
            ]
            .contains(&finding.code)
        })
        .map(|finding| (finding.code, finding.message.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (
                Code::ExceptedBlock,
                "198.51.100.7 is blocked, but the policy's exceptions hold all of it: it has no effect; remove it, or the exceptions"
            ),
            (
                Code::UnneededException,
                "203.0.113.1 takes nothing out of what policy 'one' blocks: no block holds any of it; remove it unless a block is to come"
            ),
            (
                Code::BlockedElsewhere,
                "192.0.2.7 is taken out of what policy 'one' blocks, but policy 'two' blocks some of it in the same scope: add it to the exceptions of that policy too unless that is meant"
            ),
        ]
    );
}

#[test]
fn excepted_local_range_is_not_reported() {
    let block = "block = [\"10.0.0.0/8\"]";
    assert_eq!(codes(&policy("one", block)), [Code::SpecialRange]);
    let except = format!("{block}\nexcept = [\"10.0.0.0/8\"]");
    assert_eq!(codes(&policy("one", &except)), [Code::ExceptedBlock]);
}

#[test]
fn allow_rule_outside_of_what_exceptions_leave_is_fine() {
    let text = |except: &str| {
        policy(
            "one",
            &format!(
                "allow = [\"192.0.2.7\", \"2001:db8::/32\"]\nblock = [\"192.0.2.0/24\"]\nexcept = [{except}]"
            ),
        )
    };
    assert!(codes(&text("\"203.0.113.1\"")).contains(&Code::AllowInsideBlock));
    assert_eq!(codes(&text("\"192.0.2.7\"")), [] as [Code; 0]);
}

#[test]
fn exception_of_a_family_is_reported() {
    let text = policy("one", "block = [\"192.0.2.1\"]\nexcept = [\"0.0.0.0/0\"]");
    assert!(codes(&text).contains(&Code::ExceptsEverything));
}

#[test]
fn failing_policy_test_is_an_error() {
    let text = format!(
        "{}[[test]]\nsource = \"192.0.2.1\"\nexpect = \"pass\"\n",
        policy("one", "block = [\"192.0.2.1\"]")
    );
    let found = lint(&state_of(&text));
    assert_eq!(
        (found[0].code, found[0].severity),
        (Code::TestFailed, Severity::Error)
    );
    assert!(found[0].message.contains("by '192.0.2.1' of policy 'one'"));
}

#[test]
fn overlap_of_two_lists_of_a_policy_is_one_note_with_the_count() {
    let hosts: Vec<String> = (0..300)
        .map(|i| format!("\"198.51.{}.{}\"", i / 100, i % 100))
        .collect();
    let hosts = hosts.join(", ");
    let text = format!(
        "[[list]]\nname = \"first\"\nentries = [{hosts}, \"2001:db8::1\"]\n[[list]]\nname = \"second\"\nentries = [{hosts}, \"2001:db8::/64\"]\n{}",
        policy("one", "block = [\"@first\", \"@second\"]")
    );
    let found = lint(&state_of(&text));
    let found: Vec<_> = found
        .iter()
        .filter(|finding| finding.code == Code::OverlappingLists)
        .map(|finding| finding.message.as_str())
        .collect();
    assert_eq!(
        found,
        [
            "1 rule of list @first lies inside rules of list @second: each counts once, nothing is to be done",
            "300 rules of list @second are on list @first: each counts once, nothing is to be done",
        ]
    );
}
