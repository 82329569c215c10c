//! Each interface: where it is filtered, what its driver takes, and which programs share it.

use std::thread::available_parallelism;

use super::{ExaminedHost, Lines};
use crate::api::{Attachment, Interface, Status};
use crate::config::HookChoice;
use crate::datapath::{Hook, program_name, running};
use crate::exposure;
use crate::netdev::{Cover, Device, Native, Netdevs, Queues, covers, native};

pub(super) fn check(host: &ExaminedHost<'_>, devices: &[Device], lines: &mut Lines) {
    let Ok(status) = host.status else {
        return;
    };
    for interface in &status.enforcement.interfaces {
        let device = devices
            .iter()
            .find(|device| device.index == interface.index);
        filtered(host, status, interface, device, lines);
        if let Some(device) = device.filter(|_| !interface.elsewhere) {
            queues(device, lines);
            programs(device, lines);
        }
    }
    for line in exposure::overtaken(&status.enforcement.interfaces) {
        let (name, found) = line.split_once(": ").unwrap_or(("interface", &line));
        let (found, advice) = found
            .split_once("; ")
            .unwrap_or((found, "attach it after netpolicy"));
        lines.fail(name, found, advice);
    }
    twice(&status.enforcement.interfaces, devices, lines);
    others(status, lines);
}

fn filtered(
    host: &ExaminedHost<'_>,
    status: &Status,
    interface: &Interface,
    device: Option<&Device>,
    lines: &mut Lines,
) {
    let check = format!("interface {}", interface.name);
    if interface.elsewhere {
        return lines.ok(
            check,
            "it moved to another network namespace, filtered there",
        );
    }
    let hook = match interface.attachment {
        Attachment::Native => "native XDP",
        Attachment::Generic => "generic XDP",
        Attachment::Tcx => "tcx",
        Attachment::Clsact => "clsact",
        Attachment::Unknown => {
            let found = "whether it is filtered cannot be read";
            return lines.warn(check, found, "repeat it as root");
        }
        Attachment::None => {
            let prefix = format!("interface {} ", interface.name);
            let mut faults = status.faults.iter();
            let fault = faults.find_map(|fault| fault.strip_prefix(&prefix));
            let fault = fault.unwrap_or("is not filtered");
            let advice = match (&status.enforcement.detached, interface.index) {
                (Some(_), _) => "run `netpolicy attach`",
                (_, 0) => "correct `interfaces`, or wait until it appears: it is filtered at once",
                _ => "the agent tries again by itself; the line says what is in its way",
            };
            return lines.fail(check, fault, advice);
        }
    };
    let Some(device) = device else {
        return lines.ok(check, format!("filtered at {hook}"));
    };
    let driver = device.driver.as_deref().unwrap_or("an unknown driver");
    let why = interface.reason.as_deref();
    let why = why.map_or(String::new(), |why| format!(" ({why})"));
    let found = format!("filtered at {hook}{why}; {driver}, MTU {}", device.mtu);
    let is_native = interface.attachment == Attachment::Native;
    match native(driver) {
        Some(Native::Misses(why)) if is_native => lines.fail(
            check,
            format!("{found}: native XDP of this driver {why}"),
            "set hook = \"auto\" or \"tcx\"",
        ),
        Some(Native::Takes(what)) if is_native => lines.warn(
            check,
            format!("{found}: native XDP there {what}, so what passes is slower"),
            "set hook = \"auto\" or \"tcx\", unless drops matter more than throughput",
        ),
        _ if interface.attachment == Attachment::Generic => lines.warn(
            check,
            format!("{found}: generic XDP slows what passes"),
            match host.config.hook {
                HookChoice::Generic => "set hook = \"auto\" or \"tcx\"",
                _ => "nothing else can be had there: the reason is in the line",
            },
        ),
        _ if !device.is_up => lines.ok(check, format!("{found}; it is down")),
        _ => lines.ok(check, found),
    }
}

