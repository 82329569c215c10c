//! Damaged files in every format that is read: each is refused by name, quickly and in bounded
//! memory, or gives no entry that the whole file does not have. Where it would go, nothing changes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netpolicy_tests::binary::workspace;
use netpolicy_tests::{DatabaseHost, binary, debian};
use serde_json::json;

/// What a command may take of the address space, KiB.
const MEMORY: u64 = 4 << 20;
/// The largest file that is read.
const LARGEST: usize = 256 << 20;

/// What becomes of a damaged file.
#[derive(Clone, Copy, Debug)]
enum Becomes {
    /// It is refused, with this in the error.
    Refused(&'static str),
    /// It is refused, or gives a part of what the whole file gives.
    RefusedOrLess,
}

use Becomes::{Refused, RefusedOrLess};

/// How a file is damaged.
type Damage = fn(&[u8]) -> Vec<u8>;

/// What is done to each file of text, and what becomes of it.
const DAMAGES: [(&str, Damage, Becomes); 10] = [
    ("cut in half", |b| b[..b.len() / 2].to_vec(), RefusedOrLess),
    (
        "without its last byte",
        |b| b[..b.trim_ascii_end().len() - 1].to_vec(),
        RefusedOrLess,
    ),
    (
        "followed by a web page",
        |b| [b, b"\n<html><body>503</body></html>\n"].concat(),
        Refused(""),
    ),
    ("twice, the second half cut", twice, RefusedOrLess),
    (
        "followed by noise",
        |b| [b, b"\0\x01\x02\xff"].concat(),
        Refused("binary"),
    ),
    (
        "compressed",
        |b| [&b"\x1f\x8b\x08\0"[..], b].concat(),
        Refused("compressed (gzip)"),
    ),
    ("in UTF-16", |b| wide(b, true), Refused("UTF-16")),
    (
        "in UTF-16 without a mark",
        |b| wide(b, false),
        Refused("UTF-16"),
    ),
    (
        "in Latin-1",
        |b| [b, b"# M\xfcnchen\n"].concat(),
        Refused("UTF-8"),
    ),
    (
        "behind 10,000 brackets",
        |b| [&b"[".repeat(10_000)[..], b].concat(),
        Refused(""),
    ),
];

fn twice(bytes: &[u8]) -> Vec<u8> {
    [bytes, &bytes[..bytes.len() / 2]].concat()
}

fn wide(bytes: &[u8], has_mark: bool) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mark = if has_mark { "\u{feff}" } else { "" };
    let text = format!("{mark}{text}");
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// What `netpolicy import` came to.
struct Imported {
    code: Option<i32>,
    out: String,
    err: String,
    took: Duration,
}

impl Imported {
    /// It was read or refused, and in time.
    #[track_caller]
    fn check(&self, what: &str, file: &str, becomes: Becomes) {
        let err = &self.err;
        assert!(
            self.took < Duration::from_secs(20),
            "{what}: {:?}",
            self.took
        );
        match self.code {
            Some(0) => assert!(matches!(becomes, RefusedOrLess), "{what}: accepted: {err}"),
            Some(1) => {
                assert!(
                    err.starts_with("error: ") && err.contains(file),
                    "{what}: {err}"
                );
                assert_eq!(self.out, "", "{what}");
            }
            code => panic!("{what}: exit code {code:?}: {err}"),
        }
        if let Refused(expected) = becomes {
            assert!(err.contains(expected), "{what}: {err}");
        }
    }

    fn nets(&self) -> BTreeSet<String> {
        let lines = self.out.lines();
        let nets = lines.filter_map(|line| line.split('#').next()?.split_whitespace().next());
        nets.map(str::to_owned).collect()
    }
}

/// Without any agent, and with bounded memory.
fn import(args: &[&str], input: impl FnOnce(&mut dyn std::io::Write)) -> Imported {
    let begun = Instant::now();
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -v {MEMORY}; exec \"$@\""), "sh"])
        .arg(binary::netpolicy())
        .arg("import")
        .args(args)
        .env("NETPOLICY_SOCKET", "/nonexistent/netpolicy.sock")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    input(&mut child.stdin.take().unwrap());
    let out = child.wait_with_output().unwrap();
    Imported {
        code: out.status.code(),
        out: String::from_utf8(out.stdout).unwrap(),
        err: String::from_utf8(out.stderr).unwrap(),
        took: begun.elapsed(),
    }
}

fn imported(path: &Path, more: &[&str]) -> Imported {
    import(&[&[path.to_str().unwrap()], more].concat(), |_| ())
}

/// The files of the corpus, and what selects their entries.
fn corpus() -> Vec<(PathBuf, Vec<&'static str>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(workspace().join("tests/corpus/formats")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_lowercase();
        let selection: &[&str] = match &*name {
            name if name.contains("asn") => &["--as", "64500", "--as", "15169"],
            "geolite2-country-test.mmdb" => &["--country", "GB"],
            "ip-location-country.csv"
            | "ip2location.csv"
            | "geolite2-country.csv"
            | "ipinfo-lite.mmdb" => &["--country", "DE"],
            name if name.starts_with("ipset") => &["--set", "bad4"],
            name if name.starts_with("nft") => &["--set", "bad"],
            name if name.contains("tables-save") => &["--set", "INPUT:drop"],
            _ => &[],
        };
        found.push((path, selection.to_vec()));
    }
    found.sort();
    assert!(found.len() > 25, "{}", found.len());
    found
}

