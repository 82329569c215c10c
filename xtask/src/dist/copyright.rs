//! `copyright`: the licences of everything that is in the binary, in Debian's format.
//!
//! Crates come from cargo, their copyright lines from the licences that they ship, the
//! licences' texts from SPDX. Where a crate offers a choice, one licence is chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;
use spdx::{Expression, LicenseItem, Licensee, ParseMode};
use xshell::cmd;

use super::Release;

/// Licences in the order of preference, where a crate offers a choice.
const ACCEPTED: [&str; 9] = [
    "MIT",
    "Apache-2.0",
    "BSD-3-Clause",
    "BSD-2-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "BSL-1.0",
    "CC0-1.0",
];

/// Licences whose text every Debian host has.
const COMMON: [&str; 2] = ["Apache-2.0", "CC0-1.0"];

/// What is in the binary and is no crate.
const OTHERS: &str = "\
Files: rust-standard-library
Copyright: The Rust Project contributors
License: MIT or Apache-2.0

Files: sqlite
Copyright: none
License: public-domain
 SQLite is in the public domain: https://sqlite.org/copyright.html

Files: preact-11.2.0.js
Copyright: 2015-present Jason Miller
License: MIT

Files: htm-3.1.1.js
Copyright: 2018 Google Inc.
License: Apache-2.0

Files: uplot-1.6.32.js
Copyright: 2022 Leon Sorokin
License: MIT

";

/// A crate that is linked.
#[derive(Debug)]
struct Crate {
    name: String,
    version: String,
    license: String,
    copyright: BTreeSet<String>,
}

/// The text of the file.
pub(super) fn text(release: &Release) -> Result<String> {
    let mut used = BTreeSet::from(["MIT".to_owned(), "Apache-2.0".to_owned()]);
    let mut paragraphs = String::new();
    for one in crates(release)? {
        let chosen = chosen(&one.license).with_context(|| {
            format!(
                "the licence of {} {}: {}",
                one.name, one.version, one.license
            )
        })?;
        let copyright: Vec<_> = one.copyright.iter().map(String::as_str).collect();
        paragraphs += &format!(
            "Files: {}-{}\nCopyright: {}\nLicense: {}\n\n",
            one.name,
            one.version,
            copyright.join("\n           "),
            chosen.join(" and ")
        );
        used.extend(chosen);
    }
    let mut out = format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: netpolicy\nSource: {}\n\
         Comment: Paragraphs with a name and a version are crates from https://crates.io that\n \
         are linked into /usr/bin/netpolicy.\n\n\
         Files: *\nCopyright: 2026 The netpolicy contributors\nLicense: MIT or Apache-2.0\n\n\
         Files: netpolicy-xdp\nCopyright: 2026 The netpolicy contributors\nLicense: MIT\n\
         Comment: The BPF programs are also offered under GPL-2.0-only.\n\n{OTHERS}",
        env!("CARGO_PKG_REPOSITORY")
    );
    out += &paragraphs;
    for name in used {
        out += &stanza(&name)?;
    }
    Ok(out)
}

/// A licence's own paragraph.
fn stanza(name: &str) -> Result<String> {
    if COMMON.contains(&name) {
        return Ok(format!(
            "License: {name}\n On Debian systems its text is in /usr/share/common-licenses/{name},\n \
             elsewhere it is at https://spdx.org/licenses/{name}.html.\n\n"
        ));
    }
    let id = spdx::license_id(name).with_context(|| format!("{name} is no licence of SPDX"))?;
    let lines: Vec<_> = id
        .text()
        .lines()
        .map(|line| match line.trim_end() {
            "" => " .".to_owned(),
            line => format!(" {line}"),
        })
        .collect();
    Ok(format!(
        "License: {name}\n{}\n\n",
        lines.join("\n").trim_end()
    ))
}

/// The licences under which a crate is used.
fn chosen(expression: &str) -> Result<Vec<String>> {
    let expression = Expression::parse_mode(expression, ParseMode::LAX)?;
    let accepted: Vec<_> = ACCEPTED
        .iter()
        .map(|name| Licensee::parse(name))
        .collect::<Result<_, _>>()?;
    let requirements = expression.minimized_requirements(&accepted)?;
    let names = requirements.iter().filter_map(|one| match &one.license {
        LicenseItem::Spdx { id, .. } => Some(id.name.to_owned()),
        LicenseItem::Other(_) => None,
    });
    Ok(names.collect())
}

