//! `timed top`: a live dashboard of a node, over RPC.
//!
//! # Place
//! [`gather`] asks the node, [`finality`] keeps the last minute's payments, [`draw`] makes a picture of a [`View`] and
//! nothing else (`view.rs`, and `panels.rs` for the words), [`screen`] owns the terminal and its keys.
//!
//! # Invariants
//! - The terminal is left as it was found, after an error, a signal and a panic too.
//! - A node that answers late or not at all holds up neither the keys nor the picture.
//! - INV-TOP-1: what a node or its peers name themselves reaches the terminal without control characters.

mod draw;
mod finality;
mod gather;
mod panels;
mod screen;
#[cfg(test)]
mod tests;
mod view;

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use clap::Args as ClapArgs;
use ratatui::layout::Rect;

use self::draw::{HEIGHT_MIN, WIDTH_MIN, text_of};
use self::gather::Watcher;
use self::view::View;
use super::rpc_client::ConnectionArgs;
use super::{CliError, output};

/// How long `--once` watches the node: rates need two looks.
const ONCE_SPAN: Duration = Duration::from_secs(1);

/// Arguments of `timed top`.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// Which node
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Print one picture as plain text, after a second of watching, and end
    #[arg(long)]
    once: bool,
    /// How wide and high that picture is
    #[arg(long, value_name = "COLUMNSxROWS", default_value = "120x40", requires = "once", value_parser = parse_size)]
    size: (u16, u16),
}

fn parse_size(text: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|number| *number <= 1_000);
    text.split_once('x')
        .and_then(|(width, height)| Some((number(width)?, number(height)?)))
        .filter(|(width, height)| *width >= WIDTH_MIN && *height >= HEIGHT_MIN)
        .ok_or_else(|| format!("expected {WIDTH_MIN}x{HEIGHT_MIN} to 1000x1000, such as 120x40"))
}

/// Draws until a key or a signal ends it, or once.
///
/// # Errors
/// When the node does not answer at the start, or there is no terminal to draw on.
pub async fn run(args: Args) -> Result<(), CliError> {
    let draws_live = !args.once;
    if draws_live && !(std::io::stdout().is_terminal() && std::io::stdin().is_terminal()) {
        return Err(CliError::Usage(
            "timed top draws on a terminal, and this is none: `timed top --once` prints one picture as text, \
             `timed status --json` is for programs"
                .to_owned(),
        ));
    }
    let endpoints = args.connection.endpoints(Path::new("."))?;
    let endpoint =
        endpoints.into_iter().next().ok_or_else(|| CliError::Usage("no node was named".to_owned()))?;
    let mut watcher = Watcher::start(endpoint).await?;
    if draws_live {
        return screen::run(watcher).await;
    }
    tokio::time::sleep(ONCE_SPAN).await;
    watcher.look().await;
    let view = View { is_text: true, ..View::of(&watcher) };
    let (width, height) = args.size;
    output::line(text_of(&view, Rect::new(0, 0, width, height)))
}
