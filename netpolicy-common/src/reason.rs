//! Why a packet passed or was dropped: every verdict has exactly one reason.

/// What XDP does with the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// On to the kernel's network stack (`XDP_PASS`).
    Pass,
    /// Dropped (`XDP_DROP`).
    Drop,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $value:literal, $text:literal, $action:ident, $denial:literal;)*) => {
        /// Why a packet passed or was dropped. The number is part of the ABI: it
        /// indexes counters and travels in events.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $name = $value,)* }

        impl Reason {
            /// All reasons, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The reason with this number.
            #[must_use]
            pub const fn from_u8(value: u8) -> Option<Self> {
                match value { $($value => Some(Self::$name),)* _ => None }
            }

            /// Its name in output, metrics and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it means, in a sentence: its row in the reference.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)* }
            }

            /// What happens to the packet. The one place where reasons become actions.
            #[inline(always)]
            #[must_use]
            pub const fn action(self) -> Action {
                match self { $(Self::$name => Action::$action,)* }
            }

            /// Whether the policies deny the source: dropped, or dropped but for observe mode.
            #[inline(always)]
            #[must_use]
            pub const fn is_denial(self) -> bool {
                match self { $(Self::$name => $denial,)* }
            }
        }
    };
}

// Name, number, text, action, whether it is a denial.
reasons! {
    /// Not TCP over IPv4 or IPv6: ARP, neighbour discovery, ICMP, UDP and others. Never dropped.
    NotTcp = 0, "not-tcp", Pass, false;
    /// The IP header is truncated or of the wrong version. The kernel discards the packet.
    Malformed = 1, "malformed", Pass, false;
    /// A fragment other than the first. Without the first fragment nothing is reassembled.
    Fragment = 2, "fragment", Pass, false;
    /// TCP, and not a connection attempt (SYN without ACK).
    Established = 3, "established", Pass, false;
    /// The destination is a failsafe port.
    Failsafe = 4, "failsafe", Pass, false;
    /// The source has an unexpired bypass.
    Bypass = 5, "bypass", Pass, false;
    /// No active policy governs the scope.
    NoPolicy = 6, "no-policy", Pass, false;
    /// The source is on an allow list and on no block list.
    Allowed = 7, "allowed", Pass, false;
    /// The source is on no block list, and no active policy has an allow list.
    NotBlocked = 8, "not-blocked", Pass, false;
    /// The packet is unclassifiable, and no scope denies its source.
    UnclassifiedPassed = 9, "unclassified-passed", Pass, false;
    /// The source is on a block list.
    Blocked = 10, "blocked", Drop, true;
    /// An allow list is in force, and the source is on none.
    NotAllowed = 11, "not-allowed", Drop, true;
    /// The packet is unclassifiable, and the host or a service denies its source.
    UnclassifiedDropped = 12, "unclassified-dropped", Drop, true;
    /// As `blocked`, in a scope in observe mode.
    ObservedBlocked = 13, "observed-blocked", Pass, true;
    /// As `not-allowed`, in a scope in observe mode.
    ObservedNotAllowed = 14, "observed-not-allowed", Pass, true;
    /// As `unclassified-dropped`, where every denying scope is in observe mode.
    ObservedUnclassified = 15, "observed-unclassified", Pass, true;
    /// The source is banned.
    Banned = 16, "banned", Drop, true;
    /// As `banned`, in a scope in observe mode.
    ObservedBanned = 17, "observed-banned", Pass, true;
}

impl Reason {
    /// Counters kept for each scope; a power of two above the largest reason, so
    /// that new reasons do not move old counters.
    pub const SLOTS: u32 = 32;

    /// Whether attempts that pass for this reason are reported, as far as the CPU's allowance
    /// for them goes: those that policies and bypasses let pass. Nothing is judged on failsafe
    /// ports, and what is no attempt names no client.
    #[inline(always)]
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        matches!(
            self,
            Self::Bypass | Self::NoPolicy | Self::Allowed | Self::NotBlocked
        )
    }
}

/// What the program returns where it is asked, loaded apart from the one at interfaces: the
/// action in the low byte, the reason above it. It judges as that does, by the same maps, but
/// neither counts nor reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe(pub u32);

impl Probe {
    /// Packs an `XDP_*` action and a reason.
    #[inline(always)]
    #[must_use]
    pub const fn new(xdp_action: u32, reason: Reason) -> Self {
        Self(xdp_action | (reason as u32) << 8)
    }

    /// The `XDP_*` action.
    #[must_use]
    pub const fn xdp_action(self) -> u32 {
        self.0 & 0xff
    }

    /// The reason, unless the number is unknown.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        let [_, reason, ..] = self.0.to_le_bytes();
        Reason::from_u8(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_their_places_and_fit_the_counters() {
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
            assert_eq!(Reason::from_u8(*reason as u8), Some(*reason));
        }
        assert!(Reason::ALL.len() <= Reason::SLOTS as usize);
        assert_eq!(Reason::from_u8(u8::MAX), None);
    }

    #[test]
    fn each_reason_has_a_description_of_its_own() {
        for reason in Reason::ALL {
            let text = reason.description();
            assert!(text.ends_with('.') && !text.starts_with(' '), "{text:?}");
            let same = Reason::ALL.iter().filter(|r| r.description() == text);
            assert_eq!(same.count(), 1, "{text}");
        }
    }

    #[test]
    fn whatever_drops_is_a_denial() {
        for reason in Reason::ALL {
            if reason.action() == Action::Drop {
                assert!(reason.is_denial(), "{reason:?}");
            }
        }
    }

    #[test]
    fn what_is_sampled_passes_and_is_no_denial() {
        for reason in Reason::ALL.iter().filter(|reason| reason.is_sampled()) {
            assert_eq!(reason.action(), Action::Pass, "{reason:?}");
            assert!(!reason.is_denial(), "{reason:?}");
        }
    }

    #[test]
    fn a_probe_carries_both() {
        let probe = Probe::new(1, Reason::UnclassifiedDropped);
        assert_eq!(probe.xdp_action(), 1);
        assert_eq!(probe.reason(), Some(Reason::UnclassifiedDropped));
    }
}
