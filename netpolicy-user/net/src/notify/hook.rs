//! One hook, run for one notice: a command that reads it, or a URL that it is posted to.

use std::fmt;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Serialize;
use ureq::Agent;
use ureq::tls::TlsConfig;

use super::{Hook, Notice};
use crate::fetch;

/// Pauses before a notice is posted again.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Time between two looks at whether a command has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Why a hook did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum HookError {
    /// It cannot be started.
    #[error("it cannot be started: {0}")]
    Start(std::io::Error),
    /// It ended with a failure.
    #[error("it ended with {0}")]
    Ended(ExitStatus),
    /// It took too long.
    #[error("it was killed: it took longer than its timeout, {} s", .0.as_secs())]
    TooLong(Duration),
    /// There are no certificates to trust.
    #[error("{0}")]
    Tls(String),
    /// The server cannot be reached.
    #[error("{0}")]
    Post(String),
    /// The server does not take it.
    #[error("the server answered {0}")]
    Status(u16),
    /// It names neither a command nor a URL.
    #[error("it names neither a command nor a URL")]
    Nothing,
}

/// What a hook gets, as JSON.
#[derive(Serialize)]
struct Told<'a> {
    /// This host's name.
    host: String,
    #[serde(flatten)]
    notice: &'a Notice,
    /// Notices before this one that were over a limit.
    #[serde(skip_serializing_if = "is_none")]
    dropped: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// Posts notices.
#[derive(Clone, Debug)]
pub(super) struct Poster {
    /// Or why there are no certificates to trust.
    tls: Result<TlsConfig, String>,
}

impl Poster {
    /// With the certificates of `ca`, or the system's.
    pub(super) fn new(ca: Option<&Path>) -> Self {
        let tls = fetch::trusted(ca).map_err(|error| error.to_string());
        Self { tls }
    }

    fn post(&self, url: &str, body: &str, timeout: Duration) -> Result<(), HookError> {
        let mut config = Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .max_idle_connections(0)
            .user_agent(concat!("netpolicy/", env!("CARGO_PKG_VERSION")));
        match &self.tls {
            Ok(tls) => config = config.tls_config(tls.clone()),
            Err(why) if url.starts_with("https:") => return Err(HookError::Tls(why.clone())),
            Err(_) => {}
        }
        let agent: Agent = config.build().into();
        let request = agent.post(url).content_type("application/json");
        let answer = request.send(body);
        let answer = answer.map_err(|error| HookError::Post(error.to_string()))?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(HookError::Status(answer.status().as_u16())),
        }
    }
}

impl fmt::Display for Hook {
    /// `run /usr/local/bin/page`, `post to https://chat.example`: without arguments and paths,
    /// which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(program) = self.run.as_ref().and_then(|run| run.first()) {
            return write!(f, "run {program}");
        }
        let url = self.url.as_deref().unwrap_or_default();
        let host = url.split('/').take(3).collect::<Vec<_>>().join("/");
        let host = match host.rsplit_once('@') {
            Some((_, host)) => host,
            None => &host,
        };
        write!(f, "post to {host}")
    }
}

/// Runs a hook for a notice; `dropped`: how many it did not get before.
///
/// # Errors
/// It failed, or took too long.
pub(super) fn carry_out(
    hook: &Hook,
    notice: &Notice,
    dropped: u64,
    poster: &Poster,
) -> Result<(), HookError> {
    let system = nix::sys::utsname::uname();
    let host = system.map(|system| system.nodename().to_string_lossy().into_owned());
    let told = Told {
        host: host.unwrap_or_default(),
        notice,
        dropped,
    };
    let body = serde_json::to_string(&told).unwrap_or_default();
    let timeout = Duration::from_secs(hook.timeout);
    match (hook.run.as_deref(), &hook.url) {
        (Some([program, arguments @ ..]), _) => {
            let mut command = Command::new(program);
            command
                .args(arguments)
                .env("NETPOLICY_NOTICE", &notice.topic);
            run(&mut command, &body, timeout)
        }
        (_, Some(url)) => post(url, &body, timeout, poster),
        _ => Err(HookError::Nothing),
    }
}

