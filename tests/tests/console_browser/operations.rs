//! What the command line has, on the page: services, lists, feeds, bans, history, files, grants.

use serde_json::json;

use super::{apply, assert_quiet, close_dialogs, console, go, host, is_wanted, opened};

#[test]
fn policy_of_a_service_is_created_edited_switched_and_dropped() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, false);
    go(&browser, "policies", "head office");
    browser.click("Create policy");
    browser.fill("Name", "reports");
    browser.fill("Allowed addresses", "198.51.100.0/24\n203.0.113.10");
    browser.fill("Blocked addresses", "198.51.100.0/25");
    browser.click("the host");
    browser.wait_text("postgres");
    browser.click("postgres");
    browser.click("Exceptions, end, observing");
    browser.fill("Exceptions from blocked", "198.51.100.7");
    browser.click("Review");
    browser.wait_text("become allowed on postgres");
    browser.click("Apply");
    browser.wait("location.hash === '#/policies/reports'");
    let policy = host.json("policy show reports");
    assert_eq!(policy["bindings"], json!(["postgres"]), "{policy}");
    assert_eq!(policy["except_count"], 1, "{policy}");
    // View: its lists, filtered; its statement; its history.
    browser.wait_text("203.0.113.10");
    browser.fill("Filter rules", "198.51.100.9");
    browser.wait("document.querySelectorAll('.virtual-row').length === 1");
    go(&browser, "policies/reports/sql", "CREATE NETWORK POLICY");
    go(
        &browser,
        "policies/reports/history",
        "policy create reports",
    );
    go(&browser, "policies/reports/effect", "it would newly deny");
    go(&browser, "policies/reports", "203.0.113.10");
    // Edit: a rule that ends, and likely mistakes of the change.
    browser.click("Add or remove addresses");
    browser.fill("Add to allowed", "198.51.100.5");
    browser.fill("The added rules end", "3600");
    browser.fill("Remove from allowed", "198.51.100.0/24");
    browser.click("Review");
    browser.wait_text("likely mistake in this change");
    browser.wait_text("lies inside the block");
    apply(&browser);
    browser.wait_text("ends in");
    let allowed = host.json("policy show reports")["allow"].clone();
    assert!(allowed[1]["expires"].is_string(), "{allowed}");
    // Replace the whole list.
    browser.click("Add or remove addresses");
    browser.click("Replace all");
    browser.fill("All allowed", "203.0.113.10\n192.0.2.0/24");
    browser.click("Review");
    browser.wait_text("It resolves");
    apply(&browser);
    assert_eq!(host.json("policy show reports")["allow_count"], 2);
    for (button, then) in [
        ("Only observe", "Enforce"),
        ("Enforce", "Only observe"),
        ("Deactivate", "Activate"),
        ("Activate", "Deactivate"),
    ] {
        browser.click(button);
        browser.wait("[...document.querySelectorAll('dialog button')].some((button) => button.innerText === 'Apply' && !button.disabled)");
        browser.click("Apply");
        browser.wait(&format!("[...document.querySelectorAll('.actions button')].some((button) => button.innerText === '{then}')"));
    }
    browser.click("Delete");
    browser.wait_text("policy reports");
    browser.click("Apply");
    browser.wait("location.hash === '#/policies'");
    assert_eq!(host.line("policy show reports").code, Some(1));
    assert_quiet(&browser);
}

#[test]
fn services_lists_and_feeds_are_made_changed_and_removed() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, true);
    go(&browser, "services", "Failsafe ports");
    browser.click("Add service");
    browser.fill("Name", "mysql");
    browser.click("3306, 33060, 33062");
    browser.click("Review");
    browser.wait_text("service mysql");
    apply(&browser);
    assert_eq!(host.json("service list")[0]["ports"], "3306,33060,33062");
    browser.click("Change mysql");
    browser.fill("Mode", "observe");
    browser.click("Review");
    browser.wait_text("mode: enforce -> observe");
    apply(&browser);
    browser.click("Remove mysql");
    browser.wait_text("service mysql");
    browser.click("Apply");
    browser.wait_text("is in force");
    browser.wait("!document.querySelector('dialog[open]')");
    assert_eq!(host.json("service list").as_array().unwrap().len(), 1);

    go(&browser, "lists", "@our-own");
    browser.click("Create list");
    browser.fill("Name", "sites");
    browser.fill(
        "Entries",
        "create bad hash:net family inet\nadd bad 198.51.100.0/24\nadd bad 203.0.113.9\n",
    );
    browser.click("Convert from another program's format");
    browser.wait_text("Read as");
    browser.click("Review");
    browser.wait_text("list sites");
    browser.click("Apply");
    browser.wait("location.hash === '#/lists/sites'");
    browser.wait_text("198.51.100.0/24");
    browser.click("Name, comment, owner");
    browser.fill("Name", "branches");
    browser.click("Rename");
    browser.wait_text("list sites");
    browser.click("Apply");
    browser.wait("location.hash === '#/lists/branches'");
    browser.click("Delete");
    browser.wait_text("list branches");
    browser.click("Apply");
    browser.wait("location.hash === '#/lists'");

    browser.click("Create feed");
    browser.fill("Name", "drop");
    browser.fill("Source", "https://lists.example.com/drop.json");
    browser.fill("Refreshed every", "21600");
    browser.click("Review");
    browser.wait_text("https://lists.example.com/drop.json");
    browser.click("Apply");
    browser.wait("location.hash === '#/lists/drop'");
    browser.wait_text("Nothing was fetched yet");
    assert_eq!(host.json("feed show drop")["settings"]["interval"], 21600);
    browser.click("Refresh");
    browser.wait_text("A refresh of drop is requested");
    assert_eq!(host.json("feed show drop")["requested"], 1);
    browser.click("Settings of the feed");
    browser.fill("Refuse content that shrinks by more than, %", "50");
    browser.click("Review");
    browser.wait_text("max_shrink");
    apply(&browser);
    assert_eq!(host.json("feed show drop")["settings"]["max_shrink"], 50);
    assert_quiet(&browser);
}

