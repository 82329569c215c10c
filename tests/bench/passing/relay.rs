//! A relay in userspace: two tun or tap devices, each the other's wire.
//!
//! Frames keep their `virtio_net_hdr`, so that segments of tens of kilobytes stay whole, as
//! they do between a virtual machine and its host.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::fd::AsRawFd as _,
    sync::Arc,
    thread::{self, JoinHandle},
};

use netpolicy_tests::NetNs;

/// What the device carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// `tap`
    Ethernet,
    /// `tun`
    Ip,
}

/// A frame with its header: 64 KiB, and room.
const FRAME: usize = 1 << 17;

/// Threads that carry frames; they end when the devices are deleted.
pub(super) struct Relay {
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Makes a device of this name in both namespaces, down, and carries frames between them.
    pub(super) fn new(layer: Layer, name: &str, ends: [&NetNs; 2]) -> Self {
        let [a, b] = ends.map(|ns| Arc::new(ns.run(|| open(layer, name))));
        let directions = [(a.clone(), b.clone()), (b, a)];
        let threads = directions.map(|(from, to)| thread::spawn(move || carry(&from, &to)));
        Self {
            threads: threads.into(),
        }
    }

    /// Waits for the threads' end, after the devices were deleted.
    pub(super) fn join(&mut self) {
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn carry(mut from: &File, mut to: &File) {
    let mut frame = vec![0; FRAME];
    // A device that is down refuses frames, one that is gone can no longer be read.
    while let Ok(length) = from.read(&mut frame) {
        let _ = to.write(&frame[..length]);
    }
}

/// A new device in the calling thread's namespace.
fn open(layer: Layer, name: &str) -> File {
    let kind = match layer {
        Layer::Ethernet => libc::IFF_TAP,
        Layer::Ip => libc::IFF_TUN,
    };
    let flags = kind | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    // SAFETY: plain integers, arrays and unions of them; all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = i16::try_from(flags).expect("few bits");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .expect("open /dev/net/tun");
    // SAFETY: the request reads a `struct ifreq`, which lives here.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw const request) };
    assert_eq!(done, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
    let offloads = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
    // SAFETY: the request takes a number.
    let done = unsafe {
        libc::ioctl(
            file.as_raw_fd(),
            libc::TUNSETOFFLOAD,
            libc::c_ulong::from(offloads),
        )
    };
    assert_eq!(
        done,
        0,
        "TUNSETOFFLOAD: {}",
        std::io::Error::last_os_error()
    );
    file
}