fn post(url: &str, body: &str, timeout: Duration, poster: &Poster) -> Result<(), HookError> {
    for pause in AGAIN {
        match poster.post(url, body, timeout) {
            Err(HookError::Post(_) | HookError::Status(500..)) => thread::sleep(pause),
            ended => return ended,
        }
    }
    poster.post(url, body, timeout)
}

fn run(command: &mut Command, input: &str, timeout: Duration) -> Result<(), HookError> {
    let started = Instant::now();
    // A group of its own, to be killed with all that it started.
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(HookError::Start)?;
    if let Some(mut stdin) = child.stdin.take() {
        // It fits into the pipe. A command that does not read is none that fails.
        let _ = stdin.write_all(input.as_bytes());
    }
    loop {
        match child.try_wait().map_err(HookError::Start)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(HookError::Ended(status)),
            None if started.elapsed() >= timeout => {
                kill(&mut child);
                return Err(HookError::TooLong(timeout));
            }
            None => thread::sleep(LOOK),
        }
    }
}

fn kill(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        // It may have ended meanwhile.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(run: &[&str], url: Option<&str>) -> Hook {
        Hook {
            on: vec!["fault".to_owned()],
            run: (!run.is_empty()).then(|| run.iter().map(ToString::to_string).collect()),
            url: url.map(str::to_owned),
            per_hour: 20,
            timeout: 1,
        }
    }

    fn notice() -> Notice {
        Notice {
            id: 3,
            time: jiff::Timestamp::UNIX_EPOCH,
            topic: "fault".to_owned(),
            over: false,
            text: "the disk is full".to_owned(),
            fault: Some("store".to_owned()),
            actor: None,
            bans: None,
        }
    }

    #[test]
    fn hook_is_shown_without_its_secrets() {
        let shown = |hook: Hook| hook.to_string();
        assert_eq!(shown(hook(&["/bin/page", "token"], None)), "run /bin/page");
        let url = "https://me:pass@chat.example/hooks/secret?x=y";
        assert_eq!(shown(hook(&[], Some(url))), "post to chat.example");
        let url = "https://chat.example:8443/hooks/secret";
        assert_eq!(
            shown(hook(&[], Some(url))),
            "post to https://chat.example:8443"
        );
    }

    #[test]
    fn command_reads_the_notice_and_its_failure_is_reported() {
        let poster = Poster {
            tls: Err("none".to_owned()),
        };
        let dir = std::env::temp_dir().join(format!("netpolicy-hook-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("told");
        let script = format!(
            "cat > {0}; echo \"$NETPOLICY_NOTICE $1\" >> {0}",
            file.display()
        );
        let write = hook(&["/bin/sh", "-c", &script, "sh", "argument"], None);
        carry_out(&write, &notice(), 2, &poster).unwrap();
        let told = std::fs::read_to_string(&file).unwrap();
        let (json, rest) = told.rsplit_once('}').unwrap();
        assert_eq!(rest, "fault argument\n");
        let told: serde_json::Value = serde_json::from_str(&format!("{json}}}")).unwrap();
        assert_eq!(told["text"], "the disk is full");
        assert_eq!(
            (&told["dropped"], &told["fault"]),
            (&2.into(), &"store".into())
        );
        assert!(told["host"].is_string() && told.get("actor").is_none());
        std::fs::remove_dir_all(&dir).unwrap();

        let fails = hook(&["/bin/sh", "-c", "exit 7"], None);
        let error = carry_out(&fails, &notice(), 0, &poster)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "it ended with exit status: 7");
        let absent = hook(&["/no/such/program"], None);
        let error = carry_out(&absent, &notice(), 0, &poster)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("it cannot be started"), "{error}");
        let url = hook(&[], Some("https://a.example/"));
        let error = carry_out(&url, &notice(), 0, &poster)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "none");
    }

    #[test]
    fn command_that_hangs_is_killed_with_what_it_started() {
        let poster = Poster {
            tls: Err("none".to_owned()),
        };
        let started = Instant::now();
        let hangs = hook(&["/bin/sh", "-c", "sleep 60 & sleep 60"], None);
        let error = carry_out(&hangs, &notice(), 0, &poster).unwrap_err();
        assert!(matches!(error, HookError::TooLong(_)), "{error}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}
