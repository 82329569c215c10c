//! The configuration, the pins, the versions, and the place for the store.

use std::{fs, io};

use rustix::fs::statvfs;

use super::{ExaminedHost, Lines};
use crate::config::{DETACHED_MARKER, EngineChoice};
use crate::datapath::{self, ImageError, PinnedBuild, PinsPlace};
use crate::detach_marker;
use crate::early;

/// Bytes and inodes that the store needs at least, and that are enough.
const LITTLE: u64 = 16 << 20;
const ENOUGH: u64 = 256 << 20;
const FEW_INODES: u64 = 100;

pub(super) fn check(host: &ExaminedHost<'_>, lines: &mut Lines) {
    configuration(host, lines);
    agent(host, lines);
    pins(host, lines);
    versions(host, lines);
    disk(host, lines);
    snapshot(host, lines);
}

fn configuration(host: &ExaminedHost<'_>, lines: &mut Lines) {
    for problem in host.problems {
        lines.fail(
            "configuration",
            problem.clone(),
            "correct the file; `netpolicy config check` repeats this",
        );
    }
    if !host.problems.is_empty() {
        return;
    }
    match host.config.interfaces.is_empty() && host.status.is_err() {
        true => lines.warn(
            "configuration",
            "valid; no interface is configured",
            "name one in `interfaces`, or start the agent with --interface",
        ),
        false => lines.ok("configuration", "valid"),
    }
}

fn agent(host: &ExaminedHost<'_>, lines: &mut Lines) {
    let marker = host.config.state_dir.join(DETACHED_MARKER);
    if let Some(detached) = detach_marker::read(&marker) {
        lines.fail("agent", detached.in_words(), "run `netpolicy attach`");
    }
    match host.status {
        Ok(status) => match &status.agent {
            Some(agent) => lines.ok("agent", format!("runs, pid {}", agent.pid)),
            None => lines.warn(
                "agent",
                "none answers: what is in force stays so, but no change is made and no fault \
                 repaired",
                "start it: systemctl start netpolicy",
            ),
        },
        Err(why) => lines.fail(
            "agent",
            format!("none answers, and nothing is in force: {why}"),
            "start it: systemctl start netpolicy",
        ),
    }
    // Those of interfaces have lines of their own.
    let faults = host.status.map(|status| status.faults.as_slice());
    let mine = |fault: &&String| !fault.starts_with("interface ");
    for fault in faults.unwrap_or_default().iter().filter(mine) {
        let known = lines.0.iter().any(|line| line.found == *fault);
        if !known && host.agent().is_some() {
            lines.fail(
                "agent",
                fault.clone(),
                "see docs/troubleshooting.md, which has a row for each fault",
            );
        }
    }
}

fn pins(host: &ExaminedHost<'_>, lines: &mut Lines) {
    let dir = &host.config.bpffs_dir;
    let shown = dir.display();
    if let Some(why) = datapath::private_bpffs(dir, host.config.bpffs) {
        return lines.fail(
            "bpffs",
            format!("filtering would end with this mount namespace: {why}"),
            "use nsenter --net= instead of ip netns exec; in a container, mount the host's \
             /sys/fs/bpf",
        );
    }
    match datapath::pins_place(dir) {
        PinsPlace::Missing => lines.warn(
            "bpffs",
            format!("no BPF file system at {shown}; the agent mounts one when it starts"),
            "mount -t bpf bpf /sys/fs/bpf",
        ),
        PinsPlace::ReadOnly => lines.fail(
            "bpffs",
            format!("the BPF file system at {shown} is read-only: nothing can be pinned"),
            "mount -o remount,rw /sys/fs/bpf; in a unit, remove ProtectKernelTunables=",
        ),
        PinsPlace::Usable => lines.ok(
            "bpffs",
            format!("{shown} is on the host's BPF file system, which outlives the agent"),
        ),
    }
}

