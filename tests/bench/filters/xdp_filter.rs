//! xdp-filter of xdp-tools: hosts in a hash map.

use std::{net::IpAddr, path::Path};

use aya::{
    Pod,
    maps::{Map, MapData, PerCpuHashMap, PerCpuValues},
};
use ipnet::IpNet;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::{Content, Filter, Sense, programs};
use crate::{
    lists::Family,
    wire::{TESTED, Wire},
};

/// Hosts that its map of each family holds; networks it has none
/// (`xdp-filter/xdpfilt_prog.h` of xdp-tools).
pub(crate) const MOST_HOSTS: usize = 10_000;

const BPFFS: &str = "/sys/fs/bpf";

/// xdp-filter as its own command sets it up.
pub(crate) struct XdpFilter {
    wire: Wire,
}

impl XdpFilter {
    /// For a list of hosts alone, at most [`MOST_HOSTS`].
    pub(crate) fn new(content: Content<'_>) -> Self {
        let wire = Wire::new();
        wire.receiver().run(|| {
            with_own_bpffs();
            let policy = match content.sense {
                Sense::Block => "allow",
                Sense::Allow => "deny",
            };
            programs::run_here(
                "xdp-filter",
                &[
                    "load",
                    "-m",
                    "native",
                    "-p",
                    policy,
                    "-f",
                    "ipv4,ipv6",
                    TESTED,
                ],
            );
            match content.family {
                Family::V4 => fill(content.nets, "filter_ipv4", |address| match address {
                    IpAddr::V4(a) => Some(a.octets()),
                    IpAddr::V6(_) => None,
                }),
                Family::V6 => fill(content.nets, "filter_ipv6", |address| match address {
                    IpAddr::V6(a) => Some(a.octets()),
                    IpAddr::V4(_) => None,
                }),
            }
        });
        Self { wire }
    }
}

/// xdp-filter pins by fixed names: in a mount namespace of the calling thread's own,
/// no other process sees them. They go with it; the program stays at its interface.
fn with_own_bpffs() {
    unshare(CloneFlags::CLONE_NEWNS).expect("make a mount namespace");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .expect("make mounts private");
    mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), none).expect("mount a bpffs");
}

/// Adds the first host by the command, and all others as it did that one: it takes
/// one at a time, and some milliseconds for each.
fn fill<K: Pod>(nets: &[IpNet], map: &str, key: impl Fn(IpAddr) -> Option<K>) {
    let mut hosts = nets.iter().map(IpNet::addr);
    let first = hosts.next().expect("a host");
    programs::run_here("xdp-filter", &["ip", "-m", "src", &first.to_string()]);
    let pin = Path::new(BPFFS).join("xdp-filter").join(map);
    let data = MapData::from_pin(&pin).expect("open xdp-filter's map");
    let mut map: PerCpuHashMap<_, K, u64> =
        PerCpuHashMap::try_from(Map::PerCpuHashMap(data)).expect("a hash map for each CPU");
    let key = |host| key(host).expect("a host of the list's family");
    let flags = map.get(&key(first), 0).expect("the first host");
    for host in hosts {
        let flags = PerCpuValues::try_from(flags.to_vec()).expect("a value for each CPU");
        map.insert(key(host), flags, 0)
            .expect("add a host to xdp-filter's map");
    }
}

impl Filter for XdpFilter {
    fn name(&self) -> &'static str {
        "xdp-filter"
    }

    fn wire(&self) -> &Wire {
        &self.wire
    }
}
