//! A state as an object: a JSON document that names its lists by their hashes.
//!
//! The types here are the format on disk, apart from the model's so that the
//! model can change without old revisions becoming unreadable. A change of
//! meaning is a new [`FORMAT`], and the old one is still read.

mod database;
mod format;
mod hex_id;
mod policy_test;
mod ports;

use jiff::Timestamp;
use netpolicy_common::ScopeId;
use serde::{Deserialize, Serialize};

use self::database::StoredDatabase;
use self::format::{FORMAT, LATEST, format_of};
use self::hex_id::HexId;
use self::policy_test::StoredTest;
use self::ports::{items, ports};
use super::StoreError;
use super::objects::ObjectId;
use crate::model::{
    AllowPart, Binding, Combine, Feed, Host, HostCompat, Mode, Name, NamedList, NetworkRule,
    OnDeny, Policy, PolicyCompat, RuleList, Service, State,
};

/// A state without its rules.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    format: u32,
    host: StoredHost,
    services: Vec<StoredService>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lists: Vec<StoredNamedList>,
    policies: Vec<StoredPolicy>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    databases: Vec<StoredDatabase>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tests: Vec<StoredTest>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredHost {
    mode: Mode,
    #[serde(default, skip_serializing_if = "is_drop")]
    on_deny: OnDeny,
    failsafe_ports: Vec<String>,
    #[serde(
        default,
        rename = "default_dropped",
        skip_serializing_if = "HostCompat::is_empty"
    )]
    compat: HostCompat,
}

