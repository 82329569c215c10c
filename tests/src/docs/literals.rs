//! Strings in the program's sources: what it can print or log.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use proc_macro2::{TokenStream, TokenTree};

/// Every string literal of the Rust files under a directory, tests and doc comments left out.
///
/// # Errors
/// A file cannot be read, or is no Rust.
pub fn of_directory(directory: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if path.is_dir() {
            if name != Some("tests") && name != Some("testing") {
                found.extend(of_directory(&path)?);
            }
        } else if name.is_some_and(|name| name.ends_with(".rs") && name != "tests.rs") {
            let text = fs::read_to_string(&path)?;
            // Unit tests quote what is printed; they do not print it.
            let text = text
                .split("\n#[cfg(test)]\nmod ")
                .next()
                .unwrap_or_default();
            let tokens = text.parse::<TokenStream>();
            let tokens = tokens.map_err(|error| anyhow::anyhow!("{error}"));
            walk(
                tokens.with_context(|| path.display().to_string())?,
                &mut found,
            );
        }
    }
    Ok(found)
}

fn walk(tokens: TokenStream, found: &mut Vec<String>) {
    let mut is_doc = [false; 2];
    for token in tokens {
        let doc_before = is_doc[0] && is_doc[1];
        is_doc = match &token {
            TokenTree::Ident(ident) => [*ident == "doc", false],
            TokenTree::Punct(punct) if punct.as_char() == '=' => [is_doc[0], true],
            _ => [false, false],
        };
        match token {
            TokenTree::Group(group) => walk(group.stream(), found),
            TokenTree::Literal(literal) if !doc_before => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    found.push(text.value());
                }
            }
            _ => {}
        }
    }
}

/// Whether a text that the program prints fits a quotation of it. `…` in the quotation stands
/// for anything; each part between must be in one of the program's strings as it is.
///
/// # Errors
/// The part that is in none of them.
pub fn fits<'q>(quotation: &'q str, literals: &[String]) -> Result<(), &'q str> {
    let parts = quotation.split('…').map(str::trim);
    for part in parts.filter(|part| part.len() > 3) {
        if !literals.iter().any(|literal| literal.contains(part)) {
            return Err(part);
        }
    }
    Ok(())
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn literals_are_found_in_macros_and_attributes_but_not_in_doc_comments() {
        let text = "/// A \"doc\".\n#[error(\"no room on {disk}\")]\nfn f() { warn!(a = %b, \"lost \\\n   it\"); }";
        let mut found = Vec::new();
        walk(text.parse().expect("tokens"), &mut found);
        assert_eq!(found, ["no room on {disk}", "lost it"]);
        assert_eq!(fits("no room on …", &found), Ok(()));
        assert_eq!(fits("… room in …", &found), Err("room in"));
    }
}
