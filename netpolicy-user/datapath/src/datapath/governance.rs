//! Ports and scopes of a slot, and what of them the program reads first.

use netpolicy_common::{
    EngineWords, Governance, HOST_SCOPE, HostPorts, ScopeConfig, ScopeFlags, ScopeId, ScopeSet,
    SlotHead,
};

use crate::compiler::Ruleset;

/// What the program is to know of a slot first.
pub(super) fn head_of(governance: &Governance) -> SlotHead {
    let host = governance.scopes[usize::from(HOST_SCOPE)];
    let enforces = ScopeFlags::OWN_LISTS.with(ScopeFlags::OWN_ENFORCE);
    // The lists of an engine without words of its own are asked on the slow path.
    let has_words = host.engine != EngineWords::default();
    let mut host_ports = HostPorts::default();
    if has_words && host.flags.has(enforces) {
        host_ports = host_alone(governance);
    }
    let mut ban_ports = HostPorts::default();
    if !host.flags.has(ScopeFlags::BANS_OBSERVED) {
        ban_ports = host_alone(governance);
    }
    SlotHead {
        host,
        host_ports,
        unclassified: judging_unclassified(governance),
        ban_ports,
        reserved: [0; 10],
    }
}

/// Ports that the host governs, apart from those that share a bit with another.
fn host_alone(governance: &Governance) -> HostPorts {
    let mut ports = HostPorts::ALL;
    for (port, scope) in (0..=u16::MAX).zip(governance.scope_of_port) {
        if scope != HOST_SCOPE {
            ports.remove(port);
        }
    }
    ports
}

/// The scopes that judge a packet whose port cannot be found.
fn judging_unclassified(governance: &Governance) -> ScopeSet {
    let mut has_port = ScopeSet::default();
    // Port 0 is no service's.
    has_port.insert(HOST_SCOPE);
    for scope in governance.scope_of_port {
        has_port.insert(scope);
    }
    let mut judging = ScopeSet::default();
    judging.insert(HOST_SCOPE);
    for id in 0..ScopeId::try_from(governance.scopes.len()).unwrap_or(ScopeId::MAX) {
        // Without policies too: bans deny there as well.
        if has_port.holds(id) {
            judging.insert(id);
        }
    }
    judging
}

/// Writes a slot's ports and scopes. `words`: what the engine tells of each scope.
pub(super) fn govern(
    slot: &mut Governance,
    target: &Ruleset,
    words: &dyn Fn(ScopeId) -> EngineWords,
) {
    slot.scope_of_port.copy_from_slice(target.ports.as_slice());
    slot.scopes.fill(ScopeConfig::default());
    for scope in &target.scopes {
        slot.scopes[usize::from(scope.id)] = ScopeConfig {
            engine: words(scope.id),
            ..scope.config
        };
    }
}

#[cfg(test)]
mod tests {
    use netpolicy_common::FAILSAFE_SCOPE;

    use super::*;

    /// Whether the host's lists decide alone on some ports, of a host with these flags. Port
    /// 5432 is a service's, 22 the failsafe port.
    fn decides_alone(flags: &[ScopeFlags], engine: EngineWords) -> [bool; 4] {
        let mut governance = Governance {
            scope_of_port: [HOST_SCOPE; 65536],
            scopes: [ScopeConfig::default(); netpolicy_common::MAX_SCOPES as usize],
        };
        governance.scope_of_port[5432] = 1;
        governance.scope_of_port[22] = FAILSAFE_SCOPE;
        governance.scopes[usize::from(HOST_SCOPE)] = ScopeConfig {
            flags: flags.iter().fold(ScopeFlags::default(), |a, b| a.with(*b)),
            engine,
            ..ScopeConfig::default()
        };
        let host_ports = head_of(&governance).host_ports;
        [80, 5432, 22, 5432 + 64].map(|port: u16| host_ports.holds(port.to_be_bytes()[1]))
    }

    #[test]
    fn the_host_decides_alone_where_it_enforces_lists_and_no_other_port_is_meant() {
        use ScopeFlags as F;

        let some = EngineWords([4; 15]);
        let enforced = [F::OWN_LISTS, F::OWN_ENFORCE, F::OWN_ONLY];
        assert_eq!(decides_alone(&enforced, some), [true, false, false, false]);
        assert_eq!(decides_alone(&[F::OWN_LISTS], some), [false; 4], "observed");
        assert_eq!(
            decides_alone(&[F::OWN_ENFORCE], some),
            [false; 4],
            "no lists"
        );
        assert_eq!(
            decides_alone(&enforced, EngineWords::default()),
            [false; 4],
            "LPM"
        );
    }
}
