//! TOML tables to a [`PolicyFile`].

use std::collections::BTreeSet;

use super::document::TomlTable;
use super::rules::Inline;
use super::text::{Text, TomlDocument};
use super::{EarlierState, FileDatabase, FilePolicy, FileService, PolicyFile};
use crate::model::change::SourceText;
use crate::model::error::{Excerpt, ModelError, Noun, Place, Problem, closest};
use crate::model::evaluate::ListKind;
use crate::model::name::{folded, service_name};
use crate::model::reader::{ListReader, Reference, Tolerance};
use crate::model::report::Report;
use crate::model::wording::NamedBy;
use crate::model::{
    AllowPart, Binding, ChangeContext, Host, MAX_COMMENT, Name, Policy, PolicyCompat, PortSet,
    RuleList,
};

const PORTS: &str = "ports, as in [\"5432\", \"7000-7010\"]";
pub(super) const FILES: &str = "a file name or an array of file names";
const RULES: &str =
    "an array of addresses, as in [\"10.0.0.0/8\", { address = \"10.9.0.1\", comment = \"…\" }]";
const BIND: &str =
    "\"host\", names of services and users of databases, as in [\"host\", \"user:alice@orders\"]";

/// See [`super::read`].
pub(super) fn read(
    file: &SourceText,
    lists: &[SourceText],
    tolerance: Tolerance,
    earlier: EarlierState<'_>,
    cx: &ChangeContext<'_>,
    report: &mut Report,
) -> Option<PolicyFile> {
    let text = Text::new(&file.name, &file.text);
    read_text(&text, lists, tolerance, earlier, cx, report)
}

/// As [`read`], of a text that may be taken as a long one.
pub(super) fn read_text(
    text: &Text<'_>,
    lists: &[SourceText],
    tolerance: Tolerance,
    earlier: EarlierState<'_>,
    cx: &ChangeContext<'_>,
    report: &mut Report,
) -> Option<PolicyFile> {
    let (document, root) = TomlDocument::parse(text, report)?;
    let root = TomlTable::root(&document, &root).with_keys(
        &[
            "host", "service", "database", "list", "feed", "policy", "test",
        ],
        report,
    );
    let mut reader = FileReader {
        document: &document,
        list_files: lists,
        tolerance,
        earlier,
        cx,
        report,
    };
    let host = reader.host(&root);
    let services = reader.services(&root);
    let databases = reader.databases(&root);
    let lists = reader.lists(&root)?;
    let mut read = Policies {
        seen: Repeated::new(Noun::Policy),
        policies: Vec::new(),
    };
    for table in root.tables("policy", "[[policy]]", reader.report) {
        // What follows from a syntax error is not looked for.
        reader.policy(&table, (&services, &databases), &mut read)?;
    }
    let policies = reader.policies(read);
    let tests = reader.tests(&root);
    Some(PolicyFile {
        has_host: root.get("host").is_some(),
        host,
        services,
        lists,
        policies,
        databases,
        tests,
    })
}

/// Policies in the order of the file, and where their names stand.
struct Policies {
    seen: Repeated,
    policies: Vec<FilePolicy>,
}

/// Names that were seen, and where.
pub(super) struct Repeated {
    noun: Noun,
    seen: Vec<(Name, Place)>,
}

impl Repeated {
    pub(super) fn new(noun: Noun) -> Self {
        Self {
            noun,
            seen: Vec::new(),
        }
    }

    /// Whether a name comes for the first time; if not, that is reported.
    pub(super) fn is_new(&mut self, name: &Name, place: &Place, report: &mut Report) -> bool {
        let mut seen = self.seen.iter();
        let Some((_, first)) = seen.find(|(known, _)| known.is_like(name)) else {
            self.seen.push((name.clone(), place.clone()));
            return true;
        };
        let problem = Problem::NameRepeated {
            noun: self.noun,
            name: name.to_string(),
            first: Some(first.clone()),
        };
        report.error_at(Some(place.clone()), problem);
        false
    }
}

/// A list with the named lists to which it refers.
pub(super) type ReadRules = (RuleList, Vec<Reference>);

pub(super) struct FileReader<'r, 'd> {
    pub(super) document: &'r TomlDocument<'d>,
    list_files: &'r [SourceText],
    tolerance: Tolerance,
    pub(super) earlier: EarlierState<'r>,
    cx: &'r ChangeContext<'r>,
    pub(super) report: &'r mut Report,
}

impl FileReader<'_, '_> {
    fn host(&mut self, root: &TomlTable<'_>) -> Host {
        let mut host = Host::default();
        if let Some(table) = root.table("host", "[host]", self.report) {
            let table = table.with_keys(&["mode", "on_deny", "failsafe_ports"], self.report);
            host.mode = table.mode(self.report);
            host.on_deny = table.on_deny(self.report);
            if let Some(ports) = self.ports(&table, "failsafe_ports") {
                host.failsafe_ports = ports;
            }
        }
        host
    }

