//! Layering rules, checked against the sources: what a module must not import, and how files look.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use netpolicy_tests::binary::workspace;
use netpolicy_tests::imports::{circles, paths_in, rooms, table};

#[path = "architecture/features.rs"]
mod features;
#[path = "architecture/texts.rs"]
mod texts;
#[path = "architecture/vocabulary.rs"]
mod vocabulary;

/// A module, what it must not use, and where in it that is allowed after all.
struct Ban {
    part: &'static str,
    paths: &'static [&'static str],
    but: &'static [&'static str],
}

const PURE: [&str; 26] = [
    "anyhow",
    "axum",
    "aya",
    "libc",
    "log",
    "nix",
    "hyper",
    "rtnetlink",
    "rusqlite",
    "rustix",
    "std::env",
    "std::fs",
    "std::io",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "tokio",
    "tracing",
];

/// The `src` of the crates whose modules appear as those of `netpolicy-user`.
const USER: [&str; 7] = [
    "netpolicy-user/src",
    "netpolicy-user/agent/src",
    "netpolicy-user/api/src",
    "netpolicy-user/datapath/src",
    "netpolicy-user/host/src",
    "netpolicy-user/policy/src",
    "netpolicy-user/store/src",
];

/// Crates as pure as `model` and `compiler` are.
const PURE_CRATES: [&str; 4] = [
    "netpolicy-common/flat",
    "netpolicy-common/prefixes",
    "netpolicy-user/fleet",
    "netpolicy-user/formats",
];

const ABOVE_HOST: [&str; 11] = [
    "crate::model",
    "crate::compiler",
    "crate::datapath",
    "crate::store",
    "crate::agent",
    "crate::cli",
    "crate::client",
    "crate::output",
    "crate::config",
    "crate::local",
    "crate::api",
];

const BANS: [Ban; 24] = [
    Ban {
        // What other programs wrote, and what browsers send, is read with the caller's rights.
        part: "",
        paths: &["netpolicy_console", "netpolicy_formats"],
        but: &["cli"],
    },
    Ban {
        part: "agent",
        paths: &["axum", "hyper", "hyper_util", "tower", "utoipa_axum"],
        but: &["agent/http"],
    },
    Ban {
        part: "",
        paths: &["aya"],
        but: &["datapath"],
    },
    Ban {
        part: "",
        paths: &["netpolicy_flat"],
        but: &["datapath/flat"],
    },
    Ban {
        part: "",
        paths: &["rusqlite"],
        but: &["store/sqlite"],
    },
    Ban {
        // What keeps the state is opened by `store::open`.
        part: "",
        paths: &["crate::store::sqlite", "crate::store::SqliteStore"],
        but: &["store", "agent/testing"],
    },
    Ban {
        // Objects, chunks and lists may be kept by anything.
        part: "store",
        paths: &PURE,
        but: &["store/sqlite", "store/backup.rs", "store/error.rs"],
    },
    Ban {
        part: "",
        paths: &["crossterm", "ratatui", "rustyline"],
        but: &["cli/sql/editor.rs", "cli/top"],
    },
    Ban {
        part: "",
        paths: &[
            "netlink_packet_core",
            "netlink_packet_netfilter",
            "netlink_packet_sock_diag",
            "netlink_sys",
        ],
        but: &["sockets", "netdev"],
    },
    Ban {
        part: "netdev",
        paths: &ABOVE_HOST,
        but: &[],
    },
    Ban {
        part: "netdev",
        paths: &["crate::sockets"],
        but: &[],
    },
    Ban {
        part: "sockets",
        paths: &ABOVE_HOST,
        but: &[],
    },
    Ban {
        part: "model",
        paths: &PURE,
        but: &[],
    },
    Ban {
        part: "compiler",
        paths: &PURE,
        but: &[],
    },
    Ban {
        part: "sql",
        paths: &PURE,
        but: &[],
    },
    Ban {
        part: "sql",
        paths: &[
            "crate::agent",
            "crate::api",
            "crate::cli",
            "crate::client",
            "crate::compiler",
            "crate::config",
            "crate::datapath",
            "crate::local",
            "crate::output",
            "crate::store",
        ],
        but: &[],
    },
    Ban {
        part: "model",
        paths: &[
            "crate::compiler",
            "crate::datapath",
            "crate::store",
            "crate::agent",
            "crate::cli",
            "crate::client",
            "crate::output",
            "crate::config",
            "crate::local",
            "crate::sql",
        ],
        but: &[],
    },
    Ban {
        part: "compiler",
        paths: &[
            "crate::datapath",
            "crate::store",
            "crate::agent",
            "crate::cli",
            "crate::client",
            "crate::output",
            "crate::config",
            "crate::local",
            "crate::api",
        ],
        but: &[],
    },
    Ban {
        part: "datapath",
        paths: &[
            "crate::model",
            "crate::store",
            "crate::agent",
            "crate::cli",
            "crate::client",
            "crate::output",
            "crate::local",
        ],
        but: &[],
    },
    Ban {
        part: "store",
        paths: &[
            "crate::compiler",
            "crate::datapath",
            "crate::agent",
            "crate::cli",
            "crate::client",
            "crate::output",
            "crate::local",
        ],
        but: &[],
    },
    Ban {
        part: "agent",
        paths: &[
            "crate::cli",
            "crate::client",
            "crate::output",
            "crate::local",
        ],
        but: &[],
    },
    Ban {
        // What the dialects differ in is `sql::meaning`'s; a request's dialect passes through.
        part: "agent",
        paths: &[
            "crate::sql::Dialect",
            "crate::model::Dialect",
            "crate::model::dialect",
        ],
        but: &[],
    },
    Ban {
        // The one command that is the agent may start it.
        part: "cli",
        paths: &["crate::agent", "crate::datapath", "crate::store"],
        but: &["cli/agent.rs"],
    },
    Ban {
        part: "output",
        paths: &[
            "crate::agent",
            "crate::datapath",
            "crate::store",
            "crate::cli",
            "crate::client",
            "crate::local",
            "tokio",
        ],
        but: &[],
    },
];

