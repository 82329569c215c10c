//! Attempts of listed sources, sent from a ring of frames (`packet_mmap(7)`) as any program
//! can send them. Of such packets no more than the Ethernet header is linear when a filter
//! behind the driver gets them.

use std::{
    net::IpAddr,
    os::fd::{AsRawFd as _, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use netpolicy_tests::{Packet, host::NIC};
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::site::Site;
use crate::frame;

/// Frames that can be on their way: fewer than a processor's backlog takes
/// (`net.core.netdev_max_backlog`, 1,000).
const FRAMES: usize = 512;
/// Bytes of one, with its header.
const FRAME: usize = 256;
/// Where its data begin (`tp_hdrlen - sizeof(struct sockaddr_ll)` in `net/packet/af_packet.c`).
const DATA: usize = libc::TPACKET2_HDRLEN - size_of::<libc::sockaddr_ll>();
/// Of the IPv4 header's checksum, which the source follows.
const CHECKSUM: usize = 14 + 10;
/// Frames that one system call sends at most.
pub(super) const BATCH: usize = 64;
/// The attempts' port.
const PORT: u16 = 5432;
/// How long frames may be on their way.
const PATIENCE: Duration = Duration::from_secs(2);

/// A ring at the clients' end of a site's device.
pub(super) struct Ring {
    socket: OwnedFd,
    memory: ptr::NonNull<u8>,
    /// Checksums and addresses, as the header has them.
    sources: Vec<[u8; 6]>,
    /// Where in them the next frame's source is.
    source: usize,
    /// The next frame.
    next: usize,
}

// SAFETY: the mapping belongs to the ring alone and goes with it, whatever thread has it.
unsafe impl Send for Ring {}

impl Ring {
    /// For IPv4 sources, of which each sends in turn.
    pub(super) fn new(site: &Site, sources: &[IpAddr]) -> Self {
        let packet = Packet::syn(&sources[0].to_string(), PORT).build();
        let sources = sources.iter().map(|source| {
            let [a, b, c, d, e, f, ..] = frame::source_bytes(&packet, *source);
            [a, b, c, d, e, f]
        });
        let sources = sources.collect();
        let socket = site.clients().run(open);
        // SAFETY: a new mapping, at an address of the kernel's choice, of all frames that
        // the socket was given.
        let memory = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                FRAMES * FRAME,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::SHARED,
                &socket,
                0,
            )
        };
        let memory = ptr::NonNull::new(memory.expect("map the ring").cast::<u8>());
        let ring = Self {
            socket,
            memory: memory.expect("a mapping"),
            sources,
            source: 0,
            next: 0,
        };
        for number in 0..FRAMES {
            // SAFETY: within the frame, which the kernel does not read yet.
            unsafe {
                let frame = ring.frame(number);
                (*frame.cast::<libc::tpacket2_hdr>()).tp_len = packet.len() as u32;
                frame
                    .add(DATA)
                    .copy_from_nonoverlapping(packet.as_ptr(), packet.len());
            }
        }
        ring
    }

    /// Sends so many frames at most, as there is room in the ring; how many.
    pub(super) fn send(&mut self, most: usize) -> usize {
        let mut taken = 0;
        while taken < most && self.is_free(self.next) {
            let source = self.sources[self.source];
            // SAFETY: within the frame, which the kernel is done with.
            unsafe {
                let data = self.frame(self.next).add(DATA + CHECKSUM);
                data.copy_from_nonoverlapping(source.as_ptr(), source.len());
            }
            let request = libc::TP_STATUS_SEND_REQUEST;
            self.status(self.next).store(request, Ordering::Release);
            self.source = (self.source + 1) % self.sources.len();
            self.next = (self.next + 1) % FRAMES;
            taken += 1;
        }
        // SAFETY: sends what is in the ring; there is no buffer and no address.
        let sent =
            unsafe { libc::send(self.socket.as_raw_fd(), ptr::null(), 0, libc::MSG_DONTWAIT) };
        // What the device has no room for is sent by the next call.
        let is_full = || matches!(Errno::last(), Errno::ENOBUFS | Errno::EAGAIN);
        assert!(sent >= 0 || is_full(), "send: {}", Errno::last());
        taken
    }

    /// Sends as fast as frames are taken; how many were.
    pub(super) fn flood(&mut self, time: Duration) -> u64 {
        let begin = Instant::now();
        let mut sent = 0;
        while begin.elapsed() < time {
            sent += self.send(BATCH) as u64;
        }
        self.settle();
        sent
    }

    /// Waits until the kernel is done with every frame.
    pub(super) fn settle(&mut self) {
        let begin = Instant::now();
        while !(0..FRAMES).all(|number| self.is_free(number)) {
            assert!(begin.elapsed() < PATIENCE, "frames stay on their way");
            self.send(0);
            std::thread::yield_now();
        }
    }

    fn is_free(&self, number: usize) -> bool {
        self.status(number).load(Ordering::Acquire) == libc::TP_STATUS_AVAILABLE
    }

    fn status(&self, number: usize) -> &AtomicU32 {
        // SAFETY: the first field of the frame's header, aligned to 16 bytes, which lives as
        // long as the ring; the kernel writes it as a whole.
        unsafe { AtomicU32::from_ptr(self.frame(number).cast()) }
    }

    fn frame(&self, number: usize) -> *mut u8 {
        // SAFETY: all callers have a number below FRAMES: within the mapping.
        unsafe { self.memory.as_ptr().add(number * FRAME) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping made above, to which no reference is left.
        let _ = unsafe { rustix::mm::munmap(self.memory.as_ptr().cast(), FRAMES * FRAME) };
    }
}

/// A socket with a ring, bound to the calling thread's [`NIC`], that receives nothing.
fn open() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None);
    let socket = socket.expect("an AF_PACKET socket");
    let version = libc::tpacket_versions::TPACKET_V2 as libc::c_int;
    set(&socket, libc::PACKET_VERSION, &version);
    // Straight to the driver, as fast generators do.
    set(&socket, libc::PACKET_QDISC_BYPASS, &1);
    let ring = libc::tpacket_req {
        tp_block_size: (FRAMES * FRAME) as u32,
        tp_block_nr: 1,
        tp_frame_size: FRAME as u32,
        tp_frame_nr: FRAMES as u32,
    };
    set(&socket, libc::PACKET_TX_RING, &ring);
    let index = nix::net::if_::if_nametoindex(NIC).expect("the clients' interface");
    // SAFETY: plain integers; all zeros is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index.cast_signed();
    address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
    // SAFETY: the address lives here and has the length that is told.
    let done = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as u32,
        )
    };
    assert_eq!(done, 0, "bind: {}", Errno::last());
    socket
}

fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) {
    // SAFETY: the option reads a value of this type, which lives here.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            ptr::from_ref(value).cast(),
            size_of::<T>() as u32,
        )
    };
    assert_eq!(done, 0, "setsockopt {option}: {}", Errno::last());
}
