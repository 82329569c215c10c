//! Tun and tap devices: frames go in and come out by a file.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use crate::NetNs;

/// The file of a tun or tap device; the device goes when it is dropped.
#[derive(Debug)]
pub struct UserDevice {
    file: File,
}

// linux/if_tun.h
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const IFF_TUN: u16 = 0x0001;
const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;

/// `struct ifreq`, as far as the request reads it.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

impl UserDevice {
    /// Makes a device in a namespace: tap with Ethernet headers, else tun.
    ///
    /// # Errors
    /// What the kernel has against it.
    ///
    /// # Panics
    /// When the name is too long.
    pub fn new(ns: &NetNs, name: &str, ethernet: bool) -> Result<Self, String> {
        let mut request = Request {
            name: [0; 16],
            flags: IFF_NO_PI | if ethernet { IFF_TAP } else { IFF_TUN },
            rest: [0; 22],
        };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        ns.run(|| {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open("/dev/net/tun")
                .map_err(|e| format!("open /dev/net/tun: {e}"))?;
            // SAFETY: the request reads and writes a `struct ifreq`, which lives here.
            let done = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) };
            if done != 0 {
                return Err(format!("TUNSETIFF: {}", std::io::Error::last_os_error()));
            }
            Ok(Self { file })
        })
    }

    /// A frame comes in by the device. `false`: it does not take such a one.
    #[must_use]
    pub fn send(&self, frame: &[u8]) -> bool {
        loop {
            match (&self.file).write(frame) {
                Ok(_) => return true,
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(_) => return false,
            }
        }
    }

    /// A frame that went out by the device; `None` when none does within this time.
    pub fn receive<'b>(&self, buffer: &'b mut [u8], wait: Duration) -> Option<&'b [u8]> {
        let deadline = Instant::now() + wait;
        loop {
            match (&self.file).read(buffer) {
                Ok(len) => return Some(&buffer[..len]),
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_micros(200));
                }
                Err(_) => return None,
            }
        }
    }
}
