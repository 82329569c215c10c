//! What goes wrong: the browser or the console is cut off, the agent is lost, a session ends,
//! another port sets cookies.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use netpolicy_tests::browser::Browser;

use super::{assert_quiet, console, go, host, is_wanted, opened};

#[test]
fn change_made_in_a_browser_that_is_cut_off_is_rolled_back() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, false);
    go(&browser, "policies/office", "203.0.113.0/24");
    browser.click("Add or remove addresses");
    browser.fill("Add to allowed", "198.51.100.0/24");
    browser.click("Review");
    browser.wait_text("becomes allowed on postgres");
    browser.fill("Time to confirm", "30");
    browser.click("Apply and confirm within 30 s");
    browser.wait_text("is not confirmed");
    let made = Instant::now();
    assert_eq!(host.json("policy show office")["allow_count"], 2);
    // The console goes first: the page sees that, and can confirm nothing.
    drop(console);
    browser.wait_text("The console does not answer");
    drop(browser);
    while host.json("policy show office")["allow_count"] != 1 {
        assert!(
            made.elapsed() < Duration::from_secs(45),
            "it is not rolled back"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(
        made.elapsed() > Duration::from_secs(25),
        "{:?}",
        made.elapsed()
    );
    let audit = host.json("audit --limit 1");
    assert_eq!(audit[0]["actor"], "agent", "{audit}");
}

#[test]
fn lost_agent_and_ended_session_are_said_and_the_page_recovers() {
    if !is_wanted() {
        return;
    }
    let mut host = host();
    let mut console = console(&host);
    let browser = opened(&mut console);
    browser.screen(1440, 900, true);
    host.stop_agent();
    browser.wait("document.querySelector('.banner.bad')");
    browser.wait_text("Is the agent running?");
    go(&browser, "policies", "Try again");
    host.start_agent();
    browser.wait("!document.querySelector('.banner.bad')");
    browser.wait_text("head office");
    // The tab's session ends: the page says how to get another.
    let _ = browser.eval("sessionStorage.setItem('netpolicy-session', 'x'); location.reload();");
    browser.wait_text("This page has no session, or one that ended");
    browser.wait_text("Enter in its terminal prints another");
    let token = console.another();
    let _ = browser.eval(&format!("location.hash = 'token={token}';"));
    browser.wait_text("Recent changes");
}

#[test]
fn cookies_of_another_port_do_not_keep_the_page_from_working() {
    if !is_wanted() {
        return;
    }
    let host = host();
    let mut console = console(&host);
    // Another program's page on the same host.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        for stream in listener.incoming().take(4) {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 11\r\nconnection: close\r\n\r\n<p>other</p>");
        }
    });
    let browser = Browser::start();
    browser.open(&format!("http://localhost:{port}/"));
    let set = browser.eval(
        "document.cookie = 'x-netpolicy-session=0; path=/'; document.cookie = 'netpolicy-session=0; path=/'; \
         for (let n = 0; n < 170; n++) document.cookie = 'c' + n + '=' + 'x'.repeat(4000) + '; path=/'; \
         return document.cookie.length;",
    );
    assert!(set.as_u64().unwrap() > 500_000, "{set} bytes of cookies");
    let token = console.another();
    browser.open(&format!("http://localhost:{}/#token={token}", console.port));
    browser.wait_text("Recent changes");
    go(&browser, "policies", "head office");
    assert_quiet(&browser);
    drop(browser);
    // Ends the thread.
    for _ in 0..4 {
        let _ = std::net::TcpStream::connect(("127.0.0.1", port));
    }
    let _ = serving.join();
}
