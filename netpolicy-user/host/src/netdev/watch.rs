//! Tells when interfaces or their addresses come, go or change.
//!
//! Says only that something happened: the state is read from the kernel, so a notification
//! that is lost or means nothing does no harm.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR` of
/// `include/uapi/linux/rtnetlink.h`.
const LINKS_AND_ADDRESSES: u32 = 1 | 0x10 | 0x100;

/// Bytes for one notification; the rest of a longer one is not of interest.
const BUFFER: usize = 64;

/// A socket that receives the notifications of the network namespace that it was opened
/// in; its descriptor is readable when there are some.
pub struct Watch(Socket);

impl Watch {
    /// Opens the socket.
    ///
    /// # Errors
    /// The system calls'.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.set_non_blocking(true)?;
        socket.bind(&SocketAddr::new(0, LINKS_AND_ADDRESSES))?;
        Ok(Self(socket))
    }

    /// Takes all notifications that wait. Whether there were any; an overrun of the
    /// socket's buffer (`ENOBUFS`) is one too.
    ///
    /// # Errors
    /// The system call's.
    pub fn drain(&self) -> io::Result<bool> {
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut any = false;
        loop {
            buffer.clear();
            match self.0.recv(&mut buffer, 0) {
                Ok(_) => any = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(any),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
