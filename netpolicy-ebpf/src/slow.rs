//! The slow path: packets that are not plain, and all of them while a bypass is in force or
//! the LPM engine was chosen.
//!
//! Its parts are bodies of global functions (`hook.rs`): the verifier walks each once, whatever
//! calls it, and their variables are none of the others'. They take and return only the context
//! and numbers.

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use netpolicy_common::{
    Control, HOST_SCOPE, MAX_SCOPES, Reason, ScopeConfig, ScopeId, list_slot_of, slot_of,
};
use netpolicy_ebpf::{
    Family, Judged, Load, Segment, Subject, is_stricter, judge, other_reading, unclassified,
};

use crate::{
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
    let (generation, bypasses) = (control.generation, control.bypasses);
    let verdict = Verdict(packet.judge_reading(packed, generation, bypasses));
    if let Some(family) = other_reading(packed) {
        let other = packet.ip(0, u64::from(matches!(family, Family::V6)));
        let other = Verdict(packet.judge_reading(other, generation, bypasses));
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
    bypasses: u64,
) -> u64 {
    match Segment::unpack(packed) {
        Segment::Pass(reason) => Verdict::new(HOST_SCOPE, reason).0,
        Segment::Judge(subject) if subject.is_attempt => {
            packet.judge_attempt(packed, generation, bypasses)
        }
        Segment::Judge(_) => {
            let control = Control {
                generation,
                bypasses,
            };
            let (scope, reason) = strictest(packet, packed, &control);
            Verdict::new(scope, reason).0
        }
    }
}

/// A scope and what it says, in one number: the reason, the scope, and whether the sender gets an
/// answer.
#[derive(Clone, Copy)]
struct Verdict(u64);

impl Verdict {
    /// What no scope says of a packet that is judged.
    const NONE: Self = Self(0);
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
    const fn is_answered(self) -> bool {
        self.0 >> Self::ANSWERED != 0
    }

    #[inline(always)]
    fn unpack(self) -> (ScopeId, Reason) {
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

/// Judges a connection attempt: failsafe port, service of the port, bypass, lists, in this
/// order. The answer is a [`Verdict`].
#[inline(always)]
pub(crate) fn judge_attempt<P: Packet>(
    packet: P,
    packed: u64,
    generation: u64,
    bypasses: u64,
) -> u64 {
    let Segment::Judge(subject) = Segment::unpack(packed) else {
        return Verdict::new(HOST_SCOPE, Reason::Malformed).0;
    };
    let control = Control {
        generation,
        bypasses,
    };
    let (scope, config) = match govern(generation, subject.ports.destination) {
        Ok(governing) => governing,
        Err(reason) => return Verdict::new(HOST_SCOPE, reason).0,
    };
    let judged = match subject.addresses.family {
        Family::V4 => in_scope::<_, SourceV4, 4>(packet, subject, &control, scope, config),
        Family::V6 => in_scope::<_, SourceV6, 16>(packet, subject, &control, scope, config),
    };
    Verdict::of(scope, judged).0
}

/// Judges a packet whose port could not be found by every scope that could govern it: the
/// first that drops decides, else the first that observes a denial, else the first for which
/// the source has a bypass.
#[inline(always)]
fn strictest<P: Packet>(packet: P, packed: u64, control: &Control) -> (ScopeId, Reason) {
    let mut found = Verdict::NONE;
    let head = slot_head(control.generation);
    for (at, word) in (0..).step_by(64).zip(head.unclassified.words()) {
        let (mut scopes, mut scope) = (*word, at);
        for _ in 0..64 {
            if scopes == 0 {
                break;
            }
            if scopes & 1 != 0 {
                let asked = u64::from(control.bypasses != 0) << 32 | scope;
                found = Verdict(packet.one_scope(packed, control.generation, asked, found.0));
                if found.0 & 0xff == Reason::UnclassifiedDropped as u64 {
                    return found.unpack();
                }
            }
            scopes >>= 1;
            scope += 1;
        }
    }
    if found.0 == 0 {
        (HOST_SCOPE, Reason::UnclassifiedPassed)
    } else {
        found.unpack()
    }
}

/// What one scope makes of the [`Verdict`] of those before it. `asked`: the scope, and above
/// its 32 bits whether there are bypasses.
#[inline(always)]
pub(crate) fn one_scope<P: Packet>(
    packet: P,
    packed: u64,
    generation: u64,
    asked: u64,
    found: u64,
) -> u64 {
    let Segment::Judge(subject) = Segment::unpack(packed) else {
        return found;
    };
    let Some(governance) = maps::GOVERNANCE.get(slot_of(generation)) else {
        return found;
    };
    let scope = (asked as u32 % MAX_SCOPES) as ScopeId;
    let config = &governance.scopes[usize::from(scope)];
    let control = Control {
        generation,
        bypasses: asked >> 32,
    };
    // Whose port is not known is never answered.
    let judged = match subject.addresses.family {
        Family::V4 => in_scope::<_, SourceV4, 4>(packet, subject, &control, scope, config),
        Family::V6 => in_scope::<_, SourceV6, 16>(packet, subject, &control, scope, config),
    };
    match unclassified(judged.reason()) {
        Reason::UnclassifiedPassed => found,
        Reason::Bypass if found != Verdict::NONE.0 => found,
        Reason::ObservedUnclassified if found & 0xff == Reason::ObservedUnclassified as u64 => {
            found
        }
        reason => Verdict::new(scope, reason).0,
    }
}

/// Bypass, then lists.
#[inline(always)]
fn in_scope<P: Packet, S: Source<Address = [u8; N]>, const N: usize>(
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
    let source = S::new(address, list_slot_of(slot_of(control.generation)));
    if bypassed(&source, control, scope) {
        return Judged::Quietly(Reason::Bypass);
    }
    let host = || &slot_head(control.generation).host;
    judge(&source, config, host, scope)
}

/// A bypass of the host exempts from everything on it, one of a service from that.
#[inline(always)]
fn bypassed<S: Source>(source: &S, control: &Control, scope: ScopeId) -> bool {
    if control.bypasses == 0 {
        return false;
    }
    // SAFETY: takes nothing, returns a number.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    source.bypass_lives(scope, now) || (scope != HOST_SCOPE && source.bypass_lives(HOST_SCOPE, now))
}