fn versions(host: &ExaminedHost<'_>, lines: &mut Lines) {
    let own = env!("CARGO_PKG_VERSION");
    if let Some(agent) = host.status.ok().and_then(|status| status.agent.as_ref()) {
        let exe = fs::read_link(format!("/proc/{}/exe", agent.pid));
        let is_replaced = exe.is_ok_and(|path| path.to_string_lossy().ends_with(" (deleted)"));
        let restart = "systemctl restart netpolicy; filtering goes on meanwhile";
        if agent.version != own {
            let found = format!("the agent runs {}, this command is {own}", agent.version);
            lines.warn("versions", found, restart);
        } else if is_replaced {
            let found = "the agent's binary was replaced or removed while it runs".to_owned();
            lines.warn("versions", found, restart);
        } else {
            lines.ok("versions", format!("agent and command are {own}"));
        }
    }
    match datapath::pinned_build(&host.config.bpffs_dir) {
        PinnedBuild::None => {}
        PinnedBuild::Own => lines.ok("program", "what is pinned is this version's program"),
        PinnedBuild::OtherProgram => lines.warn(
            "program",
            "what is pinned is another version's program, which judges alike",
            "restart the agent of this version: it replaces it without a gap",
        ),
        PinnedBuild::OtherAbi(abi) => lines.warn(
            "program",
            format!(
                "what is pinned is of ABI {abi}, this is {}: it filters on, and this command \
                 cannot read it",
                netpolicy_common::ABI_VERSION
            ),
            "start the agent of this version: it replaces it without a gap",
        ),
    }
}

fn disk(host: &ExaminedHost<'_>, lines: &mut Lines) {
    let dir = &host.config.state_dir;
    let shown = dir.display();
    let there = dir.ancestors().find(|path| path.exists());
    let Some(stat) = there.and_then(|path| statvfs(path).ok()) else {
        let found = format!("{shown} cannot be looked at");
        return lines.warn("disk", found, "repeat it as root");
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let few = stat.f_files > 0 && stat.f_favail < FEW_INODES;
    let found = format!("{} MiB free for {shown}", free >> 20);
    let advice = "free some space: a change that cannot be stored is refused, and what is in force \
                  stays so";
    if free < LITTLE || few {
        let found = match few {
            true => format!("{found}, {} files can be created", stat.f_favail),
            false => found,
        };
        lines.fail("disk", found, advice);
    } else if free < ENOUGH {
        lines.warn("disk", found, advice);
    } else {
        lines.ok("disk", found);
    }
}

/// What is in force at boot before the agent has read its store.
fn snapshot(host: &ExaminedHost<'_>, lines: &mut Lines) {
    if host.config.engine != EngineChoice::Flat {
        return lines.ok(
            "snapshot",
            "the engine lpm has none: at boot the agent reads its store",
        );
    }
    let advice = "nothing, if the agent runs: it writes another one; see its log if that stays so";
    let head = match early::head(&host.config.state_dir) {
        Ok(head) => head,
        Err(ImageError::Read(error)) if error.kind() == io::ErrorKind::NotFound => {
            let found = "none yet: at boot the agent reads its store first";
            return lines.ok("snapshot", found);
        }
        Err(error) => {
            let found = format!("not used at boot: {error}");
            return lines.warn("snapshot", found, advice);
        }
    };
    let revision = head.origin.revision;
    let status = host.status.ok().filter(|status| status.agent.is_some());
    let digest = blake3::Hash::from_bytes(head.digest).to_hex();
    let waits = status.is_some_and(|status| {
        let pending = status
            .agent
            .as_ref()
            .is_some_and(|agent| agent.pending.is_some());
        !pending && status.enforcement.digest != digest.as_str()
    });
    match waits {
        true => lines.warn(
            "snapshot",
            format!("of revision {revision}, which is not what is in force"),
            advice,
        ),
        false => lines.ok(
            "snapshot",
            format!("of revision {revision}: in force at boot before the network is up"),
        ),
    }
}
