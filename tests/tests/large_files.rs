//! Policy files with many rules: what reading and comparing them takes in memory, in the
//! agent and on the command line. It applies 4,000,000 rules and runs with
//! `NETPOLICY_TEST_LONG=1` alone: with fewer, what the allocator keeps hides what is used.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "figures are to be seen")]

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;

/// Rules in one list, the most that there may be by default.
const LIST: u32 = 100_000;

/// Lists of the larger file.
const LISTS: u32 = 40;

/// Policies with two lists each, a rule a line; `edit` replaces a rule of each list.
fn policies(lists: u32, edit: bool) -> String {
    let mut text = String::new();
    for list in 0..lists {
        if list % 2 == 0 {
            writeln!(text, "[[policy]]\nname = \"list_{list}\"").unwrap();
        }
        let key = if list % 2 == 0 { "block" } else { "allow" };
        writeln!(text, "{key} = [").unwrap();
        for i in 0..LIST {
            // Not sorted, and never the same twice: an odd factor.
            let number = (list * LIST + i).wrapping_mul(0x9e37_79b1);
            let address = match i {
                50_000 if edit => Ipv4Addr::new(0, 0, 0, u8::try_from(list).unwrap() + 1),
                _ => Ipv4Addr::from(number | 1 << 31),
            };
            writeln!(text, "  \"{address}\",").unwrap();
        }
        text.push_str("]\n");
    }
    text
}

/// A field of the agent's status, bytes.
fn memory(host: &mut DatabaseHost, field: &str) -> u64 {
    let pid = host.agent().pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = kib.unwrap().trim_start_matches(':').trim();
    let kib: u64 = kib.split(' ').next().unwrap().parse().unwrap();
    kib * 1024
}

/// Runs a command; the last line of standard error is its peak of memory, KiB.
const MEASURED: &str = r"
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
";

/// What a command printed, and its memory at the peak, bytes: its own, and what the agent
/// had more than before.
struct Measured {
    said: String,
    command: u64,
    agent: u64,
}

fn measure(host: &mut DatabaseHost, line: &str) -> Measured {
    let before = memory(host, "VmRSS");
    // Resets the peak: proc(5).
    fs::write(format!("/proc/{}/clear_refs", host.agent().pid()), "5").unwrap();
    let inner = host.command();
    let mut outer = Command::new("python3");
    outer.args(["-c", MEASURED]).arg(inner.get_program());
    outer.args(inner.get_args()).args(line.split_whitespace());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    let out = outer.current_dir(host.file("")).output().unwrap();
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "netpolicy {line}: {error}");
    let peak: u64 = error.lines().last().unwrap().parse().unwrap();
    let measured = Measured {
        said: String::from_utf8(out.stdout).unwrap(),
        command: peak * 1024,
        agent: memory(host, "VmHWM").saturating_sub(before),
    };
    println!(
        "{line}: {} bytes, agent {} more",
        measured.command, measured.agent
    );
    measured
}

/// Bytes for each rule more, of two peaks.
fn slope(small: u64, large: u64, rules: u64) -> u64 {
    large.saturating_sub(small) / rules
}

#[test]
fn memory_of_apply_and_diff_grows_by_little_more_than_the_text() {
    if std::env::var_os("NETPOLICY_TEST_LONG").is_none_or(|value| value == "0") {
        println!("skipped: takes minutes; NETPOLICY_TEST_LONG=1 runs it");
        return;
    }
    let mut host = DatabaseHost::start();
    host.ok("status");
    let few = policies(1, false);
    let many = policies(LISTS, false);
    let rules = u64::from(LIST * (LISTS - 1));
    let mut peaks = Vec::new();
    for (text, edited) in [(few, policies(1, true)), (many, policies(LISTS, true))] {
        host.write("now.toml", &text);
        host.write("new.toml", edited);
        let applied = measure(&mut host, "apply -f now.toml --yes");
        let same = measure(&mut host, "diff -f now.toml");
        assert_has(&same.said, &["no difference"]);
        let edit = measure(&mut host, "diff -f new.toml");
        assert_has(&edit.said, &["+  \"0.0.0.1\","]);
        host.ok("apply -f new.toml --yes");
        let revision = measure(&mut host, "diff");
        assert_has(&revision.said, &["-  \"", "+  \"0.0.0.1\","]);
        peaks.push([applied, same, edit, revision]);
    }
    let [small, large] = &*peaks else {
        panic!("two sizes")
    };
    // The text has 20 bytes a rule, a rule 32, and it is compiled and in the kernel's form.
    let most_agent = [90, 30, 30, 6];
    // The text is copied into JSON for an apply.
    let most_command = [60, 30, 30, 6];
    for (index, (small, large)) in small.iter().zip(large).enumerate() {
        let agent = slope(small.agent, large.agent, rules);
        let command = slope(small.command, large.command, rules);
        println!("{index}: {agent} bytes a rule in the agent, {command} on the command line");
        assert!(agent <= most_agent[index], "{index}: {agent} in the agent");
        assert!(
            command <= most_command[index],
            "{index}: {command} on the command line"
        );
    }
}
