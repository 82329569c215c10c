//! The systemd unit: whether it starts before the network, and whether its hardening leaves
//! pins where the host and the next agent find them.

use std::collections::BTreeMap;
use std::fs;

use super::{ExaminedHost, Lines};

const UNIT: &str = "netpolicy.service";

/// What puts the snapshot in force before the agent starts.
const EARLY: &str = "netpolicy-early.service";

/// What says which configuration, store and pins are meant: both units have to have the same.
const PLACES: [&str; 3] = [
    "NETPOLICY_CONFIG",
    "NETPOLICY_STATE_DIR",
    "NETPOLICY_BPFFS_DIR",
];

/// Where systemd looks for units, the first first (systemd.unit(5)).
const DIRECTORIES: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// What comes after the network, or with it.
const TOO_LATE: [&str; 9] = [
    "basic.target",
    "dbus.service",
    "dbus.socket",
    "multi-user.target",
    "network-online.target",
    "network-pre.target",
    "network.target",
    "sysinit.target",
    "systemd-networkd.service",
];

/// A setting, the values with which it hides what the agent needs, and what that is. No value:
/// any but "no".
const HIDING: [(&str, &[&str], &str); 8] = [
    (
        "ProtectKernelTunables",
        &[],
        "makes /sys/fs/bpf read-only, where the pins are",
    ),
    (
        "ReadOnlyPaths",
        &["/", "/sys", "/sys/fs", "/sys/fs/bpf"],
        "makes the pins' directory read-only",
    ),
    (
        "InaccessiblePaths",
        &["/sys", "/sys/fs", "/sys/fs/bpf"],
        "hides the pins' directory",
    ),
    (
        "TemporaryFileSystem",
        &["/sys", "/sys/fs", "/sys/fs/bpf"],
        "hides the host's bpffs: filtering ends with the agent",
    ),
    ("PrivateNetwork", &[], "takes the host's interfaces away"),
    (
        "PrivateUsers",
        &[],
        "takes the capabilities in the host's namespaces away",
    ),
    ("DynamicUser", &[], "takes the state directory's owner away"),
    (
        "PrivatePIDs",
        &[],
        "hides PID 1's mounts, by which the agent tells whose bpffs it is",
    ),
];

pub(super) fn check(host: &ExaminedHost<'_>, lines: &mut Lines) {
    let Some(unit) = Unit::read(host, UNIT) else {
        match host.file("run/systemd/system").exists() {
            true => lines.warn(
                "unit",
                format!("there is no {UNIT}: nothing starts the agent at boot"),
                "install the package, or copy packaging/systemd/netpolicy.service",
            ),
            false => lines.ok(
                "unit",
                "systemd does not run here: what starts the agent has to do so before the network",
            ),
        }
        return;
    };
    let before = lines.0.len();
    ordering(&unit, lines);
    hardening(&unit, lines);
    if let Some(early) = Unit::read(host, EARLY) {
        let variables =
            |unit: &Unit| unit.variables(|path| host.text(path.trim_start_matches('/')));
        same_places(&variables(&unit), &variables(&early), lines);
    }
    if !is_enabled(host) {
        lines.warn(
            "unit",
            format!("{UNIT} is not enabled: it does not start at boot"),
            format!("systemctl enable {UNIT}"),
        );
    }
    if lines.0.len() == before {
        let found = format!("{} starts before the network, and hides no pins", unit.path);
        lines.ok("unit", found);
    }
}

fn ordering(unit: &Unit, lines: &mut Lines) {
    let is_default = !unit.is_no("DefaultDependencies");
    let late = unit.values("After").map(String::as_str);
    let late: Vec<_> = late.filter(|after| TOO_LATE.contains(after)).collect();
    let is_before = unit
        .values("Before")
        .any(|unit| unit == "network-pre.target");
    if is_default {
        lines.fail(
            "unit ordering",
            format!(
                "{} has default dependencies: it starts after basic.target, and makes an ordering \
                 cycle with units such as cloud-init's, which systemd breaks by leaving one out",
                unit.path
            ),
            "set DefaultDependencies=no, After=local-fs.target, Before=network-pre.target",
        );
    }
    if !late.is_empty() {
        lines.fail(
            "unit ordering",
            format!(
                "{} starts after {}: packets arrive before they are filtered",
                unit.path,
                late.join(", ")
            ),
            "remove them from After=",
        );
    }
    if !is_before {
        lines.fail(
            "unit ordering",
            format!("{} is not ordered before network-pre.target", unit.path),
            "set Before=network-pre.target and Wants=network-pre.target",
        );
    }
}

