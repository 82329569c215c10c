//! Attempts in every shape against a listening server, by every kind of device: what of them
//! is answered with a SYN-ACK, filtered and not.

pub mod attempt;
pub mod attempts;
pub mod devices;
pub mod user_device;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netpolicy_user::config::XdpChoice;

use crate::NetNs;
use crate::asked::{chain, enforce};
use crate::evasion::attempt::Attempt;
use crate::evasion::devices::{Device, Wire};
use crate::reference::{Net, Policy, Rules, Service};
use crate::rules::{self, Loaded};
use crate::server::EchoServer;
use crate::shape::Shape;

/// The port of the service that is attacked.
pub const PORT: u16 = 5432;
/// Attempts that are sent before their answers are waited for: fewer than the 256 packets
/// that a veth keeps for a native program.
const BATCH: usize = 20;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sender {
    /// A source that the policies deny.
    Denied,
    /// One that they allow.
    Allowed,
    /// One that they allow, whose plain attempts show that all before was received.
    Marker,
}

/// The address of a sender in a round: another in each, so that no answer is taken for one of
/// another round.
#[must_use]
pub fn source(sender: Sender, v6: bool, round: u8) -> IpAddr {
    if v6 {
        let second = if sender == Sender::Denied { 0xbad } else { 0 };
        let last = if sender == Sender::Marker { 2 } else { 1 };
        Ipv6Addr::new(0xfd00, second, 0, round.into(), 0, 0, 0, last).into()
    } else {
        let second = if sender == Sender::Denied { 66 } else { 0 };
        let last = if sender == Sender::Marker { 2 } else { 1 };
        Ipv4Addr::new(10, second, round, last).into()
    }
}

