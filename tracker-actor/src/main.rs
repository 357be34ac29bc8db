//! `rusteze-tracker`: reads the settings, runs the tracker until a signal, explains what went wrong.

use std::process::ExitCode;

use actix_rt::signal;
use anyhow::Context as _;
use clap::Parser as _;
use tracing_subscriber::EnvFilter;
use tracker_actor::{
    config::{Options, TrackerConfig},
    error::StartError,
    server,
};

fn main() -> ExitCode {
    let options = Options::parse();
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,actix_server=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match actix_rt::System::new().block_on(run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let start = error.downcast_ref::<StartError>();
            // These tell their cause themselves.
            start.map_or_else(|| tracing::error!("{error:#}"), |start| tracing::error!("{start}"));
            ExitCode::from(start.map_or(1, StartError::exit_code))
        }
    }
}

async fn run(options: Options) -> anyhow::Result<()> {
    let config = TrackerConfig::resolve(options).map_err(StartError::from)?;
    let tracker = server::start(config).await?;
    stopped().await.context("signals cannot be heard")?;
    tracing::info!("stopping");
    tracker.stop().await;
    Ok(())
}

async fn stopped() -> std::io::Result<()> {
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    tokio::select! {
        heard = signal::ctrl_c() => heard,
        _ = terminate.recv() => Ok(()),
    }
}
