//! The two hooks that run the program, XDP and tc ingress (tcx, or clsact before Linux 6.6), and
//! what differs between them: how a packet is read, what passes it, and what drops it.
//!
//! Everything else is written once, for any [`Packet`], and compiled for each. Its parts that
//! are global functions (Documentation/bpf: `BTF_FUNC_GLOBAL`) exist twice, since the verifier
//! wants the program type's own context as their argument: [`Calls`].

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext,
    bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC, bpf_hdr_start_off, xdp_action, xdp_md},
    helpers::{
        bpf_l4_csum_replace, bpf_redirect, bpf_skb_change_tail, bpf_skb_load_bytes,
        bpf_skb_load_bytes_relative, bpf_skb_store_bytes, bpf_xdp_adjust_tail,
        bpf_xdp_get_buff_len, bpf_xdp_load_bytes, bpf_xdp_store_bytes,
    },
};
use netpolicy_ebpf::{
    Layer, Reset,
    packet::{self, ETHERNET_LEN},
};

use crate::{answering, frame::Frame, maps, outcome, slow, whole};

/// A packet at a hook.
pub(crate) trait Packet: Calls + EbpfContext + Copy {
    /// What the program returns to let the packet go on.
    const PASS: u32;
    /// What the program returns to drop it.
    const DROP: u32;

    /// Its linear part. At XDP at least the headers of every driver; at tc as little as 14 bytes.
    fn linear(self) -> Frame;

    /// Writes `len` bytes at an offset to `to`, wherever in the packet they lie. `false`: some
    /// of them lie past its end.
    ///
    /// # Safety
    /// `to` points to `len` bytes.
    unsafe fn load_bytes(self, offset: u32, to: *mut c_void, len: u32) -> bool;

    /// The index of the interface that it arrived at.
    fn interface(self) -> u32;

    /// Writes `len` bytes at an offset. `false`: they are not written.
    ///
    /// # Safety
    /// `from` points to `len` bytes.
    unsafe fn store_bytes(self, offset: u32, from: *const c_void, len: u32) -> bool;

    /// Writes the headers of a reset at an offset, with a checksum that is right whichever end
    /// completes it. `false`: they are not written.
    fn store_reset<const WORDS: usize>(self, offset: u32, reset: &Reset<WORDS>) -> bool;

    /// The same behind the Ethernet header of a frame whose linear part holds both, and writes
    /// its first 16 bytes. `false`: the frame may be spoilt.
    fn store_answer<const WORDS: usize>(self, start: &[u64; 2], reset: &Reset<WORDS>) -> bool;

    /// Cuts it to this length, or to the least that a frame of its link layer has. `false`: it is
    /// as long as it was.
    fn cut(self, len: u32) -> bool;

    /// Sends it from the interface that it arrived at: the action for that.
    fn send(self) -> u32;

    /// Where the network header is, as far as the kernel tells: else 0.
    fn find_network_header(self) -> u64;

    /// Reads its headers: a packed [`Segment`](netpolicy_ebpf::Segment).
    fn parse(self) -> u64;
}

/// A packet at XDP.
#[derive(Clone, Copy)]
pub(crate) struct Xdp(pub(crate) *mut xdp_md);

impl EbpfContext for Xdp {
    fn as_ptr(&self) -> *mut c_void {
        self.0.cast()
    }
}

impl Packet for Xdp {
    const PASS: u32 = xdp_action::XDP_PASS;
    const DROP: u32 = xdp_action::XDP_DROP;

    #[inline(always)]
    fn linear(self) -> Frame {
        // SAFETY: the kernel's context.
        unsafe { Frame::new((*self.0).data as usize, (*self.0).data_end as usize) }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, offset: u32, to: *mut c_void, len: u32) -> bool {
        // SAFETY: the caller's promise; Linux 5.18.
        unsafe { bpf_xdp_load_bytes(self.0, offset, to, len) == 0 }
    }

