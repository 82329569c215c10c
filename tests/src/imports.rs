//! What Rust files import, read from their text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// What each module of a crate imports of the others.
pub type Layering = BTreeMap<String, BTreeSet<String>>;

/// The layering of crates that appear as one, by the files under the `src` of each; tests are left
/// out.
///
/// # Errors
/// A file cannot be read.
///
/// # Panics
/// A file is no Rust.
pub fn layering(crates: &[PathBuf]) -> io::Result<Layering> {
    let mut layering = Layering::new();
    for src in crates {
        let lib = fs::read_to_string(src.join("lib.rs"))?;
        let modules = lib.lines().filter_map(|line| {
            let name = line.strip_prefix("pub mod ")?.strip_suffix(';')?;
            Some((name.to_owned(), BTreeSet::new()))
        });
        layering.extend(modules);
    }
    for src in crates {
        add(src, src, &mut layering)?;
    }
    Ok(layering)
}

fn add(src: &Path, directory: &Path, layering: &mut Layering) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.strip_prefix(src).unwrap_or(&path).to_string_lossy();
        let last = name.rsplit('/').next().unwrap_or_default();
        if path.is_dir() {
            if last != "tests" {
                add(src, &path, layering)?;
            }
        } else if last.ends_with(".rs") && last != "tests.rs" {
            let module = name.split(['/', '.']).next().unwrap_or_default();
            let paths = paths_in(&name, &fs::read_to_string(&path)?);
            let others = paths.iter().filter_map(|path| {
                let other = path.strip_prefix("crate::")?.split("::").next()?;
                (other != module && layering.contains_key(other)).then(|| other.to_owned())
            });
            let others: Vec<_> = others.collect();
            if let Some(imports) = layering.get_mut(module) {
                imports.extend(others);
            }
        }
    }
    Ok(())
}

/// The layering of a module's rooms: of the modules that `src`/`module`/`mod.rs` declares.
///
/// # Errors
/// A file cannot be read.
///
/// # Panics
/// A file is no Rust.
pub fn rooms(src: &Path, module: &str) -> io::Result<Layering> {
    let door = fs::read_to_string(src.join(module).join("mod.rs"))?;
    let mut layering = Layering::new();
    let mut before = "";
    for line in door.lines() {
        let declared = line.strip_prefix("pub ").unwrap_or(line);
        let name = declared
            .strip_prefix("mod ")
            .and_then(|l| l.strip_suffix(';'));
        if let Some(name) = name
            && before != "#[cfg(test)]"
        {
            layering.insert(name.to_owned(), BTreeSet::new());
        }
        before = line;
    }
    let within = format!("crate::{module}::");
    for (file, paths) in imports_of(src, &src.join(module))? {
        let room = file[module.len() + 1..].split(['/', '.']).next();
        let Some(imports) = room.and_then(|room| layering.get(room)) else {
            continue;
        };
        let mut imports = imports.clone();
        let room = room.unwrap_or_default();
        imports.extend(paths.iter().filter_map(|path| {
            let other = path.strip_prefix(&within)?.split("::").next()?;
            (other != room && layering.contains_key(other)).then(|| other.to_owned())
        }));
        layering.insert(room.to_owned(), imports);
    }
    Ok(layering)
}

/// Files below `src`/`module` that import one another in a circle, such as "a.rs, b.rs". The
/// module's own `mod.rs` only declares the others.
///
/// # Errors
/// A file cannot be read.
///
/// # Panics
/// A file is no Rust.
pub fn circles(src: &Path, module: &str) -> io::Result<Vec<String>> {
    let found = imports_of(src, &src.join(module))?;
    let door = format!("{module}/mod.rs");
    let files: BTreeSet<&str> = found.iter().map(|(file, _)| file.as_str()).collect();
    let graph: BTreeMap<&str, BTreeSet<&str>> = found
        .iter()
        .map(|(file, paths)| {
            // A path that begins with no root is one from the file's own module, or leads to it.
            let own = file.trim_end_matches(".rs").trim_end_matches("/mod");
            let own = own.replace('/', "::");
            let others = paths
                .iter()
                .filter_map(|path| match path.starts_with("crate::") {
                    true => file_of(path, &files),
                    false => {
                        let path = path.strip_prefix("self::").unwrap_or(path);
                        file_of(&format!("crate::{own}::{path}"), &files)
                    }
                });
            let others = others.filter(|other| other != file && *other != door);
            (file.as_str(), others.collect())
        })
        .collect();
    let reaches = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&str> = graph[from].iter().copied().collect();
        while let Some(file) = next.pop() {
            if seen.insert(file) {
                next.extend(&graph[file]);
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        files.iter().map(|file| (*file, reaches(file))).collect();
    let mut circles = BTreeSet::new();
    for (file, others) in &reached {
        if others.contains(file) {
            let back = |other: &&&str| reached[**other].contains(file);
            let circle: Vec<&str> = others.iter().filter(back).copied().collect();
            circles.insert(circle.join(", "));
        }
    }
    Ok(circles.into_iter().collect())
}

/// The file that a path names something of: the longest module of the path that is one.
fn file_of<'a>(path: &str, files: &BTreeSet<&'a str>) -> Option<&'a str> {
    let mut module = path.strip_prefix("crate::")?.replace("::", "/");
    loop {
        for name in [format!("{module}.rs"), format!("{module}/mod.rs")] {
            if let Some(file) = files.get(name.as_str()) {
                return Some(file);
            }
        }
        module.truncate(module.rfind('/')?);
    }
}

