//! What tells two processes of one name apart.

use std::path::Path;

use anyhow::Context as _;

/// A name for this process, the same after it is started again: another machine, boot, network
/// namespace or settings file is another.
///
/// # Errors
/// Nothing tells this machine from others.
pub(super) fn instance(settings: &Path) -> anyhow::Result<String> {
    // Not from /proc, of which a unit may hide all but processes.
    let name = nix::sys::utsname::uname().context("read the host name")?;
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let machine = read("/etc/machine-id");
    let boot = read("/proc/sys/kernel/random/boot_id");
    let namespace = std::fs::read_link("/proc/self/ns/net").context("read /proc/self/ns/net")?;
    let place = format!("{}, {}", namespace.display(), settings.display());
    named(&name.nodename().to_string_lossy(), &machine, &boot, &place)
}

/// The host name and the beginnings of the identifiers of the machine and its boot.
fn named(name: &str, machine: &str, boot: &str, place: &str) -> anyhow::Result<String> {
    let part = |what: &str, id: &str| {
        let short: String = id.trim().chars().filter(|c| *c != '-').take(8).collect();
        (!short.is_empty()).then(|| format!("{what} {short}"))
    };
    let ids: Vec<_> = [part("machine", machine), part("boot", boot)]
        .into_iter()
        .flatten()
        .collect();
    anyhow::ensure!(
        !name.trim().is_empty() && !ids.is_empty(),
        "nothing tells this host from another of its name: it has no host name, or neither \
         /etc/machine-id nor /proc/sys/kernel/random/boot_id can be read\n\
         hint: `systemd-machine-id-setup` makes a machine ID; a unit needs ProcSubset=all for the other"
    );
    Ok(format!("{}, {}, {place}", name.trim(), ids.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_differ_by_their_boot_and_no_part_is_left_empty() {
        let of = |name, machine, boot| named(name, machine, boot, "net:[1], /etc/f").ok();
        let one = of("db1\n", "0123456789abcdef\n", "aaaaaaaa-bbbb\n");
        let text = "db1, machine 01234567, boot aaaaaaaa, net:[1], /etc/f";
        assert_eq!(one.as_deref(), Some(text));
        assert_ne!(one, of("db1", "0123456789abcdef", "cccccccc-bbbb"));
        assert!(of("db1", "0123", "").is_some());
        assert_eq!(of("db1", "", "\n"), None);
        assert_eq!(of("", "0123", "aaaa"), None);
    }

    #[test]
    fn this_process_has_an_instance() {
        let name = instance(Path::new("/etc/netpolicy/fleet.toml")).unwrap();
        assert!(name.contains("net:["), "{name}");
    }
}
