//! The console in a real browser, over a real agent: every page, every operation, the keyboard
//! alone, accessibility, the page's policy of content, long lists, two editors, a change that
//! is not confirmed.
//!
//! A browser takes seconds to start: `NETPOLICY_TEST_LONG=1` alone runs these.
//! `NETPOLICY_PICTURES=1` also renews the pictures of `docs/guide/console/`.

#![expect(clippy::print_stdout, reason = "what is skipped is to be seen")]

use std::time::Duration;

use netpolicy_tests::browser::Browser;
use netpolicy_tests::console::Console;
use netpolicy_tests::{DatabaseHost, debian};
use serde_json::{Value, json};

#[path = "console_browser/checks.rs"]
mod checks;
#[path = "console_browser/operations.rs"]
mod operations;
#[path = "console_browser/pages.rs"]
mod pages;
#[path = "console_browser/pictures.rs"]
mod pictures;
#[path = "console_browser/trouble.rs"]
mod trouble;

/// Where the operator of these tests says they work.
const OPERATOR: &str = "203.0.113.10";

/// Whether these tests are to run; says so if not.
fn is_wanted() -> bool {
    let wanted = debian::is_long();
    if !wanted {
        println!("skipped: starts a browser; NETPOLICY_TEST_LONG=1 runs it");
    }
    wanted
}

/// A database host with some policies.
fn host() -> DatabaseHost {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok("list create our-own 192.0.2.0/24");
    let create =
        "policy create office --allow 203.0.113.0/24 --block 203.0.113.66 --service postgres";
    let mut words: Vec<&str> = create.split(' ').collect();
    words.extend(["--comment", "head office"]);
    let _ = host.netpolicy(&words).ok();
    host.ok("ban 198.51.100.99 --for 1h --reason brute-force");
    host.ok("bypass grant 198.51.100.5 --minutes 45 --service postgres");
    host.ok("grant create --to user:daemon");
    host
}

fn console(host: &DatabaseHost) -> Console {
    Console::of(host, Some(OPERATOR), &[])
}

/// A browser in which the console's first page is ready.
fn opened(console: &mut Console) -> Browser {
    let browser = Browser::start();
    let token = console.another();
    browser.open(&format!("http://localhost:{}/#token={token}", console.port));
    browser.wait_text("Recent changes");
    browser
}

fn go(browser: &Browser, page: &str, shows: &str) {
    let _ = browser.eval(&format!(
        "location.hash = {};",
        Value::from(format!("#/{page}"))
    ));
    browser.wait_text(shows);
}

/// Presses Escape until no dialog is open: without a person's click before it, a browser closes
/// several at once.
fn close_dialogs(browser: &Browser) {
    for _ in 0..3 {
        browser.press("Escape");
        std::thread::sleep(Duration::from_millis(100));
    }
    browser.wait("!document.querySelector('dialog[open]')");
}

/// Applies the change of the topmost dialog, and waits until all are closed.
#[track_caller]
fn apply(browser: &Browser) {
    browser.click("Apply");
    browser.wait("!document.querySelector('dialog[open]')");
}

