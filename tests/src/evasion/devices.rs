//! Every kind of device behind which a server can stand, and the way to send frames into it.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use crate::NetNs;
use crate::evasion::ip_socket::IpSocket;
use crate::evasion::ppp::Link;
use crate::evasion::user_device::UserDevice;
use crate::packet::{CLIENT_MAC, HOST_MAC, HOST_V4, HOST_V6};
use crate::traffic::RawSocket;

/// A kind of device, where its filter is and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// One end of a veth pair.
    Veth,
    /// An Ethernet device of a virtual machine.
    Tap,
    /// A device of a VPN, without Ethernet header.
    Tun,
    /// A port of the bridge that has the address.
    BridgePort,
    /// The bridge that has the address.
    Bridge,
    /// A macvlan on a veth.
    Macvlan,
    /// A VLAN on a veth.
    Vlan,
    /// An active-backup bond of a veth.
    Bond,
    /// A tunnel with Ethernet headers, over UDP.
    Vxlan,
    /// A tunnel with Ethernet headers, over GRE.
    Gretap,
    /// A tunnel of IP packets, over GRE.
    Gre,
    /// A tunnel of IPv4 packets.
    Ipip,
    /// A tunnel of IPv6 packets.
    Sit,
    /// A tunnel of IP packets, encrypted.
    Wireguard,
    /// A point-to-point link over a serial line.
    Ppp,
}

impl Device {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::Veth,
        Self::Tap,
        Self::Tun,
        Self::BridgePort,
        Self::Bridge,
        Self::Macvlan,
        Self::Vlan,
        Self::Bond,
        Self::Vxlan,
        Self::Gretap,
        Self::Gre,
        Self::Ipip,
        Self::Sit,
        Self::Wireguard,
        Self::Ppp,
    ];

    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Veth => "veth",
            Self::Tap => "tap",
            Self::Tun => "tun",
            Self::BridgePort => "bridge port",
            Self::Bridge => "bridge",
            Self::Macvlan => "macvlan",
            Self::Vlan => "VLAN",
            Self::Bond => "bond",
            Self::Vxlan => "vxlan",
            Self::Gretap => "gretap",
            Self::Gre => "gre",
            Self::Ipip => "ipip",
            Self::Sit => "sit",
            Self::Wireguard => "wireguard",
            Self::Ppp => "ppp",
        }
    }

    /// Whether its frames begin with an Ethernet header.
    #[must_use]
    pub const fn has_ethernet(self) -> bool {
        !matches!(
            self,
            Self::Tun | Self::Gre | Self::Ipip | Self::Sit | Self::Wireguard | Self::Ppp
        )
    }

    /// Whether it carries packets of this IP version.
    #[must_use]
    pub const fn carries(self, v6: bool) -> bool {
        match self {
            Self::Ipip => !v6,
            Self::Sit => v6,
            _ => true,
        }
    }
}

/// A way to a server by a device of some kind.
pub struct Wire {
    /// The device that is filtered, in the server's namespace.
    pub filtered: &'static str,
    end: ClientEnd,
}

enum ClientEnd {
    Packet(RawSocket),
    File(UserDevice),
    Ip(IpSocket),
    Link(Link),
}

/// The longest wait for a frame.
pub const WAIT: Duration = Duration::from_millis(50);

impl Wire {
    /// Sends a frame. `false`: the device does not take such a one.
    #[must_use]
    pub fn send(&self, frame: &[u8]) -> bool {
        match &self.end {
            ClientEnd::Packet(socket) => {
                socket.send(frame);
                true
            }
            ClientEnd::File(device) => device.send(frame),
            ClientEnd::Ip(socket) | ClientEnd::Link(Link { socket, .. }) => socket.send(frame),
        }
    }

    /// Receives a frame; `None` when none comes within [`WAIT`].
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        match &self.end {
            ClientEnd::Packet(socket) => socket.receive(buffer),
            ClientEnd::File(device) => device.receive(buffer, WAIT),
            ClientEnd::Ip(socket) | ClientEnd::Link(Link { socket, .. }) => socket.receive(buffer),
        }
    }
}

const CLIENT_V4: &str = "198.51.100.2";
const CLIENT_V6: &str = "2001:db8:ff::2";
/// Addresses of a tunnel's ends: the server's, the client's.
pub(super) const UNDERLAY: [&str; 2] = ["192.0.2.1", "192.0.2.2"];

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

