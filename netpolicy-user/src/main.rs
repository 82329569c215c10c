//! The `netpolicy` binary: hands its arguments to [`netpolicy_user::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    netpolicy_user::cli::main(std::env::args_os())
}
