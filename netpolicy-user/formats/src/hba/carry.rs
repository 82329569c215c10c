//! What a filter by source address can carry of a file's lines, in their order.

use ipnet::IpNet;

use super::line::{Address, Admission, HbaLine};
use crate::subtract::without;

/// A file with what becomes of each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hba {
    /// The lines that have to do with connections, in order.
    pub lines: Vec<Carried>,
    /// Whether sources that the file admits are missing from the policy.
    pub is_incomplete: bool,
}

/// A line with what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The line.
    pub line: HbaLine,
    /// Networks for the allow list.
    pub allow: Vec<IpNet>,
    /// Networks for the block list: those that no earlier line admits.
    pub block: Vec<IpNet>,
    /// What becomes of it, in a few words.
    pub outcome: String,
}

impl Hba {
    pub(super) fn of(lines: Vec<HbaLine>) -> Self {
        let mut carry = Carry::default();
        let lines = lines.into_iter().map(|line| carry.line(line)).collect();
        Self {
            lines,
            is_incomplete: carry.is_incomplete,
        }
    }
}

#[derive(Debug, Default)]
struct Carry {
    /// What the lines so far admit, for any database and user.
    admitted: Vec<IpNet>,
    /// Whether there is an admitting line whose networks are not known.
    is_incomplete: bool,
    /// Whether a line rejects all that no line before admits.
    is_closed: bool,
}

impl Carry {
    fn line(&mut self, line: HbaLine) -> Carried {
        let (mut allow, mut block) = (Vec::new(), Vec::new());
        if self.is_closed {
            let outcome = "never reached: a line before rejects all that is left".to_owned();
            return Carried {
                line,
                allow,
                block,
                outcome,
            };
        }
        let outcome = match &line.admission {
            Admission::Local => "by unix socket, which passes no NIC: nothing to carry".to_owned(),
            Admission::Include => {
                self.is_incomplete = true;
                "not carried: import that file too, and add what it admits".to_owned()
            }
            Admission::Host {
                address,
                is_whole,
                method,
            } if method == "reject" => self.reject(address, *is_whole, &mut block),
            Admission::Host {
                address, method, ..
            } => self.admit(address, method, &mut allow),
        };
        Carried {
            line,
            allow,
            block,
            outcome,
        }
    }

    fn admit(&mut self, address: &Address, method: &str, allow: &mut Vec<IpNet>) -> String {
        let how = HbaLine::explained(method);
        let not = |why: &str| format!("not carried: {why}; add its addresses to allow");
        match address {
            Address::All => *allow = everything(),
            Address::Net(net) if is_loopback(*net) => {
                return format!("admitted {how}; loopback passes no NIC: nothing to carry");
            }
            Address::Net(net) => allow.push(*net),
            Address::SameHost => {
                return format!("admitted {how}; the host itself passes no NIC: nothing to carry");
            }
            Address::SameNet => {
                self.is_incomplete = true;
                return not("which networks the server is in, the file does not say");
            }
            Address::Gaps(_) => {
                self.is_incomplete = true;
                return not("no network has a mask with gaps");
            }
            Address::Host(_) => {
                self.is_incomplete = true;
                return not("names are not resolved");
            }
        }
        self.admitted.extend(allow.iter());
        format!("admitted {how}")
    }

    fn reject(&mut self, address: &Address, is_whole: bool, block: &mut Vec<IpNet>) -> String {
        const SERVER: &str = "the server goes on rejecting";
        if !is_whole {
            return format!(
                "not carried: it rejects some databases, users or kinds of connection alone, \
                 which no packet shows; {SERVER}"
            );
        }
        let nets = match address {
            Address::All => Vec::new(),
            Address::Net(net) if is_loopback(*net) => {
                return "loopback passes no NIC: nothing to carry".to_owned();
            }
            Address::Net(net) => halves(*net),
            Address::SameHost | Address::SameNet | Address::Gaps(_) | Address::Host(_) => {
                return format!("not carried: its addresses are not known here; {SERVER}");
            }
        };
        if *address == Address::All {
            self.is_closed = true;
            // The allow list says it already.
            return "rejected: what no line before admits is not on the allow list".to_owned();
        }
        if self.is_incomplete {
            // An earlier line that is not carried may admit a part of it.
            return format!(
                "not carried: an earlier line that is not carried may admit a part of it; {SERVER}"
            );
        }
        for net in &nets {
            block.extend(without(*net, &self.admitted));
        }
        match (block.is_empty(), *block == nets) {
            (true, _) => {
                "without effect: lines before admit all of it, and the first decides".to_owned()
            }
            (false, true) => "rejected".to_owned(),
            (false, false) => {
                "rejected, but for what lines before admit: the first line decides".to_owned()
            }
        }
    }
}

fn everything() -> Vec<IpNet> {
    vec![
        IpNet::V4(ipnet::Ipv4Net::default()),
        IpNet::V6(ipnet::Ipv6Net::default()),
    ]
}

/// A network for a block list, which takes no whole family: that one as its two halves.
fn halves(net: IpNet) -> Vec<IpNet> {
    match (net.prefix_len(), net.subnets(1)) {
        (0, Ok(halves)) => halves.collect(),
        _ => vec![net],
    }
}

fn is_loopback(net: IpNet) -> bool {
    net.addr().is_loopback() && (net.prefix_len() >= 8 || !net.addr().is_ipv4())
}
