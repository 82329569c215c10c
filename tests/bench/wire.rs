//! A wire: a veth pair between a namespace that sends and one in which a filter works.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd, unix::fs::FileExt},
};

use netpolicy_tests::netns::{End, NetNs, join};

/// The tested end's name in its namespace.
pub(crate) const TESTED: &str = "tested";
/// The generator's end's name in its namespace.
pub(crate) const SENDING: &str = "sending";

/// A veth pair: the generator's end, and the end where a filter is tested.
pub(crate) struct Wire {
    sender: NetNs,
    receiver: NetNs,
    ifindex: u32,
    /// The receiver's `/proc/net/dev`: quick to read again and again.
    devices: File,
}

impl Wire {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = (NetNs::new(), NetNs::new());
        join(
            End {
                ns: &sender,
                interface: SENDING,
                mac: "02:00:00:00:00:01",
            },
            End {
                ns: &receiver,
                interface: TESTED,
                mac: "02:00:00:00:00:02",
            },
        );
        let ifindex = sender
            .run(|| nix::net::if_::if_nametoindex(SENDING))
            .expect("the wire's end");
        let devices = receiver
            .run(|| File::open("/proc/thread-self/net/dev"))
            .expect("open the interfaces' counters");
        Self {
            sender,
            receiver,
            ifindex,
            devices,
        }
    }

    /// The namespace that sends.
    pub(crate) fn sender(&self) -> &NetNs {
        &self.sender
    }

    /// The namespace with the tested end.
    pub(crate) fn receiver(&self) -> &NetNs {
        &self.receiver
    }

    /// The generator's end in its namespace.
    pub(crate) fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Makes the tested end poll for packets (NAPI) although no XDP program is there.
    /// Otherwise it takes no redirected frames at all.
    pub(crate) fn poll_without_xdp(&self) {
        self.receiver
            .run(|| generic_receive_offload(TESTED))
            .expect("switch generic receive offload on");
    }

    /// Packets that came in at the tested end so far, whatever became of them.
    pub(crate) fn received(&self) -> u64 {
        let mut buffer = [0; 4096];
        let len = self
            .devices
            .read_at(&mut buffer, 0)
            .expect("read the interfaces' counters");
        let text = String::from_utf8_lossy(&buffer[..len]);
        let line = text.lines().find_map(|line| {
            let (name, counters) = line.split_once(':')?;
            (name.trim() == TESTED).then_some(counters)
        });
        line.and_then(|counters| counters.split_whitespace().nth(1)?.parse().ok())
            .expect("the tested end's counters")
    }

    /// Packets that the kernel dropped behind the filter, as meant for another host.
    pub(crate) fn for_others(&self) -> u64 {
        let out = self
            .receiver
            .ip(&["-json", "-s", "-s", "link", "show", "dev", TESTED]);
        let links: serde_json::Value = serde_json::from_str(&out).expect("JSON from ip");
        // What is zero is left out.
        let rx = &links[0]["stats64"]["rx"];
        rx["otherhost"].as_u64().unwrap_or(0)
    }
}

/// `ethtool -K <interface> gro on` in the calling thread's namespace.
pub(crate) fn generic_receive_offload(interface: &str) -> io::Result<()> {
    /// `ETHTOOL_SGRO` of `linux/ethtool.h`.
    const SET_GRO: u32 = 0x2c;

    /// `struct ethtool_value`.
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }

    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let mut value = Value {
        command: SET_GRO,
        data: 1,
    };
    // SAFETY: integers, pointers and a union of them; all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the request names an interface and points to the value that the command
    // reads; both outlive the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
