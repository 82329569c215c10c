//! Tells bpf-linker, which generates the code, what every kernel can that netpolicy runs
//! on, and LLVM's default does without.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "bpf") {
        // Loads at any address: packets are not aligned, and byte by byte an IPv6 address
        // takes 64 instructions.
        println!("cargo::rustc-link-arg-bins=--cpu-features=+allows-misaligned-mem-access");
    }
}
