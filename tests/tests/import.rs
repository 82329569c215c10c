//! Lists of other programs: printed and applied by `netpolicy import`, and taken wherever a
//! list file goes. What ipset, nft and iptables print is made by the programs themselves.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use netpolicy_tests::binary::workspace;
use netpolicy_tests::command::assert_has;
use netpolicy_tests::{DatabaseHost, NetNs, binary};
use serde_json::{Value, json};

const PORT: u16 = 8080;

fn corpus(name: &str) -> String {
    let path = workspace().join("tests/corpus/formats").join(name);
    path.to_str().unwrap().to_owned()
}

/// The command without any agent: exit code, output, what it says on standard error.
fn import(args: &[&str], input: &[u8]) -> (i32, String, String) {
    use std::io::Write as _;
    let mut child = Command::new(binary::netpolicy())
        .arg("import")
        .args(args)
        .env("NETPOLICY_SOCKET", "/nonexistent/netpolicy.sock")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Where the file is another, standard input is not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    let out = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        out.status.code().unwrap(),
        text(out.stdout),
        text(out.stderr),
    )
}

fn printed(args: &[&str], input: &[u8]) -> String {
    let (code, out, err) = import(args, input);
    assert_eq!(code, 0, "{args:?}: {err}");
    out
}

#[test]
fn import_prints_without_an_agent_in_three_forms() {
    let drop = corpus("drop-v4.json");
    let (code, out, err) = import(&[&drop], b"");
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        out,
        "192.0.2.0/24  # SBL256894 apnic\n198.51.100.0/22  # SBL434604 ripencc\n203.0.113.0/24  # SBL502548 arin\n"
    );
    assert_has(
        &err,
        &["note: ", "a DROP list of Spamhaus (JSON lines), 3 entries"],
    );
    let list = printed(&[&drop, "--list", "bad-hosts"], b"");
    assert_has(
        &list,
        &[
            "[[list]]\nname = \"bad-hosts\"\n",
            "{ address = \"192.0.2.0/24\", comment = \"SBL256894 apnic\" },",
        ],
    );
    let policy = printed(&[&drop, "--policy", "abuse", "--block"], b"");
    assert_has(&policy, &["[[policy]]\nname = \"abuse\"\n", "block = [\n"]);
    let json: Value = serde_json::from_str(&printed(&["-o", "json", &drop], b"")).unwrap();
    assert_eq!(json["format"], "drop-json");
    assert_eq!(json["entries"][1]["line"], 2);
    let (code, _, err) = import(&[&drop, "--policy", "abuse"], b"");
    assert_eq!(code, 2);
    assert_has(&err, &["--policy needs --allow or --block"]);
    let (code, _, err) = import(&[&drop, "--format", "aws"], b"");
    assert_eq!(code, 1);
    assert_has(
        &err,
        &[
            "it seems to be a DROP list of Spamhaus",
            "--format drop-json",
        ],
    );
}

#[test]
fn import_names_what_is_no_list() {
    for (input, said) in [
        (
            &b"\x1f\x8b\x08\0\0\0\0\0"[..],
            "is compressed (gzip); decompress it first",
        ),
        (b"\xff\xfe1\0", "is UTF-16; convert it first"),
        (b"<!DOCTYPE html>\n<html>", "is a web page (HTML)"),
        (
            b"10.0.0.1\n10.0.0.300\n",
            "standard input:2:1: '10.0.0.300' is not an address",
        ),
        (b"", "is empty"),
    ] {
        let (code, out, err) = import(&["-"], input);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert_has(&err, &["error: ", said]);
    }
    let dir = tempfile::tempdir().unwrap();
    let large = dir.path().join("large");
    std::fs::File::create(&large)
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let (code, _, err) = import(&[large.to_str().unwrap()], b"");
    assert_eq!(code, 1);
    assert_has(&err, &["is too long (1073741824 bytes): at most 256 MiB"]);
}

#[test]
fn pg_hba_becomes_a_policy_file_that_an_agent_takes() {
    let host = DatabaseHost::start();
    let out = host.ok(&format!("import {}", corpus("pg_hba.conf")));
    assert_has(
        &out,
        &["# line 7: hostnossl all all 198.51.100.0/24 reject\n#   not carried"],
    );
    host.write("policy.toml", &out);
    host.ok("apply -f policy.toml");
    let shown = host.json("policy show pg_hba");
    assert_eq!(shown["active"], true, "{shown}");
    let (code, _, err) = import(&[&corpus("pg_hba.conf"), "--list", "x", "--apply"], b"");
    assert_eq!(code, 1);
    assert_has(
        &err,
        &["pg_hba.conf makes a policy file of its own", "hint: "],
    );
}

