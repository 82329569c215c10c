//! Senders whose packets arrive with next to nothing in their linear part.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use crate::NetNs;

/// A socket that sends from a ring (`packet(7)`, `PACKET_TX_RING`): 14 bytes of what arrives at
/// the other end of a veth are linear, the rest is in pages.
pub struct TxRing {
    socket: OwnedFd,
    ring: *mut u8,
}

// linux/if_packet.h.
const PACKET_TX_RING: libc::c_int = 13;
const SEND_REQUEST: u64 = 1;
const FRAME: usize = 4096;
const FRAMES: usize = 8;
/// `TPACKET_HDRLEN` less the address: where a frame's bytes are.
const DATA_AT: usize = 32;

impl TxRing {
    /// Opens it on an interface of a namespace.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn new(ns: &NetNs, interface: &str) -> Self {
        ns.run(|| {
            // SAFETY: takes numbers.
            let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
            assert!(fd >= 0, "{}", std::io::Error::last_os_error());
            // SAFETY: just opened; nothing else owns it.
            let socket = unsafe { OwnedFd::from_raw_fd(fd) };
            // Block size, blocks, frame size, frames.
            let small = |n: usize| u32::try_from(n).expect("a small number");
            let request = [FRAME, FRAMES, FRAME, FRAMES].map(small);
            // SAFETY: a `struct tpacket_req`, which lives here.
            let set = unsafe {
                libc::setsockopt(
                    fd,
                    libc::SOL_PACKET,
                    PACKET_TX_RING,
                    request.as_ptr().cast(),
                    16,
                )
            };
            assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
            // SAFETY: a new mapping of the socket's ring.
            let ring = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    FRAME * FRAMES,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED,
                    fd,
                    0,
                )
            };
            assert_ne!(
                ring,
                libc::MAP_FAILED,
                "{}",
                std::io::Error::last_os_error()
            );
            let index = nix::net::if_::if_nametoindex(interface).expect("an interface");
            // SAFETY: plain integers; all zeros is a value.
            let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
            address.sll_family = u16::try_from(libc::AF_PACKET).expect("a small number");
            address.sll_ifindex = index.cast_signed();
            let length = small(size_of::<libc::sockaddr_ll>());
            // SAFETY: a `struct sockaddr_ll`, which lives here.
            let bound = unsafe { libc::bind(fd, (&raw const address).cast(), length) };
            assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
            Self {
                socket,
                ring: ring.cast(),
            }
        })
    }

    /// Sends a frame, and waits until it has been sent.
    ///
    /// # Panics
    /// When it cannot.
    pub fn send(&mut self, frame: &[u8]) {
        assert!(frame.len() <= FRAME - DATA_AT);
        let length = u32::try_from(frame.len()).expect("a small number");
        // They are taken in turn: all are filled, so that whichever is next is right.
        for at in (0..FRAME * FRAMES).step_by(FRAME) {
            // SAFETY: within the ring, which only this thread writes to: the kernel reads a frame
            // whose status says so, below, and is done with it when `send` returns.
            unsafe {
                let header = self.ring.add(at);
                std::ptr::copy_nonoverlapping(frame.as_ptr(), header.add(DATA_AT), frame.len());
                header.add(8).cast::<u32>().write_volatile(length);
                header.cast::<u64>().write_volatile(SEND_REQUEST);
            }
        }
        // SAFETY: no buffer: what is sent is in the ring.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), std::ptr::null(), 0, 0) };
        assert!(sent > 0, "{}", std::io::Error::last_os_error());
    }

    /// How often a frame is sent by one [`Self::send`].
    pub const COPIES: u64 = FRAMES as u64;
}

impl Drop for TxRing {
    fn drop(&mut self) {
        // SAFETY: our own mapping of this length, not used after this.
        let _ = unsafe { libc::munmap(self.ring.cast(), FRAME * FRAMES) };
    }
}

// SAFETY: the mapping belongs to no thread.
unsafe impl Send for TxRing {}

/// A tap whose frames come with a `struct virtio_net_hdr`, as those of virtual machines do, which
/// says how many bytes are to be linear.
pub struct VnetTap(File);

const IFF_TAP: i32 = 0x0002;
const IFF_NO_PI: i32 = 0x1000;
const IFF_VNET_HDR: i32 = 0x4000;

impl VnetTap {
    /// Makes the device, up.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn new(ns: &NetNs, name: &str) -> Self {
        let file = ns.run(|| {
            // SAFETY: plain integers, arrays and unions of them; all zeros is a value.
            let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
            for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
                *to = libc::c_char::from_ne_bytes([from]);
            }
            let flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
            request.ifr_ifru.ifru_flags = i16::try_from(flags).expect("few bits");
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/net/tun");
            let file = file.expect("open /dev/net/tun");
            // SAFETY: the request reads a `struct ifreq`, which lives here.
            let done =
                unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw const request) };
            assert_eq!(done, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
            file
        });
        ns.ip(&["link", "set", name, "up"]);
        Self(file)
    }

    /// A frame comes in, of which so many bytes are to be linear.
    ///
    /// # Panics
    /// When the device does not take it.
    pub fn send(&mut self, frame: &[u8], linear: u16) {
        // Flags, kind of segmentation, header length, segment size, checksum's place.
        let mut packet = vec![0, 0];
        packet.extend(linear.to_ne_bytes());
        packet.extend([0; 6]);
        packet.extend(frame);
        self.0.write_all(&packet).expect("write to the device");
    }
}