#[test]
fn modules_import_nothing_that_is_banned_for_them() {
    let mut wrong = Vec::new();
    for (name, text) in user_sources() {
        // Unit tests may use anything: the layering is the program's.
        if name
            .split('/')
            .any(|part| part == "tests" || part == "tests.rs")
        {
            continue;
        }
        let used = paths_in(&name, &text);
        for ban in &BANS {
            if !in_part(&name, ban.part) || ban.but.iter().any(|but| in_part(&name, but)) {
                continue;
            }
            let hit = |path: &String| {
                ban.paths
                    .iter()
                    .any(|b| path == b || path.starts_with(&format!("{b}::")))
            };
            wrong.extend(
                used.iter()
                    .filter(|p| hit(p))
                    .map(|p| format!("{name} uses {p}")),
            );
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn pure_crates_import_no_io_clock_or_thread() {
    for part in PURE_CRATES {
        let src = workspace().join(part).join("src");
        for (file, text) in sources(&src) {
            let name = file.strip_prefix(&src).unwrap().to_str().unwrap();
            for path in paths_in(name, &text) {
                let is = |ban: &&&str| path == **ban || path.starts_with(&format!("{ban}::"));
                assert_eq!(PURE.iter().find(is), None, "{part}: {name} uses {path}");
            }
        }
    }
}

#[test]
fn banned_imports_are_found_in_every_form() {
    let used = |text| paths_in("cli/policy.rs", text);
    assert!(used("use aya::maps::Array;").contains(&"aya::maps::Array".to_owned()));
    assert!(
        used("use crate::{model, datapath::{self, Datapath}};")
            .contains(&"crate::datapath::Datapath".to_owned())
    );
    assert!(
        used("use super::super::store::Store as S;").contains(&"crate::store::Store".to_owned())
    );
    assert!(used("fn f() { let x = ::std::fs::read(1); }").contains(&"std::fs::read".to_owned()));
    assert!(used("use std::*;").contains(&"std".to_owned()));
    assert!(in_part("model/state.rs", "model") && in_part("model.rs", "model"));
    assert!(!in_part("modelling/state.rs", "model"));
}

/// The rooms of the agent: each imports what its row says, and only rooms above it.
#[test]
fn agent_rooms_import_what_their_table_says() {
    let src = workspace().join("netpolicy-user/agent/src");
    let actual = rooms(&src, "agent").unwrap();
    let text = fs::read_to_string(src.join("agent/mod.rs")).unwrap();
    let said = table(&text, "//! | `", &actual);
    let differs = |room: &&String| said.get(*room) != actual.get(*room);
    let rows = actual.keys().chain(said.keys()).filter(differs);
    let rows = rows.map(|room| format!("{room} imports {:?}", actual.get(room)));
    let mut wrong: Vec<_> = rows.collect();
    let order: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next())
        .collect();
    for (place, room) in order.iter().enumerate() {
        let below = |other: &&String| !order[..place].contains(&other.as_str());
        let below = actual.get(*room).into_iter().flatten().filter(below);
        wrong.extend(below.map(|other| format!("{room} imports {other}, which stands below it")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_file_of_the_agent_imports_one_that_imports_it() {
    let src = workspace().join("netpolicy-user/agent/src");
    assert_eq!(circles(&src, "agent").unwrap(), Vec::<String>::new());
}

#[test]
fn circle_of_files_would_be_noticed() {
    let src = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = src.path().join("agent").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "mod.rs",
        "mod a;\npub mod room;\n#[cfg(test)]\nmod testing;\n",
    );
    write("a.rs", "use super::room::Door;\n");
    write("room/mod.rs", "mod b;\npub use b::Door;\n");
    write("room/b.rs", "");
    assert_eq!(circles(src.path(), "agent").unwrap(), Vec::<String>::new());
    write("room/b.rs", "use crate::agent::a::A;\n");
    let circle = "agent/a.rs, agent/room/b.rs, agent/room/mod.rs";
    assert_eq!(circles(src.path(), "agent").unwrap(), [circle]);
    let found = rooms(src.path(), "agent").unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|(room, of)| (room.as_str(), of.len()))
        .collect();
    assert_eq!(found, [("a", 1), ("room", 1)]);
}

/// Whether a file belongs to a part: a directory, a module or a file; "" is everything.
fn in_part(name: &str, part: &str) -> bool {
    part.is_empty()
        || name == part
        || name == format!("{part}.rs")
        || name.starts_with(&format!("{part}/"))
}

/// The files of `netpolicy-user` and of what it is made of, named from their crate's `src`.
fn user_sources() -> Vec<(String, String)> {
    let named = |src: PathBuf| {
        sources(&src).into_iter().map(move |(file, text)| {
            let name = file.strip_prefix(&src).unwrap();
            (name.to_str().unwrap().to_owned(), text)
        })
    };
    let crates = USER.iter().map(|src| workspace().join(src));
    crates.flat_map(named).collect()
}

fn is_unit_test(file: &Path) -> bool {
    let inside = file.strip_prefix(workspace()).unwrap_or(file);
    let is_user = |p: &Path| !p.starts_with("tests");
    is_user(inside)
        && inside
            .iter()
            .any(|part| part == "tests" || part == "tests.rs")
}

fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_none_or(|n| n != "target") {
                found.extend(sources(&path));
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}
