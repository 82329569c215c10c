//! The Python interpreter with the programs that netpolicy's API is compared with.

use std::path::PathBuf;

use crate::binary::workspace;

#[path = "../../xtask/src/tools.rs"]
#[expect(dead_code, reason = "the tests use no linker")]
mod tools;

/// The interpreter that `cargo xtask setup --for test` sets up.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn interpreter() -> PathBuf {
    let python = tools::python(&tools_dir());
    assert!(
        python.exists(),
        "there is no {}: run cargo xtask setup --for test",
        python.display()
    );
    python
}

/// Where the tools are kept.
///
/// # Panics
/// When the environment does not say.
#[must_use]
pub fn tools_dir() -> PathBuf {
    let toolchain = tools::pinned_toolchain(workspace()).expect("a pinned toolchain");
    tools::tools_dir(&toolchain).expect("a tools directory")
}
