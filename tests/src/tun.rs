//! A tun device: an interface without a link-layer header, whose other end is this process.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use crate::NetNs;

/// A tun device in a namespace; it goes when dropped.
#[derive(Debug)]
pub struct Tun {
    file: File,
}

impl Tun {
    /// Makes the device, up, without addresses.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn new(ns: &NetNs, name: &str) -> Self {
        let tun = Self::down(ns, name);
        ns.ip(&["link", "set", name, "up"]);
        tun
    }

    /// Makes a device that says to be of another hardware type (`ARPHRD_*`).
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn of_type(ns: &NetNs, name: &str, hardware_type: u16) -> Self {
        let tun = Self::down(ns, name);
        // SAFETY: the request takes a number.
        let done = unsafe {
            libc::ioctl(
                tun.file.as_raw_fd(),
                libc::TUNSETLINK,
                libc::c_ulong::from(hardware_type),
            )
        };
        assert_eq!(done, 0, "TUNSETLINK: {}", std::io::Error::last_os_error());
        ns.ip(&["link", "set", name, "up"]);
        tun
    }

    fn down(ns: &NetNs, name: &str) -> Self {
        let file = ns.run(|| {
            // SAFETY: plain integers, arrays and unions of them; all zeros is a value.
            let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
            for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
                *to = libc::c_char::from_ne_bytes([from]);
            }
            request.ifr_ifru.ifru_flags =
                i16::try_from(libc::IFF_TUN | libc::IFF_NO_PI).expect("few bits");
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open("/dev/net/tun")
                .expect("open /dev/net/tun");
            // SAFETY: the request reads a `struct ifreq`, which lives here.
            let done =
                unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw const request) };
            assert_eq!(done, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
            file
        });
        Self { file }
    }

    /// Makes an IP packet arrive at the device.
    ///
    /// # Panics
    /// When the kernel does not take it.
    pub fn send(&mut self, packet: &[u8]) {
        self.file.write_all(packet).expect("write to the device");
    }

    /// The next packet that the host sends through the device for which this holds.
    ///
    /// # Panics
    /// When the device cannot be read.
    pub fn receive(
        &mut self,
        patience: Duration,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        let deadline = Instant::now() + patience;
        let mut buffer = vec![0; 65536];
        loop {
            match self.file.read(&mut buffer) {
                Ok(len) if is_wanted(&buffer[..len]) => return Some(buffer[..len].to_vec()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Instant::now() >= deadline {
                        return None;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => panic!("read from the device: {error}"),
            }
        }
    }
}
