//! Builds the XDP program.

#[path = "../netpolicy-ebpf/object.rs"]
mod object;

fn main() {
    object::build_or_say_why(&["netpolicy-xdp"]);
}
