//! The only hand-written system calls.

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use aya_obj::generated::{bpf_attr, bpf_cmd};
use netpolicy_common::{BanHead, BanScopes, CpuState, Governance, Head, Overrides, SlotHead};

pub(super) mod link;
pub(super) mod object;

/// The calling thread's network namespace: a number that no other has until the next
/// boot (`SO_NETNS_COOKIE`, Linux 5.14).
pub(super) fn network_namespace() -> io::Result<u64> {
    // A socket belongs to the namespace that it is made in.
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    let mut cookie = 0u64;
    let mut len: libc::socklen_t = 8;
    // SAFETY: `cookie` is as large as `len` says, and both outlive the call.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    if done == 0 {
        Ok(cookie)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `asm-generic/socket.h`; not in `libc` for every target.
const SO_NETNS_COOKIE: libc::c_int = 71;

fn empty_attr() -> bpf_attr {
    // SAFETY: a union of plain integers and structs of them; all zeros is a value, and
    // what the kernel wants of the parts that a command does not use.
    unsafe { mem::zeroed() }
}

/// # Safety
/// What `attr` points to must be what the command reads and writes.
unsafe fn bpf(command: bpf_cmd, attr: &bpf_attr) -> io::Result<RawFd> {
    let mut attr = *attr;
    // SAFETY: the caller's promise.
    unsafe { bpf_writing(command, &mut attr) }
}

/// The same for a command that answers in `attr`.
///
/// # Safety
/// What `attr` points to must be what the command reads and writes.
unsafe fn bpf_writing(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<RawFd> {
    // SAFETY: the caller's promise; `attr` is as large as we say.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_int,
            &raw mut *attr,
            size_of::<bpf_attr>(),
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(done).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// The control map's element, mapped into memory: a store of a word to it is seen by every
/// CPU as one store.
pub(super) struct ControlPage {
    head: NonNull<Head>,
}

/// Words of a CPU's element; see [`netpolicy_common::CpuHead`].
pub(super) struct CpuWords<'a> {
    pub(super) allowance: &'a AtomicU64,
    pub(super) blocked: &'a AtomicU64,
    pub(super) banned: &'a AtomicU64,
    pub(super) sampled: &'a AtomicU64,
}

/// Bytes of the mapping: whole pages.
const HEAD_BYTES: usize = size_of::<Head>().next_multiple_of(4096);

// SAFETY: the memory is shared with the kernel anyway and belongs to no thread.
unsafe impl Send for ControlPage {}
// SAFETY: what programs read or write meanwhile is accessed as atomic words; a slot's head is
// written through `&mut self`, while none of them reads it.
unsafe impl Sync for ControlPage {}

impl ControlPage {
    /// Maps the map behind `fd`, made with `BPF_F_MMAPABLE` and one [`Head`].
    pub(super) fn map(fd: &impl std::os::fd::AsFd, writable: bool) -> io::Result<Self> {
        let mut protection = rustix::mm::ProtFlags::READ;
        if writable {
            protection |= rustix::mm::ProtFlags::WRITE;
        }
        // SAFETY: a new mapping at an address of the kernel's choice.
        let page = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                HEAD_BYTES,
                protection,
                rustix::mm::MapFlags::SHARED,
                fd,
                0,
            )
        }?;
        NonNull::new(page.cast())
            .map(|head| Self { head })
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    fn generation_word(&self) -> &AtomicU64 {
        // SAFETY: mapped for as long as `self` lives, 8-byte aligned, and only ever
        // accessed as whole words.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.head.as_ptr()).control.generation) }
    }

    fn overrides_word(&self) -> &AtomicU64 {
        // SAFETY: as above; a transparent word.
        unsafe { AtomicU64::from_ptr((&raw mut (*self.head.as_ptr()).control.overrides).cast()) }
    }

    /// The generation in force.
    pub(super) fn generation(&self) -> u64 {
        self.generation_word().load(Ordering::Acquire)
    }

    /// Puts a generation in force. What its slot holds was written before.
    pub(super) fn set_generation(&self, generation: u64) {
        self.generation_word().store(generation, Ordering::Release);
    }

    /// A slot's head.
    pub(super) fn slot(&self, slot: u32) -> SlotHead {
        // SAFETY: mapped for as long as `self` lives; within the array; integers without
        // padding, of which every bit pattern is a value.
        unsafe { (&raw const (*self.head.as_ptr()).slots[slot as usize]).read_volatile() }
    }

    /// Writes a slot's head. No program may be reading it.
    pub(super) fn set_slot(&mut self, slot: u32, head: SlotHead) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.head.as_ptr()).slots[slot as usize]).write_volatile(head) };
    }

    /// What is told of a set of bans.
    pub(super) fn ban_head(&self, slot: u32) -> BanHead {
        // SAFETY: as `slot`.
        unsafe { (&raw const (*self.head.as_ptr()).bans[slot as usize]).read_volatile() }
    }

    /// Writes what is told of a set of bans. No program may be reading it.
    pub(super) fn set_ban_head(&mut self, slot: u32, head: BanHead) {
        // SAFETY: as `slot`.
        unsafe { (&raw mut (*self.head.as_ptr()).bans[slot as usize]).write_volatile(head) };
    }

    /// Words of the CPUs' elements.
    pub(super) fn cpus(&self) -> impl Iterator<Item = CpuWords<'_>> {
        (0..Head::CPUS).map(|cpu| {
            // SAFETY: mapped for as long as `self` lives; within the array.
            let cpu = unsafe { &raw mut (*self.head.as_ptr()).cpus[cpu] };
            // SAFETY: as above; 8-byte aligned, and only accessed as whole words.
            unsafe {
                CpuWords {
                    allowance: AtomicU64::from_ptr(&raw mut (*cpu).allowance),
                    blocked: AtomicU64::from_ptr(&raw mut (*cpu).blocked),
                    banned: AtomicU64::from_ptr(&raw mut (*cpu).banned),
                    sampled: AtomicU64::from_ptr(&raw mut (*cpu).sampled),
                }
            }
        })
    }

    /// What is looked up before the lists.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides(self.overrides_word().load(Ordering::Acquire))
    }

    /// Limits the resets that each CPU may send in a second.
    pub(super) fn set_resets_per_second(&self, limit: u64) {
        // SAFETY: mapped for as long as `self` lives, 8-byte aligned, and only ever accessed as
        // whole words.
        let word = unsafe { AtomicU64::from_ptr(&raw mut (*self.head.as_ptr()).resets_per_second) };
        word.store(limit, Ordering::Relaxed);
    }

    /// Tells the program how many bypasses there are to look up.
    pub(super) fn set_bypasses(&self, count: u32) {
        self.set_overrides(|before| Overrides::new(count, before.ban_set()));
    }

    /// Puts a set of bans in force; 0: none. What its slot holds was written before.
    pub(super) fn set_ban_set(&self, set: u32) {
        self.set_overrides(|before| Overrides::new(before.bypasses(), set));
    }

    fn set_overrides(&self, next: impl Fn(Overrides) -> Overrides) {
        // One thread writes it; should there ever be two, neither loses the other's half.
        let mut before = self.overrides();
        while let Err(found) = self.overrides_word().compare_exchange_weak(
            before.0,
            next(before).0,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            before = Overrides(found);
        }
    }
}

