//! A small TCP server in the host's namespace: it sends back what it is sent.

use std::io;
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result};

use super::attempt;

/// Listens in a namespace until the process ends, on both families.
///
/// # Errors
/// When it cannot listen there.
pub(super) fn serve(namespace: &Path, ports: &[u16]) -> Result<()> {
    for &port in ports {
        let namespace = namespace.to_owned();
        // A socket stays in the namespace in which it was made, whatever thread uses it.
        let listener = attempt::join(thread::spawn(move || {
            attempt::enter(&namespace)?;
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
                .with_context(|| format!("listen on port {port}"))
        }))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || echo(&stream));
            }
        });
    }
    Ok(())
}

fn echo(stream: &TcpStream) -> io::Result<u64> {
    io::copy(&mut &*stream, &mut &*stream)
}
