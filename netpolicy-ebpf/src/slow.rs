//! The slow path: packets that are not plain, and all of them while a bypass is in force or
//! the LPM engine was chosen; and plain attempts while there are bans, after the host's.
//!
//! Its parts are bodies of global functions (`hook.rs`): the verifier walks each once, whatever
//! calls it, and their variables are none of the others'. They take and return only the context
//! and numbers.

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use netpolicy_common::{
    Control, HOST_SCOPE, Listing, MAX_SCOPES, Overrides, Reason, ScopeConfig, ScopeFlags, ScopeId,
    slot_of,
};
use netpolicy_ebpf::{
    Family, Judged, Load, Segment, SourceLists, Subject, banned, is_stricter, judge, other_reading,
    unclassified,
};

use crate::{
    flat::{FlatSource, FlatV4, FlatV6},
    hook::Packet,
    maps,
    outcome::{answered, finish, judged},
    ruleset::{control, govern, slot_head},
    source::{Source, SourceV4, SourceV6},
    whole::Whole,
};

/// Parses and judges a packet.
#[inline(always)]
pub(crate) fn slow_path<P: Packet>(packet: P) -> u32 {
    let packed = packet.walk();
    if let Segment::Pass(reason) = Segment::unpack(packed) {
        let reason = reason_of(reason as u64);
        return finish(packet, HOST_SCOPE, reason, None, maps::is_probe());
    }
    let control = control();
    let (generation, overrides) = (control.generation, control.overrides.0);
    let verdict = Verdict(packet.judge_reading(packed, generation, overrides));
    if let Some(family) = other_reading(packed) {
        let other = packet.ip(0, u64::from(matches!(family, Family::V6)));
        let other = Verdict(packet.judge_reading(other, generation, overrides));
        // Not reported: an event names one source, and the frame has two.
        let (scope, reason) = other.or_stricter(verdict).unpack();
        return finish(packet, scope, reason, None, maps::is_probe());
    }
    let (scope, reason) = verdict.unpack();
    if verdict.is_answered() {
        return answered(packet, scope, reason, generation, maps::is_probe());
    }
    judged(packet, scope, reason, generation, maps::is_probe())
}

/// Judges what [`Packet::parse`] found. The answer is a [`Verdict`].
#[inline(always)]
pub(crate) fn judge_reading<P: Packet>(
    packet: P,
    packed: u64,
    generation: u64,
    overrides: u64,
) -> u64 {
    match Segment::unpack(packed) {
        Segment::Pass(reason) => Verdict::new(HOST_SCOPE, reason).0,
        Segment::Judge(subject) if subject.is_attempt => {
            let port = subject.ports.destination;
            judge_attempt(packet, packed, port, generation, overrides)
        }
        Segment::Judge(_) => {
            let control = Control {
                generation,
                overrides: Overrides(overrides),
            };
            let (scope, reason) = strictest(packet, packed, &control);
            Verdict::new(scope, reason).0
        }
    }
}

/// A scope and what it says, in one number: the reason, the scope, and whether the sender gets an
/// answer.
#[derive(Clone, Copy)]
pub(crate) struct Verdict(pub(crate) u64);

impl Verdict {
    /// What no scope says of a packet that is judged.
    pub(crate) const NONE: Self = Self(0);
    /// The bit above the scope's.
    const ANSWERED: u32 = 24;

    #[inline(always)]
    const fn new(scope: ScopeId, reason: Reason) -> Self {
        Self((scope as u64) << 8 | reason as u64)
    }

    #[inline(always)]
    const fn of(scope: ScopeId, judged: Judged) -> Self {
        let answered = (matches!(judged, Judged::Answered(_)) as u64) << Self::ANSWERED;
        Self(Self::new(scope, judged.reason()).0 | answered)
    }

    #[inline(always)]
    const fn is_dropped(self) -> bool {
        self.0 & 0xff == Reason::UnclassifiedDropped as u64
    }

    #[inline(always)]
    pub(crate) const fn is_answered(self) -> bool {
        self.0 >> Self::ANSWERED != 0
    }

    #[inline(always)]
    pub(crate) fn unpack(self) -> (ScopeId, Reason) {
        ((self.0 >> 8) as ScopeId, reason_of(self.0))
    }

    /// The other one if it is stricter, else this one.
    #[inline(always)]
    fn or_stricter(self, other: Self) -> Self {
        if is_stricter(reason_of(self.0), reason_of(other.0)) {
            other
        } else {
            self
        }
    }
}

