//! The terminal: its keys, its pictures, and how it is left.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::draw::draw;
use super::gather::Watcher;
use super::view::{Panel, View};
use crate::cli::CliError;
use crate::runtime::signals::{Heard, Signals};

/// How often keys are read and the picture is drawn.
const TICK: Duration = Duration::from_millis(100);
/// How often the node is asked.
const LOOK: Duration = Duration::from_secs(1);
/// Lines that a page key scrolls.
const PAGE: usize = 10;

/// A terminal in the hands of this process. Dropping it gives it back; so does a panic, by ratatui's hook.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> Result<Self, CliError> {
        let terminal = ratatui::try_init().inspect_err(|_| {
            // It may have got half-way.
            let _restored = ratatui::try_restore();
        });
        Ok(Self(terminal.map_err(CliError::Output)?))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to tell when the terminal is gone.
        let _restored = ratatui::try_restore();
    }
}

/// What the keys have chosen.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    panel: usize,
    scroll: usize,
    helps: bool,
    pub(super) paused: Option<Box<View>>,
    pub(super) ends: bool,
}

impl Choices {
    pub(super) const fn new() -> Self {
        Self { panel: 0, scroll: 0, helps: false, paused: None, ends: false }
    }

    fn turn(&mut self, step: usize) {
        self.panel = self.panel.saturating_add(step).checked_rem(Panel::ALL.len()).unwrap_or(0);
        self.scroll = 0;
    }

    /// Obeys a key. `view` is what a pause keeps, `width` that of the terminal.
    pub(super) fn press(&mut self, key: KeyEvent, view: &View, width: u16) {
        if key.kind == KeyEventKind::Release {
            return;
        }
        let lines = self.panel().lines(view, usize::from(width)).len();
        let down = |scroll: usize, by: usize| scroll.saturating_add(by).min(lines.saturating_sub(1));
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => self.ends = true,
            KeyCode::Char('q') | KeyCode::Esc => self.ends = true,
            KeyCode::Char('p') => {
                self.paused = if self.paused.is_some() { None } else { Some(Box::new(view.clone())) };
            }
            KeyCode::Char('?') => self.helps = !self.helps,
            KeyCode::Tab => self.turn(1),
            KeyCode::BackTab => self.turn(Panel::ALL.len().saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = down(self.scroll, 1),
            KeyCode::PageDown => self.scroll = down(self.scroll, PAGE),
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(PAGE),
            _ => {}
        }
    }

    fn panel(&self) -> Panel {
        Panel::ALL.get(self.panel).copied().unwrap_or(Panel::Masternodes)
    }

    /// What is drawn: what is known now, or what was when the picture was paused.
    pub(super) fn apply(&self, now: View) -> View {
        let view = self.paused.as_deref().cloned().unwrap_or(now);
        let (panel, scroll, helps, paused) = (self.panel(), self.scroll, self.helps, self.paused.is_some());
        View { panel, scroll, helps, paused, ..view }
    }
}

/// Reads the keys that were pressed since the last call, without waiting for one.
fn keys() -> io::Result<Vec<KeyEvent>> {
    let mut keys = Vec::new();
    while event::poll(Duration::ZERO)? {
        if let Event::Key(key) = event::read()? {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Draws until a key or a signal ends it.
pub(super) async fn run(mut watcher: Watcher) -> Result<(), CliError> {
    let mut signals = Signals::install().map_err(CliError::Signals)?;
    let mut screen = Screen::open()?;
    let mut choices = Choices::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let next_look = |mut watcher: Watcher| async move {
        tokio::time::sleep(LOOK).await;
        watcher.look().await;
        watcher
    };
    let mut looking = Box::pin(next_look(watcher.clone()));
    while !choices.ends {
        tokio::select! {
            heard = signals.next() => if let Heard::Stop(_) = heard {
                return Ok(());
            },
            seen = &mut looking => {
                watcher = seen;
                looking = Box::pin(next_look(watcher.clone()));
            }
            _ = tick.tick() => {
                let now = View::of(&watcher);
                let width = screen.0.size().map_err(CliError::Output)?.width;
                for key in keys().map_err(CliError::Output)? {
                    choices.press(key, &choices.apply(now.clone()), width);
                }
                let view = choices.apply(now);
                let drawn = screen.0.draw(|frame| draw(&view, frame.area(), frame.buffer_mut()));
                drawn.map_err(CliError::Output)?;
            }
        }
    }
    Ok(())
}