/// The files below a directory, tests left out, with the paths that they mention.
fn imports_of(src: &Path, directory: &Path) -> io::Result<Vec<(String, Vec<String>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.strip_prefix(src).unwrap_or(&path).to_string_lossy();
        let last = name.rsplit('/').next().unwrap_or_default();
        if path.is_dir() {
            if last != "tests" {
                found.extend(imports_of(src, &path)?);
            }
        } else if last.ends_with(".rs") && last != "tests.rs" {
            let paths = paths_in(&name, &fs::read_to_string(&path)?);
            found.push((name.into_owned(), paths));
        }
    }
    Ok(found)
}

/// A layering as a Markdown table shows it: rows that begin with `start` and a module's name,
/// and end with its imports. Only names of `known` count.
#[must_use]
pub fn table(text: &str, start: &str, known: &Layering) -> Layering {
    let row = |line: &str| {
        let (name, rest) = line.strip_prefix(start)?.split_once('`')?;
        let imports = rest.trim_end_matches(" |").rsplit(" | ").next()?;
        let imports = imports.split('`').map(str::to_owned);
        let imports = imports.filter(|import| known.contains_key(import));
        Some((name.to_owned(), imports.collect()))
    };
    text.lines().filter_map(row).collect()
}

/// Every path that a file mentions, as from the crate's root; tests in it left out. `name` is
/// the file's, from the crate's `src`.
///
/// # Panics
/// The text is no Rust.
#[must_use]
pub fn paths_in(name: &str, text: &str) -> Vec<String> {
    let file = syn::parse_file(text).unwrap_or_else(|e| panic!("{name}: {e}"));
    let stem = name.trim_end_matches(".rs").trim_end_matches("/mod");
    let module: Vec<String> = match stem {
        "lib" | "main" => Vec::new(),
        stem => stem.split('/').map(str::to_owned).collect(),
    };
    let mut paths = Paths {
        module,
        found: Vec::new(),
    };
    paths.visit_file(&file);
    paths.found
}

struct Paths {
    /// Of the file, from the crate's root.
    module: Vec<String>,
    found: Vec<String>,
}

impl Paths {
    fn add(&mut self, path: &[String]) {
        let supers = path.iter().take_while(|p| *p == "super").count();
        let mut whole: Vec<String> = Vec::new();
        if supers > 0 {
            let keep = self.module.len().saturating_sub(supers);
            whole.push("crate".to_owned());
            whole.extend_from_slice(&self.module[..keep]);
        }
        whole.extend_from_slice(&path[supers..]);
        self.found.push(whole.join("::"));
    }

    fn add_tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(p) => self.add_tree(&with(&p.ident), &p.tree),
            syn::UseTree::Name(n) if n.ident == "self" => self.add(prefix),
            syn::UseTree::Name(n) => self.add(&with(&n.ident)),
            syn::UseTree::Rename(r) => self.add(&with(&r.ident)),
            syn::UseTree::Glob(_) => self.add(prefix),
            syn::UseTree::Group(g) => g.items.iter().for_each(|t| self.add_tree(prefix, t)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_tree(&[], &item.tree);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = item.attrs.iter().any(|a| {
            a.path().is_ident("cfg") && a.parse_args::<syn::Ident>().is_ok_and(|i| i == "test")
        });
        if !is_test {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if parts.len() > 1 {
            self.add(&parts);
        }
        visit::visit_path(self, path);
    }
}
