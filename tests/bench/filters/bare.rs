//! The reference: a program that only returns the action.

use aya::{
    Ebpf, EbpfLoader,
    programs::{Xdp, XdpMode},
};

use super::Filter;
use crate::{
    generator::OBJECT,
    wire::{TESTED, Wire},
};

/// A program that judges nothing, attached as netpolicy is.
pub(crate) struct Bare {
    wire: Wire,
    name: &'static str,
    program: &'static str,
    ebpf: Ebpf,
}

impl Bare {
    /// Drops everything.
    pub(crate) fn drop_all() -> Self {
        Self::attach("bare_drop", "bare XDP_DROP")
    }

    /// Passes everything.
    pub(crate) fn pass_all() -> Self {
        Self::attach("bare_pass", "bare XDP_PASS")
    }

    /// Does what each frame says.
    pub(crate) fn as_told() -> Self {
        Self::attach("bare_told", "bare, as told")
    }

    fn attach(program: &'static str, name: &'static str) -> Self {
        let wire = Wire::new();
        let mut ebpf = EbpfLoader::new()
            .load(OBJECT)
            .expect("load the bare program");
        wire.receiver().run(|| {
            let program: &mut Xdp = ebpf
                .program_mut(program)
                .expect("a program of this name")
                .try_into()
                .expect("an XDP program");
            program.load().expect("load the bare program");
            program
                .attach(TESTED, XdpMode::Driver)
                .expect("attach the bare program");
        });
        Self {
            wire,
            name,
            program,
            ebpf,
        }
    }

    /// The program.
    pub(crate) fn program(&self) -> &Xdp {
        let program = self.ebpf.program(self.program).expect("loaded above");
        program.try_into().expect("an XDP program")
    }
}

impl Filter for Bare {
    fn name(&self) -> &'static str {
        self.name
    }

    fn wire(&self) -> &Wire {
        &self.wire
    }
}