/// Every crate that is linked into the binary or into the BPF programs in it.
fn crates(release: &Release) -> Result<Vec<Crate>> {
    let shell = &release.shell;
    let metadata = cmd!(shell, "cargo metadata --locked --format-version 1")
        .quiet()
        .read()?;
    let metadata: Value = serde_json::from_str(&metadata).context("read cargo's metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo tells no packages")?;
    let by_name: BTreeMap<_, _> = packages
        .iter()
        .filter_map(|package| {
            Some((
                (package["name"].as_str()?, package["version"].as_str()?),
                package,
            ))
        })
        .collect();
    let mut found = BTreeMap::new();
    for (package, target) in [
        ("netpolicy-user", release.target.triple()),
        ("netpolicy-net", release.target.triple()),
        ("netpolicy-ebpf", "bpfel-unknown-none"),
    ] {
        let tree = cmd!(
            shell,
            "cargo tree --locked --package {package} --target {target} --edges normal,no-proc-macro --prefix none --no-dedupe"
        );
        for line in tree.quiet().read()?.lines() {
            let mut words = line.split(' ');
            let (Some(name), Some(version)) = (words.next(), words.next()) else {
                continue;
            };
            let version = version.trim_start_matches('v');
            if name.starts_with("netpolicy-")
                || found.contains_key(&(name.to_owned(), version.to_owned()))
            {
                continue;
            }
            let package = by_name.get(&(name, version));
            let package =
                package.with_context(|| format!("cargo does not know {name} {version}"))?;
            found.insert((name.to_owned(), version.to_owned()), described(package)?);
        }
    }
    Ok(found.into_values().collect())
}

fn described(package: &Value) -> Result<Crate> {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let manifest = text("manifest_path");
    let directory = Path::new(&manifest)
        .parent()
        .context("a crate has a directory")?;
    let mut copyright = BTreeSet::new();
    let entries =
        fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_uppercase();
        let is_license = ["LICEN", "COPY", "NOTICE"]
            .iter()
            .any(|start| name.starts_with(start));
        if is_license && path.is_file() {
            let text = fs::read_to_string(&path).unwrap_or_default();
            copyright.extend(text.lines().filter_map(holder));
        }
    }
    if copyright.is_empty() {
        let authors = package["authors"].as_array().into_iter().flatten();
        copyright.extend(authors.filter_map(Value::as_str).map(str::to_owned));
    }
    if copyright.is_empty() {
        copyright.insert(format!("The {} contributors", text("name")));
    }
    Ok(Crate {
        name: text("name"),
        version: text("version"),
        license: text("license"),
        copyright,
    })
}

/// Who holds the copyright by a line of a licence: "2018 The Authors".
fn holder(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("Copyright")?;
    // The licences' own texts speak of a copyright, too.
    let is_notice =
        rest.contains(|c: char| c.is_ascii_digit()) || rest.trim_start().starts_with("(c)");
    let rest = rest
        .trim()
        .trim_start_matches("(c)")
        .trim_start_matches("(C)");
    let rest = rest.trim_start_matches(['©', ':', ' ']).trim();
    (is_notice && !rest.is_empty() && !rest.contains("[yyyy]")).then(|| rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_licence_of_a_choice_is_used() {
        let chosen = |expression| chosen(expression).map_err(|error| error.to_string());
        assert_eq!(chosen("MIT OR Apache-2.0"), Ok(vec!["MIT".to_owned()]));
        assert_eq!(chosen("Apache-2.0/MIT"), Ok(vec!["MIT".to_owned()]));
        let both = chosen("(MIT OR Apache-2.0) AND Unicode-3.0");
        assert_eq!(both, Ok(vec!["MIT".to_owned(), "Unicode-3.0".to_owned()]));
        assert!(chosen("GPL-3.0-only").is_err());
    }

    #[test]
    fn copyright_lines_are_told_from_a_licence_s_own_words() {
        assert_eq!(
            holder("Copyright (c) 2018 A. Author").as_deref(),
            Some("2018 A. Author")
        );
        assert_eq!(holder("  Copyright 2020 B").as_deref(), Some("2020 B"));
        assert_eq!(holder("Copyright [yyyy] [name of copyright owner]"), None);
        assert_eq!(holder("Copyright notice and this permission"), None);
    }

    #[test]
    fn every_accepted_licence_has_a_text() {
        for name in ACCEPTED {
            assert!(stanza(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn every_linked_crate_is_named_with_its_licence() {
        let release = Release {
            shell: crate::workspace::shell().unwrap(),
            version: "0".to_owned(),
            epoch: "0".to_owned(),
            date: String::new(),
            target: crate::target::Target::host().unwrap(),
            is_trial: false,
            out: std::path::PathBuf::new(),
        };
        let text = text(&release).unwrap();
        for name in [
            "Files: aya-0",
            "Files: aya-ebpf-",
            "Files: tokio-1",
            "Files: sqlite",
        ] {
            assert!(text.contains(name), "{name}");
        }
        assert!(text.contains("\nLicense: MIT\n"));
        assert!(!text.contains("Copyright: \n"), "{text}");
        assert!(!text.contains("reqwest"));
    }
}
