//! Tables of policy tests.

use super::document::TomlTable;
use super::read::FileReader;
use crate::model::error::{Excerpt, Problem};
use crate::model::policy_test::one_source;
use crate::model::{Expectation, Name, PolicyTest, PortSet, TestedAttempt};

/// A `[[test]]`, whose service is not looked up yet.
#[derive(Debug)]
pub(in crate::model) struct FileTest {
    /// The test, without its service.
    pub(in crate::model) test: PolicyTest,
    /// The service as written.
    pub(in crate::model) service: Option<String>,
}

const EXPECT: &str = "\"drop\" or \"pass\"";
const EXPECTATIONS: &[(&str, Expectation)] =
    &[("drop", Expectation::Drop), ("pass", Expectation::Pass)];

impl FileReader<'_, '_> {
    /// Reads all `[[test]]`.
    pub(super) fn tests(&mut self, root: &TomlTable<'_>) -> Vec<FileTest> {
        const KEYS: &[&str] = &["source", "service", "port", "expect", "comment"];
        let mut tests = Vec::new();
        for table in root.tables("test", "[[test]]", self.report) {
            let table = table.with_keys(KEYS, self.report);
            let source = self.test_source(&table);
            let service = table.string("service", "a service's name", self.report);
            let port = self.test_port(&table);
            if table.get("expect").is_none() {
                let problem = Problem::MissingKey {
                    key: "expect",
                    table: "[[test]]",
                    example: EXPECT,
                };
                let place = self.document.place(table.offset());
                self.report.error_at(Some(place), problem);
            }
            let expect = table.choice("expect", EXPECTATIONS, EXPECT, self.report);
            let comment = self.comment(&table);
            if let (Some(source), Some(expect)) = (source, expect) {
                tests.push(FileTest {
                    test: PolicyTest {
                        attempt: TestedAttempt {
                            source,
                            service: None,
                            port,
                        },
                        expect,
                        comment,
                        place: Some(self.document.place(table.offset())),
                    },
                    service: service.map(|(name, _)| name.to_owned()),
                });
            }
        }
        tests
    }

    fn test_source(&mut self, table: &TomlTable<'_>) -> Option<std::net::IpAddr> {
        let (text, offset) = table.required("source", "\"203.0.113.9\"", self.report)?;
        let problem = match one_source(text) {
            Ok(source) => return Some(source),
            Err(problem) => problem,
        };
        let place = self.document.place(offset);
        self.report.error_at(Some(place), problem);
        None
    }

    fn test_port(&mut self, table: &TomlTable<'_>) -> Option<u16> {
        let items = table.strings("port", "a port, as in 5432", true, self.report)?;
        let (text, offset) = items.first()?;
        let ports = PortSet::parse(&[text]);
        let problems = match ports {
            Ok(ports) => match (ports.iter().next(), ports.iter().nth(1), items.len()) {
                (Some(port), None, 1) => return Some(port),
                _ => vec![Problem::Port {
                    text: Excerpt::new(text),
                    why: "a test has one port",
                }],
            },
            Err(problems) => problems,
        };
        for problem in problems {
            let place = self.document.place(*offset);
            self.report.error_at(Some(place), problem);
        }
        None
    }
}

/// The lines of a test in the file.
pub(super) fn lines(test: &PolicyTest, quoted: fn(&str) -> String) -> Vec<String> {
    let attempt = &test.attempt;
    let mut lines = vec![
        String::new(),
        "[[test]]".to_owned(),
        format!("source = {}", quoted(&attempt.source.to_string())),
    ];
    let service = attempt.service.as_ref().map(Name::to_written_service);
    lines.extend(service.map(|name| format!("service = {}", quoted(&name))));
    lines.extend(attempt.port.map(|port| format!("port = {port}")));
    lines.push(format!("expect = \"{}\"", test.expect));
    let comment = test.comment.as_deref();
    lines.extend(comment.map(|text| format!("comment = {}", quoted(text))));
    lines
}
