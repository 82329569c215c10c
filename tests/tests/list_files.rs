//! List files that are no address lists: a download that failed empties no list.

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use serde_json::json;

const BLOCKED: &str = "10.66.0.1";
const PORT: u16 = 8080;

/// What a download leaves that failed, or brought something else.
const NO_LISTS: [(&str, &str); 5] = [
    ("empty.txt", ""),
    ("comments.txt", "# 10.66.0.1\n\n; 10.66.0.2\n"),
    (
        "page.html",
        "<!DOCTYPE html>\n<html><body>\n503, come back at 10:30\n</body></html>\n",
    ),
    (
        "list.json",
        "{\"addresses\": [\n  {\"net\": \"10.66.0.0/16\"},\n  {\"net\": \"fd00::/8\"}\n]}\n",
    ),
    ("list.csv", "first;last\n"),
];

#[test]
fn a_file_without_an_address_empties_no_list_whatever_is_skipped() {
    let host = DatabaseHost::start();
    host.write("abuse.txt", format!("{BLOCKED}\n"));
    host.ok("policy create abuse --block-file abuse.txt");
    host.ok("policy create office --allow 10.0.0.0/8 --inactive");
    for (name, text) in NO_LISTS {
        host.write(name, text);
        for tolerance in ["", " --skip-invalid", " --skip-invalid --yes --force"] {
            for line in [
                format!("policy alter abuse --set-block-file {name}"),
                format!("policy alter abuse --add-block-file {name}"),
                format!("policy alter abuse --remove-block-file {name}"),
                format!("policy alter office --set-allow-file {name}"),
                format!("policy create more --block-file {name}"),
                format!("policy create more --allow-file {name}"),
            ] {
                let out = host.line(&format!("{line}{tolerance}"));
                let said = out.failed(1);
                assert_has(said, &["error: ", name]);
                if tolerance.starts_with(" --skip") {
                    assert_has(said, &["holds no address", "--allow-empty"]);
                }
            }
        }
        for key in ["block_file", "allow_file"] {
            let file = format!("[[policy]]\nname = \"abuse\"\n{key} = \"{name}\"\n");
            host.write("policy.toml", &file);
            for command in ["apply -f", "diff -f", "policy lint -f"] {
                let line = format!("{command} policy.toml --skip-invalid");
                assert_has(host.line(&line).failed(1), &[name, "holds no address"]);
            }
        }
        let args = [
            "policy",
            "alter",
            "abuse",
            "--skip-invalid",
            "--set-block-file",
            "-",
        ];
        let out = host.netpolicy_with_input(&args, text);
        assert_has(out.failed(1), &["error: -: holds no address"]);
    }
    assert_eq!(host.json("status")["agent"]["revision"], json!(2));
    host.assert_times_out(&[(BLOCKED, PORT)]);
}

#[test]
fn an_empty_list_that_is_intended_is_taken_and_still_asks_for_what_it_opens() {
    let host = DatabaseHost::start();
    host.ok(&format!("policy create abuse --block {BLOCKED}"));
    host.write("empty.txt", "# none at present\n");
    let line = "policy alter abuse --set-block-file empty.txt --allow-empty";
    assert_has(
        host.line(line).failed(1),
        &["opens the host to every IPv4 source", "--yes"],
    );
    host.ok(&format!("{line} --yes"));
    host.assert_connects(&[(BLOCKED, PORT)]);
    // An allow list of nothing denies, which opens nothing.
    host.ok("policy create closed --allow-file empty.txt --allow-empty");
    host.assert_times_out(&[("10.0.0.1", PORT)]);

    let file = "[[policy]]\nname = \"abuse\"\nblock_file = \"empty.txt\"\n";
    host.write("flag.toml", file);
    assert_has(
        host.line("apply -f flag.toml --yes").failed(1),
        &["holds no address"],
    );
    host.ok("apply -f flag.toml --allow-empty --yes");
    host.write("key.toml", format!("{file}allow_empty = true\n"));
    assert_has(&host.ok("apply -f key.toml"), &["nothing to change"]);
}

#[test]
fn a_list_that_shrinks_to_less_than_half_is_noted_in_the_plan_and_requires_consent() {
    let host = DatabaseHost::start();
    let addresses = |n: u8| -> String { (0..n).map(|i| format!("203.0.113.{i}\n")).collect() };
    host.write("feed.txt", addresses(200));
    host.ok("policy create feed --block-file feed.txt");
    host.write("feed.txt", addresses(150));
    let line = "policy alter feed --set-block-file feed.txt";
    assert!(!host.ok(line).contains("note: "), "three quarters are left");
    host.write("feed.txt", addresses(20));
    let note = "note: the block list shrinks from 150 to 20 rules";
    assert_has(&host.ok(&format!("{line} --dry-run")), &[note]);
    let refused = host.line(line);
    let expected = "shrinks the block list of policy feed from 150 to 20 entries";
    assert_has(refused.failed(1), &[expected, "repeat it with --yes"]);
    assert_has(&host.ok(&format!("{line} --yes")), &[note]);
}
