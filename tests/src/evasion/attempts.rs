//! Connection attempts in every shape that Linux may answer, by families.

use std::net::IpAddr;

use crate::evasion::attempt::{Attempt, Fragments, RANDOM};
use crate::reference::Rules;
use crate::shape::{DESTINATION, Extension, HOP_BY_HOP, SYN, Shape, random};

/// All attempts.
#[must_use]
pub fn all() -> Vec<Attempt> {
    let mut list = List::default();
    list.plain();
    list.flags();
    list.tags();
    list.options();
    list.extensions();
    list.chains();
    list.large_chains();
    list.fragments();
    list.lengths();
    list.attempts
}

/// Random attempts of a seed.
#[must_use]
pub fn random(seed: u64, count: usize) -> Vec<Attempt> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let rules = Rules::default();
    let mut attempts = Vec::new();
    while attempts.len() < count {
        let mut shape = random::frame(&mut rng, &rules, true);
        // No fragment belongs to another's.
        shape.id = rng.u16(..);
        attempts.push(Attempt {
            family: RANDOM,
            name: format!("random {}, {shape:?}", attempts.len()),
            shape,
            fragments: None,
        });
    }
    attempts
}

#[derive(Default)]
struct List {
    family: &'static str,
    attempts: Vec<Attempt>,
}

fn base(v6: bool) -> Shape {
    let source = if v6 {
        IpAddr::from([0u16; 8])
    } else {
        IpAddr::from([0u8; 4])
    };
    // Source and ports are those of the sender.
    Shape::syn(source, 1, 1)
}

impl List {
    fn add(&mut self, name: String, shape: Shape) {
        self.attempts.push(Attempt {
            family: self.family,
            name,
            shape,
            fragments: None,
        });
    }

    fn both(&mut self, name: &str, change: impl Fn(&mut Shape)) {
        for v6 in [false, true] {
            let mut shape = base(v6);
            change(&mut shape);
            self.add(
                format!("{name}, {}", if v6 { "IPv6" } else { "IPv4" }),
                shape,
            );
        }
    }

    fn v6(&mut self, name: impl Into<String>, chain: Vec<Extension>) {
        let mut shape = base(true);
        shape.extensions = chain;
        self.add(name.into(), shape);
    }

    fn cut(&mut self, name: impl Into<String>, shape: &Shape, before: usize, cuts: &[usize]) {
        let name = name.into();
        for reversed in [false, true] {
            let order = if reversed { ", last first" } else { "" };
            self.attempts.push(Attempt {
                family: self.family,
                name: format!("{name}{order}"),
                shape: shape.clone(),
                fragments: Some(Fragments {
                    before,
                    cuts: cuts.to_vec(),
                    reversed,
                }),
            });
        }
    }

    fn plain(&mut self) {
        self.family = "plain";
        self.both("a SYN", |_| ());
        self.both("source port 0", |s| s.source_port = 0);
        for len in [4, 20, 40] {
            self.both(&format!("{len} bytes of TCP options"), |s| {
                s.tcp_options = vec![1; len];
            });
        }
        for len in [1, 64, 1000, 1400, 8000] {
            self.both(&format!("{len} bytes of payload"), |s| s.payload = len);
        }
    }

    fn flags(&mut self) {
        self.family = "TCP flags";
        // All subsets of PSH, URG, ECE and CWR, each bit of the rest.
        let subsets = (1..16u16).map(|set| {
            let [psh, urg, ece, cwr] = [set & 1, set >> 1 & 1, set >> 2 & 1, set >> 3 & 1];
            psh << 3 | urg << 5 | ece << 6 | cwr << 7
        });
        let rest = [0x001, 0x004, 0x100, 0x200, 0x400, 0x800, 0xfe8, 0x005];
        for others in subsets.chain(rest) {
            self.both(&format!("SYN and flags {others:03x}"), |s| {
                s.flags = SYN | others;
            });
        }
    }

    fn tags(&mut self) {
        self.family = "VLAN tags";
        let counts = [
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 17, 24, 31, 32, 33, 48, 64, 65, 100, 200,
            300, 1000, 2000,
        ];
        for count in counts {
            for (name, kinds) in [
                ("802.1Q", [0x8100, 0x8100]),
                ("802.1ad", [0x88a8, 0x88a8]),
                ("mixed", [0x88a8, 0x8100]),
            ] {
                self.both(&format!("{count} tags, {name}"), |s| {
                    s.tags = (0..count).map(|n| (kinds[n % 2], 0)).collect();
                });
            }
        }
        for priority in [0x1000, 0x2000, 0xe000, 0xf000] {
            self.both(&format!("3 tags, control {priority:04x}"), |s| {
                s.tags = vec![(0x8100, priority); 3];
            });
        }
        self.both("VID 7 without a device", |s| s.tags = vec![(0x8100, 7)]);
        self.both("VID 7 behind VID 0", |s| {
            s.tags = vec![(0x8100, 0), (0x8100, 7)];
        });
        self.both("type 9100", |s| s.tags = vec![(0x9100, 0)]);
        self.both("type 9100 behind VID 0", |s| {
            s.tags = vec![(0x8100, 0), (0x9100, 0)];
        });
    }

    fn options(&mut self) {
        self.family = "IPv4 options";
        let mut with = |name: String, options: Vec<u8>| {
            let mut shape = base(false);
            shape.options = options;
            self.add(name, shape);
        };
        for len in (4..=40).step_by(4) {
            with(format!("{len} bytes of no operation"), vec![1; len]);
            with(format!("{len} bytes, ended at once"), vec![0; len]);
        }
        let filled = |head: &[u8]| {
            let mut options = head.to_vec();
            options.resize(head[1].into(), 0);
            options.resize(options.len().next_multiple_of(4), 1);
            options
        };
        with("record route".into(), filled(&[7, 39, 4]));
        with("timestamp".into(), filled(&[68, 36, 5, 0]));
        with("router alert".into(), filled(&[148, 4, 0, 0]));
        with("an unknown option".into(), filled(&[30, 40]));
        with("loose source route".into(), filled(&[131, 7, 8]));
    }

