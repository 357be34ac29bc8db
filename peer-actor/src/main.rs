//! `rusteze-peer`: a peer without a window. Shares folders, serves local players through the gateway, fetches whole files.
//!
//! Reads its options, starts the node and the gateway, waits for a signal or for the file. Everything else is the library's.

mod get;

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use actix_rt::signal::unix::{SignalKind, signal};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use peer_actor::{
    config::{PeerConfig, PeerOptions, start_failure},
    gateway,
    node::{self, NodeHandle},
};
use shared::limits::BLOCKING_THREADS;
use tracing_subscriber::EnvFilter;

use crate::get::{GetError, say};

/// A peer without a window: shares folders, streams to local players over HTTP, fetches whole files.
#[derive(Debug, Parser)]
#[command(name = "rusteze-peer", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    options: PeerOptions,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch one whole file, verified, then end
    #[command(after_help = GET_NOTES)]
    Get {
        /// The content's id, or the beginning of its id or name if only one file has it
        #[arg(value_name = "CONTENT_ID")]
        content: String,
        /// Where to put it: a file, or a folder to keep its own name in
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let default_level = if arguments.command.is_some() { "warn" } else { "info,actix_server=warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_level));
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        .with_writer(std::io::stderr)
        .init();

    let config = match arguments.options.resolve() {
        Ok(config) => config,
        Err(error) => {
            say(&format!("rusteze-peer: {error}"));
            return ExitCode::from(2);
        }
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("rusteze-peer: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match actix_rt::System::with_tokio_rt(|| runtime).block_on(run(config, arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("rusteze-peer: {error:#}"));
            let code = match error.downcast_ref::<GetError>() {
                Some(get_error) => get_error.exit_code(),
                None if error.is::<Interrupted>() => 130,
                None => 1,
            };
            ExitCode::from(code)
        }
    }
}

/// What everything runs on, with few threads beside it.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()
}

async fn run(config: PeerConfig, command: Option<Command>) -> anyhow::Result<()> {
    let started = node::start(config.node_config()).await;
    let node = started.map_err(|error| anyhow::Error::msg(start_failure(&error)))?;
    let result = match command {
        None => serve(&config, &node).await,
        Some(Command::Get { content, out }) => {
            tokio::select! {
                result = get::get(&node, &content, &out) => result.map_err(anyhow::Error::from),
                () = stop_asked() => Err(Interrupted.into()),
            }
        }
    };
    // A second signal while the node says goodbye ends the program at once.
    tokio::select! {
        () = node.stop() => {}
        () = stop_asked() => {}
    }
    result
}

async fn serve(config: &PeerConfig, node: &NodeHandle) -> anyhow::Result<()> {
    let gateway = gateway::serve(config.gateway, node.clone())?;
    node.gateway_is_up(gateway.url());
    tracing::info!(node = ?node.node_id(), tracker = %config.tracker_url, kind = %config.kind, port = node.listen_port(), "peer ready");
    stop_asked().await;
    tracing::info!("stopping");
    gateway.stop().await;
    Ok(())
}

/// Resolves at the first SIGINT or SIGTERM from now on.
async fn stop_asked() {
    let both = signal(SignalKind::interrupt())
        .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)))
        .context("cannot listen for signals");
    match both {
        Ok((mut interrupt, mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(error) => {
            tracing::warn!("{error:#}");
            std::future::pending().await
        }
    }
}

/// A person or the system asked to stop before the work was done.
#[derive(Debug, thiserror::Error)]
#[error("stopped; run the same command again to go on where it was")]
struct Interrupted;

const EXAMPLES: &str = "\
Examples:
  Share a folder of films, and give local players a gateway on port 8080:
    rusteze-peer --tracker ws://tracker.example:7700 --kind video --share ~/Films --gateway 127.0.0.1:8080
  See what there is, and play some of it:
    curl http://127.0.0.1:8080/api/files
    mpv http://127.0.0.1:8080/stream/CONTENT_ID
  Fetch a whole file:
    rusteze-peer get CONTENT_ID --out film.mkv --tracker ws://tracker.example:7700 --kind video

Logs go to standard error; RUST_LOG filters them, as in RUST_LOG=peer_actor=debug.
Exit codes: 0 done, 1 failed, 2 wrong options, 3 no such file, 4 no tracker, 130 stopped by a signal.";

const GET_NOTES: &str = "\
What has arrived is kept in the cache, so the same command goes on where it was stopped. The file appears
under its name only when all of it is verified; it is then moved out of the cache.";
