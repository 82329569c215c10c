//! The HTTP API as Markdown, from its OpenAPI document.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::page::anchor;

/// In how many operations an answer stands to be said once for all.
const COMMON: usize = 8;

/// Status, description and body of an answer.
type DescribedAnswer<'d> = (&'d str, &'d str, String);

/// All operations by their group, then all schemas.
///
/// # Errors
/// The document lacks what every OpenAPI document has.
pub fn page(document: &Value) -> Result<String> {
    let operations = operations(document)?;
    let common = common(&operations);
    let mut out = String::new();
    for tag in array(document, "tags") {
        let name = text(tag, "name");
        let of = operations.iter().filter(|op| op.tag == name);
        out += &format!("- **{name}**: {}\n", text(tag, "description"));
        for op in of {
            out += &format!("  - [`{}`](#{})\n", op.title(), anchor(&op.title()));
        }
    }
    out += "\n## Answers of most operations\n\n| Status | Body | |\n|---|---|---|\n";
    for (status, description, body) in &common {
        out += &format!("| {status} | {body} | {} |\n", cell(description));
    }
    for tag in array(document, "tags") {
        let name = text(tag, "name");
        out += &format!("\n## {}\n", capitalized(name));
        for op in operations.iter().filter(|op| op.tag == name) {
            out += &op.section(&common);
        }
    }
    out += "\n## Schemas\n";
    let schemas = document.pointer("/components/schemas");
    let schemas = schemas.and_then(Value::as_object);
    let schemas = schemas.context("the document has no schemas")?;
    for (name, schema) in schemas {
        out += &format!("\n### `{name}`\n\n{}", schema_section(schema));
    }
    Ok(linked(&out, |name| schemas.contains_key(name)))
}

/// The text with rustdoc's links by name as links to schemas, or as plain code where there is no
/// schema of that name.
fn linked(text: &str, is_schema: impl Fn(&str) -> bool) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("[`") {
        let (name, behind) = after.split_once("`]").unwrap_or((after, ""));
        out += before;
        out += &match () {
            () if behind.starts_with('(') => format!("[`{name}`]"),
            () if is_schema(name) => format!("[`{name}`](#{})", anchor(name)),
            () => format!("`{name}`"),
        };
        rest = behind;
    }
    out + rest
}

struct Operation<'d> {
    method: String,
    path: &'d str,
    tag: &'d str,
    value: &'d Value,
}

fn operations(document: &Value) -> Result<Vec<Operation<'_>>> {
    let paths = document.get("paths").and_then(Value::as_object);
    let mut operations = Vec::new();
    for (path, item) in paths.context("the document has no paths")? {
        for (method, value) in item.as_object().into_iter().flatten() {
            let tags = array(value, "tags");
            operations.push(Operation {
                method: method.to_uppercase(),
                path,
                tag: tags.first().and_then(Value::as_str).unwrap_or_default(),
                value,
            });
        }
    }
    Ok(operations)
}

/// Answers that many operations have with the same words.
fn common<'d>(operations: &[Operation<'d>]) -> Vec<DescribedAnswer<'d>> {
    let mut counts: BTreeMap<DescribedAnswer<'d>, usize> = BTreeMap::new();
    for operation in operations {
        for answer in operation.answers() {
            *counts.entry(answer).or_default() += 1;
        }
    }
    counts.retain(|_, count| *count >= COMMON);
    counts.into_keys().collect()
}

impl<'d> Operation<'d> {
    fn title(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn answers(&self) -> Vec<DescribedAnswer<'d>> {
        let responses = self.value.get("responses").and_then(Value::as_object);
        let responses = responses.into_iter().flatten();
        responses
            .map(|(status, answer)| (status.as_str(), text(answer, "description"), body(answer)))
            .collect()
    }

