//! Frames of denied attempts that are answered by a TCP reset, by every kind of device: what
//! arrives, and what gets none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use netpolicy_tests::evasion::devices::Device;
use netpolicy_tests::evasion::{PORT, Sender, Stand, source};
use netpolicy_tests::packet::{CLIENT_MAC, DOT1AD, DOT1Q, Extension, HOST_MAC, Packet};
use netpolicy_tests::reset::Reset;
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_tests::shape::Shape;
use netpolicy_user::compiler::Ruleset;
use netpolicy_user::config::HookChoice;
use netpolicy_user::model::{Change, OnDeny};

const BLOCKED: &str = "10.66.0.1";
const BLOCKED6: &str = "fd00:bad::1";

/// How long a frame that must come may take, and one that must not is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The host blocks what [`evasion`](netpolicy_tests::evasion) calls denied, and answers.
fn answering() -> Arc<Ruleset> {
    let block = ["10.66.0.0/16", "fd00:bad::/32"];
    let on_deny = Change::SetHost {
        mode: None,
        on_deny: Some(OnDeny::Reset),
        failsafe_ports: None,
    };
    rules::ruleset(&[on_deny, rules::policy("office", None, &block, &[])])
}

fn syn(stand: &Stand, sender: Sender, v6: bool, source_port: u16) -> Shape {
    let mut shape = Shape::syn(source(sender, v6, 0), source_port, PORT);
    shape.ethernet = stand.device.has_ethernet();
    shape
}

/// The resets that come at a client's end until none comes for a while.
fn resets(stand: &Stand) -> Vec<Reset> {
    let mut found = Vec::new();
    let mut buffer = [0; 2048];
    while let Some(frame) = stand.receive(&mut buffer) {
        found.extend(Reset::read(frame, stand.device.has_ethernet()));
    }
    found
}

/// Sends attempts of a denied source until a reset comes.
fn denied(stand: &Stand, v6: bool, patience: Duration) -> Option<(Shape, Reset)> {
    let begin = Instant::now();
    for source_port in 20_000.. {
        let shape = syn(stand, Sender::Denied, v6, source_port);
        assert!(stand.send(&shape.build()));
        if let Some(reset) = resets(stand).into_iter().next_back() {
            return Some((shape, reset));
        }
        if begin.elapsed() > patience {
            return None;
        }
    }
    None
}

/// Whether netpolicy answers behind a device at a hook.
fn is_answered(device: Device, hook: HookChoice) -> bool {
    // Of those only veth, bond and tap have native XDP.
    hook != HookChoice::Native || device == Device::Tap
}

#[test]
fn denied_attempt_gets_a_valid_reset_by_every_kind_of_device() {
    let mut loaded = Loaded::new(&rules::ruleset(&[]));
    loaded.datapath().limit_resets(u64::MAX);
    let mut tried = Vec::new();
    for device in Device::ALL {
        let stand = match Stand::new(device, 1400) {
            Ok(stand) => stand,
            Err(why) => {
                println!("skipped: {}: {why}", device.name());
                continue;
            }
        };
        for hook in [HookChoice::Tcx, HookChoice::Generic, HookChoice::Native] {
            let name = format!("{}, {hook:?}", device.name());
            if let Err(why) = stand.filter(&mut loaded, hook) {
                println!("skipped: {name}: {why}");
                continue;
            }
            loaded.apply(&answering());
            for v6 in [false, true].into_iter().filter(|v6| device.carries(*v6)) {
                let expected = is_answered(device, hook);
                let patience = if expected { PATIENCE } else { Duration::ZERO };
                let found = denied(&stand, v6, patience);
                assert_eq!(found.is_some(), expected, "{name}, IPv6 {v6}");
                let Some((shape, reset)) = found else {
                    continue;
                };
                assert_eq!(reset.from, (shape.destination(), PORT), "{name}");
                assert_eq!(reset.to, (shape.source, shape.source_port), "{name}");
                assert_eq!(reset.acknowledged, shape.numbers.0 + 1, "{name}");
                if device.has_ethernet() {
                    assert_eq!(reset.link, [CLIENT_MAC, HOST_MAC].concat(), "{name}");
                }
            }
            tried.push(name);
            stand.unfilter(&mut loaded);
        }
    }
    println!("answered or rightly not: {}", tried.join("; "));
    assert!(tried.len() > 8, "{tried:?}");
}

