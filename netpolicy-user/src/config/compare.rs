//! How two configurations differ.

use super::Config;

impl Config {
    /// The keys whose values differ from those of `other`, as the file names them.
    #[must_use]
    pub fn differing_keys(&self, other: &Self) -> Vec<&'static str> {
        // A key that is missing here does not compile.
        let Self {
            socket,
            state_dir,
            bpffs_dir,
            bpffs,
            interfaces,
            unfiltered_interfaces,
            xdp_mode,
            engine,
            events_per_second,
            limits,
            verify_interval,
        } = self;
        let keys = [
            ("socket", *socket != other.socket),
            ("state_dir", *state_dir != other.state_dir),
            ("bpffs_dir", *bpffs_dir != other.bpffs_dir),
            ("bpffs", *bpffs != other.bpffs),
            ("interfaces", *interfaces != other.interfaces),
            (
                "unfiltered_interfaces",
                *unfiltered_interfaces != other.unfiltered_interfaces,
            ),
            ("xdp_mode", *xdp_mode != other.xdp_mode),
            ("engine", *engine != other.engine),
            (
                "events_per_second",
                *events_per_second != other.events_per_second,
            ),
            ("limits", *limits != other.limits),
            ("verify_interval", *verify_interval != other.verify_interval),
        ];
        let differing = keys.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_keys_are_named() {
        let config = Config::default();
        assert!(config.differing_keys(&config.clone()).is_empty());
        let other = Config {
            interfaces: vec!["eth0".into()],
            events_per_second: 1,
            ..Config::default()
        };
        assert_eq!(
            config.differing_keys(&other),
            ["interfaces", "events_per_second"]
        );
    }
}
