//! Attempts in every shape against a listening server, by every kind of device: what of them
//! is answered with a SYN-ACK and accepted, filtered and not.

pub mod attempt;
pub mod attempts;
pub mod devices;
pub mod ip_socket;
pub mod listener;
pub mod ppp;
pub mod underlay;
pub mod user_device;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netpolicy_user::config::HookChoice;

use crate::NetNs;
use crate::asked::{chain, enforce};
use crate::evasion::attempt::Attempt;
use crate::evasion::devices::{Device, Wire};
use crate::evasion::listener::Listener;
use crate::evasion::underlay::Underlay;
use crate::reference::{Net, Policy, Rules, Service};
use crate::rules::{self, Loaded};
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
        resets: false,
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
    listener: Listener,
    client: NetNs,
    ns: NetNs,
}

/// Attempts, by sender and number.
pub type Ids = BTreeSet<(Sender, usize)>;

/// What became of attempts.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Those that were answered with a SYN-ACK.
    pub answered: Ids,
    /// Those whose connection the server's `accept` returned, once the answer was acknowledged.
    pub accepted: Ids,
}

impl Stand {
    /// Makes it.
    ///
    /// # Errors
    /// What this kernel has against it.
    pub fn new(device: Device, mtu: usize) -> Result<Self, String> {
        let (ns, client) = (NetNs::new(), NetNs::new());
        let wire = devices::make(device, &ns, &client, mtu)?;
        let listener = Listener::new(&ns, PORT).map_err(|e| format!("listen: {e}"))?;
        Ok(Self {
            device,
            mtu,
            wire,
            listener,
            client,
            ns,
        })
    }

