//! What native XDP does to the packets that pass, by driver: the table behind
//! `hook = "auto"`.
//!
//! Each entry names the kernel source that it was read in; `docs/reference/drivers.md` has
//! the details and the runs. It is no promise that a driver accepts a program: it may refuse
//! one for its settings.

/// What native XDP does to the packets that pass a driver's interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Native {
    /// It keeps the receive offloads that the driver has by default, and sees every frame.
    Keeps,
    /// It takes this from them: "switches LRO off".
    Takes(&'static str),
    /// Frames can pass without running the program, although the kernel reports it as
    /// attached: this is why. Not for use as a filter.
    Misses(&'static str),
    /// The driver has none.
    Absent,
}

/// A driver, or a kind of virtual interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Driver {
    /// `IFLA_INFO_KIND`, or what ethtool reports where the interface has no kind.
    pub name: &'static str,
    /// What native XDP does there.
    pub native: Native,
    /// Where that is seen: file or directory of the kernel, functions, the versions that were
    /// read. A driver without native XDP has no `ndo_bpf` there.
    pub source: &'static str,
}

/// All drivers of the table, by name.
pub const DRIVERS: &[Driver] = &[
    absent("be2net", "drivers/net/ethernet/emulex/benet (6.1, 6.12)"),
    absent("bnx2", "drivers/net/ethernet/broadcom/bnx2.c (6.1, 6.12)"),
    absent("bnx2x", "drivers/net/ethernet/broadcom/bnx2x (6.1, 6.12)"),
    takes(
        "bnxt_en",
        "switches LRO and hardware GRO off",
        "drivers/net/ethernet/broadcom/bnxt/bnxt.c bnxt_fix_features (6.1, 6.12)",
    ),
    takes(
        "bond",
        "goes to every port, with what their drivers take, and bars ports without it",
        "drivers/net/bonding/bond_main.c bond_xdp_set, bond_enslave (6.1, 6.12)",
    ),
    absent("bridge", "net/bridge/br_device.c (6.1, 6.12)"),
    absent("cxgb4", "drivers/net/ethernet/chelsio/cxgb4 (6.1, 6.12)"),
    absent("dummy", "drivers/net/dummy.c (6.1, 6.12)"),
    absent("e1000", "drivers/net/ethernet/intel/e1000 (6.1, 6.12)"),
    absent("e1000e", "drivers/net/ethernet/intel/e1000e (6.1, 6.12)"),
    keeps(
        "ena",
        "drivers/net/ethernet/amazon/ena ena_xdp_set (6.1, 6.12)",
    ),
    absent("enic", "drivers/net/ethernet/cisco/enic (6.1, 6.12)"),
    absent("erspan", "net/ipv4/ip_gre.c (6.1, 6.12)"),
    absent("geneve", "drivers/net/geneve.c (6.1, 6.12)"),
    absent("gre", "net/ipv4/ip_gre.c (6.1, 6.12)"),
    absent("gretap", "net/ipv4/ip_gre.c (6.1, 6.12)"),
    misses(
        "gve",
        "does not see frames of several buffers",
        "drivers/net/ethernet/google/gve/gve_rx.c gve_rx (6.12)",
    ),
    takes(
        "hv_netvsc",
        "requires LRO to be off and copies each frame",
        "drivers/net/hyperv/netvsc_bpf.c netvsc_xdp_set (6.1, 6.12)",
    ),
    keeps(
        "i40e",
        "drivers/net/ethernet/intel/i40e/i40e_main.c i40e_xdp_setup (6.1, 6.12)",
    ),
    absent("iavf", "drivers/net/ethernet/intel/iavf (6.1, 6.12)"),
    keeps(
        "ice",
        "drivers/net/ethernet/intel/ice/ice_main.c ice_xdp_setup_prog (6.1, 6.12)",
    ),
    absent("idpf", "drivers/net/ethernet/intel/idpf (6.12)"),
    absent("ifb", "drivers/net/ifb.c (6.1, 6.12)"),
    keeps(
        "igb",
        "drivers/net/ethernet/intel/igb/igb_main.c igb_xdp_setup (6.1, 6.12)",
    ),
    absent("igbvf", "drivers/net/ethernet/intel/igbvf (6.1, 6.12)"),
    keeps(
        "igc",
        "drivers/net/ethernet/intel/igc/igc_xdp.c igc_xdp_set_prog (6.1, 6.12)",
    ),
    keeps(
        "ionic",
        "drivers/net/ethernet/pensando/ionic/ionic_lif.c ionic_xdp_config (6.12)",
    ),
    absent("ip6gre", "net/ipv6/ip6_gre.c (6.1, 6.12)"),
    absent("ip6gretap", "net/ipv6/ip6_gre.c (6.1, 6.12)"),
    absent("ip6tnl", "net/ipv6/ip6_tunnel.c (6.1, 6.12)"),
    absent("ipip", "net/ipv4/ipip.c (6.1, 6.12)"),
    absent("ipvlan", "drivers/net/ipvlan/ipvlan_main.c (6.1, 6.12)"),
    keeps(
        "ixgbe",
        "drivers/net/ethernet/intel/ixgbe/ixgbe_main.c ixgbe_xdp_setup (6.1, 6.12)",
    ),
    keeps(
        "ixgbevf",
        "drivers/net/ethernet/intel/ixgbevf/ixgbevf_main.c ixgbevf_xdp_setup (6.1, 6.12)",
    ),
    absent("macvlan", "drivers/net/macvlan.c (6.1, 6.12)"),
    absent("macvtap", "drivers/net/macvtap.c (6.1, 6.12)"),
    keeps(
        "mana",
        "drivers/net/ethernet/microsoft/mana/mana_bpf.c mana_xdp_set (6.1, 6.12)",
    ),
    keeps(
        "mlx4_en",
        "drivers/net/ethernet/mellanox/mlx4/en_netdev.c mlx4_xdp_set (6.1, 6.12)",
    ),
    keeps(
        "mlx5_core",
        "drivers/net/ethernet/mellanox/mlx5/core/en_main.c mlx5e_xdp_set (6.1, 6.12)",
    ),
    absent("netkit", "drivers/net/netkit.c (6.12)"),
    keeps(
        "nfp",
        "drivers/net/ethernet/netronome/nfp/nfp_net_common.c nfp_net_xdp_setup_drv (6.1, 6.12)",
    ),
    keeps(
        "nfp_netvf",
        "drivers/net/ethernet/netronome/nfp/nfp_net_common.c nfp_net_xdp_setup_drv (6.1, 6.12)",
    ),
    absent("ppp", "drivers/net/ppp/ppp_generic.c (6.1, 6.12)"),
    takes(
        "qede",
        "switches hardware GRO off",
        "drivers/net/ethernet/qlogic/qede/qede_filter.c qede_fix_features (6.1, 6.12)",
    ),
    absent(
        "r8169",
        "drivers/net/ethernet/realtek/r8169_main.c (6.1, 6.12)",
    ),
    keeps(
        "sfc",
        "drivers/net/ethernet/sfc/efx.c efx_xdp_setup_prog (6.1, 6.12)",
    ),
    absent("sit", "net/ipv6/sit.c (6.1, 6.12)"),
    keeps(
        "st_gmac",
        "drivers/net/ethernet/stmicro/stmmac/stmmac_xdp.c stmmac_xdp_set_prog (6.1, 6.12)",
    ),
    keeps(
        "st_xgmac",
        "drivers/net/ethernet/stmicro/stmmac/stmmac_xdp.c stmmac_xdp_set_prog (6.1, 6.12)",
    ),
    absent("team", "drivers/net/team (6.1, 6.12)"),
    absent("tg3", "drivers/net/ethernet/broadcom/tg3.c (6.1, 6.12)"),
    takes(
        "tun",
        "copies large packets, and a tun without Ethernet headers has none",
        "drivers/net/tun.c tun_xdp_one, tun_netdev_ops (6.1, 6.12)",
    ),
    takes(
        "veth",
        "switches the peer's segmentation offload off",
        "drivers/net/veth.c veth_xdp_set, veth_fix_features (6.1, 6.12)",
    ),
    misses(
        "vif",
        "is lost when the Xen back end reconnects",
        "drivers/net/xen-netfront.c xennet_create_queues, xennet_xdp_set (6.1, 6.12)",
    ),
    takes(
        "virtio_net",
        "switches the guest's receive offloads off",
        "drivers/net/virtio_net.c virtnet_xdp_set (6.1, 6.12)",
    ),
    absent("vlan", "net/8021q/vlan_dev.c (6.1, 6.12)"),
    misses(
        "vmxnet3",
        "switches LRO off, and is lost when the device restarts",
        "drivers/net/vmxnet3/vmxnet3_xdp.c vmxnet3_xdp_set, vmxnet3_drv.c vmxnet3_rq_cleanup_all (6.12)",
    ),
    absent("vrf", "drivers/net/vrf.c (6.1, 6.12)"),
    absent("vti", "net/ipv4/ip_vti.c (6.1, 6.12)"),
    absent("vti6", "net/ipv6/ip6_vti.c (6.1, 6.12)"),
    absent("vxlan", "drivers/net/vxlan (6.1, 6.12)"),
    absent("wireguard", "drivers/net/wireguard/device.c (6.1, 6.12)"),
    absent("xfrm", "net/xfrm/xfrm_interface_core.c (6.1, 6.12)"),
];