/// Nothing that the page's policy refused, and no error of a script.
fn assert_quiet(browser: &Browser) {
    let wrong: Vec<_> = browser
        .log()
        .into_iter()
        .filter(|line| {
            // What this agent lacks, and refusals that a test provokes, are answers.
            !line.contains("Failed to load resource")
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn policy_is_created_edited_switched_and_dropped() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, false);
    go(&browser, "policies", "head office");
    // Account level: the host.
    browser.click("Create policy");
    browser.fill("Name", "partners");
    browser.fill("Comment", "gateways");
    browser.fill(
        "Allowed addresses",
        "198.51.100.0/24  # Example Ltd\n@our-own",
    );
    browser.click("Add to allowed");
    browser.click("Review");
    browser.wait_text("becomes denied on the host");
    browser.wait_text(&format!("Checked against your own address {OPERATOR}"));
    browser.click("Apply");
    browser.wait_text("is in force");
    browser.wait("location.hash === '#/policies/partners'");
    let policy = host.json("policy show partners");
    assert_eq!(policy["bindings"], json!(["host"]), "{policy}");
    assert_eq!(policy["allow_count"], 2, "{policy}");
    assert_eq!(policy["allow"][0]["comment"], "Example Ltd", "{policy}");
    // Add and remove.
    browser.click("Add or remove addresses");
    browser.fill("Add to allowed", "2001:db8:b::/48");
    browser.fill("Remove from allowed", "198.51.100.0/24");
    browser.click("Review");
    browser.wait_text("- allow 198.51.100.0/24");
    apply(&browser);
    browser.wait_text("2001:db8:b::/48");
    let allowed = host.json("policy show partners")["allow"].clone();
    let texts: Vec<_> = allowed
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["text"].clone())
        .collect();
    assert_eq!(texts, [OPERATOR, "2001:db8:b::/48"]);
    // By selecting a rule.
    browser.click("Select 2001:db8:b::/48");
    browser.click("Remove 1 selected");
    browser.wait_text("- allow 2001:db8:b::/48");
    apply(&browser);
    // Deactivate opens the host: it requires consent.
    browser.click("Deactivate");
    browser.wait_text("opens the host to every source");
    browser.wait("[...document.querySelectorAll('dialog button')].find((button) => button.innerText === 'Apply').disabled");
    browser.click("I consent to exactly that");
    browser.click("Apply");
    browser.wait("[...document.querySelectorAll('button')].some((button) => button.innerText === 'Activate')");
    assert_eq!(host.json("policy show partners")["active"], false);
    browser.click("Activate");
    browser.wait_text("becomes denied on the host");
    browser.click("Apply");
    browser.wait("[...document.querySelectorAll('button')].some((button) => button.innerText === 'Deactivate')");
    // Service level.
    browser.click("Bindings");
    browser.wait_text("postgres");
    let _ = browser.eval(
        "[...document.querySelectorAll('.bindings li')].find((row) => row.innerText.includes('postgres')).querySelector('button').click();",
    );
    browser.wait_text("Bind partners to postgres");
    browser.wait_text("becomes allowed on postgres");
    browser.click("Apply");
    browser.wait("document.querySelectorAll('dialog[open]').length === 1");
    assert_eq!(
        host.json("policy show partners")["bindings"],
        json!(["host", "postgres"])
    );
    close_dialogs(&browser);
    // Drop.
    browser.click("Delete");
    browser.wait_text("policy partners");
    browser.click("I consent to exactly that");
    browser.click("Apply");
    browser.wait("location.hash === '#/policies'");
    assert_eq!(host.line("policy show partners").code, Some(1));
    assert_quiet(&browser);
}

#[test]
fn lockout_is_refused_and_one_of_two_editors_is_told() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, true);
    go(&browser, "policies/office", "203.0.113.0/24");
    browser.click("Add or remove addresses");
    browser.fill("Remove from allowed", "203.0.113.0/24");
    browser.fill("Add to allowed", "198.51.100.0/24");
    browser.click("Review");
    browser.wait_text("The change would lock you out");
    let disabled = "[...document.querySelectorAll('dialog button')].filter((button) => button.innerText.startsWith('Apply')).every((button) => button.disabled)";
    browser.wait(disabled);
    browser.click("Apply it anyway (force). It is rolled back after 60 s unless you confirm it.");
    browser.wait(&format!("!({disabled})"));
    // A forced change is made only with a rollback.
    browser.wait("[...document.querySelectorAll('dialog button')].find((button) => button.innerText === 'Apply').disabled");
    close_dialogs(&browser);
    // Two editors: the agent's state changes while the dialog is open.
    browser.click("Add or remove addresses");
    browser.fill("Add to allowed", "198.51.100.0/24");
    browser.click("Review");
    browser.wait_text("becomes allowed on postgres");
    host.ok("policy alter office --add-allow 192.0.2.77");
    browser.click("Apply");
    browser.wait_text("The state changed in the meantime");
    browser.wait_text("Nothing was changed");
    let revision = host.json("status")["agent"]["revision"].as_u64().unwrap();
    browser.click(&format!("Look what it would do at revision {revision}"));
    browser.wait_text("+ allow 198.51.100.0/24");
    browser.click("Apply and confirm within 60 s");
    browser.wait_text("is not confirmed");
    browser.wait_text("The loaded program says of your address");
    let pending = host.json("status")["agent"]["pending"].clone();
    assert_eq!(pending["base"], revision, "{pending}");
    browser.click("Confirm");
    browser.wait_text("stays in force");
    assert!(host.json("status")["agent"]["pending"].is_null());
    assert_quiet(&browser);
}