/// Runs a command of words in a namespace.
fn try_run(ns: &NetNs, line: &str) -> Result<(), String> {
    let mut words = line.split_whitespace();
    let program = words.next().expect("a command");
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", ns.path().display()));
    let out = command.arg(program).args(words).output();
    let out = out.map_err(|e| format!("{line}: {e}"))?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    Err(format!("`{line}`: {}", said.trim()))
}

fn all(ns: &NetNs, lines: &[String]) -> Result<(), String> {
    lines.iter().try_for_each(|line| try_run(ns, line))
}

/// Makes a device of this kind in the server's namespace, with the way to it.
///
/// # Errors
/// What this kernel, or a program that is needed, has against it.
pub fn make(device: Device, server: &NetNs, client: &NetNs, mtu: usize) -> Result<Wire, String> {
    for ns in [server, client] {
        // Sources are not those that the routes say; half-open connections end soon.
        ns.run(|| {
            for (file, value) in [
                ("ipv4/conf/all/rp_filter", "0"),
                ("ipv4/conf/default/rp_filter", "0"),
                ("ipv4/tcp_synack_retries", "0"),
            ] {
                let path = format!("/proc/sys/net/{file}");
                std::fs::write(&path, value).map_err(|e| format!("{path}: {e}"))?;
            }
            Ok::<_, String>(())
        })?;
    }
    // The device with the address, the one that is filtered, and the client's end.
    let (addressed, filtered) = match device {
        Device::Veth | Device::Tap | Device::Tun => ("nic0", "nic0"),
        Device::BridgePort => ("br0", "nic0"),
        Device::Bridge => ("br0", "br0"),
        _ => ("up0", "up0"),
    };
    let end = match device {
        Device::Tap | Device::Tun => {
            let file = UserDevice::new(server, "nic0", device.has_ethernet())?;
            let mut lines = vec![format!("ip link set nic0 mtu {mtu} up")];
            if device.has_ethernet() {
                lines.insert(0, format!("ip link set nic0 address {}", mac(HOST_MAC)));
            }
            all(server, &lines)?;
            ClientEnd::File(file)
        }
        Device::Veth | Device::BridgePort | Device::Bridge | Device::Macvlan | Device::Bond => {
            veth(server, client, mtu)?;
            if device == Device::Veth {
                try_run(
                    server,
                    &format!("ip link set nic0 address {}", mac(HOST_MAC)),
                )?;
            }
            all(server, &above(device, mtu))?;
            ClientEnd::Packet(RawSocket::new(client, "nic0"))
        }
        Device::Vlan => {
            veth(server, client, mtu + 4)?;
            for ns in [server, client] {
                let mac = mac(if std::ptr::eq(ns, server) {
                    HOST_MAC
                } else {
                    CLIENT_MAC
                });
                all(
                    ns,
                    &[
                        format!("ip link add up0 address {mac} link nic0 type vlan id 7"),
                        format!("ip link set up0 mtu {mtu} up"),
                    ],
                )?;
            }
            ClientEnd::Packet(RawSocket::new(client, "up0"))
        }
        Device::Ppp => ClientEnd::Link(Link::new(server, client, "up0", mtu)?),
        _ => {
            tunnel(device, server, client, mtu)?;
            if device.has_ethernet() {
                ClientEnd::Packet(RawSocket::new(client, "up0"))
            } else {
                ClientEnd::Ip(IpSocket::new(client, "up0"))
            }
        }
    };
    address(device, server, addressed)?;
    Ok(Wire { filtered, end })
}

fn veth(server: &NetNs, client: &NetNs, mtu: usize) -> Result<(), String> {
    let names = (server.name(), client.name());
    let pair = format!(
        "ip link add nic0 netns {} mtu {mtu} type veth peer name nic0 netns {} mtu {mtu} address {}",
        names.0,
        names.1,
        mac(CLIENT_MAC)
    );
    try_run(server, &pair)?;
    for ns in [server, client] {
        try_run(ns, "ip link set nic0 up")?;
    }
    server.wait_up("nic0");
    Ok(())
}

