//! The OpenAPI document: rules that every operation keeps, now and later.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// An operation with its place in the document.
struct Operation {
    method: String,
    path: String,
    value: Value,
}

impl Operation {
    fn id(&self) -> &str {
        self.value["operationId"].as_str().unwrap_or_default()
    }

    fn parameters(&self) -> impl Iterator<Item = &Value> {
        self.value["parameters"].as_array().into_iter().flatten()
    }

    fn responses(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.value["responses"].as_object().unwrap().iter()
    }
}

async fn document() -> (Value, Vec<Operation>) {
    let document: Value = Agent::new().get("/v1/openapi.json").await;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, value) in item.as_object().unwrap() {
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                value: value.clone(),
            });
        }
    }
    assert!(operations.len() >= 25, "{}", operations.len());
    (document, operations)
}

/// Every value of a key, at any depth.
fn find<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(key));
            members.values().for_each(|member| find(member, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| find(item, key, found)),
        _ => {}
    }
}

fn is_words(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

#[tokio::test]
async fn operations_of_the_document_are_those_of_the_router() {
    let (_, operations) = document().await;
    let described: BTreeSet<_> = operations
        .iter()
        .map(|op| (op.method.to_lowercase(), op.path.clone()))
        .collect();
    let served = OPERATIONS.iter();
    let served = served.map(|&(method, path)| (method.to_owned(), path.to_owned()));
    assert_eq!(described, served.collect(), "run `cargo xtask docs`");
}

#[tokio::test]
async fn every_operation_response_and_parameter_has_a_description() {
    let (_, operations) = document().await;
    for op in &operations {
        assert!(is_words(&op.value["summary"]), "{} {}", op.method, op.path);
        for (status, response) in op.responses() {
            assert!(is_words(&response["description"]), "{} {status}", op.id());
        }
        for parameter in op.parameters() {
            let name = &parameter["name"];
            assert!(is_words(&parameter["description"]), "{} {name}", op.id());
        }
        let body = &op.value["requestBody"];
        assert!(
            body.is_null() || is_words(&body["description"]),
            "{}",
            op.id()
        );
    }
}

#[tokio::test]
async fn operation_ids_are_unique_and_names_for_methods_of_a_client() {
    let (_, operations) = document().await;
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for op in &operations {
        let id = op.id();
        // A verb and what it is done to: "listPolicies".
        let starts_low = id.starts_with(|c: char| c.is_ascii_lowercase());
        let has_noun = id.contains(|c: char| c.is_ascii_uppercase());
        let is_plain = id.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(starts_low && has_noun && is_plain, "'{id}' of {}", op.path);
        let place = format!("{} {}", op.method, op.path);
        places.entry(id).or_default().push(place);
    }
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "{places:?}");
}

#[tokio::test]
async fn path_parameters_are_those_of_the_path_and_others_are_of_query_or_headers() {
    let (_, operations) = document().await;
    for op in &operations {
        let in_path: BTreeSet<&str> = op
            .path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let mut declared = BTreeSet::new();
        for parameter in op.parameters() {
            let name = parameter["name"].as_str().unwrap();
            match parameter["in"].as_str().unwrap() {
                "path" => {
                    assert_eq!(parameter["required"], true, "{} {name}", op.id());
                    declared.insert(name);
                }
                "header" => assert_eq!(name, "If-Match", "{}", op.id()),
                kind => assert_eq!(kind, "query", "{} {name}", op.id()),
            }
        }
        assert_eq!(declared, in_path, "{} {}", op.method, op.path);
    }
}

#[tokio::test]
async fn every_reference_resolves_and_every_schema_is_used() {
    let (document, _) = document().await;
    let mut references = Vec::new();
    find(&document, "$ref", &mut references);
    assert!(!references.is_empty());
    let mut used = BTreeSet::new();
    for reference in references {
        let reference = reference.as_str().unwrap();
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
        used.insert(pointer.rsplit('/').next().unwrap());
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(used.contains(name.as_str()), "{name}");
        assert!(name.starts_with(|c: char| c.is_ascii_uppercase()), "{name}");
    }
}

#[tokio::test]
async fn every_operation_is_in_one_declared_group() {
    let (document, operations) = document().await;
    let tags = document["tags"].as_array().unwrap().iter();
    let declared: BTreeSet<&str> = tags.map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut used = BTreeSet::new();
    for op in &operations {
        let tags = op.value["tags"].as_array().unwrap();
        assert_eq!(tags.len(), 1, "{}", op.id());
        used.insert(tags[0].as_str().unwrap());
    }
    assert_eq!(used, declared);
}

#[tokio::test]
async fn every_refusal_is_documented_and_has_an_error_body() {
    let (_, operations) = document().await;
    for op in &operations {
        let statuses: BTreeSet<&str> = op.responses().map(|(status, _)| status.as_str()).collect();
        for status in ["403", "429", "500", "503"] {
            assert!(statuses.contains(status), "{} {status}", op.id());
        }
        let is_done = |status: &&str| ["200", "204"].contains(status);
        assert!(statuses.iter().any(is_done), "{}", op.id());
        let has_body = !op.value["requestBody"].is_null();
        for status in ["408", "413"] {
            assert_eq!(statuses.contains(status), has_body, "{} {status}", op.id());
        }
        for (status, response) in op
            .responses()
            .filter(|(status, _)| !status.starts_with('2'))
        {
            let content = response["content"].as_object().unwrap();
            for (media_type, content) in content {
                let schema = &content["schema"]["$ref"];
                let name = schema.as_str().and_then(|name| name.rsplit('/').next());
                let is_known = matches!(
                    (media_type.as_str(), name),
                    ("application/problem+json", Some("Problem"))
                        | ("application/json", Some("SqlResponse"))
                );
                assert!(is_known, "{} {status}: {media_type} {schema}", op.id());
            }
        }
    }
}

/// As the document says, and without a look at the request's body.
#[tokio::test]
async fn every_operation_refuses_a_caller_without_privileges() {
    let (_, operations) = document().await;
    let mut agent = Agent::new();
    for op in &operations {
        let path = op
            .path
            .replace("{name}", "office")
            .replace("{revision}", "1");
        let response = agent
            .send(4_294_000_001, &op.method, &path, "{".into())
            .await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{}", op.id());
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        let body: ProblemDetails = serde_json::from_slice(&bytes.unwrap()).unwrap();
        assert!(body.hint.is_some(), "{}", op.id());
    }
}