/// The policies under which the denied sender is denied: one kind each.
#[must_use]
pub fn policies() -> [(&'static str, Rules); 4] {
    let nets = |texts: &[&str]| -> Vec<Net> {
        let nets = texts.iter().map(|text| Net::try_from((*text).to_owned()));
        nets.map(|net| net.expect("a network")).collect()
    };
    let denied = nets(&["10.66.0.0/16", "fd00:bad::/32"]);
    let allowed = nets(&["10.0.0.0/16", "fd00::/32"]);
    let service = |and| Service {
        ports: vec![(PORT, PORT)],
        and,
        observes: false,
    };
    let host = |rules: Policy| Policy {
        host: true,
        ..rules
    };
    let of_service = |rules: Policy| Policy {
        services: vec![0],
        ..rules
    };
    let block = Policy {
        block: denied,
        ..Policy::default()
    };
    let allow = Policy {
        allow: Some(allowed),
        ..Policy::default()
    };
    let other = Policy {
        block: nets(&["203.0.113.0/24"]),
        ..Policy::default()
    };
    let governed = |services, policies| Rules {
        failsafe: vec![22],
        services,
        policies,
        ..Rules::default()
    };
    [
        (
            "host blocklist",
            governed(vec![], vec![host(block.clone())]),
        ),
        (
            "host allowlist",
            governed(vec![], vec![host(allow.clone())]),
        ),
        (
            "service blocklist",
            governed(vec![service(false)], vec![of_service(block)]),
        ),
        (
            "service allowlist with and",
            governed(vec![service(true)], vec![of_service(allow), host(other)]),
        ),
    ]
}

/// A server behind a device.
pub struct Stand {
    /// What kind of device.
    pub device: Device,
    /// Its MTU.
    pub mtu: usize,
    wire: Wire,
    _server: EchoServer,
    _client: NetNs,
    ns: NetNs,
}

/// Which attempts were answered, by sender and number.
pub type Answered = BTreeSet<(Sender, usize)>;

impl Stand {
    /// Makes it.
    ///
    /// # Errors
    /// What this kernel has against it.
    pub fn new(device: Device, mtu: usize) -> Result<Self, String> {
        let (ns, client) = (NetNs::new(), NetNs::new());
        let wire = devices::make(device, &ns, &client, mtu)?;
        let server = EchoServer::start(&ns, &[PORT]);
        Ok(Self {
            device,
            mtu,
            wire,
            _server: server,
            _client: client,
            ns,
        })
    }

    /// The device that is filtered.
    #[must_use]
    pub fn filtered(&self) -> &'static str {
        self.wire.filtered
    }

    /// Attaches a filter to the device. One that was loaded once serves all devices, one after
    /// the other: the verifier takes seconds.
    ///
    /// # Errors
    /// When it cannot be attached there.
    pub fn filter(&self, loaded: &mut Loaded, mode: XdpChoice) -> Result<(), String> {
        self.ns.run(|| {
            loaded.reopen_with(mode, &rules::ruleset(&[]));
            let attached = loaded.datapath().attach(self.wire.filtered);
            attached.map(drop).map_err(|e| chain(&e))
        })
    }

    /// Detaches the filter.
    ///
    /// # Panics
    /// When that fails.
    pub fn unfilter(&self, loaded: &mut Loaded) {
        self.ns.run(|| {
            let detached = loaded.datapath().links().detach_all();
            detached.expect("detach from the device");
        });
    }

    /// Puts rules in force.
    pub fn enforce(&self, loaded: &mut Loaded, rules: &Rules) {
        self.ns.run(|| enforce(loaded, rules));
    }

    /// Sends a frame. `false`: the device does not take such a one.
    #[must_use]
    pub fn send(&self, frame: &[u8]) -> bool {
        self.wire.send(frame)
    }

    /// An attempt as a sender sends it, if this device takes such a one.
    #[must_use]
    pub fn sent(
        &self,
        attempt: &Attempt,
        number: usize,
        sender: Sender,
        round: u8,
    ) -> Option<Sent> {
        let v6 = attempt.is_v6();
        if !self.device.carries(v6) {
            return None;
        }
        let from = (
            source(sender, v6, round),
            attempt.source_port(port_of(number)),
        );
        let ethernet = self.device.has_ethernet();
        let frames = attempt.frames(from.0, from.1, PORT, ethernet, self.mtu)?;
        Some(Sent {
            id: (sender, number),
            from,
            frames,
        })
    }

    /// Sends attempts, and returns which were answered.
    ///
    /// # Errors
    /// When plain attempts of an allowed sender are not answered either.
    pub fn exchange(&self, all: &[Sent], round: u8) -> Result<Answered, String> {
        let expected: Expected = all.iter().map(|sent| (sent.from, sent.id)).collect();
        let mut answered = Answered::new();
        for (batch, attempts) in all.chunks(BATCH).enumerate() {
            for frame in attempts.iter().flat_map(|sent| &sent.frames) {
                let _ = self.wire.send(frame);
            }
            self.wait_for_marker(round, batch, &expected, &mut answered)?;
        }
        while let Some(to) = self.answer() {
            answered.extend(to.and_then(|to| expected.get(&to)));
        }
        Ok(answered)
    }

    /// A plain attempt behind all others: when it is answered, they were received.
    fn wait_for_marker(
        &self,
        round: u8,
        batch: usize,
        expected: &Expected,
        answered: &mut Answered,
    ) -> Result<(), String> {
        let v6 = !self.device.carries(false);
        for turn in 0..40 {
            let from = source(Sender::Marker, v6, round);
            let mut marker = Shape::syn(from, port_of(batch * 40 + turn), PORT);
            marker.ethernet = self.device.has_ethernet();
            let _ = self.wire.send(&marker.build());
            while let Some(to) = self.answer() {
                let Some(to) = to else { continue };
                if to == (from, marker.source_port) {
                    return Ok(());
                }
                answered.extend(expected.get(&to));
            }
        }
        Err("plain attempts of an allowed source are not answered".into())
    }

    /// What comes next: `None` when nothing does; else to whom it is, if it is a SYN-ACK.
    fn answer(&self) -> Option<Option<(IpAddr, u16)>> {
        let mut buffer = [0; 2048];
        let frame = self.wire.receive(&mut buffer)?;
        Some(syn_ack_to(frame, self.device.has_ethernet()))
    }
}

/// An attempt on its way.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Who sends it, and which it is.
    pub id: (Sender, usize),
    /// The address and port that it is answered to.
    pub from: (IpAddr, u16),
    /// Its frames.
    pub frames: Vec<Vec<u8>>,
}

type Expected = BTreeMap<(IpAddr, u16), (Sender, usize)>;

fn port_of(number: usize) -> u16 {
    u16::try_from(2000 + number % 60_000).unwrap_or(2000)
}

/// The address and port that a frame is for, if it is a SYN-ACK.
fn syn_ack_to(frame: &[u8], ethernet: bool) -> Option<(IpAddr, u16)> {
    let packet = if ethernet { frame.get(14..)? } else { frame };
    let (to, tcp): (IpAddr, &[u8]) = match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&6) => {
            let header = usize::from(packet[0] & 0xf) * 4;
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            (to.into(), packet.get(header..)?)
        }
        6 if packet.get(6) == Some(&6) => {
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            (to.into(), packet.get(40..)?)
        }
        _ => return None,
    };
    let port = u16::from_be_bytes(tcp.get(2..4)?.try_into().ok()?);
    (tcp.get(13)? & 0x12 == 0x12).then_some((to, port))
}
