//! The comparison that somebody asks for: all that the kernel holds, with a fresh compile.

use std::sync::Arc;
use std::time::Instant;

use super::enforcer::Enforcer;
use super::error::AgentError;
use super::supervisor::{Command, Supervisor};
use super::writer::{LARGE_RULES, Writer};
use crate::api::VerifyView;
use crate::compiler::{Compilation, Extent};

impl Supervisor {
    /// See [`Writer::verify_all`].
    ///
    /// # Errors
    /// The kernel cannot be read; or the agent is stopping.
    pub async fn verify_all(&self) -> Result<VerifyView, AgentError> {
        self.ask(|reply| Command::Verify { reply }).await
    }
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
        view.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(view)
    }

    fn try_verify_all(&mut self) -> Result<VerifyView, AgentError> {
        self.must_not_be_older()?;
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
