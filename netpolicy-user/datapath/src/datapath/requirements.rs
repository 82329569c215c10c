//! What the process and the kernel need to have.

use rustix::thread::CapabilitySet;

use super::DatapathError;

/// The oldest kernel: XDP programs for multi-buffer packets (`xdp.frags`) came with it.
const OLDEST_KERNEL: (u32, u32, &str) = (5, 18, "5.18");

/// Whether this process may load the program, and this kernel can.
///
/// # Errors
/// What is missing.
pub fn check_system() -> Result<(), DatapathError> {
    check_privileges()?;
    check_kernel()
}

pub(super) fn check_privileges() -> Result<(), DatapathError> {
    let held = rustix::thread::capabilities(None)
        .map_err(|errno| DatapathError::System {
            call: "capget",
            source: errno.into(),
        })?
        .effective;
    let needed = CapabilitySet::BPF | CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN;
    if held.contains(needed) {
        Ok(())
    } else {
        Err(DatapathError::NotPermitted)
    }
}

/// Whether the kernel is new enough.
///
/// # Errors
/// It is not.
pub fn check_kernel() -> Result<(), DatapathError> {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let (major, minor, needed) = OLDEST_KERNEL;
    if found < (major, minor) {
        return Err(DatapathError::KernelTooOld {
            found: release.into_owned(),
            needed,
        });
    }
    Ok(())
}
