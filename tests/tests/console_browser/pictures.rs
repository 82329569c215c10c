//! The pictures of the guide: each page of a host with something to show, light and dark, for a
//! desk and a phone. `NETPOLICY_PICTURES=1` renews them; it takes minutes, for there are to be
//! attempts in each of some minutes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::binary::{netpolicy, workspace};
use netpolicy_tests::browser::Browser;
use netpolicy_tests::console::{Console, outside};
use netpolicy_tests::packet::Packet;

use super::{OPERATOR, close_dialogs, go, is_wanted, opened};

/// Between the first attempt and the first picture.
const SHOWN: Duration = Duration::from_secs(200);

/// Pages: the picture's name, the address in the fragment, what it shows when it is ready.
const PICTURES: [(&str, &str, &str); 20] = [
    ("overview", "", "Recent changes"),
    ("policies", "policies", "head office"),
    ("policy", "policies/abuse", "10.0.0.1"),
    ("policy-hits", "policies/office", "203.0.113.0/24"),
    ("policy-sql", "policies/trial/sql", "CREATE NETWORK POLICY"),
    (
        "policy-effect",
        "policies/trial/effect",
        "it would newly deny",
    ),
    (
        "explain",
        "explain?source=203.0.113.66&port=5432",
        "The loaded program",
    ),
    (
        "network",
        "explain?source=203.0.113.64/29&port=5432",
        "judged differently",
    ),
    ("live", "live", "attempts seen"),
    ("sources", "sources?verdict=&sort=attempts", "203.0.113.66"),
    ("tests", "checks", "scanner"),
    ("lint", "checks/lint", "abuse"),
    ("doctor", "checks/doctor", "Examined by the console"),
    ("services", "services", "Failsafe ports"),
    ("lists", "lists", "@our-own"),
    ("bans", "bans", "brute-force"),
    ("history", "history", "policy create office"),
    ("audit", "audit", "policy create office"),
    ("grants", "grants", "user:daemon"),
    ("sql", "sql", "Dry run"),
];

/// A host with policies, lists, bans and grants.
fn shown() -> DatabaseHost {
    let host = DatabaseHost::start();
    let lines: String = (0..100_000_u32)
        .map(|n| {
            format!(
                "10.{}.{}.{}  # seen by the mail relay\n",
                n >> 16,
                n >> 8 & 255,
                n & 255
            )
        })
        .collect();
    host.write("bad-hosts.txt", lines);
    for line in [
        "service add postgres --port 5432",
        "service add billing --port 7000-7010,8443 --combine and",
        "list create our-own 203.0.113.0/24,2001:db8:a::/64",
        "list create relays 192.0.2.10,192.0.2.11,2001:db8:b::25",
        "policy create abuse --block-file bad-hosts.txt",
        "policy create office --allow 203.0.113.0/24,198.51.100.0/28,2001:db8:a::/64 --block 203.0.113.66 --service postgres",
        "policy create dba --allow 203.0.113.10,@our-own --service billing",
        "policy create trial --allow 203.0.113.0/25 --service postgres --mode observe",
        "policy create contractors --allow 192.0.2.128/26 --inactive --service postgres",
        "ban 198.51.100.99 --for 4h --reason brute-force --by fail2ban/postgres",
        "ban 192.0.2.200/30 --for 7d --reason scanner --by crowdsec",
        "ban 2001:db8:bad::/48 --reason abuse",
        "bypass grant 198.51.100.5 --minutes 45 --service postgres",
        "grant create --to user:daemon",
        "grant read --to group:adm",
        "policy test set 203.0.113.7 --service postgres --expect pass",
        "policy test set 203.0.113.66 --service postgres --expect drop --comment scanner",
        "policy alter office --add-allow 198.51.100.64/28 --for 30d",
    ] {
        host.ok(line);
    }
    for (name, comment) in [
        ("office", "head office"),
        ("abuse", "reported by the mail relay"),
        ("trial", "observed before it replaces office"),
    ] {
        let _ = host
            .netpolicy(&["policy", "alter", name, "--comment", comment])
            .ok();
    }
    host
}

