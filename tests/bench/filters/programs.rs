//! The programs by which other filters are set up.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use netpolicy_tests::netns::NetNs;

/// Where an administrator's programs are, whatever `PATH` says.
const SYSTEM: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Those of some programs that are not installed.
pub(crate) fn missing(programs: &[&'static str]) -> Vec<&'static str> {
    let programs = programs.iter().copied();
    programs.filter(|program| !is_there(program)).collect()
}

/// Where a program is.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path)
        .chain(SYSTEM.map(|dir| Path::new(dir).to_owned()))
        .collect();
    dirs.into_iter()
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Whether a program of this name is there.
pub(super) fn is_there(program: &str) -> bool {
    find(program).is_some()
}

/// Runs a program in a namespace, with this text as its file of commands, named by
/// the last argument; returns what it prints.
pub(super) fn feed(ns: &NetNs, program: &str, args: &[&str], text: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().expect("make a temporary file");
    std::io::Write::write_all(&mut file, text.as_bytes()).expect("write a temporary file");
    let path = file.path().display().to_string();
    let mut all = args.to_vec();
    all.push(&path);
    run(ns, program, &all)
}

/// Runs a program in a namespace; returns what it prints.
pub(super) fn run(ns: &NetNs, program: &str, args: &[&str]) -> String {
    output(ns.command(&path_of(program)), program, args)
}

/// Runs a program in a namespace; how long it takes from its start to its end.
pub(crate) fn timed(ns: &NetNs, program: &str, args: &[&str]) -> Duration {
    let path = path_of(program);
    ns.run(|| {
        let begin = Instant::now();
        output(Command::new(path), program, args);
        begin.elapsed()
    })
}

/// Runs a program where the calling thread is; returns what it prints.
pub(super) fn run_here(program: &str, args: &[&str]) -> String {
    output(Command::new(path_of(program)), program, args)
}

/// The first line that a program prints, whatever its exit status: xdp-filter fails after it
/// has told its version. `None` if the program is not there or prints nothing.
pub(crate) fn version(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(find(program)?)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

fn path_of(program: &str) -> String {
    find(program).map_or_else(|| program.to_owned(), |path| path.display().to_string())
}

fn output(mut command: Command, program: &str, args: &[&str]) -> String {
    let out = command
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("start {program}: {e}"));
    assert!(
        out.status.success(),
        "{program} {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}
