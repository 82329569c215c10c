//! What one caller, and all callers but admins together, may hold of a resource at a time.
//!
//! Counts and refuses; knows neither connections nor bodies. A refused caller has to
//! come back: waiting would itself hold something.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Why there is no share for a caller now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// The caller's own shares are used up.
    Own,
    /// Those of all callers without a reserve of their own are.
    All,
}

/// How much a caller may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The caller's own maximum.
    pub each: usize,
    /// Whether it also counts against what all share: root's and admins' does not, so that
    /// others cannot use it up.
    pub is_shared: bool,
}

/// A resource, and who holds how much of it.
#[derive(Debug)]
pub struct Quota {
    /// The maximum of all callers whose bound is shared.
    all: usize,
    held: Mutex<HeldUnits>,
}

#[derive(Debug, Default)]
struct HeldUnits {
    shared: usize,
    /// By user id; who holds nothing has no entry.
    by_user: HashMap<u32, usize>,
}

impl Quota {
    /// Nothing is held yet; `all`: see [`Bound::is_shared`].
    #[must_use]
    pub fn new(all: usize) -> Arc<Self> {
        Arc::new(Self {
            all,
            held: Mutex::default(),
        })
    }

    /// Takes `amount` for a user id.
    ///
    /// # Errors
    /// It would exceed the caller's bound, or what all share.
    pub fn take(
        self: &Arc<Self>,
        uid: u32,
        amount: usize,
        bound: Bound,
    ) -> Result<Share, Exceeded> {
        let mut share = Share {
            quota: self.clone(),
            uid,
            amount: 0,
            bound,
        };
        share.grow(amount)?;
        Ok(share)
    }

    fn with_held<T>(&self, work: impl FnOnce(&mut HeldUnits) -> T) -> T {
        // Nothing in here panics halfway.
        work(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A part of a resource; given back when dropped.
#[derive(Debug)]
pub struct Share {
    quota: Arc<Quota>,
    uid: u32,
    amount: usize,
    bound: Bound,
}

impl Share {
    /// Takes `more`.
    ///
    /// # Errors
    /// It would exceed the caller's bound, or what all share; the share is as it was.
    pub fn grow(&mut self, more: usize) -> Result<(), Exceeded> {
        let all = self.quota.all;
        self.quota.with_held(|held| {
            let own = held.by_user.get(&self.uid).copied().unwrap_or(0);
            if own.saturating_add(more) > self.bound.each {
                return Err(Exceeded::Own);
            }
            if self.bound.is_shared {
                if held.shared.saturating_add(more) > all {
                    return Err(Exceeded::All);
                }
                held.shared += more;
            }
            held.by_user.insert(self.uid, own + more);
            Ok(())
        })?;
        self.amount += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.quota.with_held(|held| {
            if self.bound.is_shared {
                held.shared -= self.amount;
            }
            if let Some(own) = held.by_user.get_mut(&self.uid) {
                *own -= self.amount;
                if *own == 0 {
                    held.by_user.remove(&self.uid);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Bound = Bound {
        each: 3,
        is_shared: true,
    };
    const ROOT: Bound = Bound {
        each: 9,
        is_shared: false,
    };

    #[test]
    fn one_user_cannot_use_up_what_others_share() {
        let quota = Quota::new(5);
        let first = quota.take(1, 3, USER).unwrap();
        assert_eq!(quota.take(1, 1, USER).unwrap_err(), Exceeded::Own);
        let _second = quota.take(2, 2, USER).unwrap();
        drop(first);
        quota.take(1, 3, USER).unwrap();
    }

    #[test]
    fn all_users_together_cannot_use_up_root_s_reserve() {
        let quota = Quota::new(5);
        let _held = [1, 2].map(|uid| quota.take(uid, 2 + uid as usize % 2, USER));
        assert_eq!(quota.take(3, 1, USER).unwrap_err(), Exceeded::All);
        let root = quota.take(0, 9, ROOT).unwrap();
        assert_eq!(quota.take(0, 1, ROOT).unwrap_err(), Exceeded::Own);
        drop(root);
        quota.take(0, 1, ROOT).unwrap();
    }

    #[test]
    fn a_share_that_cannot_grow_stays_as_it_was_and_is_given_back_whole() {
        let quota = Quota::new(5);
        let mut share = quota.take(1, 1, USER).unwrap();
        assert_eq!(share.grow(usize::MAX).unwrap_err(), Exceeded::Own);
        share.grow(2).unwrap();
        drop(share);
        quota.with_held(|held| {
            assert_eq!(held.shared, 0);
            assert!(held.by_user.is_empty());
        });
    }
}
