//! The hook that `hook = "auto"` prefers for an interface, by its driver.
//!
//! Native XDP where the driver keeps its receive offloads and runs the program for every
//! frame; otherwise tcx ingress, which changes nothing on the device. Each entry names the
//! kernel source that it was read in. `docs/reference/drivers.md` has the details and the
//! runs. A preference, not a promise: a driver may refuse native XDP for its settings.

/// The hook that an interface is to get unless one is forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// Native XDP.
    Native,
    /// Ingress of the traffic control layer: tcx, or clsact before Linux 6.6.
    Tcx,
}

/// A driver, or a kind of virtual interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Driver {
    /// `IFLA_INFO_KIND`, or what `ethtool -i` reports where the interface has no kind.
    pub name: &'static str,
    /// The hook for its interfaces.
    pub hook: Preference,
    /// Why, in a few words, for `status`.
    pub reason: &'static str,
    /// Whether frames can pass native XDP of the driver without running the program, although
    /// the kernel reports it as attached.
    pub native_misses_frames: bool,
    /// Where that is seen: file or directory of the kernel, functions, the versions that were
    /// read. A driver without native XDP has no `ndo_bpf` there.
    pub source: &'static str,
}

/// For an interface of a driver that is not in the table.
pub const UNLISTED: Driver = tcx("", "driver not in the table", "");

const KEEPS: &str = "native XDP keeps the receive offloads";
const NONE: &str = "no native XDP in the driver";

