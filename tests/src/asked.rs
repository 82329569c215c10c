//! The loaded program under the reference's rules, asked by `BPF_PROG_TEST_RUN`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use netpolicy_common::{HOST_SCOPE, Reason};
use netpolicy_user::compiler::compile;
use netpolicy_user::datapath::{BanLists, BypassEntry, LinkLayer};
use netpolicy_user::model::change::Change;
use netpolicy_user::model::{Combine, Mode, OnDeny, State};

use crate::reference::{Net, Rules};
use crate::rules::{self, Loaded};

/// A loaded program, and the way to ask it.
pub struct Asked {
    loaded: Loaded,
}

impl Asked {
    /// Loads it, with nothing in force.
    #[must_use]
    pub fn new() -> Self {
        Self {
            loaded: Loaded::new(&rules::ruleset(&[])),
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
        let layer = if ethernet {
            LinkLayer::Ethernet
        } else {
            LinkLayer::None
        };
        let asked = self.loaded.at_xdp(layer, frame, linear);
        let (action, reason) = asked.map_err(|e| chain(&e))?;
        assert_eq!(action, reason.action(), "{reason:?}");
        if ethernet
            && linear.is_none()
            && let Some(at_tc) = self.loaded.at_tc(frame)
        {
            assert_eq!(at_tc, reason, "at tc ingress and at XDP: {frame:02x?}");
        }
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

/// Puts the reference's rules in force, bypasses and bans included.
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
    let bans = rules.bans.iter().map(|ban| {
        let service = |number| ids[service_name(number).as_str()];
        // A mapped network is the IPv4 one, in a ban as in a list.
        (ban.service.map_or(HOST_SCOPE, service), ip_net(ban.source))
    });
    loaded.ban(&BanLists::of(bans));
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
    let on_deny = |resets| match resets {
        true => OnDeny::Reset,
        false => OnDeny::Drop,
    };
    let mut changes = vec![Change::SetHost {
        mode: Some(mode(of.host_observes)),
        on_deny: Some(on_deny(of.host_resets)),
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
        let mut made = rules::service(&name, &ports, combine, mode(service.observes));
        if let Change::AddService {
            on_deny: answer, ..
        } = &mut made
        {
            *answer = on_deny(service.resets);
        }
        changes.push(made);
    }
    for (number, policy) in of.policies.iter().enumerate() {
        let texts = |nets: &[Net]| nets.iter().map(|n| String::from(*n)).collect::<Vec<_>>();
        let (allow, block) = (policy.allow.as_deref().map(texts), texts(&policy.block));
        let allow = allow
            .as_ref()
            .map(|nets| nets.iter().map(String::as_str).collect::<Vec<_>>());
        let name = format!("policy_{number}");
        // A part of the rules comes by a named list: that makes no difference.
        let on_list = block.len() / 2;
        let (on_list, own) = block.split_at(on_list);
        let reference = format!("@list_{number}");
        let mut block: Vec<&str> = own.iter().map(String::as_str).collect();
        if !on_list.is_empty() {
            changes.push(rules::named_list(&reference[1..], on_list.to_vec()));
            block.push(&reference);
        }
        // Made bound to the host.
        changes.push(rules::policy(&name, allow.as_deref(), &block, &[]));
        let except = texts(&policy.except);
        if !except.is_empty() {
            let except: Vec<&str> = except.iter().map(String::as_str).collect();
            changes.push(rules::except(&name, &except));
        }
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
