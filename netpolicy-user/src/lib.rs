//! netpolicy: named network policies for database hosts, enforced at the NIC.
//!
//! This is the crates' map, to be read first. The binary `netpolicy` (`main.rs`) hands its
//! arguments to [`cli`]. `ARCHITECTURE.md` in the workspace describes the design,
//! `netpolicy-common` is what kernel and userspace share, and `netpolicy-ebpf` the program that
//! judges packets. This crate is the command line and what it starts; what it stands on are
//! other crates, whose modules appear here: [`agent`] is `netpolicy-agent`; [`datapath`] and what
//! decides where it is put is `netpolicy-datapath`; [`api`] and [`metrics`] are `netpolicy-api`;
//! [`model`], [`sql`] and [`compiler`] `netpolicy-policy`; [`store`] and [`clock`]
//! `netpolicy-store`; [`netdev`] and [`sockets`] `netpolicy-host`. Two crates stand below
//! `netpolicy-common/`: `netpolicy-prefixes`, sets of addresses, on which [`compiler`] and
//! [`datapath`] build; and `netpolicy-flat`, the flat engine, which only `datapath/flat.rs` imports.
//!
//! A change goes one way:
//!
//! ```text
//! cli -> client -> agent: model (Change -> State) -> compiler (State -> Ruleset)
//!                         -> datapath (fill the idle slot) -> store (revision)
//!                         -> datapath (flip)
//! ```
//!
//! | Module | What it is | Imports of this crate |
//! |---|---|---|
//! | [`model`] | what users say: text to state, with every error and its place; pure | nothing |
//! | [`sql`] | SQL in three dialects: text to statements and back; pure | [`model`] |
//! | [`compiler`] | state to what the kernel holds; pure | [`model`] |
//! | [`database`] | policies of database users to what a database enforces; pure | [`compiler`], [`model`] |
//! | [`datapath`] | what is pinned in the kernel; the only user of aya | [`api`], [`clock`], [`compiler`], [`config`], [`netdev`] |
//! | [`store`] | revisions and bypasses on disk; SQLite behind a trait | [`model`], [`clock`] |
//! | [`agent`] | the long-running process: one writer, repair, HTTP API | [`api`], [`arrival`], [`clock`], [`compiler`], [`config`], [`database`], [`datapath`], [`detach_marker`], [`early`], [`exposure`], [`metrics`], [`model`], [`netdev`], [`selection`], [`sockets`], [`sql`], [`store`] |
//! | [`netdev`] | a namespace's interfaces: XDP programs, addresses, what covers them | nothing |
//! | [`sockets`] | the host's TCP connections: listed, ended | nothing |
//! | [`api`] | what travels between agent and clients | [`model`] |
//! | [`client`] | the API's client | [`api`], [`metrics`], [`model`] |
//! | [`metrics`] | families of metrics, and how they are written for Prometheus; pure | nothing |
//! | [`exporter`] | the agent's metrics over TCP, from a process without rights | [`client`], [`metrics`] |
//! | [`cli`] | commands, one file for each noun | [`agent`] to start it, [`api`], [`arrival`], [`client`], [`config`], [`database`], [`doctor`], [`early`], [`exporter`], [`local`], [`model`], [`output`], [`recovery`], [`selection`], [`sql`] |
//! | [`output`] | tables and JSON | [`api`], [`exposure`], [`model`] |
//! | [`exposure`] | which interfaces are not filtered, in words | [`netdev`], [`datapath`], [`api`] |
//! | [`early`] | the last confirmed ruleset in a file, in force at boot without store or agent | [`compiler`], [`config`], [`datapath`], [`detach_marker`], [`selection`] |
//! | [`local`] | the kernel without an agent: what is in force, and the kill switch | [`api`], [`arrival`], [`clock`], [`compiler`], [`config`], [`datapath`], [`detach_marker`], [`exposure`], [`model`], [`netdev`], [`selection`] |
//! | [`doctor`] | what of the host bears on filtering, and what to do about it | [`api`], [`config`], [`datapath`], [`detach_marker`], [`early`], [`exposure`], [`model`], [`netdev`] |
//! | [`detach_marker`] | the file that keeps agents from attaching | [`api`] |
//! | [`arrival`] | the interface on which a source arrives: routes and stacked devices | [`api`], [`netdev`] |
//! | [`recovery`] | the store without an agent: restore a backup, begin with no policy | [`store`], [`agent`]'s locks |
//! | [`selection`] | which interfaces the configuration selects | [`config`], [`netdev`] |
//! | [`config`] | file, environment and flags | [`api`], [`model`] |
//! | [`clock`] | the boot clock for deadlines, the wall clock for display | nothing |
//!
//! Where to begin: [`model::State`] is what can be wanted, [`model::Change`] how it
//! changes, [`model::evaluate()`] what it means. `agent/writer/change.rs` carries a change out,
//! and `datapath/slots.rs` puts it in force.
//!
//! `tests/tests/architecture.rs` checks what a module must not import.

#[cfg(test)]
#[path = "../policy/src/model/arbitrary.rs"]
#[allow(dead_code, reason = "the tests of `netpolicy-policy` use all of it")]
mod arbitrary;

#[cfg(test)]
mod testing {
    /// A word of the API, as it travels.
    pub(crate) fn word<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_json::from_value(text.into()).unwrap()
    }
}

pub mod cli;
pub mod client;
pub mod doctor;
pub mod exporter;
pub mod local;
pub mod output;
pub mod recovery;

pub use netpolicy_agent::agent;
pub use netpolicy_api::{api, metrics};
pub use netpolicy_datapath::{
    arrival, config, datapath, detach_marker, early, exposure, selection,
};
pub use netpolicy_host::{netdev, sockets};
pub use netpolicy_policy::{compiler, database, model, sql};
pub use netpolicy_store::{clock, store};
