//! Every change that can be made to a [`State`](super::State), as plain data.
//!
//! The command line, the policy file, the API and SQL all say what they want as
//! a [`Change`]; one function (`State::apply`) carries it out or says why not.

mod feed;
mod files;
mod list;

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

pub use self::feed::FeedEdit;
pub use self::list::{ListEdit, ListInput, ReferenceEdit, SourceText};
use super::{
    Combine, DatabaseKind, Expectation, ListKind, Mode, NetworkRule, OnDeny, PolicyCompat,
};

/// One change to the desired state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and most are of the largest kinds"
)]
#[serde(tag = "change", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// Makes a policy.
    #[cfg_attr(feature = "openapi", schema(title = "CreatePolicy"))]
    CreatePolicy {
        /// Its name.
        name: String,
        /// The allow list; `None`: the policy allows any.
        #[serde(default)]
        allow: Option<ListInput>,
        /// The block list.
        #[serde(default)]
        block: ListInput,
        /// What the block list does not block.
        #[serde(default, skip_serializing_if = "ListInput::is_empty")]
        except: ListInput,
        /// Description.
        #[serde(default)]
        comment: Option<String>,
        /// Make it without activating it.
        #[serde(default)]
        inactive: bool,
        /// Whether it is enforced, or only observed.
        #[serde(default, skip_serializing_if = "Mode::is_enforce")]
        mode: Mode,
        /// Services to bind it to; none: the host.
        #[serde(default)]
        services: Vec<String>,
        /// Bind it to nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unbound: bool,
        /// In place of the policy of this name, if there is one; what that is bound to
        /// stays bound.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replace: bool,
        /// A `/0` as Snowflake's dialect put it on the block list: shown, and not enforced.
        /// Makes the allow part `only`.
        #[serde(
            default,
            rename = "blocked_rest",
            skip_serializing_if = "PolicyCompat::is_empty"
        )]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        compat: PolicyCompat,
    },
    /// Alters a policy's lists or comment.
    #[cfg_attr(feature = "openapi", schema(title = "AlterPolicy"))]
    AlterPolicy {
        /// Its name.
        name: String,
        /// What to do with the allow list.
        #[serde(default)]
        allow: ListEdit,
        /// What to do with the block list. `Any` empties it.
        #[serde(default)]
        block: ListEdit,
        /// What to do with the exceptions from the block list. `Any` ends them.
        #[serde(default, skip_serializing_if = "ListEdit::is_keep")]
        except: ListEdit,
        /// A new comment; an empty one removes it.
        #[serde(default)]
        comment: Option<String>,
        /// As in `create-policy`, where the block list is replaced.
        #[serde(
            default,
            rename = "blocked_rest",
            skip_serializing_if = "PolicyCompat::is_empty"
        )]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        compat: PolicyCompat,
    },
    /// Alters which named lists a policy refers to, and leaves its own rules.
    #[cfg_attr(feature = "openapi", schema(title = "AlterReferences"))]
    AlterReferences {
        /// The policy's name.
        policy: String,
        /// On which side.
        list: ListKind,
        /// What becomes of the references.
        edit: ReferenceEdit,
    },
    /// Makes a named list.
    #[cfg_attr(feature = "openapi", schema(title = "CreateList"))]
    CreateList {
        /// Its name.
        name: String,
        /// Its entries.
        #[serde(default)]
        entries: ListInput,
        /// Description.
        #[serde(default)]
        comment: Option<String>,
        /// In place of the list of this name, if there is one; policies go on referring to it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replace: bool,
        /// What SQL has to know of it, if it is a network rule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network_rule: Option<NetworkRule>,
    },
    /// Alters a named list's entries or comment. Every policy that refers to it follows.
    #[cfg_attr(feature = "openapi", schema(title = "AlterList"))]
    AlterList {
        /// Its name.
        name: String,
        /// What to do with its entries. `Any` empties it.
        #[serde(default)]
        entries: ListEdit,
        /// A new comment; an empty one removes it.
        #[serde(default)]
        comment: Option<String>,
        /// New values of a network rule that no filter of packets can judge.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        values: Option<Vec<String>>,
    },
    /// Makes a feed: a named list whose content comes from a URL or a file.
    #[cfg_attr(feature = "openapi", schema(title = "CreateFeed"))]
    CreateFeed {
        /// The name of the list.
        name: String,
        /// Its settings, the source among them.
        settings: FeedEdit,
        /// Description.
        #[serde(default)]
        comment: Option<String>,
    },
    /// Alters the settings of a feed. Its content stays until other content comes.
    #[cfg_attr(feature = "openapi", schema(title = "AlterFeed"))]
    AlterFeed {
        /// The name of the list.
        name: String,
        /// New settings.
        #[serde(default)]
        settings: FeedEdit,
        /// A new comment; an empty one removes it.
        #[serde(default)]
        comment: Option<String>,
    },
    /// Gives a named list to another owner.
    #[cfg_attr(feature = "openapi", schema(title = "SetListOwner"))]
    SetListOwner {
        /// The list's name.
        list: String,
        /// An OS user's name, or `group:` and a group's.
        owner: String,
    },
    /// Renames a named list. Policies go on referring to it.
    #[cfg_attr(feature = "openapi", schema(title = "RenameList"))]
    RenameList {
        /// Its name.
        name: String,
        /// Its new name.
        to: String,
    },
    /// Drops a named list to which no policy refers.
    #[cfg_attr(feature = "openapi", schema(title = "DropList"))]
    DropList {
        /// Its name.
        name: String,
    },
    /// Gives a policy to another owner.
    #[cfg_attr(feature = "openapi", schema(title = "SetOwner"))]
    SetOwner {
        /// The policy's name.
        policy: String,
        /// An OS user's name, or `group:` and a group's.
        owner: String,
    },
    /// Renames a policy.
    #[cfg_attr(feature = "openapi", schema(title = "RenamePolicy"))]
    RenamePolicy {
        /// Its name.
        name: String,
        /// Its new name.
        to: String,
    },
    /// Drops a policy.
    #[cfg_attr(feature = "openapi", schema(title = "DropPolicy"))]
    DropPolicy {
        /// Its name.
        name: String,
    },
    /// Activates or deactivates a policy.
    #[cfg_attr(feature = "openapi", schema(title = "SetActive"))]
    SetActive {
        /// Its name.
        name: String,
        /// Whether it is to govern its scopes.
        active: bool,
    },
    /// Enforces a policy, or only observes it.
    #[cfg_attr(feature = "openapi", schema(title = "SetMode"))]
    SetMode {
        /// The policy's name.
        policy: String,
        /// Whether it is enforced. One that is only observed governs nothing: what it would deny
        /// is counted.
        mode: Mode,
    },
    /// Binds a policy to a scope.
    #[cfg_attr(feature = "openapi", schema(title = "Bind"))]
    Bind {
        /// The policy's name.
        policy: String,
        /// A service's name, or a user or role of a database as in `user:alice@orders`; `None`: the
        /// host.
        #[serde(default)]
        service: Option<String>,
    },
    /// Takes a binding away.
    #[cfg_attr(feature = "openapi", schema(title = "Unbind"))]
    Unbind {
        /// The policy's name.
        policy: String,
        /// A service's name, or a user or role of a database as in `user:alice@orders`; `None`: the
        /// host.
        #[serde(default)]
        service: Option<String>,
    },
    /// Makes a policy the only one that governs a scope: activates and binds it, and
    /// removes the scope's other bindings.
    #[cfg_attr(feature = "openapi", schema(title = "Govern"))]
    Govern {
        /// The policy's name; `None`: none is to govern the scope.
        #[serde(default)]
        policy: Option<String>,
        /// A service's name, or a user or role of a database as in `user:alice@orders`; `None`: the
        /// host.
        #[serde(default)]
        service: Option<String>,
    },
    /// Drops the policy `default` that Materialize's dialect has from the start, as long
    /// as it is in no state.
    #[cfg_attr(feature = "openapi", schema(title = "DropDefault"))]
    DropDefault,
    /// Makes a service.
    #[cfg_attr(feature = "openapi", schema(title = "AddService"))]
    AddService {
        /// Its name.
        name: String,
        /// Ports and ranges, as in "5432" or "7000-7010".
        ports: Vec<String>,
        /// How its policies stand to the host's.
        #[serde(default)]
        combine: Combine,
        /// Whether its denials drop.
        #[serde(default)]
        mode: Mode,
        /// What the sender of a denied attempt gets.
        #[serde(default)]
        on_deny: OnDeny,
        /// Description.
        #[serde(default)]
        comment: Option<String>,
    },
    /// Alters a service; what is `None` stays.
    #[cfg_attr(feature = "openapi", schema(title = "AlterService"))]
    AlterService {
        /// Its name.
        name: String,
        /// New ports, all of them.
        #[serde(default)]
        ports: Option<Vec<String>>,
        /// How its policies stand to the host's.
        #[serde(default)]
        combine: Option<Combine>,
        /// Whether its denials drop.
        #[serde(default)]
        mode: Option<Mode>,
        /// What the sender of a denied attempt gets.
        #[serde(default)]
        on_deny: Option<OnDeny>,
        /// A new comment; an empty one removes it.
        #[serde(default)]
        comment: Option<String>,
    },
    /// Removes a service to which no policy is bound.
    #[cfg_attr(feature = "openapi", schema(title = "RemoveService"))]
    RemoveService {
        /// Its name.
        name: String,
    },
    /// Makes a database: a server behind a service, whose users can have policies.
    #[cfg_attr(feature = "openapi", schema(title = "AddDatabase"))]
    AddDatabase {
        /// Its name.
        name: String,
        /// What it is.
        #[serde(default)]
        kind: DatabaseKind,
        /// The service on whose port it listens.
        service: String,
        /// The directory of its unix socket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        socket: Option<String>,
        /// The directory that its `pg_hba.conf` includes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hba_dir: Option<String>,
        /// Its `pg_hba.conf`, where the lines are to stand in the file itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hba_conf: Option<String>,
        /// Description.
        #[serde(default)]
        comment: Option<String>,
        /// In place of the database of this name, if there is one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replace: bool,
    },
    /// Lets the policies of a database's user or role not hold for a time.
    #[cfg_attr(feature = "openapi", schema(title = "BypassUser"))]
    BypassUser {
        /// As in `user:alice@orders`.
        user: String,
        /// How long; 0: no longer.
        minutes: u32,
    },
    /// Removes a database to whose users no policy is bound.
    #[cfg_attr(feature = "openapi", schema(title = "RemoveDatabase"))]
    RemoveDatabase {
        /// Its name.
        name: String,
    },
    /// Adds a policy test, or alters that of the same attempt.
    #[cfg_attr(feature = "openapi", schema(title = "SetTest"))]
    SetTest {
        /// The source of the attempt: one address.
        source: String,
        /// The service that it tries to reach; with no port either: the host.
        #[serde(default)]
        service: Option<String>,
        /// The destination port.
        #[serde(default)]
        port: Option<u16>,
        /// What is expected of it.
        expect: Expectation,
        /// Description.
        #[serde(default)]
        comment: Option<String>,
    },
    /// Removes the policy test of an attempt.
    #[cfg_attr(feature = "openapi", schema(title = "RemoveTest"))]
    RemoveTest {
        /// The source of the attempt.
        source: String,
        /// Its service, as the test names it.
        #[serde(default)]
        service: Option<String>,
        /// Its port, as the test names it.
        #[serde(default)]
        port: Option<u16>,
    },
    /// Alters the host's settings; what is `None` stays.
    #[cfg_attr(feature = "openapi", schema(title = "SetHost"))]
    SetHost {
        /// Whether the host's denials drop.
        #[serde(default)]
        mode: Option<Mode>,
        /// What the sender of a denied attempt gets, on ports of no service.
        #[serde(default)]
        on_deny: Option<OnDeny>,
        /// New failsafe ports, all of them; may be empty.
        #[serde(default)]
        failsafe_ports: Option<Vec<String>>,
    },
    /// Makes the whole state what a policy file says.
    #[cfg_attr(feature = "openapi", schema(title = "Apply"))]
    Apply {
        /// The policy file.
        file: SourceText,
        /// The list files that it names, under the names by which it names them.
        #[serde(default)]
        lists: Vec<SourceText>,
        /// Leave out bad lines of list files, with a warning, instead of refusing.
        #[serde(default)]
        skip_invalid: bool,
        /// Take list files in which no line is an address as empty lists, instead of
        /// refusing them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        allow_empty: bool,
        /// Leave what the file does not name as it is, instead of removing it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keep_others: bool,
    },
}
