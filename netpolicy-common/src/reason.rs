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
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal, $action:ident, $denial:literal;)*) => {
        /// Why a packet passed or was dropped. The number is part of the ABI: it
        /// indexes counters and travels in events.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name = $value,)* }

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
    /// Not TCP over IPv4 or IPv6 (ARP, ND, ICMP, UDP, …): never touched.
    NotTcp = 0, "not-tcp", Pass, false;
    /// The IP header itself is cut short or of the wrong version; the kernel discards it.
    Malformed = 1, "malformed", Pass, false;
    /// A fragment other than the first; without its first nothing reassembles.
    Fragment = 2, "fragment", Pass, false;
    /// TCP, but no connection attempt (SYN without ACK).
    Established = 3, "established", Pass, false;
    /// To a failsafe port.
    Failsafe = 4, "failsafe", Pass, false;
    /// The source has a bypass that has not lapsed.
    Bypass = 5, "bypass", Pass, false;
    /// No active policy governs the scope.
    NoPolicy = 6, "no-policy", Pass, false;
    /// On an allow list, and on no block list.
    Allowed = 7, "allowed", Pass, false;
    /// On no block list, and no active policy has an allow list.
    NotBlocked = 8, "not-blocked", Pass, false;
    /// Unclassifiable, from a source that the policies of no scope deny.
    UnclassifiedPassed = 9, "unclassified-passed", Pass, false;
    /// On a block list.
    Blocked = 10, "blocked", Drop, true;
    /// An allow list is in force and the source is on none.
    NotAllowed = 11, "not-allowed", Drop, true;
    /// Unclassifiable, from a source that the policies of some scope deny.
    UnclassifiedDropped = 12, "unclassified-dropped", Drop, true;
    /// As `Blocked`, in a scope that only observes.
    ObservedBlocked = 13, "observed-blocked", Pass, true;
    /// As `NotAllowed`, in a scope that only observes.
    ObservedNotAllowed = 14, "observed-not-allowed", Pass, true;
    /// As `UnclassifiedDropped`, in a scope that only observes.
    ObservedUnclassified = 15, "observed-unclassified", Pass, true;
}

impl Reason {
    /// Counters kept for each scope; a power of two above the largest reason, so
    /// that new reasons do not move old counters.
    pub const SLOTS: u32 = 32;
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
    fn whatever_drops_is_a_denial() {
        for reason in Reason::ALL {
            if reason.action() == Action::Drop {
                assert!(reason.is_denial(), "{reason:?}");
            }
        }
    }

    #[test]
    fn a_probe_carries_both() {
        let probe = Probe::new(1, Reason::UnclassifiedDropped);
        assert_eq!(probe.xdp_action(), 1);
        assert_eq!(probe.reason(), Some(Reason::UnclassifiedDropped));
    }
}
