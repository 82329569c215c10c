//! The comparison on demand: all that the kernel holds, with a fresh compile.
//!
//! Looks beside the writer, so that changes do not wait; only what differs is its business,
//! to be looked at again and repaired.

use std::sync::Arc;
use std::time::Instant;

use super::enforcer::{Enforcer, Inspector};
use super::error::AgentError;
use super::memory;
use super::reads::aside;
use super::snapshot::Snapshot;
use super::supervisor::{Command, Supervisor};
use super::writer::{LARGE_RULES, Writer};
use crate::api::VerifyView;
use crate::compiler::{Compilation, Extent};

/// How often a look is begun again because a change came between, before changes have to
/// wait for it.
const TRIES: u32 = 5;

/// What came of a look.
enum Look {
    /// All is well.
    Same,
    /// Something differs, or cannot be read.
    Differs,
    /// A change came between.
    Overtaken,
}

impl Supervisor {
    /// Compares all that the kernel holds with a fresh compile of the desired state. Changes
    /// go on meanwhile; only if something differs they wait for [`Writer::verify_all`].
    ///
    /// # Errors
    /// The kernel cannot be read; or the agent is stopping.
    pub async fn verify_all(
        &self,
        inspector: &Arc<dyn Inspector>,
    ) -> Result<VerifyView, AgentError> {
        let started = Instant::now();
        for _ in 0..TRIES {
            let (snapshot, inspector) = (self.snapshot(), Arc::clone(inspector));
            let seen = Arc::clone(&snapshot);
            let look = aside(move || {
                let look = look(&seen, &*inspector);
                memory::give_back();
                look
            });
            match look.await {
                Ok(Look::Same) => {
                    return Ok(VerifyView {
                        revision: snapshot.revision,
                        generation: snapshot.generation,
                        entries: snapshot.entries,
                        differences: Vec::new(),
                        repaired: false,
                        took_ms: millis(started),
                    });
                }
                Ok(Look::Overtaken) => {}
                Ok(Look::Differs) | Err(_) => break,
            }
        }
        self.ask(|reply| Command::Verify { reply }).await
    }
}

fn look(snapshot: &Snapshot, inspector: &dyn Inspector) -> Look {
    let Some(ruleset) = &snapshot.ruleset else {
        return Look::Overtaken;
    };
    // Changes are compiled by all processors: a look takes one.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let is_right = alone.is_ok_and(|pool| {
        pool.install(|| **Compilation::new(&snapshot.state).ruleset() == **ruleset)
    });
    if !is_right {
        return Look::Differs;
    }
    match inspector.verify(ruleset) {
        Ok((_, enforced)) if enforced.generation != snapshot.generation => Look::Overtaken,
        Ok((differences, enforced)) => {
            if differences.is_empty() && enforced.digest == ruleset.digest() {
                Look::Same
            } else {
                Look::Differs
            }
        }
        // The writer says why, or installs what is gone.
        Err(_) => Look::Differs,
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl<E: Enforcer> Writer<E> {
    /// Reads everything in force back, compares it with a fresh compile of the desired
    /// state, and repairs what differs. Changes wait meanwhile.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub fn verify_all(&mut self) -> Result<VerifyView, AgentError> {
        let started = Instant::now();
        self.phase("verifying");
        let view = self.try_verify_all();
        self.rest();
        self.publish();
        let mut view = view?;
        view.took_ms = millis(started);
        Ok(view)
    }

    fn try_verify_all(&mut self) -> Result<VerifyView, AgentError> {
        if self.held.is_some_and(|held| held.keeps) {
            self.must_not_be_held()?;
        }
        let mut differences = Vec::new();
        // What is in force was compiled from change to change.
        let fresh = Compilation::new(&self.state);
        if **fresh.ruleset() != *self.ruleset {
            differences.push("what was compiled is not what a fresh compile makes".to_owned());
            self.ruleset = Arc::clone(fresh.ruleset());
            self.digest = self.ruleset.digest();
            self.entries = self.ruleset.entries();
            self.compiled = fresh;
        }
        self.was_large |= self.entries >= LARGE_RULES;
        if !self.enforcer.is_pinned() {
            differences.push("the pins were gone, and filtering with them".to_owned());
        }
        // What could not be installed anew is a fault already, whatever the old maps hold.
        if self.check_pins() {
            let found = self.compare(Some(Extent::Full))?;
            if found.is_empty() {
                self.faults.kernel = None;
            } else {
                self.repair(&found);
            }
            differences.extend(found);
        }
        Ok(VerifyView {
            revision: self.revision,
            generation: self.generation,
            entries: self.entries,
            repaired: !differences.is_empty() && self.faults.kernel.is_none(),
            differences,
            took_ms: 0,
        })
    }
}

#[cfg(test)]
mod tests;
