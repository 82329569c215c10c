//! What the OpenAPI document says of all operations: their groups, recurring
//! descriptions, and the refusals that any request can meet before its handler.
//!
//! Each operation's own answers are said where it is; answers no handler can know of are
//! added here, so no annotation can forget them.

use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{AllOf, Object, Schema};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

use crate::api::PROBLEM_JSON;
pub(super) use crate::api::ProblemDetails;

/// Groups of operations.
pub(super) const POLICIES: &str = "policies";
pub(super) const CHANGES: &str = "changes";
pub(super) const HISTORY: &str = "history";
pub(super) const ENFORCEMENT: &str = "enforcement";
pub(super) const BYPASSES: &str = "bypasses";
pub(super) const BANS: &str = "bans";
pub(super) const ACCESS: &str = "access";
pub(super) const STORE: &str = "store";
pub(super) const FLEET: &str = "fleet";

/// Descriptions that several operations share.
pub(super) const UNKNOWN_NAME: &str =
    "A policy, service or revision that the request names does not exist.";
pub(super) const NO_REVISION: &str = "There is no such revision, or it was pruned.";
pub(super) const CONFLICTING: &str = "The request contradicts the present state, would deny the \
     operator or connected clients, opens a scope to every source without consent, or an \
     unconfirmed change waits.";
pub(super) const IF_MATCH: &str = "The revision that the change is for, in double quotes: if the \
     desired state has another by now, nothing is changed.";
pub(super) const MISMATCH: &str =
    "The desired state has another revision than If-Match names; nothing changed.";
pub(super) const NO_ROOM: &str =
    "The disk is full, or the kernel has no memory left; nothing changed.";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "netpolicy",
        description = "The API of netpolicy's agent, HTTP/1.1 over its unix socket. The caller \
                       is the OS user at the other end (SO_PEERCRED): root has all privileges, \
                       others have those that were granted to them or their groups."
    ),
    servers((url = "http://localhost", description = "The agent's unix socket, \
                       /run/netpolicy/agent.sock; the host name is ignored.")),
    tags(
        (name = POLICIES, description = "Policies, named lists, services and the host's settings."),
        (name = CHANGES, description = "Changes to the desired state."),
        (name = HISTORY, description = "Revisions, rollback, export and backup."),
        (name = ENFORCEMENT, description = "What the kernel enforces, counts and reports."),
        (name = BYPASSES, description = "Temporary exemptions."),
        (name = BANS, description = "Sources that are denied for a time, whatever policies say."),
        (name = ACCESS, description = "Privileges and the audit log."),
        (name = STORE, description = "Backups, and a store that is lost or older."),
        (name = FLEET, description = "What the fleet says that the host is in."),
    )
)]
pub(super) struct Api;

/// What annotations alone do not say: the answers that any operation may give, and
/// variants as generators of clients read them.
pub(super) fn complete(api: &mut utoipa::openapi::OpenApi) {
    merge_variants(api);
    for item in api.paths.paths.values_mut() {
        for operation in operations(item) {
            add_common_answers(operation);
            name_problems(operation);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        ..
    } = item;
    [get, put, post, delete].into_iter().flatten()
}

fn add_common_answers(operation: &mut Operation) {
    let has_body = operation.request_body.is_some();
    let has_input = has_body || operation.parameters.is_some();
    let common = [
        (
            true,
            "403",
            "The caller has no privileges, or not the one that this requires.",
        ),
        (
            true,
            "429",
            "The caller has too many requests under way, or too much in their bodies.",
        ),
        (
            true,
            "500",
            "The kernel or the store refused, or a fault in netpolicy.",
        ),
        (
            true,
            "503",
            "The agent is starting or stopping, or all callers together ask too much of it.",
        ),
        (
            has_input,
            "400",
            "The request is malformed, or a value in it is invalid.",
        ),
        (has_body, "408", "The body did not arrive in time."),
        (
            has_body,
            "413",
            "The body is larger than the caller may send.",
        ),
    ];
    for (applies, status, description) in common {
        if applies {
            let responses = &mut operation.responses.responses;
            responses.entry(status.to_owned()).or_insert_with(|| {
                let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
                let response = ResponseBuilder::new().description(description);
                response.content(PROBLEM_JSON, body.build()).into()
            });
        }
    }
}

/// Gives problems their media type (RFC 9457).
fn name_problems(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else {
            continue;
        };
        let problem = response.content.get("application/json");
        let is_problem = match problem {
            Some(RefOr::T(content)) => match &content.schema {
                Some(RefOr::Ref(schema)) => schema.ref_location.ends_with("/Problem"),
                _ => false,
            },
            _ => false,
        };
        if is_problem && let Some(content) = response.content.swap_remove("application/json") {
            response.content.insert(PROBLEM_JSON.to_owned(), content);
        }
    }
}

/// Makes one object of each variant that is a type of its own and a tag next to it
/// (`allOf` within `oneOf`), which generators do not read.
fn merge_variants(api: &mut utoipa::openapi::OpenApi) {
    let Some(components) = &mut api.components else {
        return;
    };
    let known = components.schemas.clone();
    for schema in components.schemas.values_mut() {
        let RefOr::T(Schema::OneOf(variants)) = schema else {
            continue;
        };
        for variant in &mut variants.items {
            if let RefOr::T(Schema::AllOf(parts)) = variant {
                let merged = merge(parts, |name| known.get(name));
                *variant = RefOr::T(Schema::Object(merged));
            }
        }
    }
    // What is a part of a variant and nothing else is no type of its own any more.
    let text = serde_json::to_string(&*api).unwrap_or_default();
    if let Some(components) = &mut api.components {
        let is_used = |name: &String| text.contains(&format!("schemas/{name}\""));
        components.schemas.retain(|name, _| is_used(name));
    }
}

fn merge<'a>(parts: &AllOf, find: impl Fn(&str) -> Option<&'a RefOr<Schema>>) -> Object {
    let mut merged = Object::new();
    merged.title.clone_from(&parts.title);
    merged.description.clone_from(&parts.description);
    for part in &parts.items {
        let part = match part {
            RefOr::Ref(reference) => reference.ref_location.rsplit('/').next().and_then(&find),
            part => Some(part),
        };
        if let Some(RefOr::T(Schema::Object(object))) = part {
            merged.required.extend(object.required.iter().cloned());
            let properties = object.properties.iter();
            let properties = properties.map(|(name, schema)| (name.clone(), schema.clone()));
            merged.properties.extend(properties);
        }
    }
    merged
}