/// All drivers of the table, by name.
pub const DRIVERS: &[Driver] = &[
    none("be2net", "drivers/net/ethernet/emulex/benet (6.1, 6.12)"),
    none("bnx2", "drivers/net/ethernet/broadcom/bnx2.c (6.1, 6.12)"),
    none("bnx2x", "drivers/net/ethernet/broadcom/bnx2x (6.1, 6.12)"),
    tcx(
        "bnxt_en",
        "native XDP switches hardware GRO off",
        "drivers/net/ethernet/broadcom/bnxt/bnxt.c bnxt_fix_features (6.1, 6.12)",
    ),
    tcx(
        "bond",
        "native XDP would go to every port, and bar ports without it",
        "drivers/net/bonding/bond_main.c bond_xdp_set, bond_enslave (6.1, 6.12)",
    ),
    none("bridge", "net/bridge/br_device.c (6.1, 6.12)"),
    none("cxgb4", "drivers/net/ethernet/chelsio/cxgb4 (6.1, 6.12)"),
    none("dummy", "drivers/net/dummy.c (6.1, 6.12)"),
    none("e1000", "drivers/net/ethernet/intel/e1000 (6.1, 6.12)"),
    none("e1000e", "drivers/net/ethernet/intel/e1000e (6.1, 6.12)"),
    native(
        "ena",
        "drivers/net/ethernet/amazon/ena/ena_xdp.c ena_xdp_set (6.1, 6.12)",
    ),
    none("enic", "drivers/net/ethernet/cisco/enic (6.1, 6.12)"),
    none("erspan", "net/ipv4/ip_gre.c (6.1, 6.12)"),
    none("geneve", "drivers/net/geneve.c (6.1, 6.12)"),
    none("gre", "net/ipv4/ip_gre.c (6.1, 6.12)"),
    none("gretap", "net/ipv4/ip_gre.c (6.1, 6.12)"),
    misses(
        "gve",
        "native XDP does not see frames of several buffers",
        "drivers/net/ethernet/google/gve/gve_rx.c gve_rx (6.12)",
    ),
    tcx(
        "hv_netvsc",
        "native XDP requires LRO to be off",
        "drivers/net/hyperv/netvsc_bpf.c netvsc_xdp_set (6.1, 6.12)",
    ),
    native(
        "i40e",
        "drivers/net/ethernet/intel/i40e/i40e_main.c i40e_xdp_setup (6.1, 6.12)",
    ),
    none("iavf", "drivers/net/ethernet/intel/iavf (6.1, 6.12)"),
    native(
        "ice",
        "drivers/net/ethernet/intel/ice/ice_main.c ice_xdp_setup_prog (6.1, 6.12)",
    ),
    none("idpf", "drivers/net/ethernet/intel/idpf (6.12)"),
    none("ifb", "drivers/net/ifb.c (6.1, 6.12)"),
    native(
        "igb",
        "drivers/net/ethernet/intel/igb/igb_main.c igb_xdp_setup (6.1, 6.12)",
    ),
    none("igbvf", "drivers/net/ethernet/intel/igbvf (6.1, 6.12)"),
    native(
        "igc",
        "drivers/net/ethernet/intel/igc/igc_xdp.c igc_xdp_set_prog (6.1, 6.12)",
    ),
    native(
        "ionic",
        "drivers/net/ethernet/pensando/ionic/ionic_lif.c ionic_xdp_config (6.12)",
    ),
    none("ip6gre", "net/ipv6/ip6_gre.c (6.1, 6.12)"),
    none("ip6gretap", "net/ipv6/ip6_gre.c (6.1, 6.12)"),
    none("ip6tnl", "net/ipv6/ip6_tunnel.c (6.1, 6.12)"),
    none("ipip", "net/ipv4/ipip.c (6.1, 6.12)"),
    none("ipvlan", "drivers/net/ipvlan/ipvlan_main.c (6.1, 6.12)"),
    native(
        "ixgbe",
        "drivers/net/ethernet/intel/ixgbe/ixgbe_main.c ixgbe_xdp_setup (6.1, 6.12)",
    ),
    native(
        "ixgbevf",
        "drivers/net/ethernet/intel/ixgbevf/ixgbevf_main.c ixgbevf_xdp_setup (6.1, 6.12)",
    ),
    none("macvlan", "drivers/net/macvlan.c (6.1, 6.12)"),
    none("macvtap", "drivers/net/macvtap.c (6.1, 6.12)"),
    native(
        "mana",
        "drivers/net/ethernet/microsoft/mana/mana_bpf.c mana_xdp_set (6.1, 6.12)",
    ),
    native(
        "mlx4_en",
        "drivers/net/ethernet/mellanox/mlx4/en_netdev.c mlx4_xdp_set (6.1, 6.12)",
    ),
    native(
        "mlx5_core",
        "drivers/net/ethernet/mellanox/mlx5/core/en_main.c mlx5e_xdp_set (6.1, 6.12)",
    ),
    none("netkit", "drivers/net/netkit.c (6.12)"),
    native(
        "nfp",
        "drivers/net/ethernet/netronome/nfp/nfp_net_common.c nfp_net_xdp_setup_drv (6.1, 6.12)",
    ),
    native(
        "nfp_netvf",
        "drivers/net/ethernet/netronome/nfp/nfp_net_common.c nfp_net_xdp_setup_drv (6.1, 6.12)",
    ),
    none("ppp", "drivers/net/ppp/ppp_generic.c (6.1, 6.12)"),
    tcx(
        "qede",
        "native XDP switches hardware GRO off",
        "drivers/net/ethernet/qlogic/qede/qede_filter.c qede_fix_features (6.1, 6.12)",
    ),
    none(
        "r8169",
        "drivers/net/ethernet/realtek/r8169_main.c (6.1, 6.12)",
    ),
    native(
        "sfc",
        "drivers/net/ethernet/sfc/efx.c efx_xdp_setup_prog (6.1, 6.12)",
    ),
    none("sit", "net/ipv6/sit.c (6.1, 6.12)"),
    native(
        "st_gmac",
        "drivers/net/ethernet/stmicro/stmmac/stmmac_xdp.c stmmac_xdp_set_prog (6.1, 6.12)",
    ),
    native(
        "st_xgmac",
        "drivers/net/ethernet/stmicro/stmmac/stmmac_xdp.c stmmac_xdp_set_prog (6.1, 6.12)",
    ),
    none("team", "drivers/net/team (6.1, 6.12)"),
    none("tg3", "drivers/net/ethernet/broadcom/tg3.c (6.1, 6.12)"),
    tcx(
        "tun",
        "native XDP copies large packets of a tap; a tun has none",
        "drivers/net/tun.c tun_xdp_one, tun_netdev_ops (6.1, 6.12)",
    ),
    tcx(
        "veth",
        "native XDP switches the peer's segmentation offload off",
        "drivers/net/veth.c veth_xdp_set, veth_fix_features (6.1, 6.12)",
    ),
    misses(
        "vif",
        "native XDP is lost when the Xen back end reconnects",
        "drivers/net/xen-netfront.c xennet_create_queues, xennet_xdp_set (6.1, 6.12)",
    ),
    tcx(
        "virtio_net",
        "native XDP switches the guest's receive offloads off",
        "drivers/net/virtio_net.c virtnet_xdp_set (6.1, 6.12)",
    ),
    none("vlan", "net/8021q/vlan_dev.c (6.1, 6.12)"),
    misses(
        "vmxnet3",
        "native XDP switches LRO off and is lost when the device restarts",
        "drivers/net/vmxnet3/vmxnet3_xdp.c vmxnet3_xdp_set, vmxnet3_drv.c vmxnet3_rq_cleanup_all (6.12)",
    ),
    none("vrf", "drivers/net/vrf.c (6.1, 6.12)"),
    none("vti", "net/ipv4/ip_vti.c (6.1, 6.12)"),
    none("vti6", "net/ipv6/ip6_vti.c (6.1, 6.12)"),
    none("vxlan", "drivers/net/vxlan (6.1, 6.12)"),
    none("wireguard", "drivers/net/wireguard/device.c (6.1, 6.12)"),
    none("xfrm", "net/xfrm/xfrm_interface_core.c (6.1, 6.12)"),
];

