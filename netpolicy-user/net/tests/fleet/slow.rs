//! Proxies in front of members, which can be slow.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Parts that are on their way at most; then no more are read.
const ON_THE_WAY: usize = 4_096;

/// A proxy for each member.
pub(crate) struct Slow {
    delay: Arc<AtomicU64>,
    addresses: Vec<SocketAddr>,
    _runtime: Runtime,
}

impl Slow {
    /// Proxies for these ports of loopback, without a delay.
    pub(crate) fn before(ports: &[u16]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let delay = Arc::new(AtomicU64::new(0));
        let addresses = ports.iter().map(|port| {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            let address = listener.local_addr().unwrap();
            runtime.spawn(serve(listener, *port, delay.clone()));
            address
        });
        Self {
            addresses: addresses.collect(),
            delay: delay.clone(),
            _runtime: runtime,
        }
    }

    /// Lets an answer come so much later from now on.
    pub(crate) fn delay(&self, answer: Duration) {
        let each_way = u64::try_from(answer.as_millis() / 2).unwrap();
        self.delay.store(each_way, Ordering::Relaxed);
    }

    /// Their URLs.
    pub(crate) fn urls(&self) -> Vec<String> {
        let urls = self.addresses.iter().map(|at| format!("http://{at}"));
        urls.collect()
    }
}

async fn serve(listener: TcpListener, to: u16, delay: Arc<AtomicU64>) {
    while let Ok((client, _)) = listener.accept().await {
        let delay = delay.clone();
        tokio::spawn(async move {
            // A member that is gone refuses, and so does its proxy.
            let Ok(member) = TcpStream::connect(("127.0.0.1", to)).await else {
                return;
            };
            let (from_client, to_client) = client.into_split();
            let (from_member, to_member) = member.into_split();
            tokio::select! {
                () = pump(from_client, to_member, &delay) => {}
                () = pump(from_member, to_client, &delay) => {}
            }
        });
    }
}

/// Passes on what comes, as late as is said when it comes, until one side ends.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: &AtomicU64,
) {
    let (send, mut parts) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let read = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let delay = Duration::from_millis(delay.load(Ordering::Relaxed));
            let part = (Instant::now() + delay, buffer[..count].to_vec());
            if send.send(part).await.is_err() {
                return;
            }
        }
    };
    let write = async {
        while let Some((due, part)) = parts.recv().await {
            sleep_until(due).await;
            if to.write_all(&part).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}