#[test]
fn keyboard_alone_creates_a_policy() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, false);
    let reach = |what: &str| {
        for _ in 0..60 {
            browser.press("Tab");
            let at = browser.eval("const at = document.activeElement; return at.innerText?.trim() || at.labels?.[0]?.innerText?.trim() || at.getAttribute('aria-label');");
            if at == what {
                return;
            }
        }
        panic!("{what} is not reached by Tab:\n{}", browser.text());
    };
    reach("Policies");
    browser.press("Enter");
    browser.wait_text("head office");
    reach("Create policy");
    browser.press("Enter");
    browser.wait("document.querySelector('dialog[open]')");
    // The name has the focus.
    browser.type_text("keyboard");
    reach("Allowed addresses");
    browser.type_text("198.51.100.0/24\n203.0.113.10");
    reach("Review");
    browser.press("Enter");
    browser.wait_text("becomes denied on the host");
    reach("Apply");
    browser.press("Enter");
    browser.wait("location.hash === '#/policies/keyboard'");
    assert_eq!(host.json("policy show keyboard")["allow_count"], 2);
    // Focus went to the page's title, and Escape closes dialogs.
    browser
        .wait("document.activeElement.id === 'title' || document.activeElement === document.body");
    assert_quiet(&browser);
}

#[test]
fn denied_attempts_appear_live_and_sql_runs() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, true);
    go(&browser, "live", "Listening");
    host.assert_times_out(&[("192.168.7.7", 5432)]);
    browser.wait_text("192.168.7.7");
    browser.wait_text("not-allowed");
    browser.fill("Filter attempts", "nothing-like-this");
    browser.wait_text("No attempt matches");
    // What the agent remembers of it.
    go(&browser, "", "Recent changes");
    browser.wait_text("192.168.7.7");
    browser.wait("document.querySelectorAll('.segments input').length === 3");
    browser.wait("document.querySelector('.plot canvas')");
    go(&browser, "policies", "head office");
    browser.wait("[...document.querySelectorAll('th')].some((cell) => cell.innerText === 'Hits')");
    browser.fill("Search policies, or which holds an address", "203.0.113.66");
    browser.wait_text("Rules that hold 203.0.113.66");
    browser.wait("[...document.querySelectorAll('section.card td')].some((cell) => cell.innerText === '203.0.113.66')");
    go(&browser, "sql", "Dry run");
    browser.fill(
        "SQL",
        "-- dialect: snowflake\nCREATE NETWORK POLICY x ALLOWED_IP_LIST=('10.0.0.0/33');\n",
    );
    browser.click("Dry run");
    browser.wait_text("Line 2, column");
    browser.fill("SQL", "-- dialect: snowflake\nCREATE NETWORK POLICY made_by_sql ALLOWED_IP_LIST=('203.0.113.10');\nSHOW NETWORK POLICIES;\n");
    browser.click("Run");
    browser.wait_text("entries_in_allowed_ip_list");
    assert_eq!(host.json("policy show made_by_sql")["active"], false);
    go(
        &browser,
        "explain?source=203.0.113.66&port=5432",
        "Denied: 203.0.113.66",
    );
    browser.click("Exempt (bypass)");
    browser.wait_text("May connect");
    go(&browser, "bans", "brute-force");
    browser.click("Unban 198.51.100.99/32");
    browser.wait_text("No source is banned");
    go(&browser, "history", "policy create office");
    assert_quiet(&browser);
}