/// What the programs of this machine print.
#[test]
fn sets_and_rules_of_the_programs_themselves_are_read() {
    let ns = NetNs::new();
    let run = |script: &str| {
        let out = ns.command("sh").args(["-ec", script]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{script}: {said}");
        out.stdout
    };
    let expected = "10.66.0.0/24  # one net\n10.66.1.7\nfd00::/64\n";
    let v4 = "10.66.0.0/24  # one net\n10.66.1.7\n";
    run(
        "ipset create bad hash:net comment timeout 0
         ipset add bad 10.66.0.0/24 comment 'one net'
         ipset add bad 10.66.1.7
         nft -f - <<'END'
table inet t {
  set bad { type ipv4_addr; flags interval; elements = { 10.66.0.0/24 comment \"one net\", 10.66.1.7 } }
  set six { type ipv6_addr; flags interval; elements = { fd00::/64 } }
}
END
         iptables -A INPUT -s 10.66.0.0/24 -m comment --comment 'one net' -j DROP
         iptables -A INPUT -s 10.66.1.7 -p tcp -j REJECT",
    );
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    };
    for command in [
        "ipset save",
        "ipset list bad",
        "nft list set inet t bad",
        "nft -j list set inet t bad",
    ] {
        let out = printed(&["-"], &run(command));
        assert_eq!(sorted(&out), sorted(v4), "{command}");
    }
    for command in ["nft list table inet t", "nft -j list table inet t"] {
        let text = run(command);
        let (code, _, err) = import(&["-"], &text);
        assert_eq!(code, 1, "{command}");
        assert_has(
            &err,
            &["has 2 sets: inet t bad (2 entries), inet t six (1 entry)"],
        );
        let out = printed(&["-", "--set", "bad", "--set", "six"], &text);
        assert_eq!(out, expected, "{command}");
    }
    let out = printed(&["-"], &run("iptables-save -t filter"));
    assert_eq!(out, v4);
    // Rules of iptables-nft as nft prints them lack their matches.
    let (code, out, err) = import(&["-"], &run("nft -j list ruleset"));
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
}

#[test]
fn list_file_in_another_format_goes_wherever_a_list_file_goes() {
    let host = DatabaseHost::start();
    host.write(
        "drop.json",
        "{\"cidr\":\"10.66.0.0/24\",\"sblid\":\"SBL1\",\"rir\":\"ripencc\"}\n{\"type\":\"metadata\",\"records\":1}\n",
    );
    host.write("ipsum.txt", "# IPsum\n10.66.1.7\t9\n");
    let out = host.line("policy create abuse --block-file drop.json --block-file ipsum.txt");
    let _ = out.ok();
    host.assert_times_out(&[("10.66.0.1", PORT), ("10.66.1.7", PORT)]);
    assert_has(&host.ok("explain 10.66.1.7"), &["ipsum.txt:2"]);
    host.write(
        "policy.toml",
        "[[list]]\nname = \"bad-hosts\"\nfile = [\"drop.json\", \"ipsum.txt\"]\n[[policy]]\nname = \"abuse\"\nblock = [\"@bad-hosts\"]\n",
    );
    host.ok("apply -f policy.toml");
    host.assert_times_out(&[("10.66.0.1", PORT), ("10.66.1.7", PORT)]);
    assert_has(&host.ok("explain 10.66.0.1"), &["drop.json:1"]);
    let banned = b"[{'sshd': ['10.66.2.9']}]\n";
    let args = ["list", "add", "bad-hosts", "--file", "-"];
    let _ = host
        .netpolicy_with_input(&args, str::from_utf8(banned).unwrap())
        .ok();
    host.assert_times_out(&[("10.66.2.9", PORT)]);
    // Cut off: nothing changes.
    host.write(
        "drop.json",
        "{\"cidr\":\"10.66.0.0/24\",\"sblid\":\"SBL1\",\"rir\":\"ripencc\"}\n",
    );
    let failed = host.line("apply -f policy.toml");
    assert_has(
        failed.failed(1),
        &["drop.json: ends too early: the last line"],
    );
    host.assert_times_out(&[("10.66.0.1", PORT)]);
}

#[test]
fn import_applies_to_a_list_and_to_one_side_of_a_policy() {
    let host = DatabaseHost::start();
    host.write("bad.txt", "10.66.0.0/24\t7\n");
    host.ok("import bad.txt --list bad-hosts --apply");
    host.ok("policy create abuse --block @bad-hosts");
    host.assert_times_out(&[("10.66.0.1", PORT)]);
    // Again: replaced, not added.
    host.write("bad.txt", "10.66.1.0/24\t7\n");
    host.ok("import bad.txt --list bad-hosts --apply");
    host.assert_times_out(&[("10.66.1.1", PORT)]);
    host.assert_connects(&[("10.66.0.1", PORT)]);
    host.write("office.txt", "10.0.0.0/8\n");
    host.ok("policy create office --block 10.66.3.0/24");
    host.ok("import office.txt --policy office --allow --apply");
    host.assert_times_out(&[("10.66.3.1", PORT)]);
    assert_has(
        &host.ok("import office.txt --policy office --allow --apply"),
        &["nothing to change"],
    );
    let revision = host.json("status")["agent"]["revision"].clone();
    host.ok("import bad.txt --list bad-hosts --apply --dry-run");
    assert_eq!(host.json("status")["agent"]["revision"], revision);
}

#[test]
fn countries_are_looked_up_by_the_command() {
    let host = DatabaseHost::start();
    host.write(
        "geo.csv",
        "10.66.0.0,10.66.0.255,DE\n10.66.1.0,10.66.1.255,FR\n",
    );
    host.write("as.csv", "10.66.2.0,10.66.2.255,64500,Example\n");
    let file =
        "[[policy]]\nname = \"abuse\"\nblock = [\"country:DE\", \"as:64500\", \"10.66.3.1\"]\n";
    host.write("policy.toml", file);
    let failed = host.line("apply -f policy.toml");
    assert_has(
        failed.failed(1),
        &["'country:DE' needs a database", "--geo FILE"],
    );
    host.ok("apply -f policy.toml --geo geo.csv --geo as.csv");
    host.assert_times_out(&[
        ("10.66.0.1", PORT),
        ("10.66.2.1", PORT),
        ("10.66.3.1", PORT),
    ]);
    host.assert_connects(&[("10.66.1.1", PORT)]);
    assert_has(&host.ok("export"), &["\"@country-de\"", "\"@as-64500\""]);
    let again = host.ok("apply -f policy.toml --geo geo.csv --geo as.csv");
    assert_has(&again, &["nothing to change"]);
    host.ok("diff -f policy.toml --geo geo.csv --geo as.csv --exit-code");
    host.ok("policy create more --block country:FR,10.66.1.0/24 --geo geo.csv");
    host.assert_times_out(&[("10.66.1.1", PORT)]);
    let config = std::fs::read_to_string(host.file("config.toml")).unwrap();
    let geo = host.file("geo.csv");
    host.write(
        "config.toml",
        format!("geo_databases = [{:?}]\n{config}", geo.display()),
    );
    let failed = host.line("apply -f policy.toml");
    assert_has(
        failed.failed(1),
        &["geo.csv: no entry is selected by --as 64500"],
    );
    host.write("policy.toml", file.replace(", \"as:64500\"", ""));
    host.ok("apply -f policy.toml --no-prune");
    let lists = host.json("list list");
    let names: Vec<_> = lists
        .as_array()
        .unwrap()
        .iter()
        .map(|list| list["name"].clone())
        .collect();
    assert!(names.contains(&json!("country-de")), "{lists}");
}

#[test]
fn import_into_bans_keeps_the_time_that_entries_have_left() {
    let host = DatabaseHost::start();
    host.write(
        "bad.save",
        "create bad hash:net family inet hashsize 1024 maxelem 65536 timeout 600 comment\n\
         add bad 10.66.0.0/24 timeout 4\n\
         add bad 10.66.1.7 timeout 500 comment \"scan\"\n\
         add bad 10.66.2.7 timeout 0\n",
    );
    let out = host.line("import bad.save --into bans --for 2h --by ipset --dry-run");
    assert_has(
        &out.stderr,
        &["3 sources would be banned, 3 of them for a time"],
    );
    assert_eq!(host.json("bans --count")["count"], 0);
    host.ok("import bad.save --into bans --for 2h --by ipset");
    host.assert_times_out(&[
        ("10.66.0.1", PORT),
        ("10.66.1.7", PORT),
        ("10.66.2.7", PORT),
    ]);
    let bans = host.json("bans --by ipset --sort until");
    let bans = bans["items"].as_array().unwrap();
    assert_eq!(bans.len(), 3, "{bans:?}");
    assert_eq!(bans[1]["reason"], "scan");
    let left = |at: usize| {
        let until = bans[at]["until"].as_str().unwrap();
        let until: jiff::Timestamp = until.parse().unwrap();
        until.duration_since(jiff::Timestamp::now()).as_secs()
    };
    assert!((440..=500).contains(&left(1)), "{}", left(1));
    assert!((7_100..=7_200).contains(&left(2)), "{}", left(2));
    std::thread::sleep(std::time::Duration::from_secs(4));
    host.assert_connects(&[("10.66.0.1", PORT)]);
    // Again: those that are banned for longer stay so.
    host.ok("import bad.save --into bans --for 1h --by ipset");
    let again = host.json("bans --by ipset --sort until");
    assert_eq!(again["items"][2]["until"], bans[2]["until"]);
    assert_eq!(host.json("history").as_array().map(Vec::len), Some(0));
    for line in ["--into bans --list x", "--into bans --strict", "--for 2h"] {
        let out = host.line(&format!("import bad.save {line}"));
        assert_eq!(out.code, Some(2), "{line}: {}", out.stderr);
    }
}
