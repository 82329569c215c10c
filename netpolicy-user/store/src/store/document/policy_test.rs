//! Policy tests on disk.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::name;
use crate::model::{Expectation, Name, Place, PolicyTest, TestedAttempt};

/// A policy test.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredTest {
    source: IpAddr,
    service: Option<String>,
    port: Option<u16>,
    expect: Expectation,
    comment: Option<String>,
    /// Where it was written: a file's name, line and column.
    place: Option<(String, u32, u32)>,
}

impl StoredTest {
    pub(super) fn of(test: &PolicyTest) -> Self {
        let PolicyTest {
            attempt:
                TestedAttempt {
                    source,
                    service,
                    port,
                },
            expect,
            comment,
            place,
        } = test;
        Self {
            source: *source,
            service: service.as_ref().map(Name::to_string),
            port: *port,
            expect: *expect,
            comment: comment.clone(),
            place: place
                .as_ref()
                .map(|place| (place.source.to_string(), place.line, place.column)),
        }
    }

    pub(super) fn into_test(self) -> Result<PolicyTest, String> {
        Ok(PolicyTest {
            attempt: TestedAttempt {
                source: self.source,
                service: self.service.as_deref().map(name).transpose()?,
                port: self.port,
            },
            expect: self.expect,
            comment: self.comment,
            place: self.place.map(|(source, line, column)| Place {
                source: source.into(),
                line,
                column,
            }),
        })
    }
}
