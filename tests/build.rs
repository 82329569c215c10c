//! Builds the benchmarks' programs, and the program that is installed, to load it several times.

#[path = "../netpolicy-ebpf/object.rs"]
mod object;

fn main() {
    object::build_or_say_why(&["netpolicy-bench-xdp", "netpolicy-flood", "netpolicy-xdp"]);
}
