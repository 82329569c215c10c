//! The program: drops the connection attempts of denied sources at the NIC, at XDP or at tc
//! ingress.
//!
//! Here are only the kernel's side of things (maps, helpers, the context); what is
//! decided, and from which bytes, is in the library of this crate.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod answering;
#[cfg(target_arch = "bpf")]
mod apart;
#[cfg(target_arch = "bpf")]
mod banned;
#[cfg(target_arch = "bpf")]
mod flat;
#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod hook;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod outcome;
#[cfg(target_arch = "bpf")]
mod program;
#[cfg(target_arch = "bpf")]
mod ruleset;
#[cfg(target_arch = "bpf")]
mod slow;
#[cfg(target_arch = "bpf")]
mod source;
#[cfg(target_arch = "bpf")]
mod whole;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here panics: the verifier would refuse the loop.
    loop {}
}

// Helpers such as the boot clock are for GPL-compatible programs only.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