    fn services(&mut self, root: &TomlTable<'_>) -> Vec<FileService> {
        const KEYS: &[&str] = &["name", "ports", "combine", "mode", "on_deny", "comment"];
        let mut services: Vec<FileService> = Vec::new();
        for table in root.tables("service", "[[service]]", self.report) {
            let table = table.with_keys(KEYS, self.report);
            let name = self.name(&table, "\"postgres\"", service_name);
            if table.get("ports").is_none() {
                let (key, example) = ("ports", "[\"5432\"]");
                let problem = Problem::MissingKey {
                    key,
                    table: "[[service]]",
                    example,
                };
                self.report
                    .error_at(Some(self.document.place(table.offset())), problem);
            }
            let ports = self.ports(&table, "ports");
            let (combine, mode) = (table.combine(self.report), table.mode(self.report));
            let on_deny = table.on_deny(self.report);
            let comment = self.comment(&table);
            let Some((name, place)) = name else { continue };
            if let Some(first) = services.iter().find(|service| service.name.is_like(&name)) {
                let first = Some(first.place.clone());
                let problem = Problem::NameRepeated {
                    noun: Noun::Service,
                    name: name.to_string(),
                    first,
                };
                self.report.error_at(Some(place), problem);
                continue;
            }
            services.push(FileService {
                place,
                name,
                ports,
                combine,
                mode,
                on_deny,
                comment,
            });
        }
        services
    }

    /// Reads a `[[policy]]`. `None` after a syntax error.
    fn policy(
        &mut self,
        table: &TomlTable<'_>,
        scopes: (&[FileService], &[FileDatabase]),
        read: &mut Policies,
    ) -> Option<()> {
        const KEYS: &[&str] = &[
            "name",
            "allow",
            "allow_file",
            "block",
            "block_file",
            "except",
            "except_file",
            PolicyCompat::KEY,
            "allow_empty",
            "bind",
            "active",
            "mode",
            "comment",
        ];
        let table = table.with_keys(KEYS, self.report);
        let name = self.name(&table, "\"office\"", Name::new);
        let of = name.as_ref().map(|(name, _)| name);
        let tolerance = self.tolerance(&table);
        let like = |policy: &&Policy| {
            let name = name.as_ref();
            name.is_some_and(|(name, _)| policy.name.is_like(name))
        };
        let earlier = self.earlier.state.policies.iter().find(like);
        let keys = ("allow", "allow_file");
        let before = earlier.and_then(Policy::allow_list);
        let kind = Some(ListKind::Allow);
        let (allow, allow_lists) = match self.rules(&table, kind, keys, tolerance, (of, before))? {
            None => (AllowPart::Any, Vec::new()),
            Some((list, references)) => (AllowPart::Only(list), references),
        };
        let keys = ("block", "block_file");
        let before = earlier.map(|policy| &policy.block);
        let kind = Some(ListKind::Block);
        let block = self.rules(&table, kind, keys, tolerance, (of, before))?;
        let (block, block_lists) = block.unwrap_or_default();
        let keys = ("except", "except_file");
        let before = earlier.map(|policy| &policy.except);
        let kind = Some(ListKind::Except);
        let except = self.rules(&table, kind, keys, tolerance, (of, before))?;
        let (except, except_lists) = except.unwrap_or_default();
        let bindings = self.bindings(&table, scopes);
        let active = table.boolean("active", self.report).unwrap_or(true);
        let mode = table.mode(self.report);
        let comment = self.comment(&table);
        let compat = self.compat(&table, &allow);
        let Some((name, place)) = name else {
            return Some(());
        };
        if !read.seen.is_new(&name, &place, self.report) {
            return Some(());
        }
        read.policies.push(FilePolicy {
            name,
            allow,
            block,
            except,
            allow_lists,
            block_lists,
            except_lists,
            compat,
            comment,
            active,
            mode,
            bindings,
        });
        Some(())
    }

    /// All policies, unless they are too many.
    fn policies(&mut self, Policies { policies, .. }: Policies) -> Vec<FilePolicy> {
        let (count, limit) = (policies.len(), self.cx.limits.policies);
        if count > limit {
            let place = Place {
                source: self.document.name().into(),
                line: 0,
                column: 0,
            };
            self.report
                .error_at(Some(place), Problem::TooManyPolicies { count, limit });
        }
        policies
    }

    /// What is taken from a table's list files that is refused otherwise.
    pub(super) fn tolerance(&mut self, table: &TomlTable<'_>) -> Tolerance {
        let mut tolerance = self.tolerance;
        tolerance.allow_empty |= table.boolean("allow_empty", self.report) == Some(true);
        tolerance
    }