/// Why frames that native XDP sends back (`XDP_TX`) do not arrive on interfaces of this driver;
/// `None`: they do, as the kernel demands of every driver that has native XDP at all
/// (`NETDEV_XDP_ACT_BASIC`).
#[must_use]
pub fn sends_nothing(name: &str) -> Option<&'static str> {
    match name {
        // drivers/net/bonding/bond_main.c bond_xdp_set (6.1, 6.12): the program runs at the ports,
        // and is told their indices.
        "bond" => Some("a bond's native XDP runs at its ports"),
        // drivers/net/veth.c veth_xdp_xmit, veth_xdp_flush (6.1, 6.12).
        "veth" => Some("what veth's native XDP sends arrives only at a peer with native XDP"),
        _ => None,
    }
}

/// What native XDP does on interfaces of this driver; `None`: it is not in the table.
#[must_use]
pub fn native(name: &str) -> Option<Native> {
    let found = DRIVERS.binary_search_by(|driver| driver.name.cmp(name));
    found.ok().map(|at| DRIVERS[at].native)
}

const fn keeps(name: &'static str, source: &'static str) -> Driver {
    Driver {
        name,
        native: Native::Keeps,
        source,
    }
}

const fn takes(name: &'static str, what: &'static str, source: &'static str) -> Driver {
    Driver {
        name,
        native: Native::Takes(what),
        source,
    }
}

