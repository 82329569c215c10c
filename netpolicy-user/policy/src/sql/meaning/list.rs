//! Addresses as they stand in statements, to the model's rules.
//!
//! One pass and one sort: lists have up to 100,000 addresses.

use ipnet::IpNet;

use super::wrong::Errors;
use super::{Cx, Dialect, Wrong};
use crate::model::error::{Excerpt, Place};
use crate::model::rule::canonical;
use crate::model::{Capped, Item, ListKind, Problem, Rule, RuleList};
use crate::sql::{Literal, Literals, RuleText, Spot};

/// Snowflake's limit of a list, in characters. What is counted is the list as its DESC
/// shows it: the addresses joined by commas, without quotes and blanks.
const LIST_TEXT: usize = 100_000;

/// Lakehouse's limit of a list.
const LIST_RULES: usize = 100_000;

/// Materialize's `max_rules_per_network_policy`.
pub(super) const MATERIALIZE_RULES: usize = 25;

/// A list that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct ParsedList {
    /// The rules, each once.
    pub(super) list: RuleList,
    /// Snowflake: a blocked `/0`, as written, which is not among the rules.
    pub(super) rest: Option<String>,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
}

impl Cx<'_, '_> {
    /// Reads a list of Snowflake or Lakehouse.
    pub(super) fn read_list(
        &self,
        kind: ListKind,
        literals: &Literals<'_>,
        errors: &mut Errors<'_, '_>,
    ) -> ParsedList {
        let list = match kind {
            ListKind::Allow => "ALLOWED_IP_LIST",
            ListKind::Block => "BLOCKED_IP_LIST",
        };
        let (length, count) = (literals.joined_len(), literals.len());
        match self.dialect() {
            Dialect::Snowflake if length > LIST_TEXT => {
                let limit = LIST_TEXT;
                errors.push(
                    literals.spot(),
                    Wrong::ListText {
                        list,
                        length,
                        limit,
                    },
                );
            }
            Dialect::Lakehouse if count > LIST_RULES => {
                let limit = LIST_RULES;
                errors.push(literals.spot(), Wrong::ListRules { list, count, limit });
            }
            _ => {}
        }
        self.read(kind, literals.iter().map(|literal| (literal, None)), errors)
    }

    /// Reads the rules of Materialize.
    pub(super) fn read_rules(
        &self,
        spot: Spot,
        rules: &[RuleText<'_>],
        errors: &mut Errors<'_, '_>,
    ) -> ParsedList {
        let (count, limit) = (rules.len(), MATERIALIZE_RULES);
        if count > limit {
            errors.push(spot, Wrong::TooManyRules { count, limit });
        }
        let names: Vec<_> = rules
            .iter()
            .map(|rule| rule.name.folded(self.dialect()))
            .collect();
        let mut order: Vec<_> = (0..rules.len()).collect();
        order.sort_by_key(|&index| (names.get(index), index));
        for pair in order.windows(2) {
            if let [first, second] = *pair
                && names.get(first) == names.get(second)
                && let (Some(first), Some(second)) = (rules.get(first), rules.get(second))
            {
                errors.push(
                    second.name.spot(),
                    Wrong::RuleTwice {
                        name: Excerpt::new(&second.name.folded(self.dialect())),
                        line: first.name.spot().line,
                    },
                );
            }
        }
        let named = rules.iter().zip(&names);
        let items = named.map(|(rule, name)| (rule.address, Some(name.as_ref())));
        self.read(ListKind::Allow, items, errors)
    }

    fn read<'i>(
        &self,
        kind: ListKind,
        items: impl Iterator<Item = (Literal<'i>, Option<&'i str>)>,
        errors: &mut Errors<'_, '_>,
    ) -> ParsedList {
        let mut reading = Reading {
            cx: *self,
            kind,
            rules: Vec::with_capacity(items.size_hint().0),
            spots: Vec::new(),
            rest: None,
            masked: Capped::default(),
            notes: Vec::new(),
        };
        for (literal, name) in items {
            if let Err(wrong) = reading.item(&literal, name) {
                errors.push(literal.spot(), wrong);
            }
        }
        reading.finish(errors)
    }
}

struct Reading<'s, 't> {
    cx: Cx<'s, 't>,
    kind: ListKind,
    rules: Vec<Rule>,
    /// Where each rule stands.
    spots: Vec<Spot>,
    rest: Option<String>,
    masked: Capped,
    notes: Vec<String>,
}