    fn section(&self, common: &[DescribedAnswer<'_>]) -> String {
        let mut out = format!("\n### `{}`\n\n", self.title());
        out += &format!("{}\n", ended(text(self.value, "summary")));
        let description = text(self.value, "description");
        if !description.is_empty() {
            out += &format!("\n{description}\n");
        }
        out += &format!("\nOperation: `{}`.\n", text(self.value, "operationId"));
        let parameters = array(self.value, "parameters");
        if !parameters.is_empty() {
            out += "\n| Parameter | In | Type | |\n|---|---|---|---|\n";
            for parameter in parameters {
                let schema = parameter.get("schema").unwrap_or(&Value::Null);
                let is_required = parameter.get("required") == Some(&Value::Bool(true));
                out += &format!(
                    "| `{}` | {} | {}{} | {} |\n",
                    text(parameter, "name"),
                    text(parameter, "in"),
                    kind(schema),
                    if is_required { ", required" } else { "" },
                    cell(text(parameter, "description")),
                );
            }
        }
        if let Some(request) = self.value.get("requestBody") {
            let said = ended(text(request, "description"));
            out += &format!("\nBody: {}. {said}\n", body(request));
        }
        out += "\n| Status | Body | |\n|---|---|---|\n";
        let mut others = Vec::new();
        for answer in self.answers() {
            let (status, description, body) = &answer;
            if common.contains(&answer) {
                others.push(*status);
            } else {
                out += &format!("| {status} | {body} | {} |\n", cell(description));
            }
        }
        if !others.is_empty() {
            out += &format!(
                "\nAlso {}: see [answers of most operations](#answers-of-most-operations).\n",
                others.join(", ")
            );
        }
        out
    }
}

/// The types of a body, with the media type where it is not JSON.
fn body(holder: &Value) -> String {
    let content = holder.get("content").and_then(Value::as_object);
    let kinds: Vec<_> = content
        .into_iter()
        .flatten()
        .map(|(media, value)| {
            let kind = kind(value.get("schema").unwrap_or(&Value::Null));
            if media == "application/json" {
                kind
            } else {
                format!("{kind} as `{media}`")
            }
        })
        .collect();
    if kinds.is_empty() {
        "none".to_owned()
    } else {
        kinds.join(" or ")
    }
}

fn schema_section(schema: &Value) -> String {
    let mut out = String::new();
    let description = text(schema, "description");
    if !description.is_empty() {
        out += &format!("{description}\n\n");
    }
    let variants = array(schema, "oneOf");
    if !variants.is_empty() {
        out += "One of:\n\n";
        for variant in variants {
            let title = text(variant, "title");
            out += &if title.is_empty() {
                format!("- {}", kind(variant))
            } else {
                format!("- **{title}**")
            };
            let description = text(variant, "description");
            if !description.is_empty() {
                out += &format!(": {}", flat(description));
            }
            out += "\n";
            for (name, property, is_required) in properties(variant) {
                out += &format!("  - `{name}`: {}\n", property_text(property, is_required));
            }
        }
        return out;
    }
    let properties = properties(schema);
    if properties.is_empty() {
        return out + &format!("{}.\n", capitalized(&kind(schema)));
    }
    out += "| Property | Type | |\n|---|---|---|\n";
    for (name, property, is_required) in properties {
        let optional = if is_required { "" } else { ", optional" };
        out += &format!(
            "| `{name}` | {}{optional} | {} |\n",
            kind(property),
            cell(text(property, "description"))
        );
    }
    out
}

fn property_text(property: &Value, is_required: bool) -> String {
    let optional = if is_required { "" } else { ", optional" };
    let description = flat(text(property, "description"));
    let description = if description.is_empty() {
        description
    } else {
        format!(": {description}")
    };
    format!("{}{optional}{description}", kind(property))
}

/// Name, schema and whether it is required.
fn properties(schema: &Value) -> Vec<(&str, &Value, bool)> {
    let required = array(schema, "required");
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties = properties.into_iter().flatten();
    properties
        .map(|(name, value)| {
            let is_required = required.iter().any(|r| r.as_str() == Some(name));
            (name.as_str(), value, is_required)
        })
        .collect()
}

/// A schema's type in a few words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return format!("[`{name}`](#{})", anchor(name));
    }
    if let Some(constant) = schema.get("const").and_then(Value::as_str) {
        return format!("`\"{constant}\"`");
    }
    let values = array(schema, "enum");
    if !values.is_empty() {
        let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
        return values.join(", ");
    }
    for (key, joined) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        let parts = array(schema, key);
        if !parts.is_empty() {
            let parts: Vec<_> = parts.iter().map(kind).collect();
            return parts.join(joined);
        }
    }
    match schema.get("type") {
        Some(Value::Array(types)) => {
            let types: Vec<_> = types
                .iter()
                .filter_map(Value::as_str)
                .map(|name| of_type(name, schema))
                .collect();
            types.join(" or ")
        }
        Some(Value::String(name)) => of_type(name, schema),
        _ => "any".to_owned(),
    }
}

fn of_type(name: &str, schema: &Value) -> String {
    match name {
        "array" => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            format!("array of {}", kind(items))
        }
        "object" => match schema.get("additionalProperties") {
            Some(values) if values.is_object() => format!("object of {}", kind(values)),
            _ => "object".to_owned(),
        },
        "string" => match schema.get("format").and_then(Value::as_str) {
            Some(format) => format!("string ({format})"),
            None => "string".to_owned(),
        },
        name => name.to_owned(),
    }
}

fn array<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    let items = value.get(key).and_then(Value::as_array);
    items.map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    flat(text).replace('|', "\\|")
}

fn ended(text: &str) -> String {
    let text = flat(text);
    if text.is_empty() || text.ends_with('.') {
        text
    } else {
        format!("{text}.")
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn rustdoc_s_links_become_links_to_schemas() {
        let text = "a [`Opens`], [`Gone`] and [`Opens`](#x)";
        let expected = "a [`Opens`](#opens), `Gone` and [`Opens`](#x)";
        assert_eq!(linked(text, |name| name == "Opens"), expected);
    }
}
