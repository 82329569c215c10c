//! Compiling a large state and writing it to the kernel, and nothing else.

use std::{sync::Arc, time::Instant};

use netpolicy_common::Engine;
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_user::{compiler::compile, config::EngineChoice};

use crate::{
    large_state,
    report::{Figure, Report},
};

/// Puts policies of this many rules in force, where none were.
pub(crate) fn run(report: &mut Report, engine: EngineChoice, entries: usize) {
    let name = Engine::from(engine).name();
    report.progress(&format!("compile and write {entries} {name}"));
    let state = large_state::state(&large_state::lists(entries));
    let mut loaded = Loaded::with_engine(engine, &rules::ruleset(&[]));
    let start = Instant::now();
    let rules = Arc::new(compile(&state));
    let compiled = start.elapsed();
    loaded.apply(&rules);
    let written = start.elapsed();
    let mut figure = |bench, value: f64, unit| {
        report.figure(Figure {
            bench,
            engine: name,
            family: "",
            sources: "",
            entries,
            value,
            unit,
        });
    };
    figure("compile", compiled.as_secs_f64() * 1e3, "ms");
    figure("compile-and-write", written.as_secs_f64() * 1e3, "ms");
    figure("compiled-prefixes", rules.entries() as f64, "prefixes");
}
