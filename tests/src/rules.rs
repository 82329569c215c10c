//! Desired states in few words, and their datapaths.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum as _;
use netpolicy_common::{Action, Reason};
use netpolicy_user::compiler::{Extent, Ruleset, compile};
use netpolicy_user::config::{EngineChoice, HookChoice};
use netpolicy_user::datapath::{
    self, BanLists, Datapath, DatapathError, Hook, LinkLayer, Opened, Reader, packet,
};
use netpolicy_user::model::change::{Change, ListEdit, ListInput};
use netpolicy_user::model::{ChangeContext, Combine, Limits, Mode, OnDeny, State};

use crate::id;

/// A list of these items.
#[must_use]
pub fn list(items: &[&str]) -> ListInput {
    ListInput {
        items: items.iter().map(ToString::to_string).collect(),
        ..ListInput::default()
    }
}

/// Makes a policy, bound to these services, or to the host when there are none.
/// An allow list of `None` allows any.
#[must_use]
pub fn policy(name: &str, allow: Option<&[&str]>, block: &[&str], services: &[&str]) -> Change {
    Change::CreatePolicy {
        name: name.to_owned(),
        allow: allow.map(list),
        block: list(block),
        comment: None,
        inactive: false,
        mode: Default::default(),
        services: services.iter().map(ToString::to_string).collect(),
        unbound: false,
        replace: false,
        except: Default::default(),
        compat: Default::default(),
    }
}

/// Makes a named list.
#[must_use]
pub fn named_list(name: &str, entries: Vec<String>) -> Change {
    Change::CreateList {
        name: name.to_owned(),
        entries: ListInput {
            items: entries,
            ..ListInput::default()
        },
        comment: None,
        replace: false,
        network_rule: None,
    }
}

/// Edits a policy's lists.
#[must_use]
pub fn alter(name: &str, allow: ListEdit, block: ListEdit) -> Change {
    Change::AlterPolicy {
        name: name.to_owned(),
        allow,
        block,
        comment: None,
        except: Default::default(),
        compat: Default::default(),
    }
}

/// Adds exceptions to a policy.
#[must_use]
pub fn except(name: &str, items: &[&str]) -> Change {
    let edit = ListEdit::Edit {
        add: list(items),
        remove: ListInput::default(),
    };
    Change::AlterPolicy {
        name: name.to_owned(),
        allow: ListEdit::Keep,
        block: ListEdit::Keep,
        except: edit,
        comment: None,
        compat: Default::default(),
    }
}

/// Makes a service.
#[must_use]
pub fn service(name: &str, ports: &[&str], combine: Combine, mode: Mode) -> Change {
    Change::AddService {
        name: name.to_owned(),
        ports: ports.iter().map(ToString::to_string).collect(),
        combine,
        mode,
        on_deny: OnDeny::Drop,
        comment: None,
    }
}

/// Sets the host's mode.
#[must_use]
pub fn host_mode(mode: Mode) -> Change {
    Change::SetHost {
        mode: Some(mode),
        on_deny: None,
        failsafe_ports: None,
    }
}

/// A change applied to a state.
///
/// # Errors
/// What the model has against it.
pub fn apply(state: &State, change: &Change) -> Result<State, String> {
    let cx = ChangeContext {
        now: "2026-01-01T00:00:00Z".parse().expect("a time"),
        actor: "root",
        limits: Limits::default(),
        force: false,
    };
    state
        .apply(change, &cx)
        .map(|applied| applied.state)
        .map_err(|e| e.to_string())
}

/// The state that these changes make of the empty one.
///
/// # Panics
/// When one of them is refused.
#[must_use]
pub fn state(changes: &[Change]) -> State {
    changed(&State::empty(), changes)
}

/// The state that these changes make of another.
///
/// # Panics
/// When one of them is refused.
#[must_use]
pub fn changed(state: &State, changes: &[Change]) -> State {
    changes.iter().fold(state.clone(), |state, change| {
        apply(&state, change).unwrap_or_else(|e| panic!("{change:?}: {e}"))
    })
}

/// The ruleset of such a state.
#[must_use]
pub fn ruleset(changes: &[Change]) -> Arc<Ruleset> {
    Arc::new(compile(&state(changes)))
}