#[test]
fn damaged_file_of_each_format_is_refused_or_gives_less() {
    let dir = tempfile::tempdir().unwrap();
    let mut table = Vec::new();
    for (path, selection) in corpus() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        // It makes a policy file, not a list.
        let is_list = name != "pg_hba.conf";
        let whole = is_list.then(|| imported(&path, &selection).nets());
        let damaged = dir.path().join(&name);
        let file = damaged.to_str().unwrap();
        let is_text = std::str::from_utf8(&bytes).is_ok_and(|text| !text.contains('\0'));
        for (damage, make, becomes) in DAMAGES {
            if !is_text && !damage.starts_with("cut") {
                continue;
            }
            fs::write(&damaged, make(&bytes)).unwrap();
            let read = imported(&damaged, &selection);
            let what = format!("{name} {damage}");
            read.check(&what, file, becomes);
            if let (Some(0), Some(whole)) = (read.code, &whole) {
                // What a line of it says when it is cut, no end tells.
                let by_hand = ["a plain list", "a P2P list"];
                let by_hand = by_hand.iter().any(|title| read.err.contains(title));
                assert!(by_hand || read.nets().is_subset(whole), "{what}");
            }
            let said = read
                .err
                .lines()
                .next()
                .unwrap_or_default()
                .replace(file, &name);
            table.push(format!("{what}: {:?} {said}", read.code));
        }
        let sparse = fs::File::create(&damaged).unwrap();
        sparse.set_len(1 << 30).unwrap();
        let read = imported(&damaged, &selection);
        read.check(
            &format!("{name} of 1 GiB"),
            file,
            Refused("at most 256 MiB"),
        );
        fs::remove_file(&damaged).unwrap();
    }
    println!("{}", table.join("\n"));
}

/// A pipe says nothing of its length.
#[test]
fn endless_input_is_refused_where_it_is_too_long() {
    let block = b"192.0.2.1 # and again\n".repeat(1 << 15);
    let mut sent = 0;
    let read = import(&["-"], |out| {
        while sent < 2 * LARGEST && out.write_all(&block).is_ok() {
            sent += block.len();
        }
    });
    read.check(
        "an endless list",
        "standard input",
        Refused("at most 256 MiB"),
    );
    assert!(sent < LARGEST + (16 << 20), "{sent} bytes were taken");
}

/// Most of the time goes into making them. Long: NETPOLICY_TEST_LONG.
#[test]
fn ten_million_entries_are_refused_in_bounded_memory() {
    if !debian::is_long() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, before, line, after) in [
        ("plain.txt", "", "A\n", ""),
        ("set.ipset", "", "add bad A\n", ""),
        ("drop.json", "", "{\"cidr\":\"A/32\"}\n", ""),
        (
            "aws.json",
            "{\"createDate\":1,\"ipv6_prefixes\":[],\"prefixes\":[",
            "{\"ip_prefix\":\"A/32\",\"region\":\"r\",\"service\":\"s\"},",
            "{\"ip_prefix\":\"9.9.9.9/32\",\"region\":\"r\",\"service\":\"s\"}]}",
        ),
        (
            "nft.txt",
            "table ip t { set s { type ipv4_addr\nelements = { ",
            "A,",
            "9.9.9.9 }}}",
        ),
    ] {
        let path = dir.path().join(name);
        let mut file = std::io::BufWriter::new(fs::File::create(&path).unwrap());
        file.write_all(before.as_bytes()).unwrap();
        for at in 0..10_000_000_u32 {
            let address = std::net::Ipv4Addr::from(0x0100_0000 + at).to_string();
            file.write_all(line.replace('A', &address).as_bytes())
                .unwrap();
        }
        file.write_all(after.as_bytes()).unwrap();
        drop(file);
        let read = imported(&path, &[]);
        let expected = match fs::metadata(&path).unwrap().len() {
            length if length > LARGEST as u64 => "at most 256 MiB",
            _ => "entries",
        };
        println!(
            "{name}: {:?} in {:?}: {}",
            read.code,
            read.took,
            read.err.trim()
        );
        read.check(name, path.to_str().unwrap(), Refused(expected));
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn damaged_files_change_nothing_wherever_they_go() {
    let host = DatabaseHost::start();
    host.write("good.txt", "203.0.113.9\n203.0.113.10\n");
    host.ok("list create bad --file good.txt");
    host.ok("policy create abuse --block @bad");
    let revision = host.status()["agent"]["revision"].clone();
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("html", b"<!DOCTYPE html><html><body>503</body></html>"),
        ("binary", b"203.0.113.9\n\0\x01\x02\xff\n"),
        ("utf16", b"\xff\xfe2\x000\x003\x00"),
        ("latin1", b"203.0.113.9 # M\xfcnchen\n"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0"),
        ("cut.json", b"{\"nftables\": [{\"set\": {\"family\": \"ip\""),
        ("deep.json", &b"[".repeat(10_000)),
        ("everything", b"0.0.0.0/0 x\n203.0.113.300\n"),
    ] {
        host.write(name, bytes);
        for line in [
            format!("list alter bad --set-file {name} --yes"),
            format!("policy alter abuse --add-block-file {name} --yes"),
            format!("ban --file {name}"),
            format!("import {name} --list bad --apply --yes"),
        ] {
            let out = host.line(&line);
            let said = out.stderr.clone();
            println!("{line}: {}", said.lines().next().unwrap_or_default());
            // A request of no source is none.
            let is_none = name == "empty" && line.starts_with("ban");
            if !is_none {
                assert!(matches!(out.code, Some(1)), "{line}: {:?} {said}", out.code);
                assert!(said.contains("error: "), "{line}: {said}");
            }
        }
        assert_eq!(host.status()["agent"]["revision"], revision, "{name}");
    }
    assert_eq!(host.json("bans --count")["count"], json!(0));
    assert_eq!(host.status()["faults"], json!([]));
}
