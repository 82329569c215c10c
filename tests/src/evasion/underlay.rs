//! The network below a tunnel, into which packets go that the tunnel's own end does not send.

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header};

use crate::NetNs;
use crate::evasion::devices::UNDERLAY;
use crate::packet::CLIENT_MAC;
use crate::traffic::RawSocket;

/// The client's end of the network below a tunnel.
#[derive(Debug)]
pub struct Underlay {
    socket: RawSocket,
    server_mac: [u8; 6],
}

/// GRE's IP protocol number.
const GRE: u8 = 47;

impl Underlay {
    pub(super) fn new(server: &NetNs, client: &NetNs) -> Self {
        let text = server.ip(&["-brief", "link", "show", "dev", "nic0"]);
        let mac = text.split_whitespace().nth(2).expect("a MAC address");
        let bytes = mac.split(':').map(|part| u8::from_str_radix(part, 16));
        let bytes: Vec<u8> = bytes.map(|byte| byte.expect("hexadecimal")).collect();
        Self {
            socket: RawSocket::new(client, "nic0"),
            server_mac: bytes.try_into().expect("six bytes"),
        }
    }

    /// Sends a frame.
    pub fn send(&self, frame: &[u8]) {
        self.socket.send(frame);
    }

    /// A frame with a GRE packet that says its content is of this ethertype.
    ///
    /// # Panics
    /// When the content is too long.
    #[must_use]
    pub fn gre(&self, ether_type: u16, content: &[u8]) -> Vec<u8> {
        let [server, client] = UNDERLAY.map(|text| {
            let address: std::net::Ipv4Addr = text.parse().expect("an address");
            address.octets()
        });
        let mut gre = vec![0, 0];
        gre.extend(ether_type.to_be_bytes());
        gre.extend(content);
        let len = u16::try_from(gre.len()).expect("a short packet");
        let ip = Ipv4Header::new(len, 64, IpNumber(GRE), client, server);
        let mut ip = ip.expect("a short packet");
        ip.header_checksum = ip.calc_header_checksum();
        let ethernet = Ethernet2Header {
            source: CLIENT_MAC,
            destination: self.server_mac,
            ether_type: EtherType::IPV4,
        };
        let mut frame = ethernet.to_bytes().to_vec();
        frame.extend(ip.to_bytes());
        frame.extend(gre);
        frame
    }
}