#[test]
fn bans_are_pasted_filtered_and_ended() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, false);
    go(&browser, "bans", "brute-force");
    browser.click("Ban sources");
    browser.fill(
        "Addresses or networks",
        "198.51.100.7  # scanner\n198.51.100.8-198.51.100.9\n192.0.2.128/25, 203.0.113.10",
    );
    browser.fill("By", "analyst");
    browser.fill("The bans end", "604800");
    browser.click("Ban");
    // The operator's own address is spared, and that is said.
    browser.wait_text("refused");
    browser.wait_text("203.0.113.10");
    close_dialogs(&browser);
    browser.wait_text("scanner");
    let bans = host.json("bans --by analyst");
    assert_eq!(bans["count"], 3, "{bans}");
    browser.fill("Filter bans", "198.51.100.8");
    browser.wait("document.querySelectorAll('[aria-label=Bans] tbody tr').length === 1");
    browser.fill("Filter bans", "analyst");
    browser.click("Unban all of analyst");
    browser.wait_text("Bans of other origins stay");
    browser.click("Unban 3");
    browser.wait_text("3 sources no longer banned");
    assert_eq!(host.json("bans")["count"], 1);
    browser.click("Exempt a source");
    browser.fill("Address or network", "198.51.100.0/28");
    browser.click("Exempt");
    browser.wait_text("198.51.100.0/28 is exempt");
    browser.click("Revoke the bypass of 198.51.100.0/28");
    browser.wait_text("198.51.100.0/28 is judged again");
    assert_quiet(&browser);
}

#[test]
fn network_is_explained_part_by_part_and_at_a_revision() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, true);
    go(&browser, "explain", "Name a source");
    browser.fill("Source address or network", "203.0.113.64/30");
    browser.fill("Port or service", "postgres");
    let _ = browser.eval("document.querySelector('form.ask').requestSubmit();");
    browser.wait_text("Parts of it are judged differently: 203.0.113.64/30 to port 5432");
    browser.wait("document.querySelectorAll('[aria-label=Parts] tbody tr').length === 3");
    browser.click("Ban");
    browser.wait_text("All of it is denied");
    let before = host.json("status")["agent"]["revision"].as_u64().unwrap();
    host.ok("policy alter office --add-allow 198.51.100.77");
    go(
        &browser,
        "explain?source=198.51.100.77&port=5432",
        "May connect: 198.51.100.77",
    );
    browser.fill("At revision", &before.to_string());
    let _ = browser.eval("document.querySelector('form.ask').requestSubmit();");
    browser.wait_text(&format!("by the policies of revision {before}"));
    browser.wait_text("Denied: 198.51.100.77");
    assert_quiet(&browser);
}

#[test]
fn history_is_filtered_compared_and_rolled_back_and_a_file_is_applied() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, false);
    host.ok("policy alter office --add-allow 198.51.100.77");
    let revision = host.json("status")["agent"]["revision"].as_u64().unwrap();
    go(&browser, "history", "policy alter office");
    browser.wait(
        "[...document.querySelectorAll('option')].some((option) => option.value === 'office')",
    );
    browser.fill("Of", "office");
    browser.wait("document.querySelectorAll('[aria-label=Revisions] tbody tr').length === 2");
    browser.click(&format!("Select revision {revision}"));
    browser.click(&format!("Select revision {}", revision - 1));
    browser.click("Compare two");
    browser.wait_text("\"198.51.100.77\"]");
    browser.click("Save as policy file");
    go(&browser, &format!("history/{revision}"), "198.51.100.77");
    go(&browser, "history/1", "the empty state before it");
    browser.click("Roll back to revision 1");
    browser.wait_text("policy office");
    browser.wait_text("opens");
    close_dialogs(&browser);
    go(&browser, "history", "policy alter office");
    browser.click(&format!("Roll back to revision {}", revision - 1));
    browser.wait_text("- allow 198.51.100.77");
    browser.click("Apply");
    browser.wait_text("is in force");
    let allowed = host.json("policy show office")["allow"].clone();
    assert_eq!(allowed.as_array().unwrap().len(), 1, "{allowed}");
    go(&browser, "policies", "head office");
    browser.click("Policy file");
    browser.fill("Policy file to apply", "[[policy]]\nname = \"late\"\nallow = [\"203.0.113.10\", \"192.0.2.0/24\"]\nactive = false\n");
    browser.click("Leave what the file does not name as it is, instead of removing it");
    browser.click("Review");
    browser.wait_text("policy late");
    apply(&browser);
    assert_eq!(host.json("policy show late")["active"], false);
    assert_eq!(host.json("policy show office")["active"], true);
    go(&browser, "grants", "user:daemon");
    browser.click("Grant");
    browser.fill("Privilege", "read");
    browser.fill("Name", "nobody");
    browser.click("Grant");
    browser.wait_text("user:nobody has read");
    browser.click("Revoke read of user:nobody");
    browser.wait_text("user:nobody no longer has read");
    go(&browser, "audit", "user:nobody");
    browser.fill("Filter entries", "user:nobody");
    browser.wait("document.querySelectorAll('[aria-label=\"Audit log\"] tbody tr').length === 2");
    assert_quiet(&browser);
}
