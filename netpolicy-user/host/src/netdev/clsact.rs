//! Filters at tc ingress, by the qdisc `clsact`: what ran BPF programs there before tcx (Linux
//! 6.6), and still does.
//!
//! The numbers are those of the kernel's `include/uapi/linux/{rtnetlink,pkt_sched,pkt_cls}.h`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NlasIterator,
};

use super::Netdevs;
use super::device::{text, u32_at};

const RTM_NEWQDISC: u16 = 36;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
/// `TCA_BPF_FLAG_ACT_DIRECT`: the program's answer is the action.
const ACT_DIRECT: u32 = 1;

/// `TC_H_CLSACT`, and its two blocks.
const CLSACT: u32 = 0xffff_0000;
const CLSACT_PARENT: u32 = 0xffff_fff1;
const INGRESS: u32 = 0xffff_fff2;

/// `struct tcmsg`.
const HEADER: usize = 20;

/// The first there is, and all protocols: `ETH_P_ALL`.
const PRIORITY: u32 = 1;
const ALL: u16 = 3;

/// The handle of netpolicy's filter, "np": no other has it by chance, as the kernel counts from 1.
const HANDLE: u32 = 0x6e70;

/// A filter at ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcFilter {
    /// "bpf", "flower".
    pub kind: String,
    /// The program's id, of one of kind "bpf".
    pub program: u32,
    /// Whether it has the place of netpolicy's.
    pub is_ours: bool,
    /// The name that was given to it.
    pub name: String,
}

impl Netdevs {
    /// The filters at an interface's ingress, in the order in which they run.
    ///
    /// # Errors
    /// The kernel's.
    pub fn filters(&mut self, ifindex: u32) -> io::Result<Vec<TcFilter>> {
        let mut filters = Vec::new();
        let body = message(ifindex, 0, INGRESS, 0);
        self.dump(RTM_GETTFILTER, &body, RTM_NEWTFILTER, |payload| {
            filters.extend(parse(payload));
        })?;
        Ok(filters)
    }

    /// Makes a program netpolicy's filter of this name at an interface's ingress, before all others.
    /// `replaces`: the one that is there, from one packet to the next; else there must be none.
    ///
    /// # Errors
    /// The kernel's: `EEXIST` where there is one.
    pub fn set_filter(
        &mut self,
        ifindex: u32,
        program: BorrowedFd<'_>,
        name: &str,
        replaces: bool,
    ) -> io::Result<()> {
        let mut qdisc = message(ifindex, CLSACT, CLSACT_PARENT, 0);
        push(&mut qdisc, TCA_KIND, b"clsact\0");
        match self.change(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &qdisc) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
            made => made?,
        }
        let fd = program.as_raw_fd().to_ne_bytes();
        let mut options = Vec::new();
        push(&mut options, TCA_BPF_FD, &fd);
        push(
            &mut options,
            TCA_BPF_NAME,
            &[name.as_bytes(), b"\0"].concat(),
        );
        push(&mut options, TCA_BPF_FLAGS, &ACT_DIRECT.to_ne_bytes());
        let mut filter = message(ifindex, HANDLE, INGRESS, PRIORITY);
        push(&mut filter, TCA_KIND, b"bpf\0");
        push(&mut filter, TCA_OPTIONS, &options);
        let flags = if replaces { NLM_F_REPLACE } else { NLM_F_EXCL };
        self.change(RTM_NEWTFILTER, NLM_F_CREATE | flags, &filter)
    }

    /// Removes netpolicy's filter. The qdisc stays, which others may use by now.
    ///
    /// # Errors
    /// The kernel's: `ENOENT` where there is none.
    pub fn remove_filter(&mut self, ifindex: u32) -> io::Result<()> {
        let mut filter = message(ifindex, HANDLE, INGRESS, PRIORITY);
        push(&mut filter, TCA_KIND, b"bpf\0");
        self.change(RTM_DELTFILTER, 0, &filter)
    }

    fn change(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.send(kind, NLM_F_REQUEST | NLM_F_ACK | flags, body)?;
        // Changes are answered with an error number alone.
        self.answer(u16::MAX, |_| {}).map(drop)
    }
}

/// A `struct tcmsg`.
fn message(ifindex: u32, handle: u32, parent: u32, priority: u32) -> Vec<u8> {
    let info = priority << 16 | u32::from(ALL.to_be());
    let info = if priority == 0 { 0 } else { info };
    let mut body = vec![0; 4];
    for word in [ifindex, handle, parent, info] {
        body.extend(word.to_ne_bytes());
    }
    body
}

fn push(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// A filter's message; `None`: one that only says that there is a priority.
fn parse(payload: &[u8]) -> Option<TcFilter> {
    let handle = u32_at(payload, 8)?;
    let priority = u32_at(payload, 16)? >> 16;
    let mut filter = TcFilter {
        kind: String::new(),
        program: 0,
        is_ours: false,
        name: String::new(),
    };
    let mut has_options = false;
    for nla in NlasIterator::new(payload.get(HEADER..)?).flatten() {
        match nla.kind() {
            TCA_KIND => filter.kind = text(nla.value()),
            TCA_OPTIONS => {
                has_options = true;
                for option in NlasIterator::new(nla.value()).flatten() {
                    match option.kind() {
                        TCA_BPF_ID => {
                            filter.program = u32_at(option.value(), 0).unwrap_or_default();
                        }
                        TCA_BPF_NAME => filter.name = text(option.value()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if handle == 0 && !has_options {
        return None;
    }
    let is_bpf = filter.kind == "bpf";
    filter.is_ours = is_bpf && handle == HANDLE && priority == PRIORITY;
    Some(filter)
}