    #[inline(always)]
    fn interface(self) -> u32 {
        // SAFETY: the kernel's context.
        unsafe { (*self.0).ingress_ifindex }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, offset: u32, from: *const c_void, len: u32) -> bool {
        // SAFETY: the caller's promise, and the helper only reads; Linux 5.18.
        unsafe { bpf_xdp_store_bytes(self.0, offset, from.cast_mut(), len) == 0 }
    }

    /// Always the complete checksum: a driver sends a frame as it is. In the generic hook, the
    /// next to receive it takes it as one without errors if the attempt's was still to be
    /// completed.
    #[inline(always)]
    fn store_reset<const WORDS: usize>(self, offset: u32, reset: &Reset<WORDS>) -> bool {
        let headers = reset.completed();
        let len = Reset::<WORDS>::LEN as u32;
        // SAFETY: so many bytes.
        unsafe { self.store_bytes(offset, headers.as_ptr().cast(), len) }
    }

    /// As memory: a driver's frame is the program's own.
    #[inline(always)]
    fn store_answer<const WORDS: usize>(self, start: &[u64; 2], reset: &Reset<WORDS>) -> bool {
        let headers = reset.completed();
        // SAFETY: the kernel's context.
        let (frame, end) = unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) };
        let ip = frame + ETHERNET_LEN;
        if ip + Reset::<WORDS>::LEN > end {
            return false;
        }
        // SAFETY: `frame..end` is the packet that the kernel gave us, and what is written ends
        // within it (checked above, and again by the verifier). Byte arrays need no alignment,
        // and no reference to the packet is used any more.
        unsafe {
            *(frame as *mut [u8; 8]) = start[0].to_ne_bytes();
            *((frame + 8) as *mut [u8; 8]) = start[1].to_ne_bytes();
            for (at, word) in headers.iter().enumerate() {
                let (at, word) = (at * 8, word.to_ne_bytes());
                if at + 8 <= Reset::<WORDS>::LEN {
                    *((ip + at) as *mut [u8; 8]) = word;
                } else if let Some(half) = word.first_chunk::<4>() {
                    *((ip + at) as *mut [u8; 4]) = *half;
                }
            }
        }
        true
    }

    #[inline(always)]
    fn cut(self, len: u32) -> bool {
        // SAFETY: the kernel's context; Linux 5.18.
        let now = unsafe { bpf_xdp_get_buff_len(self.0) } as u32;
        // Not every driver pads what it sends.
        let least = match maps::layer() {
            Layer::Ethernet => now.min(LEAST_FRAME),
            Layer::Ip => 0,
        };
        let len = len.max(least);
        // SAFETY: the kernel's context.
        len == now || unsafe { bpf_xdp_adjust_tail(self.0, len.wrapping_sub(now) as i32) == 0 }
    }

    #[inline(always)]
    fn send(self) -> u32 {
        xdp_action::XDP_TX
    }

    #[inline(always)]
    fn find_network_header(self) -> u64 {
        0
    }

    #[inline(always)]
    fn parse(self) -> u64 {
        packet::parse_packed(&whole::Whole::of(self), maps::layer())
    }
}

/// The shortest Ethernet frame, without its check sequence (IEEE 802.3).
const LEAST_FRAME: u32 = 60;

/// A packet at tc ingress.
///
/// The kernel has moved the outer VLAN tag to the packet's metadata, so what is read here begins
/// behind it. Nothing is lost by that: whatever tags there are, the packet is judged by what is
/// behind them.
#[derive(Clone, Copy)]
pub(crate) struct Tc(pub(crate) *mut __sk_buff);

impl EbpfContext for Tc {
    fn as_ptr(&self) -> *mut c_void {
        self.0.cast()
    }
}

impl Packet for Tc {
    // "Unspecified": the next program, and behind the last the stack. OK would end the chain.
    const PASS: u32 = TC_ACT_UNSPEC as u32;
    const DROP: u32 = TC_ACT_SHOT as u32;