impl Reading<'_, '_> {
    fn item(&mut self, literal: &Literal<'_>, name: Option<&str>) -> Result<(), Wrong> {
        let dialect = self.cx.dialect();
        let text = literal.text();
        let item = match Item::read(&text) {
            Ok(item) => item,
            Err(problem) if dialect == Dialect::Materialize => {
                return Err(Wrong::Cidr(problem.to_string()));
            }
            Err(problem) => return Err(problem.into()),
        };
        let is_all = item.net.prefix_len() == 0;
        match dialect {
            Dialect::Materialize if !item.with_length => {
                let with_length = item.net.to_string();
                let text = Excerpt::new(text.trim());
                return Err(Wrong::Cidr(format!(
                    "{text} has no prefix length; write '{with_length}'"
                )));
            }
            Dialect::Materialize => {}
            // An IPv4-mapped address is IPv4 to the model, but not in their manuals.
            Dialect::Snowflake | Dialect::Lakehouse if text.contains(':') => {
                let found = Excerpt::new(text.trim());
                return Err(Wrong::Ipv6 { found, dialect });
            }
            Dialect::Lakehouse if is_all => {
                return Err(Wrong::EverySource {
                    found: Excerpt::new(text.trim()),
                    list: self.kind,
                });
            }
            Dialect::Snowflake if is_all && self.kind == ListKind::Block => {
                self.block_rest(literal.spot(), text.trim());
                return Ok(());
            }
            Dialect::Snowflake | Dialect::Lakehouse => {}
        }
        let net = item.net;
        if item.masked {
            let place = || self.cx.place(literal.spot());
            self.masked.push(|| {
                let text = text.trim();
                let enforced = canonical(&net);
                format!(
                    "{}: {text} has host bits set; {enforced} is enforced",
                    place()
                )
            });
        }
        let note = item.into_note(name.map(Into::into));
        self.spots.push(literal.spot());
        self.rules.push(Rule {
            net,
            source: 0,
            line: literal.spot().line,
            note: note.share(),
        });
        Ok(())
    }

    fn block_rest(&mut self, spot: Spot, text: &str) {
        let place = self.cx.place(spot);
        if self.rest.is_some() {
            self.notes
                .push(format!("{place}: a second blocked /0; it is kept once"));
            return;
        }
        self.rest = Some(text.to_owned());
        self.notes.push(format!(
            "{place}: a blocked {text} stands for every source that is not on ALLOWED_IP_LIST; \
             those on it may connect"
        ));
    }

    fn finish(mut self, errors: &mut Errors<'_, '_>) -> ParsedList {
        let mut warnings = std::mem::take(&mut self.notes);
        self.once(errors, &mut warnings);
        self.masked
            .finish(&mut warnings, "with host bits set, masked likewise");
        let source = vec![self.cx.scene.source.into()];
        ParsedList {
            list: RuleList::from_parts(self.rules, source),
            rest: self.rest,
            warnings,
        }
    }

    /// Keeps each network once, or refuses a second one where the dialect does.
    fn once(&mut self, errors: &mut Errors<'_, '_>, warnings: &mut Vec<String>) {
        if self.rules.is_sorted_by(|a, b| a.net < b.net) {
            return;
        }
        let nets = self.rules.iter().map(|rule| rule.net);
        let mut order: Vec<(IpNet, usize)> = nets.zip(0..).collect();
        order.sort_unstable();
        // Index of the later one, and of the first.
        let mut repeated = Vec::new();
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            if let [(_, first), others @ ..] = group {
                repeated.extend(others.iter().map(|(_, other)| (*other, *first)));
            }
        }
        repeated.sort_unstable();
        let mut kept_once = Capped::default();
        for &(other, first) in &repeated {
            let (Some(rule), Some(first)) = (self.rules.get(other), self.rules.get(first)) else {
                continue;
            };
            let Some(&spot) = self.spots.get(other) else {
                continue;
            };
            if self.cx.dialect() == Dialect::Lakehouse {
                errors.push(spot, self.duplicate(rule, first).into());
            } else {
                kept_once.push(|| {
                    let place = self.cx.place(spot);
                    let line = first.line;
                    format!(
                        "{place}: {} is on the list already (line {line}); it is kept once",
                        rule.text()
                    )
                });
            }
        }
        kept_once.finish(warnings, "that are on the list already");
        let mut repeated = repeated.into_iter().map(|(other, _)| other).peekable();
        let mut index = 0;
        self.rules.retain(|_| {
            let keep = repeated.next_if_eq(&index).is_none();
            index += 1;
            keep
        });
    }

    fn duplicate(&self, rule: &Rule, first: &Rule) -> Problem {
        Problem::Duplicate {
            other_file: false,
            text: rule.text().into_owned(),
            first_text: first.text().into_owned(),
            first: Some(Place {
                source: self.cx.scene.source.into(),
                line: first.line,
                column: 0,
            }),
        }
    }
}

impl Cx<'_, '_> {
    /// "office.sql:3:5"
    pub(super) fn place(&self, spot: Spot) -> Place {
        let (line, column) = self.statement.place(spot);
        Place {
            source: self.scene.source.into(),
            line,
            column,
        }
    }
}