/// `netpolicy console` on a host of this name.
fn console(host: &DatabaseHost) -> Console {
    let mut command = Command::new("unshare");
    command.args(["--uts", "sh", "-c", "hostname db1; exec \"$0\" \"$@\""]);
    command.arg(netpolicy());
    let mut command = outside(host, command);
    command.env("SSH_CONNECTION", format!("{OPERATOR} 50022 192.0.2.10 22"));
    Console::start(command, &[])
}

/// Attempts from several sources, until that is ended.
fn attempts(host: &DatabaseHost, ended: &AtomicBool) {
    let raw = host.raw();
    let sources = [
        ("203.0.113.7", 5432, 5),
        ("203.0.113.8", 5432, 3),
        ("203.0.113.200", 7001, 4),
        ("198.51.100.7", 5432, 2),
        ("198.51.100.70", 7001, 3),
        ("203.0.113.66", 5432, 6),
        ("192.0.2.77", 5432, 7),
        ("192.0.2.201", 5432, 9),
        ("10.1.2.3", 8080, 11),
    ];
    for round in 0_u32.. {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        // More at some times than at others.
        let busy = 1 + round / 40 % 3;
        for (source, port, every) in sources {
            if round * busy % every < busy {
                raw.send(&Packet::syn(source, port).build());
            }
        }
        std::thread::sleep(Duration::from_millis(120));
    }
}

/// Ends the attempts when it is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn take(browser: &Browser, into: &Path, name: &str, (width, dark): (u32, bool)) {
    std::thread::sleep(Duration::from_millis(400));
    let theme = if dark { "dark" } else { "light" };
    browser.picture(&into.join(format!("{name}-{width}-{theme}.png")));
}

#[test]
fn pictures_for_the_guide() {
    if !is_wanted() || std::env::var_os("NETPOLICY_PICTURES").is_none() {
        return;
    }
    let host = shown();
    let mut console = console(&host);
    let browser = opened(&mut console);
    let into: PathBuf = workspace().join("docs/guide/console");
    std::fs::create_dir_all(&into).unwrap();
    // That of the last edit of addresses; comments came after it.
    let revision = host.json("status")["agent"]["revision"].as_u64().unwrap() - 3;
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| attempts(&host, &ended));
        // Also when a page does not show what it is to show.
        let _ended = End(&ended);
        std::thread::sleep(SHOWN);
        for (width, height) in [(1440, 900), (390, 844)] {
            for dark in [false, true] {
                let screen = (width, dark);
                browser.screen(width, height, dark);
                for (name, page, shows) in PICTURES {
                    go(&browser, page, shows);
                    if name == "live" {
                        std::thread::sleep(Duration::from_secs(4));
                    }
                    take(&browser, &into, name, screen);
                }
                go(&browser, &format!("history/{revision}"), "198.51.100.64/28");
                take(&browser, &into, "revision", screen);
                go(&browser, "policies", "head office");
                browser.click("Create policy");
                browser.fill("Name", "partners");
                browser.fill("Comment", "payment gateways");
                browser.fill(
                    "Allowed addresses",
                    "198.51.100.32/27  # Example Ltd\n@relays",
                );
                take(&browser, &into, "create", screen);
                close_dialogs(&browser);
                go(&browser, "policies/office", "203.0.113.0/24");
                browser.click("Add or remove addresses");
                browser.fill("Remove from allowed", "203.0.113.0/24");
                browser.fill("Add to allowed", "203.0.113.0/26\n203.0.113.66");
                browser.click("Review");
                browser.wait_text(" in this change");
                take(&browser, &into, "change", screen);
                close_dialogs(&browser);
            }
        }
    });
}