/// The reason in the lowest bits of a number, bounded for the verifier as well: the compiler
/// knows how large a reason is, and would leave a mask out that it could see.
#[inline(always)]
pub(crate) fn reason_of(number: u64) -> Reason {
    let mut number = number;
    // SAFETY: changes nothing but its operand.
    unsafe {
        core::arch::asm!(
            "{0} &= {1}",
            inout(reg) number,
            const Reason::SLOTS - 1,
            options(pure, nomem, nostack)
        );
    }
    Reason::from_u8(number as u8).unwrap_or(Reason::Malformed)
}

/// Judges a connection attempt: failsafe port, service of the port, bypass, ban, lists, in this
/// order. The answer is a [`Verdict`].
#[inline(always)]
fn judge_attempt<P: Packet>(
    packet: P,
    packed: u64,
    port: u16,
    generation: u64,
    overrides: u64,
) -> u64 {
    match govern(generation, port) {
        Ok((scope, _)) => {
            let asked = asked(u64::from(scope), Overrides(overrides));
            packet.in_scope(packed, generation, asked, ATTEMPT)
        }
        Err(reason) => Verdict::new(HOST_SCOPE, reason).0,
    }
}

/// Judges a packet whose port could not be found by every scope that could govern it: the
/// first that drops decides, else the first that observes a denial, else the first for which
/// the source has a bypass.
#[inline(always)]
fn strictest<P: Packet>(packet: P, packed: u64, control: &Control) -> (ScopeId, Reason) {
    let mut found = Verdict::NONE;
    for first in (0..u64::from(MAX_SCOPES)).step_by(SOME) {
        let asked = asked(first, control.overrides);
        found = Verdict(packet.some_scopes(packed, control.generation, asked, found.0));
        if found.is_dropped() {
            break;
        }
    }
    if found.0 == 0 {
        (HOST_SCOPE, Reason::UnclassifiedPassed)
    } else {
        found.unpack()
    }
}

/// Scopes in a word of a set of them.
const SOME: usize = 64;

/// What the scopes of a word, of which `asked` names the first, make of the [`Verdict`] of those
/// before them. A function of its own, so that the verifier walks one word and not all.
#[inline(always)]
pub(crate) fn some_scopes<P: Packet>(
    packet: P,
    packed: u64,
    generation: u64,
    asked: u64,
    found: u64,
) -> u64 {
    let words = slot_head(generation).unclassified.words();
    let (mut asked, mut found) = (asked, Verdict(found));
    let mut scopes = words[(asked as u32 % MAX_SCOPES) as usize / SOME];
    for _ in 0..SOME {
        if scopes == 0 || found.is_dropped() {
            break;
        }
        if scopes & 1 != 0 {
            found = Verdict(packet.in_scope(packed, generation, asked, found.0));
        }
        scopes >>= 1;
        asked += 1;
    }
    found.0
}

/// A scope and what is looked up before its lists, in one number: above the scope's 16 bits
/// whether there are bypasses, above 32 the set of bans.
#[inline(always)]
fn asked(scope: u64, overrides: Overrides) -> u64 {
    let has_bypasses = u64::from(overrides.bypasses() != 0);
    u64::from(overrides.ban_set()) << 32 | has_bypasses << 16 | scope
}

/// In place of the [`Verdict`] of scopes before: the packet is an attempt, so only one is asked.
const ATTEMPT: u64 = u64::MAX;

/// What a scope makes of an unclassified packet after those before it, as their [`Verdict`]
/// says. `judged`: what it makes of its source.
#[inline(always)]
fn after(found: u64, judged: Reason, generation: u64, scope: ScopeId) -> u64 {
    // Whose port is not known is never answered.
    match unclassified(judged) {
        Reason::UnclassifiedPassed => found,
        // Of a service without policies only a ban says anything.
        Reason::Bypass if found != Verdict::NONE.0 || !has_policies(generation, scope) => found,
        Reason::ObservedUnclassified if found & 0xff == Reason::ObservedUnclassified as u64 => {
            found
        }
        reason => Verdict::new(scope, reason).0,
    }
}

/// Whether policies govern a scope: those of the host it always has.
#[inline(always)]
fn has_policies(generation: u64, scope: ScopeId) -> bool {
    let has = |config: &ScopeConfig, flag| config.flags.has(flag);
    scope == HOST_SCOPE
        || config_of(generation, u64::from(scope)).is_some_and(|config| {
            has(config, ScopeFlags::OWN_LISTS) || has(config, ScopeFlags::HOST_LISTS)
        })
}

/// What a scope is configured as.
#[inline(always)]
fn config_of<'a>(generation: u64, scope: u64) -> Option<&'a ScopeConfig> {
    let governance = maps::GOVERNANCE.get(slot_of(generation))?;
    Some(&governance.scopes[(scope as u32 % MAX_SCOPES) as usize])
}

