//! Bad input gets a clear error, and nothing changes.

use std::fs::File;
use std::time::{Duration, Instant};

use netpolicy_tests::{DatabaseHost, Options};

/// What must not change: revision, export, what the kernel holds.
fn fingerprint(host: &DatabaseHost) -> (String, String) {
    let status = host.json("status");
    let kernel = &status["enforcement"];
    let numbers = format!(
        "{} {} {}",
        status["agent"]["revision"], kernel["generation"], kernel["digest"]
    );
    (numbers, host.ok("export"))
}

/// A host with something to lose.
fn host() -> DatabaseHost {
    let host = DatabaseHost::with(&Options {
        config: "[limits]\npolicies = 3\nrules_per_list = 5\n".to_owned(),
        ..Options::default()
    });
    host.ok("service add postgres --port 5432,7000-7010");
    host.ok("policy create office --allow 10.0.0.0/8 --block 10.66.0.0/16 --comment kept");
    host.ok("policy create dba --allow 10.1.0.0/16 --service postgres");
    host
}

/// Runs commands that must be refused, each with words that the error must have.
#[track_caller]
fn assert_refused(host: &DatabaseHost, commands: &[(&[&str], &[&str])]) {
    let before = fingerprint(host);
    let mut wrong = Vec::new();
    for (args, words) in commands {
        let out = host.netpolicy(args);
        let said = out.stderr.clone();
        if out.code != Some(1) {
            wrong.push(format!(
                "{args:?}: exit code {:?}: {}{said}",
                out.code, out.stdout
            ));
        }
        for word in words.iter().filter(|w| !said.contains(**w)) {
            wrong.push(format!("{args:?}: no {word:?} in: {said}"));
        }
        for line in said.lines() {
            if !["error: ", "hint: ", "warning: "]
                .iter()
                .any(|p| line.starts_with(p))
            {
                wrong.push(format!("{args:?}: not an error's line: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(fingerprint(host), before);
}

#[test]
fn addresses() {
    let host = host();
    let long = "1".repeat(5000);
    let deny = |text| ["policy", "create", "bad", "--block", text];
    let texts = [
        "10.0.0",
        "10.0.0.256",
        "10.0.0.1.2",
        "10.0.0.1/33",
        "10.0.0.1/",
        "10.0.0.1/-1",
        "10.0.0.1/x",
        "010.0.0.1",
        "0x0a000001",
        "167772161",
        "10.0.0.1 10.0.0.2",
        "localhost",
        "fd00::/129",
        "fd00:::1",
        "fd00::1%eth0",
        "[fd00::1]",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "10.0.0.1:5432",
        "10.0.0.9-10.0.0.1",
        "10.0.0.1-fd00::1",
        "１０.0.0.1",
        "10.0.0.1\u{200b}",
        "*",
        "any",
        "xx.xx.xx.xx/xx",
    ];
    let args: Vec<_> = texts.iter().map(|t| deny(t)).collect();
    let words: Vec<_> = texts
        .iter()
        .map(|t| {
            if t.is_ascii() {
                vec![*t]
            } else {
                vec!["address"]
            }
        })
        .collect();
    let cases: Vec<(&[&str], &[&str])> = args
        .iter()
        .zip(&words)
        .map(|(a, w)| (a.as_slice(), w.as_slice()))
        .collect();
    assert_refused(&host, &cases);

    assert_refused(&host, &[(&deny(&long), &["111"]), (&deny(""), &["empty"])]);
    let said = host.netpolicy(&deny(&long)).stderr;
    assert!(
        said.len() < 500,
        "an over-long text is not repeated whole: {} bytes",
        said.len()
    );
}

#[test]
fn rules_and_names() {
    let host = host();
    let n29 = "n".repeat(29);
    assert_refused(
        &host,
        &[
            (
                &["policy", "create", "bad", "--block", "10.0.0.1,10.0.0.1"],
                &["10.0.0.1", "already"],
            ),
            (
                &[
                    "policy",
                    "create",
                    "bad",
                    "--block",
                    "10.0.0.1/24,10.0.0.0/24",
                ],
                &["10.0.0.1/24", "10.0.0.0/24"],
            ),
            (
                &[
                    "policy",
                    "create",
                    "bad",
                    "--block",
                    "::ffff:10.0.0.1,10.0.0.1",
                ],
                &["10.0.0.1", "already"],
            ),
            (
                &["policy", "create", "bad", "--block", "0.0.0.0/0"],
                &["0.0.0.0/0", "every IPv4 source"],
            ),
            (
                &["policy", "create", "bad", "--block", "1.2.3.4/0"],
                &["0.0.0.0/0"],
            ),
            (&["policy", "create", "bad", "--block", "::/0"], &["::/0"]),
            (
                &[
                    "policy",
                    "create",
                    "bad",
                    "--allow",
                    "10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4,10.0.0.5,10.0.0.6",
                ],
                &["5", "limit"],
            ),
            (
                &["policy", "create", "office", "--block", "10.0.0.1"],
                &["office", "exists"],
            ),
            (
                &["policy", "create", "OFFICE", "--block", "10.0.0.1"],
                &["office", "exists"],
            ),
            (
                &["policy", "create", "ab", "--block", "10.0.0.1"],
                &["'ab'", "3 to 28"],
            ),
            (
                &["policy", "create", &n29, "--block", "10.0.0.1"],
                &["3 to 28"],
            ),
            (&["policy", "create", "", "--block", "10.0.0.1"], &["empty"]),
            (
                &["policy", "create", "1office", "--block", "10.0.0.1"],
                &["1office"],
            ),
            (
                &["policy", "create", "of.fice", "--block", "10.0.0.1"],
                &["of.fice"],
            ),
            (
                &["policy", "create", "büro", "--block", "10.0.0.1"],
                &["3 to 28"],
            ),
            (
                &["policy", "create", "../../etc", "--block", "10.0.0.1"],
                &["3 to 28"],
            ),
            (
                &["policy", "create", "new", "--service", "oracle"],
                &["oracle"],
            ),
            (&["policy", "rename", "office", "DBA"], &["dba", "exists"]),
            (&["policy", "rename", "office", "x"], &["3 to 28"]),
            (
                &["policy", "alter", "offise", "--any"],
                &["offise", "office"],
            ),
            (
                &[
                    "policy",
                    "alter",
                    "office",
                    "--add-block",
                    "1.0.0.1,1.0.0.2,1.0.0.3,1.0.0.4,1.0.0.5",
                ],
                &["limit"],
            ),
            (&["policy", "drop", "nosuch", "--yes"], &["nosuch"]),
            (&["policy", "show", "nosuch"], &["nosuch"]),
            (&["policy", "activate", "nosuch"], &["nosuch"]),
            (&["bind", "office", "--service", "nosuch"], &["nosuch"]),
        ],
    );
    host.ok("policy create third --block 10.9.9.9");
    assert_refused(
        &host,
        &[(
            &["policy", "create", "fourth", "--block", "10.9.9.9"],
            &["3", "limit"],
        )],
    );
}

#[test]
fn services_and_ports() {
    let host = host();
    assert_refused(
        &host,
        &[
            (&["service", "add", "bad", "--port", "0"], &["'0'", "65535"]),
            (
                &["service", "add", "bad", "--port", "70000"],
                &["70000", "65535"],
            ),
            (&["service", "add", "bad", "--port", "http"], &["http"]),
            (&["service", "add", "bad", "--port", "90-80"], &["90-80"]),
            (
                &["service", "add", "bad", "--port", "80-70000"],
                &["80-70000"],
            ),
            (
                &["service", "add", "bad", "--port", "5432"],
                &["5432", "postgres"],
            ),
            (
                &["service", "add", "bad", "--port", "6000-8000"],
                &["7000-7010", "postgres"],
            ),
            (
                &["service", "add", "bad", "--port", "22"],
                &["22", "failsafe"],
            ),
            (
                &["service", "add", "Postgres", "--port", "80"],
                &["postgres", "exists"],
            ),
            (&["service", "add", "host", "--port", "80"], &["host"]),
            (&["service", "add", "p", "--port", "80"], &["2 to 28"]),
            (
                &["service", "alter", "postgres", "--port", "22"],
                &["22", "failsafe"],
            ),
            (&["service", "alter", "nosuch", "--port", "80"], &["nosuch"]),
            (&["service", "remove", "nosuch", "--yes"], &["nosuch"]),
            (
                &["service", "remove", "postgres", "--yes"],
                &["postgres", "dba"],
            ),
            (
                &["host", "set", "--failsafe-ports", "5432"],
                &["5432", "postgres"],
            ),
            (&["host", "set", "--failsafe-ports", "70000"], &["70000"]),
            (&["bypass", "grant", "nowhere"], &["nowhere"]),
            (&["bypass", "grant", "10.0.0.1/33"], &["10.0.0.1/33"]),
            (
                &["bypass", "grant", "10.0.0.1", "--service", "nosuch"],
                &["nosuch"],
            ),
            (&["bypass", "revoke", "10.0.0.1"], &["10.0.0.1"]),
        ],
    );
}

#[test]
fn policy_files() {
    let host = host();
    let policy = |keys: &str| format!("[[policy]]\nname = \"office\"\n{keys}\n");
    let files = [
        ("syntax.toml", "[[policy]\nname = \"x\"\n".to_owned(), vec!["syntax.toml:1:"]),
        ("key.toml", policy("alow = [\"10.0.0.0/8\"]"), vec!["key.toml:3:1", "alow", "allow"]),
        ("table.toml", "[[polcy]]\nname = \"office\"\n".to_owned(), vec!["table.toml:1:3", "polcy", "policy"]),
        ("deep.toml", policy("bind = [\"host\"]\n\n[host]\n  mod = \"observe\""), vec!["deep.toml:6:3", "mod"]),
        ("type.toml", policy("allow = \"10.0.0.0/8\""), vec!["type.toml:3:", "allow"]),
        ("value.toml", policy("[host]\nmode = \"off\""), vec!["value.toml:4:", "off", "observe"]),
        ("rule.toml", policy("allow = [\n  \"10.0.0.1\",\n  \"10.0.0.333\",\n]"), vec!["rule.toml:5:", "10.0.0.333"]),
        ("two.toml", policy("allow = [\"a.b\"]\nblock = [\"10.0.0.0/77\"]"), vec!["two.toml:3:", "two.toml:4:"]),
        ("bind.toml", policy("bind = [\"nosuch\"]"), vec!["bind.toml:3:", "nosuch"]),
        ("noname.toml", "[[policy]]\nallow = []\n".to_owned(), vec!["noname.toml:1:", "name"]),
        ("twice.toml", format!("{}{}", policy(""), policy("").to_uppercase().replace("[[POLICY]]\nNAME", "[[policy]]\nname")), vec!["twice.toml:", "office"]),
        ("port.toml", "[[service]]\nname = \"web\"\nports = [\"80\", \"70000\"]\n".to_owned(), vec!["port.toml:3:", "70000"]),
        ("overlap.toml", "[[service]]\nname = \"web\"\nports = [\"80-90\"]\n[[service]]\nname = \"alt\"\nports = [\"85\"]\n".to_owned(), vec!["overlap.toml:", "85", "web"]),
        ("list.toml", policy("allow_file = \"missing.txt\""), vec!["missing.txt"]),
        ("limit.toml", policy("block = [\"1.0.0.1\",\"1.0.0.2\",\"1.0.0.3\",\"1.0.0.4\",\"1.0.0.5\",\"1.0.0.6\"]"), vec!["limit"]),
        ("nul.toml", "[[policy]]\0".to_owned(), vec!["nul.toml", "zero byte"]),
    ];
    let mut lines = Vec::new();
    for (name, text, _) in &files {
        host.write(name, text);
        lines.push(["apply", "-f", name, "--yes"]);
    }
    let cases: Vec<(&[&str], &[&str])> = lines
        .iter()
        .zip(&files)
        .map(|(args, f)| (args.as_slice(), f.2.as_slice()))
        .collect();
    assert_refused(&host, &cases);

    // Of very many errors some are shown, the rest is counted.
    let many = (0..1000)
        .map(|i| format!("\"x{i}\""))
        .collect::<Vec<_>>()
        .join(",\n");
    host.write("many.toml", policy(&format!("block = [\n{many}\n]")));
    let said = host.line("apply -f many.toml --yes").failed(1).to_owned();
    assert!((10..=30).contains(&said.lines().count()), "{said}");
    assert!(said.contains("more"), "{said}");
}

#[test]
fn files_that_are_none() {
    let host = host();
    std::fs::create_dir(host.file("directory")).unwrap();
    host.write("binary", b"\x7fELF\x02\x01\x01\0\0\0\0\xff\xfe\xfd");
    host.write("latin1.txt", b"10.0.0.1 # B\xfcro\n");
    File::create(host.file("huge"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let started = Instant::now();
    let create = |file| ["policy", "create", "bad", "--block-file", file];
    let apply = |file| ["apply", "-f", file, "--yes"];
    assert_refused(
        &host,
        &[
            (&create("missing.txt"), &["missing.txt", "no such file"]),
            (&create("directory"), &["directory"]),
            (&create("huge"), &["huge", "1073741824"]),
            (&create("binary"), &["binary"]),
            (&create("latin1.txt"), &["latin1.txt:1", "UTF-8"]),
            (&create("/dev/zero"), &["/dev/zero"]),
            (&create("agent.log/x"), &["agent.log/x"]),
            (&apply("missing.toml"), &["missing.toml", "no such file"]),
            (&apply("directory"), &["directory"]),
            (&apply("huge"), &["huge"]),
            (&apply("binary"), &["binary"]),
            (&["diff", "-f", "missing.toml"], &["missing.toml"]),
        ],
    );
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );

    // Noise that is text: refused line by line, with an end to it.
    let noise = "no address here\n".repeat(400_000);
    host.write("noise.txt", &noise);
    let said = host.netpolicy(&create("noise.txt")).failed(1).to_owned();
    assert!(
        said.contains("noise.txt:1") && said.lines().count() <= 30,
        "{said}"
    );
}
