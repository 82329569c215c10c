//! A headless Chromium, driven by chromedriver over W3C WebDriver.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http::exchange;

/// How long a command of the driver may take.
const TIME: Duration = Duration::from_secs(60);

/// How long something on the page is waited for.
const WAIT: Duration = Duration::from_secs(15);

/// A browser with one page; both end when it is dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let path = format!("/session/{}", self.session);
        let _ = exchange(self.port, "DELETE", &path, &host(), b"", TIME);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn host() -> [(&'static str, &'static str); 2] {
    [("host", "localhost"), ("content-type", "application/json")]
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no chromedriver, or it fails: `apt-get install chromium-driver` brings it.
    #[must_use]
    pub fn start() -> Self {
        let profile = tempfile::tempdir().expect("make a temporary directory");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", profile.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start chromedriver, of Debian's package chromium-driver");
        let lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| {
                let port = line.split("started successfully on port ").nth(1)?;
                port.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver says its port");
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            _profile: profile,
        };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--lang=en",
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let begun = browser.command("POST", "/session", &wanted);
        browser.session = begun["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = match method {
            "GET" => String::new(),
            _ => body.to_string(),
        };
        let answer = exchange(self.port, method, path, &host(), text.as_bytes(), TIME)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        answer.json()["value"].take()
    }

    fn of_session(&self, method: &str, path: &str, body: &Value) -> Value {
        self.command(method, &format!("/session/{}{path}", self.session), body)
    }

    /// Opens a URL.
    pub fn open(&self, url: &str) {
        self.of_session("POST", "/url", &json!({ "url": url }));
    }

    /// Runs a function's body in the page; what it returns, or what its promise comes to.
    #[must_use]
    pub fn eval(&self, body: &str) -> Value {
        let script = format!("return (async () => {{ {body} }})();");
        self.of_session(
            "POST",
            "/execute/sync",
            &json!({ "script": script, "args": [] }),
        )
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    /// When it does not become so in time, with what the page shows.
    #[track_caller]
    pub fn wait(&self, expression: &str) {
        let deadline = Instant::now() + WAIT;
        while self.eval(&format!("return Boolean({expression});")) != Value::Bool(true) {
            assert!(
                Instant::now() < deadline,
                "never: {expression}\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until the page shows a text.
    #[track_caller]
    pub fn wait_text(&self, text: &str) {
        let text = Value::from(text);
        self.wait(&format!("document.body.innerText.includes({text})"));
    }

    /// What the page shows.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.eval("return document.body.innerText;");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks a button, link, tab or label by the text that it shows or is labelled by; in the
    /// topmost dialog if one is open.
    #[track_caller]
    pub fn click(&self, text: &str) {
        let sought = Value::from(text);
        let find = format!(
            "[...([...document.querySelectorAll('dialog[open]')].at(-1) ?? document)\
             .querySelectorAll('button, a, label, summary, input[type=checkbox]')].find((element) => \
             !element.disabled && (element.innerText.trim() === {sought} || \
             element.getAttribute('aria-label') === {sought}))"
        );
        self.wait(&find);
        let _ = self.eval(&format!("{find}.click();"));
    }

    /// Fills the field of a label, as typing does.
    #[track_caller]
    pub fn fill(&self, label: &str, value: &str) {
        let (label, value) = (Value::from(label), Value::from(value));
        let find = format!(
            "(() => {{ const top = [...document.querySelectorAll('dialog[open]')].at(-1) ?? document; \
             const label = [...top.querySelectorAll('label')].find((label) => label.innerText.trim() === {label}); \
             return label ? document.getElementById(label.htmlFor) : \
             top.querySelector('[aria-label=' + JSON.stringify({label}) + ']'); }})()"
        );
        self.wait(&find);
        let _ = self.eval(&format!(
            "const field = {find}; field.focus(); field.value = {value}; \
             field.dispatchEvent(new Event('input', {{ bubbles: true }})); \
             field.dispatchEvent(new Event('change', {{ bubbles: true }}));"
        ));
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.of_session("POST", "/goog/cdp/execute", &body)
    }

    /// Sets the size of the page, as a screen of this width has it, and the colour scheme.
    pub fn screen(&self, width: u32, height: u32, dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    /// Presses a key, as a keyboard does.
    pub fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            " " => (32, " "),
            _ => (0, key),
        };
        let down = json!({ "type": if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "key": key,
            "code": if key == " " { "Space" } else { key }, "windowsVirtualKeyCode": code, "text": text });
        self.devtools("Input.dispatchKeyEvent", &down);
        let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
        self.devtools("Input.dispatchKeyEvent", &up);
    }

    /// Types a text where the focus is.
    pub fn type_text(&self, text: &str) {
        self.devtools("Input.insertText", &json!({ "text": text }));
    }

    /// A picture of what the screen shows, as PNG in a file.
    ///
    /// # Panics
    /// When there is none.
    pub fn picture(&self, file: &Path) {
        let taken = self.devtools("Page.captureScreenshot", &json!({ "format": "png" }));
        let text = taken["data"].as_str().expect("a picture");
        let picture = STANDARD.decode(text).expect("base64");
        fs::write(file, picture).expect("write the picture");
    }

    /// What the browser's log has of errors and violations.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        let entries = self.of_session("POST", "/se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let lines = entries
            .iter()
            .map(|entry| entry["message"].as_str().unwrap_or_default());
        lines.map(str::to_owned).collect()
    }
}
