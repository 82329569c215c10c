//! netpolicy with one of its engines.

use std::sync::Arc;

use aya::programs::Xdp;
use aya_obj::programs::XdpAttachType;
use netpolicy_common::Engine;
use netpolicy_tests::rules::Loaded;
use netpolicy_user::{compiler::Ruleset, config::EngineChoice};

use super::Filter;
use crate::wire::{TESTED, Wire};

/// netpolicy's program, loaded by this process.
pub(crate) struct Netpolicy {
    wire: Wire,
    engine: EngineChoice,
    loaded: Loaded,
}

impl Netpolicy {
    pub(crate) fn new(engine: EngineChoice, rules: &Arc<Ruleset>) -> Self {
        let wire = Wire::new();
        let mut loaded = Loaded::with_engine(engine, rules);
        wire.receiver()
            .run(|| loaded.datapath().attach(TESTED).expect("attach netpolicy"));
        Self {
            wire,
            engine,
            loaded,
        }
    }

    /// The program that filters.
    pub(crate) fn program(&self) -> Xdp {
        let pin = self.loaded.bpffs_dir().join("live/PROGRAM");
        Xdp::from_pin(pin, XdpAttachType::Interface).expect("open netpolicy's program")
    }
}

impl Filter for Netpolicy {
    fn name(&self) -> &'static str {
        "netpolicy"
    }

    fn engine(&self) -> &'static str {
        Engine::from(self.engine).name()
    }

    fn wire(&self) -> &Wire {
        &self.wire
    }
}
