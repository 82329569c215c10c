//! The demonstration: a database host and its clients, each in a network namespace
//! made for it, and what netpolicy does to their connection attempts.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::agent::{self, Netpolicy};
use crate::stop::{Interrupted, Stop};
use crate::workspace;

mod attempt;
mod client;
mod network;
mod report;
mod scratch;
mod server;

use attempt::{Attempt, Expected, Session};
use client::{CLIENTS, Client, DATABASE, WEB};
use network::Network;
use scratch::Scratch;

/// The policy file that is applied.
const POLICY_FILE: &str = "examples/demo.toml";

/// The policy in it.
const POLICY: &str = "office";

/// The filtered NIC of the database host.
const INTERFACE: &str = "eth0";

/// Shows it all, and removes all that it made, whatever comes.
///
/// # Errors
/// When a step fails or an outcome was not the expected one.
pub(crate) fn demonstrate(binary: PathBuf, once: bool) -> Result<()> {
    let stop = Stop::install()?;
    network::remove_left_behind();
    scratch::remove_left_behind();

    let scratch = Scratch::create()?;
    let network = Network::create()?;
    server::serve(&network.host(), &[DATABASE, WEB])?;
    let netpolicy = Netpolicy {
        binary,
        socket: scratch.socket(),
        environment: scratch.environment(),
    };
    let demo = Demo {
        netpolicy,
        network,
        scratch,
        stop,
    };
    report::network();

    report::heading("The agent starts on the host's eth0");
    let host = demo.network.host();
    println!(
        "$ nsenter --net={} netpolicy agent --interface {INTERFACE} --hook native &",
        host.display()
    );
    let log = demo.scratch.log();
    let agent = demo
        .netpolicy
        .start_agent(INTERFACE, Some(&host), &log, &demo.stop)?;

    let shown = demo.show();
    if let Err(error) = &shown
        && !error.is::<Interrupted>()
    {
        // It goes with the other files.
        eprintln!("The agent's log ends with:\n{}", agent::tail(&log));
    }
    let unexpected = shown?;
    if !once && io::stdout().is_terminal() {
        demo.monitor()?;
    }
    drop(agent);
    drop(demo);

    println!();
    println!("The namespaces, the agent and its files are removed.");
    ensure!(
        unexpected == 0,
        "{unexpected} of the outcomes were not the expected ones"
    );
    println!("Every outcome was the expected one.");
    Ok(())
}

/// What the steps share. Dropped, it removes the namespaces, then the files.
struct Demo {
    netpolicy: Netpolicy,
    network: Network,
    scratch: Scratch,
    stop: Stop,
}

impl Demo {
    /// The steps; returns how many outcomes were not the expected ones.
    fn show(&self) -> Result<usize> {
        report::heading("Without a policy, every source connects");
        let mut unexpected = self.attempts(DATABASE, |_| Expected::Connects)?;

        report::heading("A policy, and it is in force");
        report::file(POLICY_FILE)?;
        self.netpolicy
            .run(&["apply", "-f", POLICY_FILE], &self.stop)?;
        self.netpolicy.run(&["status"], &self.stop)?;

        report::heading("The same attempts, with the policy");
        report::reasons();
        unexpected += self.attempts(DATABASE, |client| client.expected)?;
        println!();
        println!("Port {WEB} is of no service, and no policy is bound to the host itself:");
        unexpected += self.attempts(WEB, |_| Expected::Connects)?;

        report::heading("A new block denies new attempts, and leaves open sessions alone");
        unexpected += self.block_with_an_open_session()?;

        report::heading("Why, and how often");
        let [.., stranger] = &CLIENTS;
        for client in [&CLIENTS[1], stranger] {
            let source = client.addresses[0].to_string();
            let port = DATABASE.to_string();
            self.netpolicy
                .run(&["explain", &source, "--port", &port], &self.stop)?;
        }
        println!("A client whose SYN is dropped sends it again after a second, so each attempt");
        println!("that timed out above was dropped twice.");
        self.netpolicy.run(&["counters"], &self.stop)?;
        Ok(unexpected)
    }

    /// All clients at once, each from both its addresses; shows what came of it and
    /// returns how many outcomes were not the expected ones.
    fn attempts(&self, port: u16, expected: impl Fn(&Client) -> Expected) -> Result<usize> {
        let mut threads = Vec::new();
        for client in &CLIENTS {
            for (from, to) in client.ways(port) {
                let namespace = self.network.client(client);
                threads.push(attempt::start(
                    namespace,
                    client.name,
                    from,
                    to,
                    expected(client),
                ));
            }
        }
        let attempts: Result<Vec<Attempt>> = threads.into_iter().map(attempt::join).collect();
        let attempts = attempts?;
        print!("{}", report::table(&attempts));
        self.stop.check()?;
        Ok(attempts
            .iter()
            .filter(|attempt| !attempt.as_expected())
            .count())
    }

    /// Blocks a client that has a session open, and unblocks it.
    fn block_with_an_open_session(&self) -> Result<usize> {
        let [office, ..] = &CLIENTS;
        let Some((source, to)) = office.ways(DATABASE).next() else {
            return Ok(0);
        };
        let mut session = Session::open(self.network.client(office), to)?;
        println!(
            "{} opens a session from {source}, and it stays open.",
            office.name
        );
        let address = source.to_string();
        self.netpolicy.run(
            &["policy", "alter", POLICY, "--add-block", &address],
            &self.stop,
        )?;

        let namespace = self.network.client(office);
        let new = attempt::start(namespace, office.name, source, to, Expected::TimesOut);
        let new = attempt::join(new)?;
        print!("{}", report::table(std::slice::from_ref(&new)));
        let lives = session.exchange();
        match &lives {
            Ok(()) => println!("The open session still answers.   ok"),
            Err(error) => println!("The open session is dead: {error}.   UNEXPECTED"),
        }
        println!();
        self.netpolicy.run(
            &["policy", "alter", POLICY, "--remove-block", &address],
            &self.stop,
        )?;
        Ok(usize::from(!new.as_expected()) + usize::from(lives.is_err()))
    }

    /// Goes on with an attempt each second, and shows what is denied, until asked to stop.
    fn monitor(&self) -> Result<()> {
        report::heading("Denied attempts as they happen; Ctrl-C ends it");
        println!("In another terminal you may use this agent, as root:");
        println!(
            "  export NETPOLICY_SOCKET={}",
            self.scratch.socket().display()
        );
        println!(
            "  {} policy show {POLICY}",
            workspace::shown(&self.netpolicy.binary)
        );
        println!();
        let mut monitor = self.netpolicy.spawn(&["monitor"])?;
        let ways: Vec<_> = CLIENTS
            .iter()
            .flat_map(|client| {
                client
                    .ways(DATABASE)
                    .map(move |(from, to)| (client, from, to))
            })
            .collect();
        for (client, from, to) in ways.into_iter().cycle() {
            // What comes of it is for the monitor to show; nothing waits for the end.
            attempt::start(
                self.network.client(client),
                client.name,
                from,
                to,
                client.expected,
            );
            if self.stop.wait(Duration::from_secs(1)) {
                break;
            }
            if let Some(status) = monitor.ended()? {
                bail!("`netpolicy monitor` ended by itself ({status})");
            }
        }
        Ok(())
    }
}
