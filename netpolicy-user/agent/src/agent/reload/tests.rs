//! What a reload changes in a running agent, and what it leaves.

use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::agent::testing::{Bench, FakeKernel};
use crate::config::{ConfigProblem, DEFAULT_TEXT, EngineChoice};
use crate::model::Limits;

/// An agent over a fake kernel whose configuration can be replaced.
struct ReloadBench {
    reloader: Reloader,
    kernel: FakeKernel,
    file: Arc<Mutex<Result<Config, ConfigProblem>>>,
    _dir: tempfile::TempDir,
}

fn configured(interfaces: &[&str]) -> Config {
    Config {
        interfaces: interfaces.iter().map(|&name| name.into()).collect(),
        ..Config::default()
    }
}

impl ReloadBench {
    fn start() -> Self {
        let bench = Bench::new();
        let attacher = bench.writer.attacher();
        let (supervisor, _) = Supervisor::start(bench.writer).unwrap();
        let file = Arc::new(Mutex::new(Ok(configured(&["eth7"]))));
        let source = file.clone();
        let read = move || {
            let found = source.lock().unwrap().clone();
            found.map_err(|problem: ConfigProblem| {
                ConfigError::Invalid(vec![problem.clone(), problem])
            })
        };
        let reloader = Reloader {
            read: Box::new(read),
            attacher,
            supervisor,
            running: Running::channel(configured(&["eth7"])),
        };
        Self {
            reloader,
            kernel: bench.kernel,
            file,
            _dir: bench.dir,
        }
    }

    async fn reload(&self, file: Result<Config, ConfigProblem>) -> Arc<Running> {
        *self.file.lock().unwrap() = file;
        self.reloader.reload().await;
        self.reloader.running.borrow().clone()
    }

    fn attached(&self) -> Vec<String> {
        self.kernel.lock().attached.keys().cloned().collect()
    }
}

fn slip() -> ConfigProblem {
    ConfigProblem {
        place: "c.toml:1:1".into(),
        message: "unknown key 'x'".into(),
    }
}

#[tokio::test]
async fn added_interface_is_filtered_and_removed_one_no_more() {
    let agent = ReloadBench::start();
    let running = agent.reload(Ok(configured(&["eth7", "eth8"]))).await;
    assert_eq!(agent.attached(), ["eth7", "eth8"]);
    assert_eq!(running.config.interfaces, ["eth7", "eth8"]);
    let snapshot = agent.reloader.supervisor.snapshot();
    assert_eq!(snapshot.interfaces, ["eth7", "eth8"], "it is published");
    agent.reload(Ok(configured(&["eth8"]))).await;
    assert_eq!(agent.attached(), ["eth8"]);
    // A slip of the pen does not open the host.
    agent.reload(Ok(configured(&["eth9"]))).await;
    assert_eq!(agent.attached(), ["eth8"]);
    let unfiltered = agent.reloader.supervisor.snapshot().unfiltered.clone();
    assert_eq!(unfiltered.into_keys().collect::<Vec<_>>(), ["eth9"]);
    agent.reload(Ok(configured(&[]))).await;
    assert_eq!(
        agent.attached(),
        ["eth8"],
        "no interface: what is filtered stays so"
    );
    assert!(agent.reloader.supervisor.snapshot().unfiltered.is_empty());
}

#[tokio::test]
async fn invalid_configuration_changes_nothing_and_is_a_fault_until_corrected() {
    let agent = ReloadBench::start();
    let running = agent.reload(Err(slip())).await;
    assert_eq!(running.config, configured(&["eth7"]));
    let faults: Vec<_> = running.faults().collect();
    assert_eq!(faults.len(), 2, "all of them");
    assert_eq!(
        faults[0],
        "not reloaded, the previous configuration is used: c.toml:1:1: unknown key 'x'"
    );
    assert_eq!(agent.attached(), ["eth7"]);
    let running = agent.reload(Ok(configured(&["eth7"]))).await;
    assert_eq!(running.faults().count(), 0);
}

#[tokio::test]
async fn limits_count_for_the_next_change() {
    let agent = ReloadBench::start();
    let limits = Limits {
        policies: 1,
        rules_per_list: 2,
    };
    let wanted = Config {
        limits,
        ..configured(&["eth7"])
    };
    let running = agent.reload(Ok(wanted)).await;
    assert_eq!(running.config.limits, limits);
    let supervisor = &agent.reloader.supervisor;
    let asked = supervisor.run(Requester::agent().caller, |writer| Ok(writer.limits()));
    assert_eq!(asked.await.unwrap(), limits);
}

/// The default file says which keys these are.
#[tokio::test]
async fn keys_that_a_running_agent_cannot_take_are_reported_and_no_others() {
    let wanted = Config {
        socket: "/a".into(),
        state_dir: "/b".into(),
        bpffs_dir: "/c".into(),
        engine: EngineChoice::Lpm,
        unfiltered_interfaces: vec!["br-*".into()],
        events_per_second: 7,
        resets_per_second: 8,
        limits: Limits {
            policies: 3,
            rules_per_list: 4,
        },
        verify_interval: Duration::from_secs(9),
        ..configured(&["eth7", "eth8"])
    };
    let agent = ReloadBench::start();
    let before = configured(&["eth7"]);
    let running = agent.reload(Ok(wanted.clone())).await;
    assert_eq!(
        running.restart,
        ["bpffs_dir", "engine", "socket", "state_dir"]
    );
    let words: Vec<_> = DEFAULT_TEXT.lines().take(6).collect();
    let words = words.join(" ");
    for key in differing_keys(&before, &running.config) {
        let key = key
            .split_once('.')
            .map_or(key.clone(), |(section, _)| format!("[{section}]"));
        assert!(words.contains(&key), "{key}");
    }
    for key in &running.restart {
        assert!(!words.contains(key.as_str()), "{key}");
    }
    // Once the file says what is in force, nothing is left to be done.
    let running = agent.reload(Ok(before)).await;
    assert!(running.restart.is_empty());
}