/// What earlier versions do not know is left out, so that they read what has nothing of it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_drop(on_deny: &OnDeny) -> bool {
    *on_deny == OnDeny::Drop
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_enforce(mode: &Mode) -> bool {
    *mode == Mode::Enforce
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredService {
    name: String,
    id: ScopeId,
    ports: Vec<String>,
    combine: Combine,
    mode: Mode,
    #[serde(default, skip_serializing_if = "is_drop")]
    on_deny: OnDeny,
    comment: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredNamedList {
    name: String,
    entries: HexId,
    /// `None`: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<HexId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network_rule: Option<NetworkRule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feed: Option<Feed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_shrink: Option<u8>,
    comment: Option<String>,
    owner: String,
    created: Timestamp,
    altered: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPolicy {
    name: String,
    /// `None`: any.
    allow: Option<HexId>,
    block: HexId,
    /// `None`: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    except: Option<HexId>,
    /// Names of lists of the same state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allow_lists: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    block_lists: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except_lists: Vec<String>,
    #[serde(
        default,
        rename = "blocked_rest",
        skip_serializing_if = "PolicyCompat::is_empty"
    )]
    compat: PolicyCompat,
    comment: Option<String>,
    owner: String,
    created: Timestamp,
    altered: Timestamp,
    active: bool,
    #[serde(default, skip_serializing_if = "is_enforce")]
    mode: Mode,
    on_host: bool,
    services: Vec<String>,
    /// As in `user:alice@orders`, of databases of the same state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    users: Vec<String>,
}

impl Document {
    /// The document for a state; `put` stores its lists.
    ///
    /// # Errors
    /// Those of `put`.
    pub(super) fn of(
        state: &State,
        mut put: impl FnMut(&RuleList) -> Result<ObjectId, StoreError>,
    ) -> Result<Self, StoreError> {
        let lists = state.lists.iter().map(|list| {
            let NamedList {
                name,
                entries,
                every,
                rule,
                feed,
                max_shrink,
                comment,
                owner,
                created,
                altered,
            } = list;
            // What a feed has is in the table of feeds.
            let nothing = RuleList::default();
            let entries = if feed.is_some() { &nothing } else { entries };
            Ok(StoredNamedList {
                name: name.to_string(),
                entries: HexId(put(entries)?),
                every: match every.is_empty() {
                    true => None,
                    false => Some(HexId(put(every)?)),
                },
                network_rule: rule.clone(),
                feed: feed.as_deref().cloned(),
                max_shrink: *max_shrink,
                comment: comment.clone(),
                owner: owner.clone(),
                created: *created,
                altered: *altered,
            })
        });
        let lists = lists.collect::<Result<Vec<_>, StoreError>>()?;
        let names = |names: &[Name]| names.iter().map(Name::to_string).collect();
        let policies = state.policies.iter().map(|policy| {
            let Policy {
                name,
                allow,
                block,
                except,
                allow_lists,
                block_lists,
                except_lists,
                compat,
                comment,
                owner,
                ..
            } = policy;
            let Policy {
                created,
                altered,
                active,
                mode,
                bindings,
                ..
            } = policy;
            Ok(StoredPolicy {
                name: name.to_string(),
                allow: match allow {
                    AllowPart::Any => None,
                    AllowPart::Only(list) => Some(HexId(put(list)?)),
                },
                block: HexId(put(block)?),
                except: match except.is_empty() {
                    true => None,
                    false => Some(HexId(put(except)?)),
                },
                allow_lists: names(allow_lists),
                block_lists: names(block_lists),
                except_lists: names(except_lists),
                compat: compat.clone(),
                comment: comment.clone(),
                owner: owner.clone(),
                created: *created,
                altered: *altered,
                active: *active,
                mode: *mode,
                on_host: bindings.contains(&Binding::Host),
                services: bindings
                    .iter()
                    .filter_map(|binding| match binding {
                        Binding::Host | Binding::User(_) => None,
                        Binding::Service(name) => Some(name.to_string()),
                    })
                    .collect(),
                users: database::users(bindings),
            })
        });
        let services = state.services.iter().map(|service| {
            let Service {
                name,
                id,
                ports,
                combine,
                mode,
                on_deny,
                comment,
            } = service;
            StoredService {
                name: name.to_string(),
                id: *id,
                ports: items(ports),
                combine: *combine,
                mode: *mode,
                on_deny: *on_deny,
                comment: comment.clone(),
            }
        });
        let Host {
            mode,
            on_deny,
            failsafe_ports,
            compat,
        } = &state.host;
        Ok(Self {
            format: format_of(state),
            host: StoredHost {
                mode: *mode,
                on_deny: *on_deny,
                failsafe_ports: items(failsafe_ports),
                compat: *compat,
            },
            services: services.collect(),
            lists,
            policies: policies.collect::<Result<_, _>>()?,
            databases: state.databases.iter().map(StoredDatabase::of).collect(),
            tests: state.tests.iter().map(StoredTest::of).collect(),
        })
    }

    /// The document's text.
    ///
    /// # Errors
    /// None that the data can cause.
    pub(super) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self).map_err(|error| StoreError::Unstorable {
            detail: error.to_string(),
        })
    }

    /// Reads a document's text.
    ///
    /// # Errors
    /// In words.
    pub(super) fn decode(body: &[u8]) -> Result<Self, String> {
        /// What every format has.
        #[derive(Deserialize)]
        struct FormatHead {
            format: u32,
        }
        let head: FormatHead = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if !(FORMAT..=LATEST).contains(&head.format) {
            return Err(format!(
                "its format is {}, expected {FORMAT} to {LATEST}",
                head.format
            ));
        }
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }

    /// The names of its feeds.
    pub(super) fn feeds(&self) -> impl Iterator<Item = &str> {
        let feeds = self.lists.iter().filter(|list| list.feed.is_some());
        feeds.map(|list| list.name.as_str())
    }

    /// The lists that it names, some of them perhaps more than once.
    pub(super) fn lists(&self) -> impl Iterator<Item = ObjectId> {
        let named = self.lists.iter();
        let named = named.flat_map(|list| [&list.entries].into_iter().chain(&list.every));
        let policies = self.policies.iter();
        let own = policies.flat_map(|policy| {
            let block = [&policy.block].into_iter();
            policy.allow.iter().chain(block).chain(&policy.except)
        });
        named.chain(own).map(|id| id.0)
    }

    /// The state; `list` says which list an id of [`Self::lists`] is.
    ///
    /// # Errors
    /// In words.
    pub(super) fn into_state(
        self,
        mut list: impl FnMut(&ObjectId) -> Option<RuleList>,
    ) -> Result<State, String> {
        let mut list = |id: &HexId| list(&id.0).ok_or_else(|| format!("list {} is missing", id.0));
        let lists = self.lists.into_iter().map(|stored| {
            Ok(NamedList {
                name: name(&stored.name)?,
                entries: list(&stored.entries)?,
                every: match &stored.every {
                    None => RuleList::default(),
                    Some(id) => list(id)?,
                },
                rule: stored.network_rule,
                feed: stored.feed.map(Box::new),
                max_shrink: stored.max_shrink,
                comment: stored.comment,
                owner: stored.owner,
                created: stored.created,
                altered: stored.altered,
            })
        });
        let lists = lists.collect::<Result<Vec<_>, String>>()?;
        let names = |texts: &[String]| -> Result<Vec<Name>, String> {
            let known = |text: &String| {
                let name = name(text)?;
                match lists.iter().any(|list| list.name == name) {
                    true => Ok(name),
                    false => Err(format!(
                        "a policy refers to list '{name}', which is missing"
                    )),
                }
            };
            texts.iter().map(known).collect()
        };
        let databases = self
            .databases
            .into_iter()
            .map(StoredDatabase::into_database);
        let databases = databases.collect::<Result<Vec<_>, String>>()?;
        let policies = self.policies.into_iter().map(|stored| {
            let services = stored
                .services
                .iter()
                .map(|text| Ok(Binding::Service(name(text)?)));
            let users = stored
                .users
                .iter()
                .map(|text| database::user(text, &databases));
            let host = stored.on_host.then_some(Ok(Binding::Host));
            Ok(Policy {
                name: name(&stored.name)?,
                allow: match &stored.allow {
                    None => AllowPart::Any,
                    Some(id) => AllowPart::Only(list(id)?),
                },
                block: list(&stored.block)?,
                except: match &stored.except {
                    None => RuleList::default(),
                    Some(id) => list(id)?,
                },
                allow_lists: names(&stored.allow_lists)?,
                block_lists: names(&stored.block_lists)?,
                except_lists: names(&stored.except_lists)?,
                compat: stored.compat,
                bindings: host
                    .into_iter()
                    .chain(services)
                    .chain(users)
                    .collect::<Result<_, String>>()?,
                comment: stored.comment,
                owner: stored.owner,
                created: stored.created,
                altered: stored.altered,
                active: stored.active,
                mode: stored.mode,
            })
        });
        let policies = policies.collect::<Result<_, String>>()?;
        let services = self.services.into_iter().map(|stored| {
            Ok(Service {
                name: name(&stored.name)?,
                id: stored.id,
                ports: ports(&stored.ports)?,
                combine: stored.combine,
                mode: stored.mode,
                on_deny: stored.on_deny,
                comment: stored.comment,
            })
        });
        let tests = self.tests.into_iter().map(StoredTest::into_test);
        let failsafe_ports = ports(&self.host.failsafe_ports)?;
        Ok(State {
            host: Host {
                mode: self.host.mode,
                on_deny: self.host.on_deny,
                failsafe_ports,
                compat: self.host.compat,
            },
            services: services.collect::<Result<_, String>>()?,
            policies,
            lists,
            databases,
            tests: tests.collect::<Result<_, String>>()?,
        })
    }
}

fn name(text: &str) -> Result<Name, String> {
    Name::exact(text).map_err(|error| error.to_string())
}
