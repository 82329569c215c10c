//! What is handed on with a bug report: one text, without addresses.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use super::{firewalls, redact};
use crate::api::DoctorReport;
use crate::netdev::Netdevs;

/// Lines of the log.
const LOG_LINES: &str = "300";

/// What goes into a bundle, apart from what is looked for here.
#[derive(Debug)]
pub struct Material<'a> {
    /// The report, as it is printed.
    pub report: &'a DoctorReport,
    /// Sections: heading and text.
    pub sections: &'a [(&'a str, String)],
}

/// The bundle.
#[must_use]
pub fn bundle(material: &Material<'_>) -> String {
    let uname = rustix::system::uname();
    let mut text = format!(
        "netpolicy {}, Linux {} {}\n\
         IP and MAC addresses and the host's name are replaced. Names of policies, services, \
         interfaces and OS users are not: read it before you hand it on.\n",
        material.report.version,
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy(),
    );
    let mut add = |heading: &str, body: &str| {
        // Writing to a string does not fail.
        let _ = write!(text, "\n== {heading}\n{}\n", body.trim_end());
    };
    let report = serde_json::to_string_pretty(material.report).unwrap_or_default();
    add("doctor", &report);
    for (heading, body) in material.sections {
        add(heading, body);
    }
    add("interfaces", &interfaces());
    match firewalls::ruleset() {
        None => add("nftables", "nft is not installed"),
        Some(Ok(ruleset)) => add("nftables", &ruleset),
        Some(Err(error)) => add("nftables", &error.to_string()),
    }
    add("log", &log());
    let host = uname.nodename().to_string_lossy();
    // Where the kernel has another one, by DHCP for example.
    let kept = fs::read_to_string("/etc/hostname").unwrap_or_default();
    redact(&text, &[&host, &kept])
}

fn interfaces() -> String {
    let devices = Netdevs::open().and_then(|mut netdevs| netdevs.all());
    let lines = devices.unwrap_or_default().into_iter().map(|device| {
        format!(
            "{}: {} kind {} driver {} mtu {} {} lower {:?} master {:?} addresses {} xdp {:?}\n",
            device.index,
            device.name,
            device.kind.as_deref().unwrap_or("-"),
            device.driver.as_deref().unwrap_or("-"),
            device.mtu,
            if device.is_up { "up" } else { "down" },
            device.lower,
            device.master,
            device.addresses.len(),
            device.xdp,
        )
    });
    lines.collect()
}

fn log() -> String {
    let mut command = Command::new("journalctl");
    command.args(["--no-pager", "--quiet", "--lines", LOG_LINES]);
    command.args(["--output", "short-iso", "--unit", "netpolicy*"]);
    match command.stdin(Stdio::null()).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => format!("journalctl: {error}"),
    }
}
