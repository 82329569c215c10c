//! The hooks of an interface at which the program can run, and which of them it gets.
//!
//! Pure. What native XDP costs on which driver is `netdev`'s table.

use crate::{
    api::Attachment,
    config::HookChoice,
    netdev::{Mode, Native, native, sends_nothing},
};

/// A hook of an interface's ingress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// XDP in the driver.
    Native,
    /// XDP in the kernel's generic hook.
    Generic,
    /// The tcx chain (Linux 6.6).
    Tcx,
    /// A filter of the qdisc `clsact`, which runs the same program as tcx.
    Clsact,
}

impl Hook {
    /// Its name, in the configuration and in the names of pins.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }

    /// What people call it.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Native => "native XDP",
            Self::Generic => "generic XDP",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }

    /// The hook of this name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Native, Self::Generic, Self::Tcx, Self::Clsact];
        let mut hooks = all.into_iter();
        hooks.find(|hook| hook.name() == name)
    }
}

impl From<Mode> for Hook {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Native => Self::Native,
            Mode::Generic => Self::Generic,
        }
    }
}

impl From<Hook> for Attachment {
    fn from(hook: Hook) -> Self {
        match hook {
            Hook::Native => Self::Native,
            Hook::Generic => Self::Generic,
            Hook::Tcx => Self::Tcx,
            Hook::Clsact => Self::Clsact,
        }
    }
}

/// The hooks to try, in this order, on interfaces of a driver.
///
/// A driver that is not in the table is not tried natively: attaching may reset the NIC, and take
/// queues or offloads from it. The generic hook is the last: it ends GRO.
pub(super) fn candidates(choice: HookChoice, driver: &str) -> &'static [Hook] {
    match choice {
        HookChoice::Native => &[Hook::Native],
        HookChoice::Generic => &[Hook::Generic],
        HookChoice::Tcx => &[Hook::Tcx],
        HookChoice::Clsact => &[Hook::Clsact],
        HookChoice::Auto if native(driver) == Some(Native::Keeps) => {
            &[Hook::Native, Hook::Tcx, Hook::Clsact, Hook::Generic]
        }
        HookChoice::Auto => &[Hook::Tcx, Hook::Clsact, Hook::Generic],
    }
}

/// Why an interface of a driver is filtered at this hook; `choice`: as far as it is known.
/// `refused`: why the first hook that was tried could not be used, if it is another one.
pub(super) fn reason(
    choice: Option<HookChoice>,
    driver: &str,
    hook: Hook,
    refused: Option<&str>,
) -> String {
    let known = native(driver);
    if let (Hook::Native, Some(Native::Misses(why))) = (hook, known) {
        return format!("frames can pass unjudged: {driver}'s native XDP {why}");
    }
    if (hook, driver) == (Hook::Generic, "gre") {
        return "attempts can pass unjudged: without a fixed remote address generic XDP sees the \
                outer header"
            .to_owned();
    }
    if choice.is_some_and(|choice| choice != HookChoice::Auto) {
        return "as configured".to_owned();
    }
    match (hook, known) {
        (Hook::Native, Some(Native::Takes(what))) => format!("{driver}'s native XDP {what}"),
        (Hook::Native, _) => format!("{driver} keeps its receive offloads"),
        (Hook::Generic, _) => match refused {
            Some(why) => format!("slower than the others; {why}"),
            None => "slower than the others".to_owned(),
        },
        (_, Some(Native::Keeps)) => match refused {
            Some(why) => why.to_owned(),
            None => format!("{driver} has native XDP, which was not to be had"),
        },
        (_, Some(Native::Takes(what) | Native::Misses(what))) => {
            format!("{driver}'s native XDP {what}")
        }
        (_, Some(Native::Absent)) => format!("{driver} has no native XDP"),
        (_, None) if driver.is_empty() => "its driver is not known".to_owned(),
        (_, None) => format!("what native XDP costs on {driver} is not known"),
    }
}

/// Why denied attempts are dropped without an answer on interfaces of a driver that are filtered at
/// this hook, whatever a scope says; `None`: they can be answered.
pub(super) fn unanswered(driver: &str, hook: Hook) -> Option<&'static str> {
    match hook {
        Hook::Native => sends_nothing(driver),
        // A redirect, and in the generic hook `XDP_TX`, go the way of all that is sent.
        Hook::Generic | Hook::Tcx | Hook::Clsact => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netdev::DRIVERS;

    #[test]
    fn auto_never_takes_receive_offloads() {
        for driver in DRIVERS {
            let first = candidates(HookChoice::Auto, driver.name)[0];
            let keeps = driver.native == Native::Keeps;
            assert_eq!(first == Hook::Native, keeps, "{}", driver.name);
        }
        assert_eq!(candidates(HookChoice::Auto, "new_nic")[0], Hook::Tcx);
        assert_eq!(candidates(HookChoice::Auto, "")[0], Hook::Tcx);
    }

    #[test]
    fn forced_hook_is_the_only_one_tried() {
        for (choice, hook) in [
            (HookChoice::Native, Hook::Native),
            (HookChoice::Generic, Hook::Generic),
            (HookChoice::Tcx, Hook::Tcx),
            (HookChoice::Clsact, Hook::Clsact),
        ] {
            assert_eq!(candidates(choice, "ena"), [hook]);
            assert_eq!(Hook::from_name(hook.name()), Some(hook));
        }
    }

    #[test]
    fn reason_names_the_driver_and_what_it_would_lose() {
        let auto = Some(HookChoice::Auto);
        let veth = "veth's native XDP switches the peer's segmentation offload off";
        for hook in [Hook::Tcx, Hook::Clsact] {
            assert_eq!(reason(auto, "veth", hook, None), veth);
        }
        let busy = "another program is attached by native XDP";
        assert_eq!(reason(auto, "ena", Hook::Tcx, Some(busy)), busy);
        let tcx = Some(HookChoice::Tcx);
        assert_eq!(reason(tcx, "ena", Hook::Tcx, None), "as configured");
    }

    #[test]
    fn only_native_xdp_of_some_drivers_does_not_answer() {
        for driver in DRIVERS {
            for hook in [Hook::Generic, Hook::Tcx, Hook::Clsact] {
                assert_eq!(unanswered(driver.name, hook), None, "{}", driver.name);
            }
        }
        let why = unanswered("veth", Hook::Native);
        assert!(why.is_some_and(|why| why.contains("peer")), "{why:?}");
        assert_eq!(unanswered("ixgbe", Hook::Native), None);
    }

    #[test]
    fn forced_native_xdp_that_misses_frames_is_named() {
        let why = reason(Some(HookChoice::Native), "gve", Hook::Native, None);
        assert!(why.starts_with("frames can pass unjudged"), "{why}");
        let why = reason(Some(HookChoice::Generic), "gre", Hook::Generic, None);
        assert!(why.starts_with("attempts can pass unjudged"), "{why}");
    }
}
