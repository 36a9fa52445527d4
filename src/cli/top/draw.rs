//! The picture: a pure function of a [`View`] and the size of the terminal.
//!
//! # Place
//! From 120 columns and 40 rows on all panels are there at once, below that one at a time. Below 80 columns or 24 rows
//! there is a sentence that says so.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Sparkline, Widget as _, Wrap};

use super::panels::{self, BAD, DOUBTFUL, GOOD, HEAD, HELP, PEER_COLUMNS, cut, latency_words, wrap};
use super::view::{Panel, View};
use crate::cli::status::state_words;
use crate::rpc::types::NodeState;
use crate::runtime::time_text::duration_words;

pub(super) const WIDTH_MIN: u16 = 80;
pub(super) const HEIGHT_MIN: u16 = 24;
const WIDTH_FULL: u16 = 120;
const HEIGHT_FULL: u16 = 40;
/// Head and six lines.
const CHAIN_ROWS: u16 = 7;
/// What the panels have at least: head, columns, three lines.
const PANEL_ROWS_MIN: u16 = 5;

impl Panel {
    const fn columns(self, width: usize) -> Option<&'static str> {
        match self {
            Self::Masternodes => Some(panels::masternode_columns(width)),
            Self::Peers => Some(PEER_COLUMNS),
            Self::Resources | Self::Problems => None,
        }
    }

    /// Its lines, all of them.
    pub(super) fn lines(self, view: &View, width: usize) -> Vec<Line<'static>> {
        match self {
            Self::Masternodes => panels::masternodes(view, width),
            Self::Peers => panels::peers(view, width),
            Self::Resources => panels::resources(view, width),
            Self::Problems => problem_lines(view, width),
        }
    }
}

/// Draws the picture.
pub(super) fn draw(view: &View, area: Rect, buffer: &mut Buffer) {
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        let text = format!(
            "timed top needs {WIDTH_MIN} columns and {HEIGHT_MIN} rows; this terminal has {} and {}. Make it larger, or press q.",
            area.width, area.height
        );
        return Paragraph::new(text).wrap(Wrap { trim: true }).render(area, buffer);
    }
    let is_full = area.width >= WIDTH_FULL && area.height >= HEIGHT_FULL;
    let finality_rows = if is_full { 6 } else { 4 };
    let fixed = 2 + CHAIN_ROWS + finality_rows;
    let room = area.height.saturating_sub(fixed).saturating_sub(if is_full { 15 } else { PANEL_ROWS_MIN });
    let problems = shown_problems(view, usize::from(area.width), usize::from(room));
    let problem_rows = u16::try_from(problems.len()).unwrap_or(room);
    let [title, troubles, chain, finality, rest, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(problem_rows),
        Constraint::Length(CHAIN_ROWS),
        Constraint::Length(finality_rows),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_title(view, title, buffer);
    put(&problems, troubles, buffer);
    put(&panels::chain(view), under_head("Chain", HEAD, chain, buffer), buffer);
    draw_finality(view, under_head("Time to finality", HEAD, finality, buffer), buffer);
    if is_full {
        draw_all(view, rest, buffer)
    } else {
        draw_one(view, rest, buffer)
    }
    draw_foot(view, foot, buffer);
    if view.helps {
        draw_help(area, buffer);
    }
}

/// Puts lines one below the other, as many as there is room for.
fn put(lines: &[Line<'_>], area: Rect, buffer: &mut Buffer) {
    for (line, row) in lines.iter().zip(area.rows()) {
        buffer.set_line(row.x, row.y, line, row.width);
    }
}

/// Draws a rule with a name, and gives the area below it.
fn under_head(name: &str, style: Style, area: Rect, buffer: &mut Buffer) -> Rect {
    let block = Block::new().borders(Borders::TOP).title(Line::styled(format!(" {name} "), style));
    let inner = block.inner(area);
    block.render(area, buffer);
    inner
}

fn problem_lines(view: &View, width: usize) -> Vec<Line<'static>> {
    let lines = |(text, style): (String, Style)| {
        let wrapped = wrap(&text, width.saturating_sub(2)).into_iter().enumerate();
        wrapped.map(move |(place, text)| {
            Line::styled(format!("{}{text}", if place == 0 { "! " } else { "  " }), style)
        })
    };
    panels::problems(view).into_iter().flat_map(lines).collect()
}

/// The problems at the top; where they don't fit, it is said where all are.
fn shown_problems(view: &View, width: usize, room: usize) -> Vec<Line<'static>> {
    let mut lines = problem_lines(view, width);
    if lines.len() > room {
        lines.truncate(room.saturating_sub(1));
        lines.push(Line::styled("  more of this in the panel Problems (Tab)", DOUBTFUL));
    }
    lines
}

const fn state_style(state: NodeState) -> Style {
    match state {
        NodeState::Voting | NodeState::Following => GOOD,
        NodeState::Starting | NodeState::Syncing | NodeState::Waiting => DOUBTFUL,
        NodeState::Halted => BAD,
    }
}

fn draw_title(view: &View, area: Rect, buffer: &mut Buffer) {
    let status = &view.snapshot.status;
    let name = cut(&status.name.escape_debug().to_string(), 16);
    let name = if name.is_empty() { String::new() } else { format!(" {name}") };
    let left =
        format!("timed {} {}{name}, up {}", status.version, status.network, duration_words(status.uptime_s));
    buffer.set_stringn(area.x, area.y, &left, usize::from(area.width), HEAD);
    let (words, style) = match (&view.silent, view.paused) {
        (_, true) => ("PAUSED, p goes on", DOUBTFUL),
        (Some(_), false) => ("NO ANSWER", BAD),
        (None, false) => (state_words(status.state), state_style(status.state)),
    };
    let room = usize::from(area.width).saturating_sub(left.chars().count()).saturating_sub(2);
    let words = cut(words, room);
    let width = u16::try_from(words.chars().count()).unwrap_or(area.width);
    buffer.set_string(area.right().saturating_sub(width), area.y, words, style);
}