    /// The device that is filtered.
    #[must_use]
    pub fn filtered(&self) -> &'static str {
        self.wire.filtered
    }

    /// Attaches a filter to the device, by clsact where there is no tcx. One that was loaded once serves all devices, one after
    /// the other: the verifier takes seconds.
    ///
    /// # Errors
    /// When it cannot be attached there.
    pub fn filter(&self, loaded: &mut Loaded, mode: HookChoice) -> Result<(), String> {
        self.ns.run(|| {
            let mut attach = |hook| {
                loaded.reopen_with(hook, &rules::ruleset(&[]));
                let attached = loaded.datapath().attach(self.wire.filtered);
                attached.map(drop).map_err(|e| chain(&e))
            };
            match attach(mode) {
                // The same program, before Linux 6.6.
                Err(_) if mode == HookChoice::Tcx => attach(HookChoice::Clsact),
                attached => attached,
            }
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
        let source_port = attempt.source_port(port_of(number));
        let source = source(sender, v6, round);
        let ethernet = self.device.has_ethernet();
        let attempt = attempt.between(source, source_port, PORT, ethernet)?;
        Some(Sent {
            id: (sender, number),
            from: (source, source_port),
            frames: attempt.frames(self.mtu)?,
            attempt,
        })
    }

    /// Sends attempts, acknowledges answers, and returns what became of them.
    ///
    /// # Errors
    /// When plain attempts of an allowed sender are not answered either.
    pub fn exchange(&self, all: &[Sent], round: u8) -> Result<Outcome, String> {
        self.exchange_by(all, round, |frame| {
            let _ = self.wire.send(frame);
        })
    }

    /// The same, with another way to send the attempts' frames.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub fn exchange_by(
        &self,
        all: &[Sent],
        round: u8,
        send: impl Fn(&[u8]),
    ) -> Result<Outcome, String> {
        let expected: Expected = all.iter().map(|sent| (sent.from, sent)).collect();
        let mut outcome = Outcome::default();
        for (batch, attempts) in all.chunks(BATCH).enumerate() {
            for frame in attempts.iter().flat_map(|sent| &sent.frames) {
                send(frame);
            }
            self.wait_for_marker(round, batch, &expected, &mut outcome)?;
            self.accept(&expected, &mut outcome);
        }
        while let Some(syn_ack) = self.answer() {
            self.acknowledge(syn_ack, &expected, &mut outcome);
        }
        self.accept(&expected, &mut outcome);
        Ok(outcome)
    }

    /// Acknowledges a SYN-ACK, if it answers an attempt.
    fn acknowledge(&self, syn_ack: Option<SynAck>, expected: &Expected, outcome: &mut Outcome) {
        let Some(syn_ack) = syn_ack else { return };
        let Some(sent) = expected.get(&syn_ack.to) else {
            return;
        };
        if outcome.answered.insert(sent.id) {
            let (sequence, acknowledged) = (syn_ack.sequence, syn_ack.acknowledged);
            let reply = sent.attempt.acknowledgement(sequence, acknowledged);
            for frame in reply.frames(self.mtu).into_iter().flatten() {
                let _ = self.wire.send(&frame);
            }
        }
    }

    fn accept(&self, expected: &Expected, outcome: &mut Outcome) {
        let peers = self.listener.accepted().into_iter();
        let sent = peers.filter_map(|peer| expected.get(&peer));
        outcome.accepted.extend(sent.map(|sent| sent.id));
    }

    /// A plain attempt behind all others: when it is answered, they were received.
    fn wait_for_marker(
        &self,
        round: u8,
        batch: usize,
        expected: &Expected,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        let v6 = !self.device.carries(false);
        for turn in 0..40 {
            let from = source(Sender::Marker, v6, round);
            let mut marker = Shape::syn(from, port_of(batch * 40 + turn), PORT);
            marker.ethernet = self.device.has_ethernet();
            let _ = self.wire.send(&marker.build());
            while let Some(syn_ack) = self.answer() {
                let to = syn_ack.as_ref().map(|syn_ack| syn_ack.to);
                if to == Some((from, marker.source_port)) {
                    return Ok(());
                }
                self.acknowledge(syn_ack, expected, outcome);
            }
        }
        Err("plain attempts of an allowed source are not answered".into())
    }

    /// Receives a frame at the client's end; `None` when none comes for a while.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        self.wire.receive(buffer)
    }

    /// The way to its namespace by the network below a tunnel.
    ///
    /// # Panics
    /// When the device is no tunnel.
    #[must_use]
    pub fn underlay(&self) -> Underlay {
        Underlay::new(&self.ns, &self.client)
    }

    /// What comes next: `None` when nothing does; else the SYN-ACK, if it is one.
    fn answer(&self) -> Option<Option<SynAck>> {
        let mut buffer = [0; 2048];
        let frame = self.wire.receive(&mut buffer)?;
        Some(SynAck::read(frame, self.device.has_ethernet()))
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
    /// The attempt itself.
    pub attempt: Attempt,
}

impl Sent {
    /// An attempt of one frame.
    #[must_use]
    pub fn new(id: (Sender, usize), shape: &Shape) -> Self {
        Self {
            id,
            from: (shape.source, shape.source_port),
            frames: vec![shape.build()],
            attempt: Attempt::of(shape.clone()),
        }
    }
}

type Expected<'a> = BTreeMap<(IpAddr, u16), &'a Sent>;

fn port_of(number: usize) -> u16 {
    u16::try_from(2000 + number % 60_000).unwrap_or(2000)
}

/// A SYN-ACK.
#[derive(Clone, Copy, Debug)]
struct SynAck {
    /// The address and port that it is for.
    to: (IpAddr, u16),
    sequence: u32,
    acknowledged: u32,
}

impl SynAck {
    /// Reads a frame; `None` if it is something else.
    fn read(frame: &[u8], ethernet: bool) -> Option<Self> {
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
        let number = |at: usize| -> Option<u32> {
            let bytes = tcp.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes))
        };
        let port = u16::from_be_bytes(tcp.get(2..4)?.try_into().ok()?);
        let syn_ack = Self {
            to: (to, port),
            sequence: number(4)?,
            acknowledged: number(8)?,
        };
        (tcp.get(13)? & 0x12 == 0x12).then_some(syn_ack)
    }
}
