//! netpolicy with one of its engines.

use std::sync::Arc;

use netpolicy_common::Engine;
use netpolicy_tests::rules::Loaded;
use netpolicy_user::{compiler::Ruleset, config::EngineChoice};

use super::Filter;
use crate::wire::{TESTED, Wire};

/// netpolicy's program, loaded by this process.
pub(crate) struct Netpolicy {
    wire: Wire,
    engine: EngineChoice,
    _loaded: Loaded,
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
            _loaded: loaded,
        }
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