impl Drop for ControlPage {
    fn drop(&mut self) {
        // SAFETY: our own mapping of this length, not used after this.
        let _ = unsafe { rustix::mm::munmap(self.head.as_ptr().cast(), HEAD_BYTES) };
    }
}

/// `ENOTSUPP` of the kernel's `include/linux/errno.h`, which it is not to show, but does
/// for commands that a map does not have.
const ENOTSUPP: i32 = 524;

/// Sets inner maps of an outer map: in one system call where the kernel can (Linux 5.19),
/// since each one that sets any waits for all running programs.
pub(super) fn set_inner_maps(
    outer: BorrowedFd<'_>,
    indexes: &[u32],
    inner: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let fds: Vec<u32> = inner
        .iter()
        .map(|fd| fd.as_raw_fd().unsigned_abs())
        .collect();
    assert_eq!(indexes.len(), fds.len(), "an inner map for each index");
    let mut attr = empty_attr();
    attr.batch.keys = indexes.as_ptr() as u64;
    attr.batch.values = fds.as_ptr() as u64;
    attr.batch.count = u32::try_from(fds.len()).unwrap_or(u32::MAX);
    attr.batch.map_fd = outer.as_raw_fd().unsigned_abs();
    // SAFETY: the command reads `count` keys and values of 32 bits, which live here.
    match unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_BATCH, &attr) } {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.raw_os_error(), Some(ENOTSUPP | libc::EINVAL)) => indexes
            .iter()
            .zip(inner)
            .try_for_each(|(index, inner)| set_inner_map(outer, *index, *inner)),
        Err(error) => Err(error),
    }
}