/// What a scope makes of a packet's source: bypass, then bans, then lists. `asked`: see [`asked`];
/// `found`: the [`Verdict`] of the scopes before, or [`ATTEMPT`]. The answer is a [`Verdict`].
#[inline(always)]
pub(crate) fn in_scope<P: Packet>(
    packet: P,
    packed: u64,
    generation: u64,
    asked: u64,
    found: u64,
) -> u64 {
    let (Segment::Judge(subject), Some(config)) =
        (Segment::unpack(packed), config_of(generation, asked))
    else {
        return found;
    };
    let control = Control {
        generation,
        overrides: Overrides::new((asked >> 16) as u32 & 1, (asked >> 32) as u32),
    };
    let scope = (asked as u32 % MAX_SCOPES) as ScopeId;
    let judged = match subject.addresses.family {
        Family::V4 => by_source::<_, SourceV4, 4>(packet, subject, &control, scope, config),
        Family::V6 => by_source::<_, SourceV6, 16>(packet, subject, &control, scope, config),
    };
    if found == ATTEMPT {
        Verdict::of(scope, judged).0
    } else {
        after(found, judged.reason(), generation, scope)
    }
}

#[inline(always)]
fn by_source<P: Packet, S: Source<Address = [u8; N]>, const N: usize>(
    packet: P,
    subject: Subject,
    control: &Control,
    scope: ScopeId,
    config: &ScopeConfig,
) -> Judged {
    let frame = Whole::of(packet);
    let Some(address) = frame.load::<N>(subject.addresses.at) else {
        return Judged::Quietly(Reason::Malformed);
    };
    let source = S::new(address, slot_of(control.generation));
    if bypassed(&source, control, scope) {
        return Judged::Quietly(Reason::Bypass);
    }
    if control.overrides.ban_set() != 0 && source.is_banned(control.overrides, scope) {
        return Judged::Quietly(banned(config.flags));
    }
    let host = || &slot_head(control.generation).host;
    judge(&source, config, host, scope)
}

/// A bypass of the host exempts from everything on it, one of a service from that.
#[inline(always)]
fn bypassed<S: Source>(source: &S, control: &Control, scope: ScopeId) -> bool {
    if control.overrides.bypasses() == 0 {
        return false;
    }
    // SAFETY: takes nothing, returns a number.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    source.bypass_lives(scope, now) || (scope != HOST_SCOPE && source.bypass_lives(HOST_SCOPE, now))
}

/// Judges a plain connection attempt with the flat engine while there are bans and no bypasses.
/// The bans of the whole host were looked up already if they are single addresses, for the
/// host's ports: most of a flood of banned sources does not come here. The answer is a
/// [`Verdict`], or [`Verdict::NONE`] for what only the slow path can judge. The caller carries it
/// out: from here the calls would be nested too deeply.
#[inline(always)]
pub(crate) fn with_bans<P: Packet>(packet: P, generation: u64, overrides: u64, is_v6: u64) -> u64 {
    let overrides = Overrides(overrides);
    let verdict = if is_v6 == 0 {
        with_bans_in::<_, FlatV4>(packet, generation, overrides)
    } else {
        with_bans_in::<_, FlatV6>(packet, generation, overrides)
    };
    verdict.0
}

#[inline(always)]
fn with_bans_in<P: Packet, L: FlatSource>(
    packet: P,
    generation: u64,
    overrides: Overrides,
) -> Verdict {
    let frame = packet.linear();
    // One after the other: of two bounds that are checked together the verifier does not know
    // that one implies the other.
    let Some(port) = L::port(&frame) else {
        return Verdict::NONE;
    };
    let Some(lists) = L::again(&frame) else {
        return Verdict::NONE;
    };
    let (scope, config) = match govern(generation, port) {
        Ok(governing) => governing,
        Err(reason) => return Verdict::new(HOST_SCOPE, reason),
    };
    let judged = if lists.is_banned(overrides, scope) {
        Judged::Quietly(banned(config.flags))
    } else {
        let host = || &slot_head(generation).host;
        judge(&Apart(lists, slot_of(generation)), config, host, scope)
    };
    Verdict::of(scope, judged)
}

/// A source whose lists, those of this slot, are asked in a function of their own.
struct Apart<L>(L, u32);

impl<L: FlatSource> SourceLists for Apart<L> {
    #[inline(always)]
    fn listed(&self, _: &ScopeConfig, scope: ScopeId, only: impl Fn() -> bool) -> Listing {
        self.0.listed_apart(self.1, scope, only())
    }
}
