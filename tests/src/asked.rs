//! The loaded program under the reference's rules, asked by `BPF_PROG_TEST_RUN`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;
use ipnet::IpNet;
use netpolicy_common::{HOST_SCOPE, Reason, reason::Probe};
use netpolicy_user::compiler::compile;
use netpolicy_user::datapath::BypassEntry;
use netpolicy_user::model::change::Change;
use netpolicy_user::model::{Combine, Mode, State};

use crate::reference::{Net, Rules};
use crate::rules::{self, Loaded};

/// A loaded program, and the way to ask it.
pub struct Asked {
    loaded: Loaded,
    probe: Xdp,
    probe_ip: Xdp,
}

/// Bytes of `struct xdp_md`.
const CONTEXT_LEN: usize = 24;

impl Asked {
    /// Loads it, with nothing in force.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn new() -> Self {
        let loaded = Loaded::new(&rules::ruleset(&[]));
        let open = |name| {
            let pin = loaded.bpffs_dir().join("live").join(name);
            Xdp::from_pin(pin, XdpAttachType::Interface).expect("open the pinned program")
        };
        let (probe, probe_ip) = (open("PROBE"), open("PROBE_IP"));
        Self {
            loaded,
            probe,
            probe_ip,
        }
    }

    /// Puts rules in force.
    ///
    /// # Panics
    /// When the model or the kernel refuses them.
    pub fn enforce(&mut self, rules: &Rules) {
        enforce(&mut self.loaded, rules);
    }

    /// The reason that the program gives a frame, of which so many bytes are in the first
    /// buffer. `ethernet`: it begins with an Ethernet header, else with the IP header.
    ///
    /// # Errors
    /// What the kernel says: it takes no frame shorter than an Ethernet header.
    ///
    /// # Panics
    /// When the program's action is not that of its reason.
    pub fn reason(
        &self,
        ethernet: bool,
        frame: &[u8],
        linear: Option<usize>,
    ) -> Result<Reason, String> {
        // data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let mut context = [0; CONTEXT_LEN];
        let end = u32::try_from(linear.unwrap_or(frame.len())).expect("a short frame");
        context[4..8].copy_from_slice(&end.to_ne_bytes());
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: linear.map(|_| context.as_slice()),
            ..TestRunOptions::new()
        };
        let probe = if ethernet {
            &self.probe
        } else {
            &self.probe_ip
        };
        let ran = probe.test_run(options).map_err(|e| chain(&e))?;
        let answer = Probe(ran.return_value);
        let reason = answer.reason();
        let reason = reason.ok_or_else(|| format!("it answers {:#x}", ran.return_value))?;
        let action = match answer.xdp_action() {
            1 => netpolicy_common::Action::Drop,
            2 => netpolicy_common::Action::Pass,
            other => return Err(format!("XDP action {other}")),
        };
        assert_eq!(action, reason.action(), "{reason:?}");
        Ok(reason)
    }

    /// Whether this kernel lets a test run say how much of a frame is in the first buffer
    /// (Linux 6.18; not 6.1 and 6.12).
    #[must_use]
    pub fn takes_linear(&self) -> bool {
        self.reason(true, &[0; 64], Some(14)).is_ok()
    }
}

impl Default for Asked {
    fn default() -> Self {
        Self::new()
    }
}

/// An error with its causes.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}

/// Puts the reference's rules in force, bypasses included.
///
/// # Panics
/// When the model or the kernel refuses them.
pub fn enforce(loaded: &mut Loaded, rules: &Rules) {
    let state = state_of(rules);
    loaded.apply(&Arc::new(compile(&state)));
    let ids: BTreeMap<&str, u16> = state
        .services
        .iter()
        .map(|service| (service.name.as_str(), service.id))
        .collect();
    let entries: Vec<BypassEntry> = rules
        .bypasses
        .iter()
        .map(|bypass| BypassEntry {
            scope: bypass
                .service
                .map_or(HOST_SCOPE, |number| ids[service_name(number).as_str()]),
            source: ip_net(bypass.source),
            remaining: if bypass.expired {
                Duration::ZERO
            } else {
                Duration::from_secs(3600)
            },
        })
        .collect();
    let set = loaded.datapath().set_bypasses(&entries);
    set.expect("set the bypasses");
}

fn ip_net(net: Net) -> IpNet {
    IpNet::new(net.address, net.length).expect("a network")
}

fn service_name(number: usize) -> String {
    format!("service_{number}")
}

/// The state that the rules describe, made by the changes that a user would make.
#[must_use]
pub fn state_of(of: &Rules) -> State {
    let mode = |observes| {
        if observes {
            Mode::Observe
        } else {
            Mode::Enforce
        }
    };
    let mut changes = vec![Change::SetHost {
        mode: Some(mode(of.host_observes)),
        failsafe_ports: Some(of.failsafe.iter().map(ToString::to_string).collect()),
    }];
    for (number, service) in of.services.iter().enumerate() {
        let ports: Vec<String> = service
            .ports
            .iter()
            .map(|(first, last)| {
                if first == last {
                    first.to_string()
                } else {
                    format!("{first}-{last}")
                }
            })
            .collect();
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        let combine = if service.and {
            Combine::And
        } else {
            Combine::Override
        };
        let name = service_name(number);
        changes.push(rules::service(
            &name,
            &ports,
            combine,
            mode(service.observes),
        ));
    }
    for (number, policy) in of.policies.iter().enumerate() {
        let texts = |nets: &[Net]| nets.iter().map(|n| String::from(*n)).collect::<Vec<_>>();
        let (allow, block) = (policy.allow.as_deref().map(texts), texts(&policy.block));
        let allow = allow
            .as_ref()
            .map(|nets| nets.iter().map(String::as_str).collect::<Vec<_>>());
        let block: Vec<&str> = block.iter().map(String::as_str).collect();
        let name = format!("policy_{number}");
        // Made bound to the host.
        changes.push(rules::policy(&name, allow.as_deref(), &block, &[]));
        for service in &policy.services {
            changes.push(Change::Bind {
                policy: name.clone(),
                service: Some(service_name(*service)),
            });
        }
        if !policy.host {
            changes.push(Change::Unbind {
                policy: name.clone(),
                service: None,
            });
        }
        if policy.inactive {
            changes.push(Change::SetActive {
                name,
                active: false,
            });
        }
    }
    rules::state(&changes)
}
