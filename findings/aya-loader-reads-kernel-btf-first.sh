#!/bin/sh
# Whether aya's loader can be kept from reading the kernel's BTF (aya 0.14.0).
#
# A good guess: EbpfLoader::new().btf(None) is for programs that need no relocation, and spares
# reading and parsing /sys/kernel/btf/vmlinux, some megabytes. Seen: new() has read and parsed it
# by then, and btf(None) drops the result. It costs tens of milliseconds each time a loader is made.
#
# Output seen (Linux 6.18):
#   bytes read by new().btf(None): more than a megabyte
#   of them by btf(None): 0
#
# Needs cargo 1.87 or later, a C linker, network, and a kernel with /sys/kernel/btf/vmlinux.
# Exits with 1 if the behaviour is another, 2 if it cannot be tried.
set -eu
[ -r /sys/kernel/btf/vmlinux ] || { echo "this kernel has no BTF" >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "reads"
version = "0.1.0"
edition = "2021"
[workspace]
[dependencies]
aya = { version = "=0.14.0", default-features = false }
TOML
cat > src/main.rs <<'RUST'
use aya::EbpfLoader;

/// Bytes that this process has read so far (proc_pid_io(5)).
fn read() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

fn main() {
    let start = read();
    let mut loader = EbpfLoader::new();
    let made = read();
    loader.btf(None);
    let declined = read();
    println!("{} {}", made - start, declined - made);
}
RUST
cargo build --quiet || exit 2
set -- $(target/debug/reads)
# Reading /proc/self/io itself is some hundred bytes.
[ "$1" -gt 1000000 ] && first="more than a megabyte" || first=$1
[ "$2" -lt 1000 ] && second=0 || second=$2
echo "bytes read by new().btf(None): $first"
echo "of them by btf(None): $second"
[ "$first" = "more than a megabyte" ] && [ "$second" = 0 ]
