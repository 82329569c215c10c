//! Verification on demand: compares all kernel maps with a fresh compilation.
//!
//! Reads concurrently with the writer, so that changes do not wait; only differences go to the writer,
//! to be looked at again and repaired.

use std::sync::Arc;
use std::time::Instant;

use super::core::Writer;
use super::reads::aside;
use super::supervisor::Supervisor;
use crate::agent::access::Caller;
use crate::agent::change::candidate::millis;
use crate::agent::error::AgentError;
use crate::agent::in_force::InForce;
use crate::agent::kernel::Inspector;
use crate::agent::memory;
use crate::agent::snapshot::Snapshot;
use crate::api::{Phase, VerifyView};
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
                        overtaken: Vec::new(),
                    });
                }
                Ok(Look::Overtaken) => {}
                Ok(Look::Differs) | Err(_) => break,
            }
        }
        // Only admins may verify.
        self.run(Caller::root(), Writer::verify_all).await
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

impl Writer {
    /// Reads everything in force back, compares it with a fresh compile of the desired
    /// state, and repairs what differs. Changes wait meanwhile.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub fn verify_all(&mut self) -> Result<VerifyView, AgentError> {
        let started = Instant::now();
        self.phase(Phase::Verifying);
        let view = self.try_verify_all();
        self.rest();
        self.publish();
        let mut view = view?;
        view.took_ms = millis(started);
        Ok(view)
    }

    fn try_verify_all(&mut self) -> Result<VerifyView, AgentError> {
        if self.upkeep.keeps_others() {
            self.upkeep.must_not_be_held(self.in_force.revision)?;
        }
        let mut differences = Vec::new();
        // What is in force was compiled from change to change.
        let fresh = Compilation::new(&self.in_force.state);
        if **fresh.ruleset() != *self.in_force.ruleset {
            differences.push("what was compiled is not what a fresh compile makes".to_owned());
            let digest = fresh.ruleset().digest();
            let now = &self.in_force;
            let (state, revision, generation) = (now.state.clone(), now.revision, now.generation);
            self.in_force = InForce::new(state, revision, fresh, digest, generation);
        }
        self.leftovers.rules(self.in_force.entries);
        if !self.kernel.is_pinned() {
            differences.push("the pins were gone, and filtering with them".to_owned());
        }
        // A failed reinstallation is a fault already, whatever the old maps hold.
        if self.check_pins() {
            let found =
                self.kernel
                    .compare(&self.in_force, Some(Extent::Full), &mut self.faults)?;
            if found.is_empty() {
                self.faults.kernel = None;
            } else {
                self.repair(&found);
            }
            differences.extend(found);
        }
        Ok(VerifyView {
            revision: self.in_force.revision,
            generation: self.in_force.generation,
            entries: self.in_force.entries,
            repaired: !differences.is_empty() && self.faults.kernel.is_none(),
            differences,
            took_ms: 0,
            overtaken: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
