//! netpolicy with one of its engines.

use std::sync::Arc;

use aya::programs::Xdp;
use aya_obj::programs::XdpAttachType;
use netpolicy_common::Engine;
use netpolicy_tests::rules::Loaded;
use netpolicy_user::{
    compiler::Ruleset,
    config::{EngineChoice, HookChoice},
};

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
        Self::with(Loaded::with_engine(engine, rules), engine)
    }

    /// At another hook than native XDP.
    pub(crate) fn at(hook: HookChoice, rules: &Arc<Ruleset>) -> Self {
        let engine = EngineChoice::Flat;
        let mut loaded = Loaded::with_engine(engine, rules);
        let _ = loaded.reopen_with(hook, rules);
        let netpolicy = Self::with(loaded, engine);
        netpolicy.wire.poll_without_xdp();
        netpolicy
    }

    fn with(mut loaded: Loaded, engine: EngineChoice) -> Self {
        let wire = Wire::new();
        wire.receiver()
            .run(|| loaded.datapath().attach(TESTED).expect("attach netpolicy"));
        Self {
            wire,
            engine,
            loaded,
        }
    }

    /// What is loaded.
    pub(crate) fn loaded(&mut self) -> &mut Loaded {
        &mut self.loaded
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