/// The engine that tests run against: `NETPOLICY_ENGINE`, or the one that is the default.
///
/// # Panics
/// When the variable names none.
#[must_use]
pub fn engine() -> EngineChoice {
    match std::env::var("NETPOLICY_ENGINE") {
        Ok(name) => EngineChoice::from_str(&name, true).expect("NETPOLICY_ENGINE names an engine"),
        Err(_) => EngineChoice::default(),
    }
}

/// Where agents of tests attach: `NETPOLICY_HOOK`, else what is the default; native XDP in the
/// runs with the LPM engine, so that both kinds of links are tried, and where tc has no links.
///
/// # Panics
/// When the variable names none.
#[must_use]
pub fn hook() -> HookChoice {
    match std::env::var("NETPOLICY_HOOK") {
        Ok(name) => HookChoice::from_str(&name, true).expect("NETPOLICY_HOOK names a hook"),
        Err(_) if engine() == EngineChoice::Lpm || tc() != "tcx" => HookChoice::Native,
        Err(_) => HookChoice::default(),
    }
}

/// The hook at tc ingress that this kernel has: tcx came with Linux 6.6.
#[must_use]
pub fn tc() -> &'static str {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    if (number(), number()) < (6, 6) {
        "clsact"
    } else {
        "tcx"
    }
}

/// What that is on a veth, as `status` names it.
#[must_use]
pub fn attachment() -> &'static str {
    match hook() {
        HookChoice::Native => "native",
        HookChoice::Generic => "generic",
        HookChoice::Clsact => "clsact",
        HookChoice::Auto | HookChoice::Tcx => tc(),
    }
}

/// The same in words.
#[must_use]
pub fn hook_in_words() -> &'static str {
    match attachment() {
        "native" => "native XDP",
        "generic" => "generic XDP",
        other => other,
    }
}

/// A program with maps of its own, loaded in this process; its pins go when it is dropped.
pub struct Loaded {
    datapath: Option<Datapath>,
    options: datapath::Options,
    revision: u64,
}