/// The driver of an interface: by its kind (`IFLA_INFO_KIND`), or without one by what
/// `ethtool -i` reports. [`UNLISTED`] if it is not in the table.
#[must_use]
pub fn driver(kind: Option<&str>, reported: Option<&str>) -> &'static Driver {
    let Some(name) = kind.or(reported) else {
        return &UNLISTED;
    };
    let found = DRIVERS.binary_search_by(|driver| driver.name.cmp(name));
    found.map_or(&UNLISTED, |at| &DRIVERS[at])
}

const fn native(name: &'static str, source: &'static str) -> Driver {
    Driver {
        name,
        hook: Preference::Native,
        reason: KEEPS,
        native_misses_frames: false,
        source,
    }
}

const fn none(name: &'static str, source: &'static str) -> Driver {
    tcx(name, NONE, source)
}

const fn tcx(name: &'static str, reason: &'static str, source: &'static str) -> Driver {
    Driver {
        name,
        hook: Preference::Tcx,
        reason,
        native_misses_frames: false,
        source,
    }
}

const fn misses(name: &'static str, reason: &'static str, source: &'static str) -> Driver {
    Driver {
        native_misses_frames: true,
        ..tcx(name, reason, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page for readers.
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/drivers.md");

    /// Names in the first cells of the page's tables, and the hooks of their sections.
    fn page() -> Vec<(String, Preference)> {
        let text = std::fs::read_to_string(PAGE).unwrap();
        let mut hook = None;
        let mut found = Vec::new();
        for line in text.lines() {
            if line.starts_with("## ") {
                hook = match line {
                    "## Native XDP" => Some(Preference::Native),
                    "## tcx instead of native XDP" | "## Drivers without native XDP" => {
                        Some(Preference::Tcx)
                    }
                    _ => None,
                };
            }
            let (Some(hook), Some(row)) = (hook, line.strip_prefix("| `")) else {
                continue;
            };
            let cell = row.split(" |").next().unwrap();
            for name in format!("`{cell}").split('`').skip(1).step_by(2) {
                found.push((name.to_owned(), hook));
            }
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
    fn page_and_table_have_the_same_drivers_and_hooks() {
        let mut table: Vec<_> = DRIVERS
            .iter()
            .map(|driver| (driver.name.to_owned(), driver.hook))
            .collect();
        let mut page = page();
        table.sort_by(|a, b| a.0.cmp(&b.0));
        page.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(page, table);
    }

    #[test]
    fn page_warns_of_the_drivers_whose_native_xdp_misses_frames() {
        let text = std::fs::read_to_string(PAGE).unwrap();
        let warning = text.lines().find(|line| line.starts_with("Do not force"));
        let named: Vec<_> = warning.unwrap().split('`').skip(1).step_by(2).collect();
        let listed = DRIVERS.iter().filter(|driver| driver.native_misses_frames);
        let listed: Vec<_> = listed.map(|driver| driver.name).collect();
        assert_eq!(named, listed);
    }

    #[test]
    fn entries_give_a_short_reason_and_a_kernel_source_with_version() {
        for Driver {
            name,
            reason,
            source,
            ..
        } in DRIVERS
        {
            assert!((1..=75).contains(&reason.len()), "{name}: {reason}");
            let is_kernel_file = source.starts_with("drivers/net/") || source.starts_with("net/");
            assert!(
                is_kernel_file && source.ends_with("6.12)"),
                "{name}: {source}"
            );
        }
    }

    #[test]
    fn kind_of_an_interface_precedes_its_reported_driver() {
        assert_eq!(driver(None, Some("ixgbe")).hook, Preference::Native);
        assert_eq!(driver(Some("bond"), Some("bonding")).name, "bond");
        assert_eq!(driver(Some("macvtap"), Some("macvlan")).name, "macvtap");
        assert_eq!(driver(None, Some("virtio_net")).hook, Preference::Tcx);
    }

    #[test]
    fn unlisted_driver_gets_tcx() {
        assert_eq!(driver(None, Some("mystery")), &UNLISTED);
        assert_eq!(driver(None, None).hook, Preference::Tcx);
    }
}