    /// A list out of the file itself and out of list files; `Some(None)` if neither is
    /// there, `None` after a syntax error. `kind`: none of a named list. `earlier`: what the
    /// policy, or the named list, has now.
    pub(super) fn rules(
        &mut self,
        table: &TomlTable<'_>,
        kind: Option<ListKind>,
        (key, file_key): (&'static str, &'static str),
        tolerance: Tolerance,
        (of, earlier): (Option<&Name>, Option<&RuleList>),
    ) -> Option<Option<ReadRules>> {
        let items = table.array(key, RULES, self.report);
        let files = table.strings(file_key, FILES, false, self.report);
        if items.is_none() && files.is_none() {
            return Some(None);
        }
        let (document, limit) = (self.document, self.cx.limits.rules_per_list);
        let mut reader = ListReader::of(kind, limit, self.report)
            .forced(self.cx.force)
            .sharing_with(earlier, self.earlier.sameness);
        if let Some(items) = items {
            Inline::new(&mut reader, document, table, key).read(items)?;
        }
        for (name, offset) in files.unwrap_or_default() {
            match self.list_files.iter().find(|list| list.name == name) {
                Some(list) => {
                    let named = NamedBy {
                        key: file_key,
                        noun: kind.map_or(Noun::List, |_| Noun::Policy),
                        name: of.map(Name::to_string),
                        place: document.place(offset),
                    };
                    reader.list_file(&name, &list.text, tolerance, Some(named));
                }
                None => {
                    let problem = Problem::MissingList {
                        name: Excerpt::new(&name),
                    };
                    reader
                        .report()
                        .error_at(Some(document.place(offset)), problem);
                }
            }
        }
        let references = reader.take_references();
        Some(Some((reader.finish(), references)))
    }

    fn bindings(
        &mut self,
        table: &TomlTable<'_>,
        (services, databases): (&[FileService], &[FileDatabase]),
    ) -> BTreeSet<Binding> {
        let Some(names) = table.strings("bind", BIND, false, self.report) else {
            return BTreeSet::from([Binding::Host]);
        };
        let mut bindings = BTreeSet::new();
        for (text, offset) in names {
            let service = services.iter().find(|service| service.name.matches(&text));
            if text.eq_ignore_ascii_case("host") {
                bindings.insert(Binding::Host);
            } else if let Some(service) = service {
                bindings.insert(Binding::Service(service.name.clone()));
            } else if let Some(user) = self.database_user(&text, offset, databases) {
                bindings.extend(user.map(Binding::User));
            } else {
                let known = services.iter().map(|service| service.name.as_str());
                let closest = closest(&text, known.chain(["host"])).map(ToOwned::to_owned);
                let name = Excerpt::new(&text);
                let problem = Problem::UnknownBinding { name, closest };
                self.report
                    .error_at(Some(self.document.place(offset)), problem);
            }
        }
        bindings
    }

    /// The name of a table's thing, and where it stands.
    pub(super) fn name(
        &mut self,
        table: &TomlTable<'_>,
        example: &'static str,
        check: fn(&str) -> Result<Name, ModelError>,
    ) -> Option<(Name, Place)> {
        let (text, offset) = table.required("name", example, self.report)?;
        let place = self.document.place(offset);
        match check(text) {
            Ok(name) => {
                if let Some(note) = folded(text, &name) {
                    self.report.warn(format!("{place}: {note}"));
                }
                Some((name, place))
            }
            Err(error) => {
                self.report.error_at(Some(place), error.problem);
                None
            }
        }
    }

    /// `None` if there are none or bad ones.
    fn ports(&mut self, table: &TomlTable<'_>, key: &'static str) -> Option<PortSet> {
        let items = table.strings(key, PORTS, true, self.report)?;
        let mut good = Vec::new();
        for (item, offset) in items {
            match PortSet::parse(&[&item]) {
                Ok(_) => good.push(item),
                Err(problems) => {
                    for problem in problems {
                        self.report
                            .error_at(Some(self.document.place(offset)), problem);
                    }
                }
            }
        }
        PortSet::parse(&good).ok()
    }

    /// What the policy has for SQL's dialects.
    fn compat(&mut self, table: &TomlTable<'_>, allow: &AllowPart) -> PolicyCompat {
        let Some((text, offset)) = table.string(PolicyCompat::KEY, "a string", self.report) else {
            return PolicyCompat::default();
        };
        PolicyCompat::of_file(text, allow).unwrap_or_else(|problem| {
            let place = self.document.place(offset);
            self.report.error_at(Some(place), problem);
            PolicyCompat::default()
        })
    }

    pub(super) fn comment(&mut self, table: &TomlTable<'_>) -> Option<String> {
        let (text, offset) = table.string("comment", "a string", self.report)?;
        let length = text.chars().count();
        if length > MAX_COMMENT {
            let problem = Problem::TextTooLong {
                what: "comment",
                length,
            };
            self.report
                .error_at(Some(self.document.place(offset)), problem);
        }
        Some(text.to_owned()).filter(|text| !text.is_empty())
    }
}
