//! A file's policy as a policy file.

use std::fmt::Write as _;

use ipnet::IpNet;
use netpolicy_policy::model::rule::canonical;

use super::{Admission, Hba};
use crate::write::quoted;

impl Hba {
    /// The policy file: a service with PostgreSQL's port, and a policy that allows what the
    /// file admits. `source` names the file.
    #[must_use]
    pub fn policy_file(&self, name: &str, source: &str) -> String {
        let source: String = source.chars().filter(|c| !c.is_control()).collect();
        let mut text = format!(
            "# Made of {source}. The server goes on judging by that file; netpolicy denies the\n\
             # sources that it admits for no database and no user.\n#\n"
        );
        for carried in &self.lines {
            let line: String = carried
                .line
                .text
                .chars()
                .filter(|c| !c.is_control())
                .collect();
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "# line {}: {line}\n#   {}",
                carried.line.number, carried.outcome
            );
        }
        text.push_str("\n[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n");
        let comment = format!("from {source}");
        let _ = writeln!(
            text,
            "\n[[policy]]\nname = {}\ncomment = {}\nbind = [\"postgres\"]",
            quoted(name),
            quoted(&comment)
        );
        if self.is_incomplete {
            text.push_str(
                "# Lines that are not carried admit further sources: add these, then activate it.\n\
                 active = false\n",
            );
        }
        self.array("allow", |carried| &carried.allow, &mut text);
        if self.lines.iter().any(|carried| !carried.block.is_empty()) {
            self.array("block", |carried| &carried.block, &mut text);
        }
        text
    }

    fn array(&self, key: &str, nets: impl Fn(&super::Carried) -> &Vec<IpNet>, text: &mut String) {
        let _ = writeln!(text, "{key} = [");
        let mut seen = std::collections::HashSet::new();
        for carried in &self.lines {
            let method = match &carried.line.admission {
                Admission::Host { method, .. } => method.as_str(),
                Admission::Local | Admission::Include => "",
            };
            for net in nets(carried) {
                // Several lines may admit a network, each for other databases.
                if seen.insert(*net) {
                    let comment = format!("line {}: {method}", carried.line.number);
                    let _ = writeln!(
                        text,
                        "  {{ address = {}, comment = {} }},",
                        quoted(&canonical(net)),
                        quoted(&comment)
                    );
                }
            }
        }
        text.push_str("]\n");
    }
}