    #[inline(always)]
    fn linear(self) -> Frame {
        // SAFETY: the kernel's context.
        unsafe { Frame::new((*self.0).data as usize, (*self.0).data_end as usize) }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, offset: u32, to: *mut c_void, len: u32) -> bool {
        // Reads from any part. Not `bpf_skb_pull_data`, which copies the headers of a packet
        // that a capture holds as well, and may fail.
        // SAFETY: the caller's promise.
        unsafe { bpf_skb_load_bytes(self.0.cast(), offset, to, len) == 0 }
    }

    #[inline(always)]
    fn interface(self) -> u32 {
        // SAFETY: the kernel's context.
        unsafe { (*self.0).ifindex }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, offset: u32, from: *const c_void, len: u32) -> bool {
        // SAFETY: the caller's promise.
        unsafe { bpf_skb_store_bytes(self.0, offset, from, len, 0) == 0 }
    }

    /// Whether a device is still to complete the checksum, only the kernel knows, for each packet.
    /// Where it is, the helper changes nothing, and what the headers hold stays.
    #[inline(always)]
    fn store_reset<const WORDS: usize>(self, offset: u32, reset: &Reset<WORDS>) -> bool {
        let len = Reset::<WORDS>::LEN as u32;
        // SAFETY: so many bytes.
        let stored = unsafe { self.store_bytes(offset, reset.headers.as_ptr().cast(), len) };
        let checksum = offset + Reset::<WORDS>::CHECKSUM_AT as u32;
        let difference = u64::from(reset.difference);
        // SAFETY: the kernel's context.
        stored && unsafe { bpf_l4_csum_replace(self.0, checksum, 0, difference, 0) == 0 }
    }

    /// By helpers: a program that writes to packets as memory gets a prologue from the verifier,
    /// which looks at every packet and copies what a capture holds as well.
    #[inline(always)]
    fn store_answer<const WORDS: usize>(self, start: &[u64; 2], reset: &Reset<WORDS>) -> bool {
        // SAFETY: 16 bytes.
        let stored = unsafe { self.store_bytes(0, start.as_ptr().cast(), 16) };
        stored && self.store_reset(ETHERNET_LEN as u32, reset)
    }

    #[inline(always)]
    fn cut(self, len: u32) -> bool {
        // SAFETY: the kernel's context.
        let now = unsafe { (*self.0).len };
        // SAFETY: as above.
        len == now || unsafe { bpf_skb_change_tail(self.0, len, 0) == 0 }
    }

    #[inline(always)]
    fn send(self) -> u32 {
        // SAFETY: numbers; the answer is an action.
        unsafe { bpf_redirect(self.interface(), 0) as u32 }
    }

    /// The offset of the IP header at an interface without a link-layer header: 0, but for those
    /// that leave an outer header before it. IPsec's (xfrm, vti) leave the Ethernet header of
    /// what came encrypted, GRE without a fixed remote address the outer IP and GRE headers
    /// (`skb_pop_mac_header`).
    ///
    /// The context does not tell it. But the linear part ends in one place, whether counted from
    /// its beginning or from the network header, so the last byte that can be read tells.
    #[inline(always)]
    fn find_network_header(self) -> u64 {
        // SAFETY: the kernel's context.
        let (start, end) = unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) };
        let linear = end.wrapping_sub(start);
        if self.reaches(linear, 1) {
            return 0;
        }
        let mut at = 0;
        for step in [128, 64, 32, 16, 8, 4, 2, 1] {
            if !self.reaches(linear, at + step) {
                at += step;
            }
        }
        at as u64
    }

    #[inline(always)]
    fn parse(self) -> u64 {
        let whole = whole::Whole::of(self);
        match maps::layer() {
            Layer::Ethernet => packet::parse_packed(&whole, Layer::Ethernet),
            Layer::Ip => {
                // What follows, as the kernel found it: no guess is needed.
                // SAFETY: the kernel's context.
                let protocol = unsafe { (*self.0).protocol };
                let at = self.network_header() as usize;
                packet::parse_announced(&whole, at, (protocol as u16).to_ne_bytes())
            }
        }
    }
}

