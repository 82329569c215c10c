//! `netpolicy exporter`.

use std::net::{IpAddr, SocketAddr};

use tokio::signal::unix::{SignalKind, signal};

use super::failure::{Exit, Failure};
use super::log;
use crate::client::Client;
use crate::config::Config;
use crate::exporter::Exporter;

#[derive(Debug, clap::Args)]
pub(super) struct ExporterArgs {
    /// Address and port to listen on, as in 127.0.0.1:9843 or [::1]:9843; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9843")]
    listen: Vec<SocketAddr>,
}

/// Serves metrics until a signal stops it.
pub(super) fn run(args: &ExporterArgs, config: &Config) -> anyhow::Result<Exit> {
    if nix::unistd::Uid::effective().is_root() {
        return Err(
            Failure::new("this listens on TCP, and refuses to run as root")
                .hint("`systemctl start netpolicy-exporter` runs it as user netpolicy-metrics")
                .into(),
        );
    }
    log::start("netpolicy-exporter")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = Client::new(&config.socket);
        let exporter = Exporter::bind(&args.listen, client).await?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let addresses = exporter.addresses();
        for address in &addresses {
            tracing::info!(%address, "metrics are at http://{address}/metrics");
            if !is_loopback(address.ip()) {
                tracing::warn!(
                    %address,
                    "whoever reaches this address can read them: names of policies and services, no sources"
                );
            }
        }
        // Best effort: without a service manager it goes nowhere.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        exporter.serve(stop).await;
        Ok(Exit::Done)
    })
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