fn draw_finality(view: &View, area: Rect, buffer: &mut Buffer) {
    let [figures, bars] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    put(&[panels::finality(view)], figures, buffer);
    let medians = &view.finality.medians_us;
    let most = medians.iter().flatten().copied().max();
    let scale = format!(" {} at most", latency_words(most));
    let scale_width = u16::try_from(scale.chars().count()).unwrap_or_default();
    let [bars, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(scale_width)]).areas(bars);
    // The last second stands at the right end, and each has as many columns as fit.
    let each = usize::from(bars.width).checked_div(super::finality::SECONDS).unwrap_or(1).max(1);
    let data: Vec<Option<u64>> =
        medians.iter().flat_map(|median| std::iter::repeat_n(*median, each)).collect();
    let columns = usize::from(bars.width);
    let skipped = data.len().saturating_sub(columns);
    let blank = columns.saturating_sub(data.len());
    let padded = std::iter::repeat_n(None, blank).chain(data.into_iter().skip(skipped));
    Sparkline::default()
        .data(padded)
        .max(most.unwrap_or(1))
        .absent_value_symbol(" ")
        .style(GOOD)
        .render(bars, buffer);
    put(&[Line::from(scale)], right, buffer);
}

/// Draws a panel's lines from the scrolled one on; the last one says how many more there are.
fn draw_panel(view: &View, panel: Panel, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let head = u16::from(panel.columns(width).is_some());
    let [columns, body] = Layout::vertical([Constraint::Length(head), Constraint::Fill(1)]).areas(area);
    if let Some(names) = panel.columns(width) {
        put(&[Line::styled(cut(names, width), HEAD)], columns, buffer);
    }
    let lines = panel.lines(view, width);
    if lines.is_empty() {
        return put(&[Line::from("  none")], body, buffer);
    }
    let rows = usize::from(body.height);
    let scroll = if view.panel == panel { view.scroll.min(lines.len().saturating_sub(1)) } else { 0 };
    let mut shown: Vec<Line<'static>> = lines.iter().skip(scroll).take(rows).cloned().collect();
    let left = lines.len().saturating_sub(scroll).saturating_sub(rows);
    if left > 0 && rows > 0 {
        shown.pop();
        shown.push(Line::styled(format!("  and {} more", left.saturating_add(1)), HEAD));
    }
    put(&shown, body, buffer);
}

fn panel_head(view: &View, panel: Panel) -> Style {
    if view.panel == panel && !view.is_text { HEAD.patch(GOOD) } else { HEAD }
}

fn draw_one(view: &View, area: Rect, buffer: &mut Buffer) {
    let others: Vec<&str> =
        Panel::ALL.into_iter().filter(|panel| *panel != view.panel).map(Panel::name).collect();
    let name = format!("{}  (Tab: {})", view.panel.name(), others.join(", "));
    let inner = under_head(&name, panel_head(view, view.panel), area, buffer);
    draw_panel(view, view.panel, inner, buffer);
}

fn draw_all(view: &View, area: Rect, buffer: &mut Buffer) {
    let wanted = u16::try_from(view.snapshot.masternodes.len().saturating_add(2)).unwrap_or(u16::MAX);
    let most = area.height.saturating_sub(9);
    let [above, below] =
        Layout::vertical([Constraint::Length(wanted.clamp(3, most)), Constraint::Fill(1)]).areas(area);
    let half = Constraint::Ratio(1, 2);
    let [left, right] = Layout::horizontal([half, half]).spacing(2).areas(below);
    // Problems that don't fit at the top take the place of the resources while they are chosen.
    let last = if view.panel == Panel::Problems { Panel::Problems } else { Panel::Resources };
    for (panel, place) in [(Panel::Masternodes, above), (Panel::Peers, left), (last, right)] {
        let inner = under_head(panel.name(), panel_head(view, panel), place, buffer);
        draw_panel(view, panel, inner, buffer);
    }
}

fn draw_foot(view: &View, area: Rect, buffer: &mut Buffer) {
    let keys = if view.is_text { "" } else { "q end  p pause  Tab panel  Up/Down scroll  ? help   " };
    let text = format!("{keys}{}", view.url);
    buffer.set_stringn(area.x, area.y, cut(&text, usize::from(area.width)), usize::from(area.width), HEAD);
}

fn draw_help(area: Rect, buffer: &mut Buffer) {
    let (width, height) = (70, u16::try_from(HELP.len()).unwrap_or_default().saturating_add(2));
    let place = area.centered(Constraint::Length(width), Constraint::Length(height));
    Clear.render(place, buffer);
    let block = Block::bordered().title(" Help ");
    let inner = block.inner(place);
    block.render(place, buffer);
    let lines: Vec<Line<'_>> = HELP.into_iter().map(Line::from).collect();
    put(&lines, inner, buffer);
}

/// The picture as text, without blanks at the ends of lines.
pub(super) fn text_of(view: &View, area: Rect) -> String {
    let mut buffer = Buffer::empty(area);
    draw(view, area, &mut buffer);
    let line = |row: Rect| {
        let symbols = row.columns().filter_map(|cell| buffer.cell(cell.as_position()));
        symbols.map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()
    };
    area.rows().map(line).collect::<Vec<_>>().join("\n")
}