/// `BPF_HDR_START_NET`: offsets count from the network header.
const FROM_NETWORK_HEADER: u32 = bpf_hdr_start_off::BPF_HDR_START_NET;

impl Tc {
    /// Whether the byte so far before the end of the linear part, of this length as counted from
    /// its beginning, is one of the linear part as counted from the network header.
    #[inline(always)]
    fn reaches(self, linear: usize, before: usize) -> bool {
        if before > linear {
            return true;
        }
        let offset = (linear - before) as u32;
        let mut byte = 0u8;
        let to = (&raw mut byte).cast();
        // SAFETY: the kernel's context, and one byte.
        unsafe {
            bpf_skb_load_bytes_relative(self.0.cast(), offset, to, 1, FROM_NETWORK_HEADER) == 0
        }
    }
}

/// Makes the global functions of both hooks, and the calls of them.
macro_rules! calls {
    ($($call:ident: $xdp:ident, $tc:ident = $body:path, ($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        /// The global functions of a hook.
        pub(crate) trait Calls: Sized {
            $(
                #[doc = concat!("See [`", stringify!($body), "`].")]
                fn $call(self, $($argument: $type),*) -> $result;
            )*
        }

        impl Calls for Xdp {
            $(
                #[inline(always)]
                fn $call(self, $($argument: $type),*) -> $result {
                    $xdp(self.0, $($argument),*)
                }
            )*
        }

        impl Calls for Tc {
            $(
                #[inline(always)]
                fn $call(self, $($argument: $type),*) -> $result {
                    $tc(self.0, $($argument),*)
                }
            )*
        }

        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $xdp(packet: *mut xdp_md, $($argument: $type),*) -> $result {
                $body(Xdp(packet), $($argument),*)
            }

            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $tc(packet: *mut __sk_buff, $($argument: $type),*) -> $result {
                $body(Tc(packet), $($argument),*)
            }
        )*
    };
}

calls! {
    slow_path: slow_path, tc_slow_path = slow::slow_path, () -> u32;
    judge_reading: judge_reading, tc_judge_reading
        = slow::judge_reading, (packed: u64, generation: u64, overrides: u64) -> u64;
    in_scope: in_scope, tc_in_scope
        = slow::in_scope, (packed: u64, generation: u64, asked: u64, found: u64) -> u64;
    some_scopes: some_scopes, tc_some_scopes
        = slow::some_scopes, (packed: u64, generation: u64, asked: u64, found: u64) -> u64;
    with_bans: with_bans, tc_with_bans
        = slow::with_bans, (generation: u64, overrides: u64, is_v6: u64) -> u64;
    answer: answer, tc_answer = answering::answer, (verdict: u32, generation: u64) -> u32;
    reset_plain: reset_plain, tc_reset_plain = answering::plain, () -> u64;
    reset_v4: reset_v4, tc_reset_v4 = answering::v4, (at: u64) -> u64;
    reset_v6: reset_v6, tc_reset_v6 = answering::v6, (at: u64) -> u64;
    report: report, tc_report = outcome::report, (verdict: u32, generation: u64) -> u32;
    walk: walk, tc_walk = whole::walk, () -> u64;
    network_header: network_header, tc_network_header = whole::network_header, () -> u64;
    ip: ip, tc_ip = whole::ip, (at: u64, is_v6: u64) -> u64;
    tags: tags, tc_tags = whole::tags, (at: u64) -> u64;
    extensions: extensions, tc_extensions = whole::extensions, (chain: u64, end: u64) -> u64;
    tag: tag, tc_tag = whole::tag, (at: u64) -> u64;
    extension: extension, tc_extension = whole::extension, (chain: u64, end: u64) -> u64;
}