/// Sets an inner map of an outer map, and waits for all running programs.
pub(super) fn set_inner_map(
    outer: BorrowedFd<'_>,
    index: u32,
    inner: BorrowedFd<'_>,
) -> io::Result<()> {
    let fd = inner.as_raw_fd().unsigned_abs();
    let mut attr = element(outer, &index);
    attr.__bindgen_anon_2.__bindgen_anon_1.value = &raw const fd as u64;
    // SAFETY: the command reads a key and a value of 32 bits, which live here.
    unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &attr) }.map(drop)
}

/// Deletes an element of a map whose keys are numbers.
pub(super) fn delete_element(map: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let attr = element(map, &index);
    // SAFETY: the command reads a key of 32 bits, which lives here.
    unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &attr) }.map(drop)
}

/// Names an element; the key must live as long as what is returned is used.
fn element(map: BorrowedFd<'_>, index: &u32) -> bpf_attr {
    let mut attr = empty_attr();
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd().unsigned_abs();
    attr.__bindgen_anon_2.key = &raw const *index as u64;
    attr
}

/// What an array map's element may be to be mapped.
///
/// # Safety
/// Every bit pattern is a value; its size is a multiple of 8, so that elements follow each
/// other in the map as in a slice.
pub(super) unsafe trait Element {}

// SAFETY: integers, without padding.
unsafe impl Element for Governance {}
// SAFETY: integers.
unsafe impl Element for CpuState {}
// SAFETY: integers, without padding.
unsafe impl Element for BanScopes {}

/// The elements of an array map, made with `BPF_F_MMAPABLE`, mapped into memory.
pub(super) struct Mapped<T> {
    first: NonNull<T>,
    len: usize,
}

// SAFETY: plain memory, which is shared with the kernel anyway and belongs to no thread.
unsafe impl<T: Element> Send for Mapped<T> {}
// SAFETY: writing takes `&mut self`; what programs write meanwhile is accessed as atomic words.
unsafe impl<T: Element> Sync for Mapped<T> {}

impl<T: Element> Mapped<T> {
    /// Maps the map behind `fd`, of `len` elements.
    pub(super) fn map(fd: &impl std::os::fd::AsFd, len: usize, writable: bool) -> io::Result<Self> {
        let mut access = rustix::mm::ProtFlags::READ;
        if writable {
            access |= rustix::mm::ProtFlags::WRITE;
        }
        // SAFETY: a new mapping at an address of the kernel's choice.
        let first = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len * size_of::<T>(),
                access,
                rustix::mm::MapFlags::SHARED,
                fd,
                0,
            )
        }?;
        NonNull::new(first.cast())
            .map(|first| Self { first, len })
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A word of an element that programs write meanwhile, at an offset in words.
    pub(super) fn word(&self, number: usize, at: usize) -> Option<&AtomicU64> {
        let is_within = number < self.len && at < size_of::<T>() / 8;
        // SAFETY: within the mapping, 8-byte aligned, accessed as whole words only.
        is_within.then(|| unsafe {
            AtomicU64::from_ptr(self.first.as_ptr().add(number).cast::<u64>().add(at))
        })
    }

    /// An element, or `None` past the end.
    pub(super) fn get(&self, number: usize) -> Option<&T> {
        // SAFETY: within the mapping, which lives as long as `self`; mappings are aligned
        // to pages, and elements to their size within.
        (number < self.len).then(|| unsafe { &*self.first.as_ptr().add(number) })
    }

    /// An element to be written, of a writable mapping. What programs read of it may only be
    /// replaced by the same.
    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        // SAFETY: as above.
        (number < self.len).then(|| unsafe { &mut *self.first.as_ptr().add(number) })
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: our own mapping of this length, not used after this.
        let _ =
            unsafe { rustix::mm::munmap(self.first.as_ptr().cast(), self.len * size_of::<T>()) };
    }
}