const fn misses(name: &'static str, why: &'static str, source: &'static str) -> Driver {
    Driver {
        name,
        native: Native::Misses(why),
        source,
    }
}

const fn absent(name: &'static str, source: &'static str) -> Driver {
    Driver {
        name,
        native: Native::Absent,
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, mem};

    use super::*;

    /// The page for readers.
    const PAGE: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/drivers.md"
    );

    /// The names in backquotes.
    fn quoted(text: &str) -> impl Iterator<Item = &str> {
        text.split('`').skip(1).step_by(2)
    }

    /// The page's drivers, each with the heading of its table.
    fn page() -> Vec<(String, String)> {
        let text = fs::read_to_string(PAGE).unwrap();
        let mut heading = "";
        let mut found = Vec::new();
        for line in text.lines() {
            if let Some(next) = line.strip_prefix("## ") {
                heading = next;
            }
            let Some(row) = line.strip_prefix("| `") else {
                continue;
            };
            let first = row.split(" |").next().unwrap();
            let cell = format!("`{first}");
            found.extend(quoted(&cell).map(|name| (name.to_owned(), heading.to_owned())));
        }
        found
    }

    #[test]
    fn drivers_are_sorted_without_duplicates() {
        let names: Vec<_> = DRIVERS.iter().map(|driver| driver.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }

    #[test]
    fn page_has_every_driver_in_the_table_of_its_hook() {
        let heading = |native| match native {
            Native::Keeps => "Native XDP",
            Native::Takes(_) | Native::Misses(_) => "tcx instead of native XDP",
            Native::Absent => "Drivers without native XDP",
        };
        let listed = DRIVERS.iter();
        let mut listed: Vec<_> = listed
            .map(|driver| (driver.name.to_owned(), heading(driver.native).to_owned()))
            .collect();
        let mut page = page();
        listed.sort();
        page.sort();
        assert_eq!(page, listed);
    }

    #[test]
    fn page_warns_of_drivers_whose_native_xdp_misses_frames() {
        let text = fs::read_to_string(PAGE).unwrap();
        let warning = text.lines().find(|line| line.starts_with("Do not force"));
        let misses = mem::discriminant(&Native::Misses(""));
        let listed = DRIVERS.iter();
        let listed = listed.filter(|driver| mem::discriminant(&driver.native) == misses);
        let listed: Vec<_> = listed.map(|driver| driver.name).collect();
        assert!(!listed.is_empty());
        assert_eq!(quoted(warning.unwrap()).collect::<Vec<_>>(), listed);
    }

    #[test]
    fn entries_have_a_short_reason_and_a_kernel_source_with_version() {
        for Driver {
            name,
            native,
            source,
        } in DRIVERS
        {
            if let Native::Takes(why) | Native::Misses(why) = native {
                assert!((1..80).contains(&why.len()), "{name}: {why}");
            }
            let is_kernel_file = source.starts_with("drivers/net/") || source.starts_with("net/");
            assert!(
                is_kernel_file && source.ends_with("6.12)"),
                "{name}: {source}"
            );
        }
    }

    #[test]
    fn driver_is_found_by_its_whole_name() {
        assert_eq!(native("ixgbe"), Some(Native::Keeps));
        assert_eq!(native("bridge"), Some(Native::Absent));
        assert!(matches!(native("virtio_net"), Some(Native::Takes(_))));
        assert_eq!(native("virtio"), None);
        assert_eq!(native(""), None);
    }
}
