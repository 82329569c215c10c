//! Policy tests, lint, the kernel's lists and the host; sources, and what is done about one.

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::signed::{Operator, SignedState};

use super::{apply, assert_quiet, close_dialogs, console, go, host, is_wanted, opened};

#[test]
fn policy_tests_are_added_altered_refused_and_removed() {
    if !is_wanted() {
        return;
    }
    let host = host();
    host.ok("policy test set 203.0.113.10 --service postgres --expect pass");
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, false);
    go(&browser, "checks", "1 test, all hold");
    browser.click("Add test");
    browser.fill("Source address", "203.0.113.66");
    browser.fill("To", "postgres");
    browser.fill("Expected", "drop");
    browser.fill("Comment", "the scanner");
    browser.click("Review");
    browser.wait_text("Add a test of 203.0.113.66");
    apply(&browser);
    browser.wait_text("2 tests, all hold");
    // One that fails is refused, and made only by force, with a rollback.
    browser.click("Change the test of 203.0.113.66");
    browser.fill("Expected", "pass");
    browser.click("Review");
    browser.wait_text("olicy test failed");
    browser.wait("[...document.querySelectorAll('dialog button')].filter((button) => button.innerText.startsWith('Apply')).every((button) => button.disabled)");
    close_dialogs(&browser);
    let tests = host.json("policy test");
    assert_eq!(tests[1]["expect"], "drop", "{tests}");
    // A change by which one would fail is refused as well.
    go(&browser, "policies/office", "203.0.113.0/24");
    browser.click("Add or remove addresses");
    browser.click("Blocked");
    browser.fill("Remove from blocked", "203.0.113.66");
    browser.click("Review");
    browser.wait_text("olicy test failed");
    close_dialogs(&browser);
    go(&browser, "checks/tests", "the scanner");
    browser.click("Remove the test of 203.0.113.66");
    browser.wait_text("203.0.113.66");
    apply(&browser);
    browser.wait_text("1 test, all hold");
    assert_eq!(host.json("policy test").as_array().unwrap().len(), 1);
    assert_quiet(&browser);
}

#[test]
fn lint_kernel_and_host_are_checked() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, true);
    host.ok("policy alter office --add-allow 203.0.113.128/25");
    go(&browser, "checks/lint", "covered-rule");
    browser.wait_text("lies inside");
    go(&browser, "checks/verify", "are read back from the kernel");
    browser.click("Verify now");
    browser.wait_text("holds what revision");
    go(&browser, "checks/doctor", "Examined by the console as root");
    browser.wait("document.querySelectorAll('[aria-label=Host] tbody tr').length > 10");
    browser.click("Examine again");
    assert_quiet(&browser);
}

#[test]
fn sources_are_filtered_explained_banned_and_allowed() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, false);
    host.assert_times_out(&[("192.168.7.7", 5432), ("192.168.7.9", 5432)]);
    go(&browser, "sources", "192.168.7.7");
    browser.fill("Filter sources", "192.168.7.9");
    browser.wait("document.querySelectorAll('[aria-label=Sources] tbody tr').length === 1");
    browser.fill("Filter sources", "");
    browser.wait("document.querySelectorAll('[aria-label=Sources] tbody tr').length > 1");
    browser.fill("By", "24");
    browser.wait_text("192.168.7.0/24");
    browser.fill("By", "");
    browser.wait_text("192.168.7.9");
    browser.click("Allowed");
    browser.wait("!document.querySelector('[aria-label=Sources]')");
    browser.click("Denied");
    browser.click("Act on 192.168.7.7");
    browser.click("Ban");
    browser.wait_text("192.168.7.7 is banned");
    assert_eq!(host.json("bans --covers 192.168.7.7")["count"], 1);
    browser.click("Act on 192.168.7.9");
    browser.click("Allow");
    browser.wait_text("Allow 192.168.7.9 in office");
    apply(&browser);
    assert_eq!(host.json("policy show office")["allow_count"], 2);
    let _ = browser.eval("[...document.querySelectorAll('[aria-label=Sources] a')].find((link) => link.innerText === '192.168.7.9').click();");
    browser.wait_text("May connect: 192.168.7.9");
    assert_quiet(&browser);
}

#[test]
fn fleet_is_shown_and_overridden_on_this_host_alone() {
    if !is_wanted() {
        return;
    }
    let mut host = DatabaseHost::without_agent();
    let config = std::fs::read_to_string(host.file("config.toml")).unwrap();
    let file = host.file("fleet.toml").display().to_string();
    host.write("config.toml", format!("fleet_file = \"{file}\"\n{config}"));
    let mut operator = Operator::of(&host);
    host.start_agent();
    let state = SignedState::of(
        "[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n\
         [[policy]]\nname = \"office\"\nallow = [\"203.0.113.0/24\"]\nbind = [\"postgres\"]\n",
    );
    let (status, changed) = operator.hand_over(&host, 7, &state);
    assert_eq!(status, 200, "{changed:#}");
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(390, 844, false);
    browser.wait_text("is not confirmed");
    go(&browser, "fleet", "Revision of the fleet");
    browser.wait_text("rolled back in");
    browser.wait("[...document.querySelectorAll('dd')].some((value) => value.innerText === '7')");
    browser.screen(1440, 900, false);
    browser.wait(
        "[...document.querySelectorAll('nav a')].some((link) => link.innerText.trim() === 'Fleet')",
    );
    browser.click("Confirm");
    browser.wait_text("follows");
    go(&browser, "policies/office", "203.0.113.0/24");
    browser.click("Add or remove addresses");
    browser.fill("Add to allowed", "198.51.100.0/24");
    browser.click("Review");
    browser.wait_text("Fleet prod decides the policies of this host");
    browser.wait("[...document.querySelectorAll('dialog button')].filter((button) => button.innerText.startsWith('Apply')).every((button) => button.disabled)");
    browser.click("Make it on this host alone, until the fleet's next revision (local override)");
    browser.wait_text("becomes allowed on postgres");
    apply(&browser);
    assert_eq!(host.json("policy show office")["allow_count"], 2);
    go(&browser, "fleet", "override the fleet's revision");
    browser.wait_text("overridden here");
    assert_quiet(&browser);
}
