//! Changes to policy tests.

use super::{Noun, Worker, unknown};
use crate::model::error::{Excerpt, Problem};
use crate::model::policy_test::one_source;
use crate::model::{Expectation, PolicyTest, TestedAttempt};

use crate::model::ports::NO_PORT;

/// An attempt as it is written: the source, the service, the port.
type WrittenAttempt<'a> = (&'a str, Option<&'a str>, Option<u16>);

impl Worker<'_> {
    /// Adds a test, or replaces that of the same attempt.
    pub(super) fn set_test(
        &mut self,
        attempt: WrittenAttempt<'_>,
        expect: Expectation,
        comment: Option<&str>,
    ) -> Option<()> {
        let attempt = self.attempt(attempt);
        let comment = self.comment(comment);
        let test = PolicyTest {
            attempt: attempt?,
            expect,
            comment,
            place: None,
        };
        match self.place_of(&test.attempt) {
            Ok(at) => {
                // One that says the same keeps the place where it was written.
                if let Some(old) = self.state.tests.get_mut(at)
                    && !old.same_words(&test)
                {
                    *old = test;
                }
            }
            Err(at) => self.state.tests.insert(at, test),
        }
        Some(())
    }

    /// Removes the test of an attempt.
    pub(super) fn remove_test(&mut self, attempt: WrittenAttempt<'_>) -> Option<()> {
        let attempt = self.attempt(attempt)?;
        match self.place_of(&attempt) {
            Ok(at) => {
                self.state.tests.remove(at);
                Some(())
            }
            Err(_) => {
                let name = attempt.to_string();
                self.refuse(unknown(Noun::PolicyTest, &name, std::iter::empty()))
            }
        }
    }

    fn place_of(&self, attempt: &TestedAttempt) -> Result<usize, usize> {
        let tests = &self.state.tests;
        tests.binary_search_by(|test| test.attempt.cmp(attempt))
    }

    fn attempt(&mut self, (source, service, port): WrittenAttempt<'_>) -> Option<TestedAttempt> {
        let source = match one_source(source) {
            Ok(source) => Some(source),
            Err(problem) => self.refuse(problem),
        };
        let service = match service {
            None => None,
            Some(name) => {
                let at = self.service(name)?;
                self.state
                    .services
                    .get(at)
                    .map(|service| service.name.clone())
            }
        };
        if port == Some(0) {
            return self.refuse(Problem::Port {
                text: Excerpt::new("0"),
                why: NO_PORT,
            });
        }
        Some(TestedAttempt {
            source: source?,
            service,
            port,
        })
    }
}
