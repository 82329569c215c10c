//! A first build compiles each crate once.

use std::collections::BTreeMap;
use std::process::Command;

use netpolicy_tests::binary::workspace;

/// Crates that a package's build needs, by name and version, and their features.
fn crates(package: &str, features: &[&str]) -> BTreeMap<String, String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "no-dev"])
        .args(["--prefix", "none", "--format", "{p}|{f}", "--package"])
        .arg(package)
        .args(features)
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.trim_end_matches(" (*)").split_once('|'))
        .map(|(name, features)| (name.to_owned(), features.to_owned()))
        .collect()
}

/// `cargo xtask run` compiles `xtask` and then `netpolicy-user` without its features.
#[test]
fn xtask_has_crates_with_the_features_that_netpolicy_user_turns_on() {
    let product = crates("netpolicy-user", &["--no-default-features"]);
    let twice: Vec<_> = crates("xtask", &[])
        .into_iter()
        .filter_map(|(name, features)| {
            let others = product.get(&name)?;
            (features != *others).then(|| format!("{name}: [{features}], there [{others}]"))
        })
        .collect();
    assert!(
        twice.is_empty(),
        "compiled twice; turn on the same features in xtask/Cargo.toml:\n{}",
        twice.join("\n")
    );
}