fn hardening(unit: &Unit, lines: &mut Lines) {
    for (key, hiding, what) in HIDING {
        let found = unit.values(key).find(|value| {
            let path = value.trim_start_matches(['-', '+']);
            let path = path.split(':').next().unwrap_or(path);
            match hiding.is_empty() {
                true => !is_no(value),
                false => hiding.contains(&path),
            }
        });
        if let Some(value) = found {
            lines.fail(
                "unit hardening",
                format!("{key}={value} of {} {what}", unit.path),
                format!("remove {key}= (a drop-in: systemctl edit {UNIT})"),
            );
        }
    }
    let calls: Vec<_> = unit.values("SystemCallFilter").collect();
    let is_list = calls.first().is_some_and(|first| !first.starts_with('~'));
    if is_list && !calls.iter().any(|call| *call == "bpf") {
        lines.fail(
            "unit hardening",
            format!("SystemCallFilter= of {} does not allow bpf", unit.path),
            "add bpf, setns and pidfd_getfd",
        );
    }
}

/// Compares what the agent and what is in force before it are told of their places.
fn same_places(agent: &UnitEnvironment, early: &UnitEnvironment, lines: &mut Lines) {
    for name in PLACES.iter().chain(&[INTERFACE]) {
        let (of_agent, of_early) = (agent.get(*name), early.get(*name));
        if of_agent == of_early {
            continue;
        }
        let has = |unit: &str, value: Option<&String>| match value {
            Some(value) => format!("{unit} has {name}={value}"),
            None => format!("{unit} has no {name}"),
        };
        let advice = match *name == INTERFACE {
            true => {
                "name the interfaces in the configuration file, which both units read".to_owned()
            }
            false => format!(
                "set {name} in /etc/netpolicy/environment, which both units read, instead of in \
                 one of them"
            ),
        };
        lines.warn(
            "unit at boot",
            format!(
                "{}, {}: until the agent starts, other rules may be in force, or none",
                has(UNIT, of_agent),
                has(EARLY, of_early)
            ),
            advice,
        );
    }
}

/// Stands for the option of that name in [`UnitEnvironment`].
const INTERFACE: &str = "--interface";

/// Variables that a unit's process has, and options that do the same.
pub(super) type UnitEnvironment = BTreeMap<String, String>;

/// Whether a target or another unit wants it.
fn is_enabled(host: &ExaminedHost<'_>) -> bool {
    let Ok(entries) = fs::read_dir(host.file("etc/systemd/system")) else {
        return false;
    };
    let mut wanting = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.ends_with(".wants") || name.ends_with(".requires")
    });
    wanting.any(|entry| entry.path().join(UNIT).symlink_metadata().is_ok())
}

/// A unit with its drop-ins.
pub(super) struct Unit {
    path: String,
    settings: BTreeMap<String, Vec<String>>,
}

impl Unit {
    /// The file that counts, then the drop-ins of all directories by their names.
    pub(super) fn read(host: &ExaminedHost<'_>, name: &str) -> Option<Self> {
        let mut files = DIRECTORIES.iter().map(|dir| host.file(dir).join(name));
        let path = files.find(|path| path.exists())?;
        let text = fs::read_to_string(&path).ok()?;
        let mut unit = Self {
            path: path.display().to_string(),
            settings: BTreeMap::new(),
        };
        unit.add(&text);
        let mut drop_ins = BTreeMap::new();
        for dir in DIRECTORIES.iter().rev() {
            let dir = host.file(dir).join(format!("{name}.d"));
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            for entry in entries {
                let path = entry.path();
                if path
                    .extension()
                    .is_some_and(|extension| extension == "conf")
                {
                    drop_ins.insert(entry.file_name(), path);
                }
            }
        }
        for path in drop_ins.into_values() {
            unit.add(&fs::read_to_string(path).unwrap_or_default());
        }
        Some(unit)
    }

