//! System calls on the links of programs at XDP and tcx: `bpf_link` of `bpf(2)`.
//!
//! `aya` makes a link only to give its descriptor away, and does not tell a link's
//! interface.

use std::{
    ffi::CString,
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use aya_obj::generated::{BPF_F_BEFORE, bpf_attach_type, bpf_cmd, bpf_link_info, bpf_link_type};

use super::{bpf, bpf_writing, empty_attr};

/// `XDP_FLAGS_SKB_MODE` and `XDP_FLAGS_DRV_MODE` of `linux/if_link.h`.
const SKB_MODE: u32 = 1 << 1;
const DRV_MODE: u32 = 1 << 2;

/// The kind of a program, and of what a link attaches it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// XDP, in the driver or in the generic hook: the kernel does not tell.
    Xdp,
    /// tc ingress; of a link: the tcx chain.
    Tc,
}

/// How a link is to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum AttachPoint {
    /// XDP in the driver.
    Driver,
    /// XDP in the generic hook.
    Generic,
    /// tcx at ingress, before every other program.
    Tcx,
}

/// What the kernel tells of a link.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct LinkInfo {
    /// What it attaches to.
    pub(in super::super) kind: Kind,
    /// The link's id, which no other has until the next boot.
    pub(in super::super) id: u32,
    /// The attached program.
    pub(in super::super) program: u32,
    /// The interface's index in the network namespace where it is now; 0: the link has no
    /// effect, for the interface is gone or the link was detached.
    pub(in super::super) ifindex: u32,
}

#[expect(clippy::cast_possible_truncation, reason = "a struct of some 50 bytes")]
const LINK_INFO_LEN: u32 = size_of::<bpf_link_info>() as u32;

/// Opens a pinned link.
pub(in super::super) fn open(pin: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let mut attr = empty_attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    // SAFETY: the command reads the path, which outlives the call.
    let fd = unsafe { bpf(bpf_cmd::BPF_OBJ_GET, &attr) }?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What a link is now.
///
/// # Errors
/// The system call's, or `InvalidData` when it attaches to something else.
pub(in super::super) fn info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    // SAFETY: plain integers and unions of them; all zeros is a value.
    let mut info: bpf_link_info = unsafe { mem::zeroed() };
    let mut attr = empty_attr();
    attr.info.bpf_fd = link.as_raw_fd().unsigned_abs();
    attr.info.info_len = LINK_INFO_LEN;
    attr.info.info = &raw mut info as u64;
    // SAFETY: the command writes `info_len` bytes at most to `info`, which lives here.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &attr) }?;
    const XDP: u32 = bpf_link_type::BPF_LINK_TYPE_XDP as u32;
    const TCX: u32 = bpf_link_type::BPF_LINK_TYPE_TCX as u32;
    let (kind, ifindex) = match info.type_ {
        // SAFETY: the type says that this is the union's member.
        XDP => (Kind::Xdp, unsafe { info.__bindgen_anon_1.xdp.ifindex }),
        // SAFETY: as above.
        TCX => (Kind::Tc, unsafe { info.__bindgen_anon_1.tcx.ifindex }),
        _ => {
            let what = "a link to neither XDP nor tcx";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
    };
    Ok(LinkInfo {
        kind,
        id: info.id,
        program: info.prog_id,
        ifindex,
    })
}

/// Attaches a program to an interface of this network namespace. The link ends with its
/// last descriptor or pin.
pub(in super::super) fn create(
    program: BorrowedFd<'_>,
    ifindex: u32,
    at: AttachPoint,
) -> io::Result<OwnedFd> {
    let (attach_type, flags) = match at {
        AttachPoint::Driver => (bpf_attach_type::BPF_XDP, DRV_MODE),
        AttachPoint::Generic => (bpf_attach_type::BPF_XDP, SKB_MODE),
        AttachPoint::Tcx => (bpf_attach_type::BPF_TCX_INGRESS, BPF_F_BEFORE),
    };
    let mut attr = empty_attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().unsigned_abs();
    attr.link_create.__bindgen_anon_2.target_ifindex = ifindex;
    attr.link_create.attach_type = attach_type as u32;
    attr.link_create.flags = flags;
    // SAFETY: the command reads nothing but `attr`.
    let fd = unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &attr) }?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a link run another program, from one packet to the next.
pub(in super::super) fn update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = empty_attr();
    attr.link_update.link_fd = link.as_raw_fd().unsigned_abs();
    attr.link_update.__bindgen_anon_1.new_prog_fd = program.as_raw_fd().unsigned_abs();
    // SAFETY: the command reads nothing but `attr`.
    unsafe { bpf(bpf_cmd::BPF_LINK_UPDATE, &attr) }.map(drop)
}

/// Detaches a link from its interface, whatever still holds it.
pub(in super::super) fn detach(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = empty_attr();
    attr.link_detach.link_fd = link.as_raw_fd().unsigned_abs();
    // SAFETY: the command reads nothing but `attr`.
    unsafe { bpf(bpf_cmd::BPF_LINK_DETACH, &attr) }.map(drop)
}

/// Pins a link.
pub(in super::super) fn pin(link: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = empty_attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attr.__bindgen_anon_4.bpf_fd = link.as_raw_fd().unsigned_abs();
    // SAFETY: the command reads the path, which outlives the call.
    unsafe { bpf(bpf_cmd::BPF_OBJ_PIN, &attr) }.map(drop)
}

/// A program in a tcx chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct InChain {
    pub(in super::super) program: u32,
    /// The link that put it there; 0: none.
    pub(in super::super) link: u32,
}

/// More programs than a chain can have (`BPF_MPROG_MAX`).
const CHAIN: u32 = 64;

/// The tcx chain at an interface's ingress, in the order in which programs run.
///
/// # Errors
/// The system call's; `EINVAL` where the kernel has no tcx, which came with Linux 6.6.
pub(in super::super) fn chain(ifindex: u32) -> io::Result<Vec<InChain>> {
    let (mut programs, mut links) = ([0u32; CHAIN as usize], [0u32; CHAIN as usize]);
    let mut attr = empty_attr();
    attr.query.__bindgen_anon_1.target_ifindex = ifindex;
    attr.query.attach_type = bpf_attach_type::BPF_TCX_INGRESS as u32;
    attr.query.prog_ids = programs.as_mut_ptr() as u64;
    attr.query.link_ids = links.as_mut_ptr() as u64;
    attr.query.__bindgen_anon_2.count = CHAIN;
    // SAFETY: the command writes `count` numbers at most to each array, and to `attr`, which
    // the union's memory is mutable for.
    unsafe { bpf_writing(bpf_cmd::BPF_PROG_QUERY, &mut attr) }?;
    // SAFETY: a number, whatever the kernel wrote.
    let count = unsafe { attr.query.__bindgen_anon_2.count } as usize;
    let chain = programs.iter().zip(&links).take(count);
    Ok(chain
        .map(|(&program, &link)| InChain { program, link })
        .collect())
}