fn queues(device: &Device, lines: &mut Lines) {
    let queues = Netdevs::open()
        .ok()
        .and_then(|netdevs| netdevs.queues(device));
    let Some(Queues { used, most }) = queues.filter(|queues| queues.most > 0) else {
        return;
    };
    let check = format!("queues of {}", device.name);
    let cpus = available_parallelism().map_or(1, usize::from);
    let found = format!("{used} of {most} receive queues");
    // Virtual devices run on the sender's CPU.
    match used == 1 && most > 1 && cpus > 1 && device.kind.is_none() {
        true => lines.warn(
            check,
            format!("{found}: one CPU judges all its packets"),
            format!(
                "ethtool -L {} combined {}",
                device.name,
                most.min(u32::try_from(cpus).unwrap_or(1))
            ),
        ),
        false => lines.ok(check, found),
    }
}

/// Programs of others.
fn programs(device: &Device, lines: &mut Lines) {
    let check = format!("programs on {}", device.name);
    let mut ours = 0;
    for (hook, id) in running(device) {
        let name = program_name(id).unwrap_or_default();
        if name.starts_with("netpolicy") {
            ours += 1;
            continue;
        }
        let name = match name.as_str() {
            "" => format!("a program without a name (id {id})"),
            name => format!("{name} (id {id})"),
        };
        match hook {
            Hook::Native | Hook::Generic => lines.warn(
                check.clone(),
                format!(
                    "{name} at XDP runs before netpolicy, which filters at tc: what it drops is \
                     not counted here, and what it redirects or answers is not judged"
                ),
                "see that it passes on (XDP_PASS) what netpolicy is to judge",
            ),
            Hook::Tcx | Hook::Clsact => lines.ok(
                check.clone(),
                format!("{name} at tc ingress; `interface` lines say if it runs before netpolicy"),
            ),
        }
    }
    if ours > 1 {
        lines.warn(
            check,
            format!("{ours} programs of netpolicy: two agents, or two hooks while one replaces the other"),
            "stop the agent that is not meant, and run `netpolicy detach` with its \
             NETPOLICY_BPFFS_DIR",
        );
    }
}

/// Interfaces whose packets pass another filtered one first.
fn twice(interfaces: &[Interface], devices: &[Device], lines: &mut Lines) {
    let is_filtered = |device: &Device| {
        let mut here = interfaces.iter().filter(|i| exposure::is_filtered(i));
        here.any(|i| i.index == device.index)
    };
    for device in devices.iter().filter(|device| is_filtered(device)) {
        let without = |other: &Device| other.index != device.index && is_filtered(other);
        let covered = covers(devices, without);
        let at = devices
            .iter()
            .zip(covered)
            .find(|(d, _)| d.index == device.index);
        let names = match at {
            Some((_, Cover::By(names))) => names.join(", "),
            Some((_, Cover::PortOf(name)))
                if devices.iter().any(|d| d.name == name && without(d)) =>
            {
                name
            }
            _ => continue,
        };
        lines.warn(
            format!("interface {}", device.name),
            format!("its packets are judged, and counted, at {names} too"),
            format!(
                "leave {} out of `interfaces`; the verdicts are the same",
                device.name
            ),
        );
    }
}

fn others(status: &Status, lines: &mut Lines) {
    for other in &status.enforcement.others {
        let check = format!("interface {}", other.name);
        if !other.covered_by.is_empty() {
            lines.ok(check, format!("judged at {}", other.covered_by.join(", ")));
        } else if other.accepted {
            lines.ok(check, "not filtered, as configured");
        } else if exposure::is_open(other) {
            lines.fail(
                check,
                "carries an address and is not filtered: any source may connect through it",
                "add it to `interfaces`, or to `unfiltered_interfaces` if that is intended",
            );
        } else {
            lines.ok(check, "not filtered; it carries no address");
        }
    }
}