    /// An empty value removes what stood before, and a setting of one value has the last.
    fn add(&mut self, text: &str) {
        let joined = text.replace("\\\n", " ");
        for line in joined.lines().map(str::trim) {
            if line.starts_with(['#', ';', '[']) {
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let values = self.settings.entry(key.trim().to_owned()).or_default();
            match value.trim() {
                "" => values.clear(),
                value => values.extend(value.split_whitespace().map(str::to_owned)),
            }
        }
    }

    /// The variables of its process: those of files win over those of the unit, and options of
    /// the command over both. `text`: what a file holds.
    pub(super) fn variables(&self, text: impl Fn(&str) -> Option<String>) -> UnitEnvironment {
        let mut variables = UnitEnvironment::new();
        let mut add = |assignment: &str| {
            let assignment = assignment.trim().trim_matches(['"', '\'']);
            if let Some((name, value)) = assignment.split_once('=') {
                let value = value.trim_matches(['"', '\'']);
                variables.insert(name.trim().to_owned(), value.to_owned());
            }
        };
        for assignment in self.values("Environment") {
            add(assignment);
        }
        for path in self.values("EnvironmentFile") {
            let text = text(path.trim_start_matches('-')).unwrap_or_default();
            let is_comment = |line: &&str| line.trim_start().starts_with(['#', ';']);
            text.lines()
                .filter(|line| !is_comment(line))
                .for_each(&mut add);
        }
        let mut words = self.values("ExecStart").map(String::as_str);
        while let Some(word) = words.next() {
            let (option, value) = match word.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None => (word, None),
            };
            let name = match option {
                "--config" => PLACES[0],
                "--interface" => INTERFACE,
                _ => continue,
            };
            if let Some(value) = value.or_else(|| words.next()) {
                variables.insert(name.to_owned(), value.to_owned());
            }
        }
        variables
    }

    fn values(&self, key: &str) -> impl Iterator<Item = &String> {
        self.settings.get(key).into_iter().flatten()
    }

    fn is_no(&self, key: &str) -> bool {
        self.values(key).last().is_some_and(|value| is_no(value))
    }
}

/// As systemd's `parse_boolean` reads it.
fn is_no(value: &str) -> bool {
    let no = ["no", "n", "false", "f", "off", "0"];
    no.contains(&value.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(texts: &[&str]) -> Unit {
        let mut unit = Unit {
            path: "x".to_owned(),
            settings: BTreeMap::new(),
        };
        for text in texts {
            unit.add(text);
        }
        unit
    }

    fn said(texts: &[&str]) -> Vec<String> {
        let (unit, mut lines) = (unit(texts), Lines::default());
        ordering(&unit, &mut lines);
        hardening(&unit, &mut lines);
        lines.0.into_iter().map(|line| line.found).collect()
    }

    #[test]
    fn installed_unit_is_right_and_drop_ins_can_spoil_it() {
        let installed = include_str!("../../../packaging/systemd/netpolicy.service");
        assert!(said(&[installed]).is_empty(), "{:?}", said(&[installed]));
        for (drop_in, expected) in [
            ("[Service]\nProtectKernelTunables=yes\n", "read-only"),
            (
                "[Unit]\nAfter=network-online.target\n",
                "network-online.target",
            ),
            ("[Unit]\nBefore=\n", "network-pre.target"),
            ("[Unit]\nDefaultDependencies=yes\n", "ordering cycle"),
            (
                "[Service]\nTemporaryFileSystem=/sys/fs/bpf:ro\n",
                "filtering ends",
            ),
            (
                "[Service]\nSystemCallFilter=\nSystemCallFilter=@system-service\n",
                "bpf",
            ),
        ] {
            let said = said(&[installed, drop_in]);
            assert!(
                said.len() == 1 && said[0].contains(expected),
                "{drop_in}: {said:?}"
            );
        }
    }

    #[test]
    fn configuration_of_one_unit_alone_is_reported() {
        let agent = include_str!("../../../packaging/systemd/netpolicy.service");
        let early = include_str!("../../../packaging/systemd/netpolicy-early.service");
        let said = |agents: &[&str], earlys: &[&str], file: &str| -> Vec<String> {
            let mut lines = Lines::default();
            let text = |path: &str| (path == "/etc/netpolicy/environment").then(|| file.to_owned());
            let variables = |texts: &[&str]| unit(texts).variables(text);
            same_places(&variables(agents), &variables(earlys), &mut lines);
            lines.0.into_iter().map(|line| line.found).collect()
        };
        let other = "[Service]\nEnvironment=\"NETPOLICY_CONFIG=/etc/other.toml\"\n";
        assert!(said(&[agent], &[early], "").is_empty());
        let found = said(&[agent, other], &[early], "");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(
                "netpolicy.service has NETPOLICY_CONFIG=/etc/other.toml, \
                 netpolicy-early.service has no NETPOLICY_CONFIG"
            ),
            "{found:?}"
        );
        // The file is for both, and wins.
        let file = "# both\nNETPOLICY_CONFIG='/etc/both.toml'\n";
        assert!(said(&[agent, other], &[early], file).is_empty());
        assert!(said(&[agent, other], &[early, other], "").is_empty());
        let started = "[Service]\nExecStart=\nExecStart=/usr/bin/netpolicy agent --config=/x \
                       --interface eth0\n";
        let found = said(&[agent, started], &[early], "");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[1].contains("--interface=eth0"), "{found:?}");
        let file = "NETPOLICY_CONFIG=/x";
        assert_eq!(said(&[agent, started], &[early], file).len(), 1);
    }
}
