//! What the kernel's verifier walks to accept the programs: recorded, and bounded.

use aya::programs::Xdp;
use aya_obj::programs::XdpAttachType;
use netpolicy_tests::rules::{self, Loaded};

/// The most instructions that the verifier may walk for one program. It gives up at a
/// million (`BPF_COMPLEXITY_LIMIT_INSNS` in `include/linux/bpf_verifier.h`); what a newer
/// compiler or an older kernel needs more has to fit in between.
const MOST: u32 = 250_000;

#[test]
fn verifier_accepts_each_program_within_its_bound() {
    let loaded = Loaded::new(&rules::ruleset(&[]));
    let release = nix::sys::utsname::uname().expect("uname");
    let mut found = 0;
    let pins = std::fs::read_dir(loaded.bpffs_dir().join("live")).expect("list the pins");
    for pin in pins {
        let path = pin.expect("read the directory").path();
        let Ok(program) = Xdp::from_pin(&path, XdpAttachType::Interface) else {
            continue;
        };
        // Pins of maps open too, and tell nothing of the kind (Linux 5.16 and later).
        let Ok(info) = program.info() else {
            continue;
        };
        let Some(walked) = info.verified_instruction_count() else {
            continue;
        };
        let size = info.size_translated().unwrap_or_default() / 8;
        println!(
            "verifier: Linux {}, {:?} engine, {}: {walked} instructions walked, {size} long",
            release.release().display(),
            rules::engine(),
            info.name_as_str().unwrap_or_default(),
        );
        assert!(walked > 0, "{}", path.display());
        assert!(walked <= MOST, "{}: {walked}", path.display());
        found += 1;
    }
    assert!(
        found >= 2,
        "the program at interfaces and the one that is asked"
    );
}
