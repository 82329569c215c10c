//! Simpler frames and rules than those that failed.

use crate::reference::{Rules, rules::Policy};
use crate::shape::{SYN, Shape};

/// The simplest that still fails: as long as one of the simpler ones does, it is taken.
pub fn simplest<T: Clone>(
    first: &T,
    simpler: impl Fn(&T) -> Vec<T>,
    mut fails: impl FnMut(&T) -> bool,
) -> T {
    let mut best = first.clone();
    while let Some(next) = simpler(&best).into_iter().find(|next| fails(next)) {
        best = next;
    }
    best
}

/// Frames that are a little simpler.
#[must_use]
pub fn frames(shape: &Shape) -> Vec<Shape> {
    let mut simpler = Vec::new();
    let mut add = |change: &dyn Fn(&mut Shape)| {
        let mut next = shape.clone();
        change(&mut next);
        if next != *shape {
            simpler.push(next);
        }
    };
    add(&|s| s.patches.clear());
    add(&|s| s.cut = None);
    add(&|s| s.padding.clear());
    add(&|s| s.length = None);
    add(&|s| s.slice = None);
    add(&|s| s.options.clear());
    add(&|s| s.tcp_options.clear());
    add(&|s| s.payload = 0);
    add(&|s| s.payload /= 2);
    add(&|s| s.fragment = 0);
    add(&|s| s.ether_type = None);
    add(&|s| s.protocol = 6);
    add(&|s| s.flags = SYN);
    add(&|s| s.id = 1);
    add(&|s| s.source_port = 40_000);
    for list in [shape.tags.len(), shape.extensions.len()] {
        // Halves first, so that long lists go quickly.
        let mut step = list;
        while step > 0 {
            for from in (0..list).step_by(step) {
                add(&|s| drop_range(&mut s.tags, from, step, list));
                add(&|s| drop_range(&mut s.extensions, from, step, list));
            }
            step /= 2;
        }
    }
    for at in 0..shape.patches.len() {
        add(&|s| {
            s.patches.remove(at);
        });
    }
    for at in 0..shape.tags.len() {
        add(&|s| s.tags[at].1 = 0);
    }
    for (at, extension) in shape.extensions.iter().enumerate() {
        add(&|s| s.extensions[at].length = None);
        let len = extension.body.len();
        for shorter in [6, 10, len / 16 * 8 + 6, len.saturating_sub(8)] {
            if (6..len).contains(&shorter) {
                add(&|s| s.extensions[at].body.truncate(shorter));
            }
        }
    }
    simpler
}

fn drop_range<T>(list: &mut Vec<T>, from: usize, step: usize, of: usize) {
    if list.len() == of {
        list.drain(from..list.len().min(from + step));
    }
}

/// Rules that are a little simpler.
#[must_use]
pub fn rules(rules: &Rules) -> Vec<Rules> {
    let mut simpler = Vec::new();
    let mut add = |change: &dyn Fn(&mut Rules)| {
        let mut next = rules.clone();
        change(&mut next);
        if next != *rules {
            simpler.push(next);
        }
    };
    for at in 0..rules.policies.len() {
        add(&|r| drop(r.policies.remove(at)));
    }
    for at in 0..rules.bypasses.len() {
        add(&|r| {
            r.bypasses.remove(at);
        });
    }
    for at in 0..rules.bans.len() {
        add(&|r| {
            r.bans.remove(at);
        });
    }
    if let Some(last) = rules.services.len().checked_sub(1) {
        // The last one: the others' numbers stay.
        add(&|r| {
            r.services.pop();
            for policy in &mut r.policies {
                policy.services.retain(|service| *service != last);
            }
            r.bypasses.retain(|bypass| bypass.service != Some(last));
            r.bans.retain(|ban| ban.service != Some(last));
        });
    }
    add(&|r| r.host_observes = false);
    add(&|r| r.host_resets = false);
    for at in 0..rules.services.len() {
        add(&|r| r.services[at].observes = false);
        add(&|r| r.services[at].resets = false);
        add(&|r| r.services[at].and = false);
    }
    for (at, policy) in rules.policies.iter().enumerate() {
        add(&|r| r.policies[at].allow = None);
        let own = policy.block.len() + policy.except.len();
        let lists = own + policy.allow.as_ref().map_or(0, Vec::len);
        let mut step = lists;
        while step > 0 {
            for from in (0..lists).step_by(step) {
                add(&|r| drop_rules(&mut r.policies[at], from, step));
            }
            step /= 2;
        }
    }
    simpler
}

/// The block list's rules are counted before the exceptions and the allow list's.
fn drop_rules(policy: &mut Policy, from: usize, step: usize) {
    let mut number = 0;
    let mut is_kept = |_: &_| {
        let kept = !(from..from + step).contains(&number);
        number += 1;
        kept
    };
    policy.block.retain(&mut is_kept);
    policy.except.retain(&mut is_kept);
    if let Some(allow) = &mut policy.allow {
        allow.retain(&mut is_kept);
    }
}