    fn extensions(&mut self) {
        self.family = "IPv6 headers";
        for len in [8, 16, 24, 40, 64, 264, 1024, 1400] {
            self.v6(
                format!("hop-by-hop, {len} bytes"),
                vec![Extension::options(HOP_BY_HOP, len)],
            );
            self.v6(
                format!("destination, {len} bytes"),
                vec![Extension::options(DESTINATION, len)],
            );
            self.v6(
                format!("routing, {len} bytes"),
                vec![Extension::routing(0, len)],
            );
        }
        for kind in [0, 1, 2, 3, 4, 5, 6, 253, 254] {
            self.v6(
                format!("routing of type {kind}"),
                vec![Extension::routing(kind, 24)],
            );
        }
        let atomic = || Extension::fragment(0, false, 7);
        self.v6("an atomic fragment", vec![atomic()]);
        self.v6("authentication", vec![Extension::authentication(24)]);
        let destination = || Extension::options(DESTINATION, 16);
        let routing = || Extension::routing(0, 24);
        let hop = || Extension::options(HOP_BY_HOP, 8);
        self.v6(
            "one of each",
            vec![hop(), destination(), routing(), atomic(), destination()],
        );
        self.v6(
            "an atomic fragment, then options",
            vec![atomic(), destination()],
        );
        self.v6("hop-by-hop behind routing", vec![routing(), hop()]);
        let mut padded = destination();
        padded.body = vec![0; 14];
        self.v6("14 bytes of padding in a row", vec![padded]);
    }

    fn chains(&mut self) {
        self.family = "IPv6 chains";
        let counts = [
            2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 20, 24, 31, 32, 33, 40, 48, 63, 64,
            65, 80, 100, 128, 150, 160, 175,
        ];
        for count in counts {
            self.v6(
                format!("{count} destination options"),
                vec![Extension::options(DESTINATION, 8); count],
            );
            self.v6(
                format!("{count} routing headers"),
                vec![Extension::routing(0, 8); count],
            );
        }
        self.v6(
            "two atomic fragments",
            vec![Extension::fragment(0, false, 7); 2],
        );
        let mixed = (0..60).map(|n| match n {
            30 => Extension::fragment(0, false, 7),
            n if n % 2 == 0 => Extension::options(DESTINATION, 8 + n % 5 * 8),
            _ => Extension::routing(1, 8),
        });
        self.v6("60 mixed headers", mixed.collect());
    }

    fn large_chains(&mut self) {
        self.family = "large IPv6 chains";
        for (count, len) in [
            (2, 1696),
            (2, 1728),
            (2, 1736),
            (2, 2048),
            (3, 2048),
            (4, 2048),
            (2, 3),
            (12, 256),
            (14, 256),
            (16, 256),
            (34, 256),
            (400, 8),
            (433, 8),
            (500, 8),
            (1000, 8),
        ] {
            let len = len.max(8);
            self.v6(
                format!("{count} destination options of {len} bytes"),
                vec![Extension::options(DESTINATION, len); count],
            );
            self.v6(
                format!("{count} routing headers of {len} bytes"),
                vec![Extension::routing(0, len); count],
            );
        }
    }

    fn fragments(&mut self) {
        self.family = "fragments";
        for v6 in [false, true] {
            let version = if v6 { "IPv6" } else { "IPv4" };
            for payload in [0, 40, 900] {
                for cuts in [
                    &[8][..],
                    &[16],
                    &[24],
                    &[32],
                    &[8, 16],
                    &[16, 24],
                    &[24, 48],
                    &[8, 24, 40],
                ] {
                    let mut shape = base(v6);
                    shape.payload = payload;
                    shape.tcp_options = vec![1; 8];
                    let name = format!("{version}, {payload} bytes, cut at {cuts:?}");
                    self.cut(name, &shape, 0, cuts);
                }
            }
        }
        let mut shape = base(false);
        shape.payload = 40;
        shape.options = vec![1; 40];
        self.cut("IPv4 with options, cut at 8", &shape, 0, &[8]);
        let mut shape = base(true);
        shape.payload = 40;
        shape.extensions = vec![
            Extension::options(DESTINATION, 16),
            Extension::routing(0, 8),
        ];
        self.cut("IPv6 headers before", &shape, 2, &[24]);
        self.cut("IPv6 headers within", &shape, 0, &[48]);
        self.cut("IPv6 headers cut off", &shape, 0, &[16]);
        let mut tagged = base(false);
        tagged.payload = 40;
        tagged.tags = vec![(0x8100, 0); 4];
        self.cut("IPv4 behind 4 tags", &tagged, 0, &[8]);
    }

    fn lengths(&mut self) {
        self.family = "lengths";
        for len in [1, 6, 26, 46, 400] {
            self.both(&format!("{len} bytes behind the packet"), |s| {
                s.padding = vec![0x10; len];
            });
        }
        let mut jumbo = base(true);
        jumbo.extensions = vec![Extension::options(HOP_BY_HOP, 8)];
        jumbo.length = Some(0);
        self.add("IPv6 length 0 with hop-by-hop options".into(), jumbo);
        for length in [0, 20, 39, 1500] {
            self.both(&format!("length {length}"), |s| s.length = Some(length));
        }
    }
}
