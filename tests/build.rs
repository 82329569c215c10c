//! Builds the benchmarks' programs.

#[path = "../netpolicy-ebpf/object.rs"]
mod object;

fn main() {
    object::build_or_say_why(&["netpolicy-bench-xdp", "netpolicy-flood"]);
}