/// A tap, whose frames the other end sees as they are sent.
fn tap(loaded: &mut Loaded, hook: HookChoice) -> Stand {
    let stand = Stand::new(Device::Tap, 1500).unwrap();
    stand.filter(loaded, hook).unwrap();
    loaded.apply(&answering());
    loaded.datapath().limit_resets(u64::MAX);
    assert!(denied(&stand, false, PATIENCE).is_some());
    stand
}

#[test]
fn reset_carries_the_tags_of_the_attempt() {
    let mut loaded = Loaded::new(&rules::ruleset(&[]));
    for hook in [HookChoice::Tcx, HookChoice::Generic, HookChoice::Native] {
        let stand = tap(&mut loaded, hook);
        for tags in [&[DOT1Q][..], &[DOT1AD, DOT1Q], &[DOT1Q, DOT1Q, DOT1Q]] {
            for from in [BLOCKED, BLOCKED6] {
                let mut attempt = Packet::syn(from, 5432).payload(3);
                attempt = tags.iter().fold(attempt, |packet, tpid| packet.tag(*tpid));
                let frame = attempt.build();
                assert!(stand.send(&frame));
                let found = resets(&stand);
                let [reset] = found.as_slice() else {
                    panic!("{hook:?}, {tags:x?}, {from}: {found:?}");
                };
                let sent = frame[12..].as_chunks::<4>().0.iter().take(tags.len());
                let sent: Vec<[u8; 4]> = sent.copied().collect();
                assert_eq!(reset.tags, sent, "{hook:?}, {from}");
                // SYN and three bytes.
                assert_eq!(reset.acknowledged, 1004, "{hook:?}, {from}");
            }
        }
        stand.unfilter(&mut loaded);
    }
}

/// Attempts of denied sources that are dropped without an answer, whatever the hook.
fn unanswerable() -> Vec<(&'static str, Vec<u8>)> {
    let mut broadcast = Packet::syn(BLOCKED, 5432).build();
    broadcast[..6].fill(0xff);
    let mut multicast = Packet::syn(BLOCKED6, 5432).build();
    multicast[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    let mut of_another = Packet::syn(BLOCKED, 5432).build();
    of_another[5] ^= 0x40;
    let mut from_group = Packet::syn(BLOCKED, 5432).build();
    from_group[6] |= 1;
    let to = |last: [u8; 4]| {
        let patch = |packet: Packet, (at, byte): (usize, &u8)| packet.patch_ip(at, *byte);
        (16..)
            .zip(&last)
            .fold(Packet::syn(BLOCKED, 5432), patch)
            .build()
    };
    vec![
        ("a broadcast frame", broadcast),
        ("a multicast frame", multicast),
        ("a frame to another host", of_another),
        ("a frame from a group", from_group),
        ("to a multicast address", to([224, 0, 0, 1])),
        ("to the broadcast address", to([255; 4])),
        (
            "IPv4 options",
            Packet::syn(BLOCKED, 5432).options(8).build(),
        ),
        (
            "an extension header",
            Packet::syn(BLOCKED6, 5432)
                .extension(Extension::Destination(8))
                .build(),
        ),
        (
            "a first fragment",
            Packet::syn(BLOCKED, 5432).fragment(0, true).build(),
        ),
        (
            "a first fragment without flags",
            Packet::syn(BLOCKED, 5432)
                .cut_transport(8)
                .fragment(0, true)
                .build(),
        ),
        (
            "without ports",
            Packet::syn(BLOCKED, 5432).cut_transport(2).build(),
        ),
        ("SYN and RST", Packet::tcp(BLOCKED, 5432, "SR").build()),
    ]
}

#[test]
fn what_is_no_plain_attempt_to_this_host_gets_no_reset() {
    let mut loaded = Loaded::new(&rules::ruleset(&[]));
    for hook in [HookChoice::Tcx, HookChoice::Generic, HookChoice::Native] {
        let stand = tap(&mut loaded, hook);
        for (what, frame) in unanswerable() {
            assert!(stand.send(&frame), "{what}");
            assert_eq!(resets(&stand), [], "{hook:?}: {what}");
        }
        let withheld = loaded.datapath().counters().resets.withheld;
        assert!(withheld > 0, "{hook:?}");
        // Allowed sources get none either.
        let allowed = syn(&stand, Sender::Allowed, false, 30_000);
        assert!(stand.send(&allowed.build()));
        assert_eq!(resets(&stand), [], "{hook:?}");
        assert!(
            denied(&stand, false, PATIENCE).is_some(),
            "{hook:?}: at last"
        );
        stand.unfilter(&mut loaded);
    }
}
