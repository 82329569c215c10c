//! System calls that make maps and load programs, as an object file describes them.
//!
//! `aya` makes these calls as well, but only behind a loader that parses the kernel's BTF first.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use aya_obj::{
    Function, Map,
    generated::{
        BPF_F_XDP_HAS_FRAGS, bpf_attach_type, bpf_attr, bpf_cmd, bpf_map_type, bpf_prog_type,
    },
};

use super::{bpf, empty_attr, link::Kind};

/// Bytes of the name of a map or a program, the last of them a zero (`BPF_OBJ_NAME_LEN`).
const NAME_LEN: usize = 16;

/// Makes a map. `btf`: the object's types; `inner`: of a map of maps, one like those within.
pub(in super::super) fn create_map(
    name: &str,
    shape: &Map,
    btf: BorrowedFd<'_>,
    inner: Option<BorrowedFd<'_>>,
) -> io::Result<OwnedFd> {
    let mut attr = empty_attr();
    let name = in_kernel(name);
    // SAFETY: writes plain integers; the union is all zeros.
    unsafe {
        let to = &mut attr.__bindgen_anon_1;
        to.map_type = shape.map_type();
        to.key_size = shape.key_size();
        to.value_size = shape.value_size();
        to.max_entries = shape.max_entries();
        to.map_flags = shape.map_flags();
        to.map_name = name;
        to.inner_map_fd = inner.map_or(0, |inner| inner.as_raw_fd().unsigned_abs());
        if let Map::Btf(map) = shape
            && takes_types(shape.map_type())
        {
            to.btf_key_type_id = map.def.btf_key_type_id;
            to.btf_value_type_id = map.def.btf_value_type_id;
            to.btf_fd = btf.as_raw_fd().unsigned_abs();
        }
    }
    // SAFETY: the command reads nothing but `attr`.
    unsafe { descriptor(bpf_cmd::BPF_MAP_CREATE, &attr) }
}

/// Whether the kernel takes types for keys and values of such a map: of those that the object has
/// not for maps of maps and ring buffers (`map_check_btf` of kernel/bpf/syscall.c).
const fn takes_types(kind: u32) -> bool {
    const OUTER: u32 = bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS as u32;
    const RING: u32 = bpf_map_type::BPF_MAP_TYPE_RINGBUF as u32;
    !matches!(kind, OUTER | RING)
}

/// Writes the one element of an array, which has as many bytes as this.
pub(in super::super) fn set_value(map: BorrowedFd<'_>, value: &[u8]) -> io::Result<()> {
    let key = 0u32;
    let mut attr = empty_attr();
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd().unsigned_abs();
    attr.__bindgen_anon_2.key = &raw const key as u64;
    attr.__bindgen_anon_2.__bindgen_anon_1.value = value.as_ptr() as u64;
    // SAFETY: the command reads a key of 32 bits and a value of the map's size, which live here.
    unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &attr) }.map(drop)
}

/// Lets no system call write to a map any more: to the verifier what it holds is constant.
pub(in super::super) fn freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = empty_attr();
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd().unsigned_abs();
    // SAFETY: the command reads nothing but `attr`.
    unsafe { bpf(bpf_cmd::BPF_MAP_FREEZE, &attr) }.map(drop)
}

/// Loads types.
pub(in super::super) fn load_btf(types: &[u8]) -> io::Result<OwnedFd> {
    let mut attr = empty_attr();
    attr.__bindgen_anon_7.btf = types.as_ptr() as u64;
    attr.__bindgen_anon_7.btf_size = u32::try_from(types.len()).unwrap_or(u32::MAX);
    // SAFETY: the command reads `btf_size` bytes, which live here.
    unsafe { descriptor(bpf_cmd::BPF_BTF_LOAD, &attr) }
}

/// A program to be loaded.
pub(in super::super) struct Loadable<'a> {
    pub(in super::super) name: &'a str,
    pub(in super::super) kind: Kind,
    pub(in super::super) license: &'a CStr,
    /// Linked with all that it calls.
    pub(in super::super) code: &'a Function,
    /// The types that its functions have.
    pub(in super::super) btf: BorrowedFd<'a>,
}

/// `BPF_LOG_LEVEL1` and `BPF_LOG_STATS` of include/linux/bpf_verifier.h.
const LOG_LEVEL: u32 = 1 | 4;

/// Loads a program. `log`: where the verifier writes what it does, ended by a zero.
pub(in super::super) fn load_program(
    program: &Loadable<'_>,
    log: Option<&mut [u8]>,
) -> io::Result<OwnedFd> {
    let Loadable { code, .. } = program;
    let functions = code.func_info.func_info_bytes();
    let lines = code.line_info.line_info_bytes();
    let number = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
    let mut attr: bpf_attr = empty_attr();
    // SAFETY: writes plain integers; the union is all zeros.
    let to = unsafe { &mut attr.__bindgen_anon_3 };
    to.prog_name = in_kernel(program.name);
    let kind = match program.kind {
        Kind::Xdp => {
            to.expected_attach_type = bpf_attach_type::BPF_XDP as u32;
            to.prog_flags = BPF_F_XDP_HAS_FRAGS;
            bpf_prog_type::BPF_PROG_TYPE_XDP
        }
        Kind::Tc => bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS,
    };
    to.prog_type = kind as u32;
    to.insns = code.instructions.as_ptr() as u64;
    to.insn_cnt = number(code.instructions.len());
    to.license = program.license.as_ptr() as u64;
    to.prog_btf_fd = program.btf.as_raw_fd().unsigned_abs();
    to.func_info = functions.as_ptr() as u64;
    to.func_info_cnt = number(code.func_info.len());
    to.func_info_rec_size = number(code.func_info_rec_size);
    if code.line_info.len() > 0 {
        to.line_info = lines.as_ptr() as u64;
        to.line_info_cnt = number(code.line_info.len());
        to.line_info_rec_size = number(code.line_info_rec_size);
    }
    if let Some(log) = log {
        to.log_level = LOG_LEVEL;
        to.log_size = number(log.len());
        to.log_buf = log.as_mut_ptr() as u64;
    }
    // SAFETY: the command reads the instructions, the license and the records of functions and
    // lines, as many as are told, and writes `log_size` bytes at most to the log; all of them
    // live here.
    unsafe { descriptor(bpf_cmd::BPF_PROG_LOAD, &attr) }
}

/// # Safety
/// As [`bpf`]; the command answers with a descriptor.
unsafe fn descriptor(command: bpf_cmd, attr: &bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: the kernel just gave us this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A name as the kernel takes it: what does not fit is cut off.
fn in_kernel(name: &str) -> [std::ffi::c_char; NAME_LEN] {
    let mut bytes = [0; NAME_LEN];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(NAME_LEN - 1)) {
        *to = std::ffi::c_char::from_ne_bytes([from]);
    }
    bytes
}
