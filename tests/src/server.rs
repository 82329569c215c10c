//! A TCP echo server inside a namespace.

use std::io;
use std::net::Ipv6Addr;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::NetNs;

/// An echo server; its sockets are closed and its thread has ended when it is dropped.
#[derive(Debug)]
pub struct EchoServer {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EchoServer {
    /// Listens on these ports, on all addresses of both families.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn start(ns: &NetNs, ports: &[u16]) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let ports = ports.to_vec();
        let thread = ns.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("make a runtime");
            runtime.block_on(async {
                let result = serve(&ports).await;
                let listens = result.is_ok();
                ready.send(result).expect("the starter waits");
                if listens {
                    let _ = stopped.await;
                }
            });
            // Dropping the runtime drops the tasks, and with them every socket.
        });
        is_ready
            .recv()
            .expect("the server thread lives")
            .expect("listen");
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(ports: &[u16]) -> io::Result<()> {
    for port in ports {
        // A socket on `::` takes IPv4 too, by Linux's default of `bindv6only`.
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).await?;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
    }
    Ok(())
}