impl Loaded {
    /// Loads the program, with a ruleset in force.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn new(ruleset: &Arc<Ruleset>) -> Self {
        Self::with_engine(engine(), ruleset)
    }

    /// The same with an engine of the caller's choice.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn with_engine(engine: EngineChoice, ruleset: &Arc<Ruleset>) -> Self {
        let bpffs_dir = PathBuf::from(id::BPFFS).join(id::unique());
        let options = datapath::Options {
            bpffs_dir,
            // Which test frames and generated ones can be sent to.
            hook: HookChoice::Native,
            engine,
            keep: false,
            bans: None,
            keep_bans: false,
        };
        let (datapath, _) = Datapath::open(&options, ruleset, 1).expect("load the program");
        Self {
            datapath: Some(datapath),
            options,
            revision: 1,
        }
    }

    /// The datapath.
    ///
    /// # Panics
    /// Never: it is there until the drop.
    pub fn datapath(&mut self) -> &mut Datapath {
        self.datapath.as_mut().expect("there until the drop")
    }

    /// Bans just these sources.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn ban(&mut self, bans: &BanLists) {
        let bans = Arc::new(bans.clone());
        let prepared = self.datapath().prepare_bans(&bans);
        let prepared = prepared.expect("make bans ready");
        self.datapath().commit_bans(&prepared).expect("ban");
        let found = self.datapath().verify_bans(&bans, Extent::Full);
        assert_eq!(found.expect("read bans back"), [] as [String; 0]);
    }

    /// Another way to what is in force, for who only looks.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::open(&self.options.bpffs_dir).expect("open what is pinned")
    }

    /// Where it is pinned.
    #[must_use]
    pub fn bpffs_dir(&self) -> &Path {
        &self.options.bpffs_dir
    }

    /// Puts another ruleset in force.
    ///
    /// # Panics
    /// When that fails.
    pub fn apply(&mut self, ruleset: &Arc<Ruleset>) -> u64 {
        self.revision += 1;
        let revision = self.revision;
        let datapath = self.datapath();
        let prepared = datapath
            .prepare(ruleset, revision, &mut |_, _| {})
            .expect("prepare");
        datapath.commit(&prepared)
    }

    /// How what is in force differs from a ruleset, all of it read back.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn differences(&mut self, expected: &Ruleset) -> Vec<String> {
        let found = self.datapath().verify(expected, Extent::Full);
        found.expect("read back what is in force")
    }

    /// Closes all that this process has of it, as when an agent is killed; what is
    /// pinned stays until the answer is dropped.
    #[must_use]
    pub fn abandon(mut self) -> Self {
        self.datapath = None;
        self
    }

    /// Takes over what is pinned, as the next agent does, with the same ruleset or another.
    ///
    /// # Panics
    /// When that fails.
    pub fn reopen(&mut self, ruleset: &Arc<Ruleset>) -> Opened {
        self.datapath = None;
        let (datapath, opened) =
            Datapath::open(&self.options, ruleset, self.revision).expect("load the program");
        self.datapath = Some(datapath);
        opened
    }

    /// The same, with another hook for what is attached from now on.
    ///
    /// # Panics
    /// When that fails.
    pub fn reopen_with(&mut self, mode: HookChoice, ruleset: &Arc<Ruleset>) -> Opened {
        self.options.hook = mode;
        self.reopen(ruleset)
    }

    /// What the loaded program says of a packet, at XDP and at tc ingress.
    ///
    /// # Panics
    /// When it cannot be asked, its action is not that of its reason, or the two differ.
    pub fn judge(&mut self, packet: &[u8]) -> Reason {
        let (action, reason) = self.datapath().probe(packet).expect("probe");
        assert_eq!(action, reason.action(), "{reason:?}");
        if let Some(at_tc) = self.at_tc(packet) {
            assert_eq!(at_tc, reason, "at tc ingress and at XDP: {packet:02x?}");
        }
        reason
    }

    /// What the program at tc ingress says of an Ethernet frame; `None`: the kernel takes no such
    /// frame for a test run, which are those larger than a page, those that are an Ethernet
    /// header alone, and since Linux 6.18 those that end within their IP header.
    ///
    /// # Panics
    /// When it cannot be asked for another reason.
    #[must_use]
    pub fn at_tc(&self, frame: &[u8]) -> Option<Reason> {
        let datapath = self.datapath.as_ref().expect("there until the drop");
        match datapath.probe_at(Hook::Tcx, LinkLayer::Ethernet, frame, None) {
            Ok((_, reason)) => Some(reason),
            Err(error) => {
                let least = match frame.get(12..14) {
                    Some([0x08, 0x00]) => 34,
                    Some([0x86, 0xdd]) => 54,
                    _ => 15,
                };
                let is_taken = (least..3000).contains(&frame.len());
                assert!(!is_taken, "{}: {frame:02x?}", crate::asked::chain(&error));
                None
            }
        }
    }

    /// What the program at XDP says of a frame, and does with it. `linear`: how many of its bytes
    /// are in the first buffer, if not all.
    ///
    /// # Errors
    /// What the kernel says: it takes no frame shorter than an Ethernet header.
    ///
    /// # Panics
    /// Never: it is there until the drop.
    pub fn at_xdp(
        &self,
        layer: LinkLayer,
        frame: &[u8],
        linear: Option<usize>,
    ) -> Result<(Action, Reason), DatapathError> {
        let datapath = self.datapath.as_ref().expect("there until the drop");
        // Of `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index,
        // egress_ifindex.
        let mut context = [0; 24];
        let end = u32::try_from(linear.unwrap_or(frame.len())).expect("a short frame");
        context[4..8].copy_from_slice(&end.to_ne_bytes());
        let context = linear.map(|_| context.as_slice());
        datapath.probe_at(Hook::Native, layer, frame, context)
    }

    /// The same of an IP packet, as at an interface without a link-layer header.
    ///
    /// # Panics
    /// As [`Self::judge`].
    pub fn judge_ip(&mut self, packet: &[u8]) -> Reason {
        let asked = self.at_xdp(LinkLayer::None, packet, None);
        let (action, reason) = asked.expect("probe");
        assert_eq!(action, reason.action(), "{reason:?}");
        reason
    }

    /// What it says of a plain SYN.
    pub fn judge_syn(&mut self, source: IpAddr, port: u16) -> Reason {
        self.judge(&packet::syn(source, port))
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.datapath = None;
        let _ = std::fs::remove_dir_all(&self.options.bpffs_dir);
    }
}