/// What stands on the veth in the server's namespace.
fn above(device: Device, mtu: usize) -> Vec<String> {
    let mac = mac(HOST_MAC);
    let kind = match device {
        Device::BridgePort | Device::Bridge => "br0 type bridge",
        Device::Macvlan => "up0 link nic0 type macvlan mode bridge",
        Device::Bond => "up0 type bond mode active-backup miimon 100",
        _ => return Vec::new(),
    };
    let name = kind.split(' ').next().unwrap_or_default();
    let mut lines = vec![
        format!("ip link add {kind}"),
        format!("ip link set {name} address {mac}"),
    ];
    match device {
        Device::Bond => lines.push("ip link set nic0 down".into()),
        Device::Macvlan => {}
        _ => lines.push("ip link set nic0 master br0".into()),
    }
    if device == Device::Bond {
        lines.push("ip link set nic0 master up0".into());
    }
    lines.push(format!("ip link set {name} mtu {mtu} up"));
    lines
}

/// Bytes that a tunnel adds, at most.
const OVERHEAD: usize = 100;

fn tunnel(device: Device, server: &NetNs, client: &NetNs, mtu: usize) -> Result<(), String> {
    veth(server, client, mtu + OVERHEAD)?;
    let keys = if device == Device::Wireguard {
        Some([wireguard_key()?, wireguard_key()?])
    } else {
        None
    };
    for (number, ns) in [server, client].into_iter().enumerate() {
        let (local, remote) = (UNDERLAY[number], UNDERLAY[1 - number]);
        let ends = format!("local {local} remote {remote}");
        let mac = mac(if number == 0 { HOST_MAC } else { CLIENT_MAC });
        let kind = match device {
            Device::Vxlan => format!("address {mac} type vxlan id 5 dstport 4789 {ends}"),
            Device::Gretap => format!("address {mac} type gretap {ends}"),
            Device::Gre => format!("type gre {ends} ttl 64"),
            Device::Ipip => format!("type ipip {ends} ttl 64"),
            Device::Sit => format!("type sit {ends} ttl 64"),
            _ => "type wireguard".to_owned(),
        };
        let mut lines = vec![
            format!("ip addr add {local}/24 dev nic0"),
            format!("ip link add up0 {kind}"),
        ];
        if let Some(keys) = &keys {
            let (ours, theirs) = (&keys[number], &keys[1 - number]);
            lines.push(format!(
                "wg set up0 listen-port 51820 private-key {} peer {} endpoint {remote}:51820 \
                 allowed-ips 0.0.0.0/0,::/0",
                ours.file.path().display(),
                theirs.public
            ));
        }
        lines.push(format!("ip link set up0 mtu {mtu} up"));
        all(ns, &lines)?;
    }
    Ok(())
}

struct Key {
    file: tempfile::NamedTempFile,
    public: String,
}

fn wireguard_key() -> Result<Key, String> {
    let failed = |e: std::io::Error| format!("wg: {e}");
    let private = Command::new("wg").arg("genkey").output().map_err(failed)?;
    let file = tempfile::NamedTempFile::new().map_err(failed)?;
    std::fs::write(file.path(), &private.stdout).map_err(failed)?;
    let input = std::fs::File::open(file.path()).map_err(failed)?;
    let mut command = Command::new("wg");
    let public = command
        .arg("pubkey")
        .stdin(input)
        .output()
        .map_err(failed)?;
    let public = String::from_utf8_lossy(&public.stdout).trim().to_owned();
    Ok(Key { file, public })
}

/// Gives the server its addresses, and a way back to all sources.
fn address(device: Device, server: &NetNs, name: &str) -> Result<(), String> {
    let client = mac(CLIENT_MAC);
    let mut lines = vec![
        format!("ip addr add {HOST_V4}/24 dev {name}"),
        format!("ip addr add {HOST_V6}/64 dev {name} nodad"),
    ];
    for (version, to) in [("-4", CLIENT_V4), ("-6", CLIENT_V6)] {
        if device.has_ethernet() {
            lines.push(format!(
                "ip neigh replace {to} lladdr {client} dev {name} nud permanent"
            ));
            lines.push(format!(
                "ip {version} route add default via {to} dev {name}"
            ));
        } else {
            lines.push(format!("ip {version} route add default dev {name}"));
        }
    }
    all(server, &lines)
}

/// The server's addresses.
///
/// # Panics
/// Never: the texts are addresses.
#[must_use]
pub fn addresses() -> Vec<IpAddr> {
    let texts = [HOST_V4, HOST_V6];
    texts.map(|a| a.parse().expect("an address")).into()
}
