//! Fleets: one policy for many hosts, through etcd.
//!
//! On each host a process without rights follows etcd, and hands signed revisions to the agent,
//! which checks them again. Operators push revisions, roll them out and look at hosts with the
//! other commands.
//!
//! | Module | What it is |
//! |---|---|
//! | `settings` | where etcd is, what the host is called, keys |
//! | `etcd` | etcd's members, within limits of time |
//! | `agent` | the agent's API for fleets |
//! | `objects` | objects of states between etcd and the agent |
//! | `bundle` | the new objects of a revision in one value |
//! | `memory` | objects of a state in memory |
//! | `records` | the signed records about a host, listed and watched |
//! | `session` | the connection to etcd, taken up again for ever |
//! | `instance` | what tells two processes of one name apart |
//! | `apply` | from records to a revision in force |
//! | `pause` | pauses between tries |
//! | `sign` | an operator's key |
//! | `snapshot` | a whole fleet, as operators see it |
//! | `operator` | what every command of an operator needs |
//! | `push` | a policy file to a revision |
//! | `diff` | how revisions differ |
//! | `init` | the first records, users and roles of etcd; hosts that join |
//! | `groups` | groups, hosts and labels |
//! | `rollout` | a revision in stages |
//! | `stages` | shares of hosts, and which come first |
//! | `tally` | what the hosts of a stage say of it |
//! | `report` | the fleet on one screen |
//! | `mirror` | a second etcd, and its promotion |
//! | `sweep` | what no revision needs any more |
//! | `command` | the commands |

mod agent;
mod apply;
mod bundle;
pub(crate) mod command;
mod diff;
mod etcd;
mod groups;
mod init;
mod instance;
mod memory;
mod mirror;
mod objects;
mod operator;
mod pause;
mod push;
mod records;
mod report;
mod rollout;
mod session;
mod settings;
mod sign;
mod snapshot;
mod stages;
mod sweep;
mod tally;
#[cfg(test)]
mod testing;
