//! What `ethtool(8)` tells of an interface: its driver, and its offloads.
//!
//! By `ioctl`, which every kernel has, on the netlink socket, whose network namespace counts.

use std::{io, os::fd::AsRawFd};

use super::{Device, Netdevs};

// linux/ethtool.h.
const GDRVINFO: u32 = 0x03;
const GSTRINGS: u32 = 0x1b;
const GSSET_INFO: u32 = 0x37;
const GFEATURES: u32 = 0x3a;
const GCHANNELS: u32 = 0x3c;
const SS_FEATURES: u32 = 4;
const STRING: usize = 32;

/// Words of a `struct ethtool_drvinfo`, and the place of the driver's name in it.
const DRVINFO_WORDS: usize = 196 / 4;
const DRIVER_AT: usize = 4;

/// Words of a `struct ethtool_channels`: the command; at most receive, transmit, other and
/// combined; those in use.
const CHANNELS_WORDS: usize = 9;

/// More features than a kernel has.
const MAX_FEATURES: usize = 512;

/// The offloads of an interface: names as `ethtool --show-features` gives them, and whether
/// each is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Whose.
    pub interface: String,
    /// Name, and whether it is on.
    pub features: Vec<(String, bool)>,
}

/// The receive queues of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    /// In use.
    pub used: u32,
    /// At most.
    pub most: u32,
}

impl Offloads {
    /// The names of those that are on here and off in `later`, or the other way about.
    #[must_use]
    pub fn changed<'a>(&'a self, later: &Self, was_on: bool) -> Vec<&'a str> {
        let is_changed = |(name, on): &&(String, bool)| {
            *on == was_on && later.features.contains(&(name.clone(), !was_on))
        };
        let changed = self.features.iter().filter(is_changed);
        changed.map(|(name, _)| name.as_str()).collect()
    }
}

impl Netdevs {
    /// The driver of an interface: the kind of a virtual device, else what the driver says.
    /// Empty: it is not told.
    #[must_use]
    pub fn driver(&self, device: &Device) -> String {
        if let Some(kind) = &device.kind {
            return kind.clone();
        }
        let mut info = [0u32; DRVINFO_WORDS];
        info[0] = GDRVINFO;
        if self.ethtool(&device.name, &mut info).is_err() {
            return String::new();
        }
        text(&bytes(&info[DRIVER_AT / 4..]))
    }

    /// The receive queues of an interface; `None`: its driver does not say.
    #[must_use]
    pub fn queues(&self, device: &Device) -> Option<Queues> {
        let mut channels = [0u32; CHANNELS_WORDS];
        channels[0] = GCHANNELS;
        self.ethtool(&device.name, &mut channels).ok()?;
        let [_, most_rx, .., most_combined, rx, _, _, combined] = channels;
        Some(Queues {
            used: rx.saturating_add(combined),
            most: most_rx.max(most_combined),
        })
    }

    /// The offloads of an interface.
    ///
    /// # Errors
    /// It is gone, or the kernel does not say.
    pub fn offloads(&self, device: &Device) -> io::Result<Offloads> {
        let mut count = [GSSET_INFO, 0, 1 << SS_FEATURES, 0, 0];
        self.ethtool(&device.name, &mut count)?;
        let len = usize::try_from(count[4]).unwrap_or_default();
        if len == 0 || len > MAX_FEATURES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut names = vec![0; 3 + len * STRING / 4];
        names[..3].copy_from_slice(&[GSTRINGS, SS_FEATURES, count[4]]);
        self.ethtool(&device.name, &mut names)?;
        let words = len.div_ceil(32);
        // Of each 32: available, requested, active, never changed.
        let mut states = vec![0; 2 + words * 4];
        states[0] = GFEATURES;
        states[1] = u32::try_from(words).unwrap_or_default();
        self.ethtool(&device.name, &mut states)?;
        let names = bytes(&names[3..]);
        let is_on = |at: usize| states[2 + at / 32 * 4 + 2] >> (at % 32) & 1 != 0;
        let features = names.chunks(STRING).take(len).enumerate();
        Ok(Offloads {
            interface: device.name.clone(),
            features: features
                .map(|(at, name)| (text(name), is_on(at)))
                .filter(|(name, _)| !name.is_empty())
                .collect(),
        })
    }

    /// A command of `struct ethtool_…`, which begins with its number, and its answer.
    fn ethtool(&self, name: &str, command: &mut [u32]) -> io::Result<()> {
        // SAFETY: plain integers, arrays and unions of them; all zeros is a value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        if name.len() >= request.ifr_name.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            // Signed on x86-64, unsigned on arm64.
            *to = libc::c_char::from_ne_bytes([from]);
        }
        request.ifr_ifru.ifru_data = command.as_mut_ptr().cast();
        // SAFETY: the request is a `struct ifreq`; the kernel writes to `command` as much as
        // the command says, which is what the callers made room for.
        let done = unsafe {
            libc::ioctl(
                self.socket().as_raw_fd(),
                libc::SIOCETHTOOL as libc::Ioctl,
                &raw mut request,
            )
        };
        if done == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn text(bytes: &[u8]) -> String {
    let name = bytes.iter().take(STRING).take_while(|&&byte| byte != 0);
    String::from_utf8_lossy(&name.copied().collect::<Vec<_>>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offloads_of_loopback_are_read() {
        let mut netdevs = Netdevs::open().unwrap();
        let lo = netdevs.by_name("lo").unwrap().unwrap();
        let offloads = netdevs.offloads(&lo).unwrap();
        let is = |name: &str| offloads.features.iter().find(|(n, _)| n == name);
        assert_eq!(
            is("tx-scatter-gather"),
            Some(&("tx-scatter-gather".to_owned(), true))
        );
        assert!(is("rx-gro").is_some(), "{offloads:?}");
    }

    #[test]
    fn changes_are_named_by_direction() {
        let offloads = |features: &[(&str, bool)]| Offloads {
            interface: "eth0".to_owned(),
            features: features
                .iter()
                .map(|(n, on)| ((*n).to_owned(), *on))
                .collect(),
        };
        let before = offloads(&[("rx-gro", true), ("rx-lro", false), ("tx-tcp", true)]);
        let after = offloads(&[("rx-gro", false), ("rx-lro", true), ("tx-tcp", true)]);
        assert_eq!(before.changed(&after, true), ["rx-gro"]);
        assert_eq!(before.changed(&after, false), ["rx-lro"]);
        assert!(before.changed(&before, true).is_empty());
    }
}
