//! The words of each panel, as lines that know how wide they may be.

use std::cmp::Reverse;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::finality::float;
use super::view::View;
use crate::consensus::heartbeats::HEARTBEAT_INTERVAL_MS;
use crate::rpc::types::{HeartbeatInfo, MasternodeInfo, PeerInfo};
use crate::runtime::time_text::duration_words;
use crate::types::TimeMs;

/// Digits of a block's hash that are shown.
const HASH_DIGITS: usize = 16;
/// A masternode whose last sign of life is older than this is late: two did not come.
const LATE_MS: u64 = 2 * HEARTBEAT_INTERVAL_MS + HEARTBEAT_INTERVAL_MS / 2;

pub(super) const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
pub(super) const DOUBTFUL: Style = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);
pub(super) const GOOD: Style = Style::new().fg(Color::Green);
pub(super) const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);
pub(super) const PLAIN: Style = Style::new();

/// Bytes in the unit that people read.
pub(super) fn bytes_words(bytes: f64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes / unit),
        None => format!("{bytes:.0} B"),
    }
}

/// A time to finality.
pub(super) fn latency_words(us: Option<u64>) -> String {
    us.map_or_else(|| "-".to_owned(), |us| format!("{:.1} ms", float(us) / 1_000.0))
}

/// A text of at most so many characters; three dots say that it was longer.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['\u{2026}']).collect()
}

/// A text in lines of at most so many characters; breaks between words where it can.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let (width, mut lines, mut line) = (width.max(1), Vec::new(), String::new());
    let mut length = 0_usize;
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for (place, piece) in letters.chunks(width).enumerate() {
            let gap = usize::from(length > 0 && place == 0);
            if length > 0 && (place > 0 || length.saturating_add(gap).saturating_add(piece.len()) > width) {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            if length > 0 {
                line.push(' ');
                length = length.saturating_add(1);
            }
            line.extend(piece);
            length = length.saturating_add(piece.len());
        }
    }
    if length > 0 {
        lines.push(line);
    }
    lines
}

/// How long ago, to a tenth of a second while that matters.
fn ago(then_ms: TimeMs, now_ms: TimeMs) -> String {
    match now_ms.saturating_sub(then_ms) {
        ms @ 0..=9_999 => format!("{:.1} s", float(ms) / 1_000.0),
        ms => duration_words(ms / 1_000),
    }
}

/// An age to its largest unit, in at most six characters.
fn age_words(seconds: u64) -> String {
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min", seconds / 60),
        6_000..=359_999 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", (seconds / 86_400).min(9_999)),
    }
}

fn labelled(label: &str, text: String, style: Style) -> Line<'static> {
    Line::from(vec![Span::styled(format!("{label:<13}"), HEAD), Span::styled(text, style)])
}

/// Block, epoch, round, votes and pool: six lines that fit into 80 columns.
pub(super) fn chain(view: &View) -> Vec<Line<'static>> {
    let (chain, consensus, now) = (&view.snapshot.chain, &view.snapshot.consensus, view.now_ms());
    let status = &view.snapshot.status;
    let mut hash = chain.best_block_hash.to_string();
    hash.truncate(HASH_DIGITS);
    let since = consensus
        .last_block_time_ms
        .map_or_else(|| "none yet".to_owned(), |then| format!("{} since the last block", ago(then, now)));
    let behind = status.target_height.saturating_sub(status.height);
    let syncing = if behind > 0 { format!(", {behind} behind its peers") } else { String::new() };
    let syncing = if chain.initial_block_download { format!("{syncing}, syncing") } else { syncing };
    let style = if syncing.is_empty() { PLAIN } else { DOUBTFUL };
    let block = labelled("Block", format!("{} {hash}, {since}{syncing}", chain.blocks), style);
    let duration = chain.parameters.epoch_duration_ms;
    let epoch = match consensus.epoch_start_ms {
        Some(start) => {
            let left = start.saturating_add(duration).saturating_sub(now) / 1_000;
            let closing = if consensus.closing { ", closing" } else { "" };
            format!("{}, ends in about {}{closing}", consensus.epoch, duration_words(left))
        }
        None => format!("{}, before its first block", consensus.epoch),
    };
    let proposer = consensus.proposer.map_or_else(|| "nobody known".to_owned(), |id| id.short());
    let round = format!(
        "height {}, round {}, {}, proposer {proposer}",
        consensus.height, consensus.round, consensus.step
    );
    let style = if consensus.round > 0 { DOUBTFUL } else { PLAIN };
    vec![
        block,
        labelled("Epoch", epoch, PLAIN),
        labelled("Consensus", round, style),
        votes(view),
        weights(view),
        pool(view),
    ]
}

/// Who voted for the last block, which votes of the running round are here, and on how many payments votes are open.
fn votes(view: &View) -> Line<'static> {
    let consensus = &view.snapshot.consensus;
    let running = format!(
        "prevotes {}/{q}, precommits {}/{q}; {} payments open",
        consensus.prevote_weight,
        consensus.precommit_weight,
        consensus.transactions_open,
        q = consensus.quorum
    );
    let last = match &view.snapshot.commit {
        Some(commit) => {
            let signed =
                commit.signed_weight.map_or_else(|| "unknown".to_owned(), |signed| signed.to_string());
            format!("last block {signed}")
        }
        None => "no block yet".to_owned(),
    };
    labelled("Votes", format!("{last}; {running}"), PLAIN)
}

/// The weight that this node is connected to, beside the weight that decides.
fn weights(view: &View) -> Line<'static> {
    let (status, consensus) = (&view.snapshot.status, &view.snapshot.consensus);
    let members = || view.snapshot.masternodes.iter().filter(|info| info.in_set.is_some());
    let up: u64 =
        members().filter(|info| info.connected || is_own(view, info)).map(|info| info.effective_weight).sum();
    let text = format!(
        "{} of {} connected, weight {up} of {}, {} needed",
        status.masternodes_connected, status.masternodes_total, consensus.total_weight, consensus.quorum
    );
    let style = if up < consensus.quorum {
        BAD
    } else if status.masternodes_connected < status.masternodes_total {
        DOUBTFUL
    } else {
        PLAIN
    };
    labelled("Masternodes", text, style)
}

fn pool(view: &View) -> Line<'static> {
    let pool = &view.snapshot.pool;
    let bytes = |bytes: usize| bytes_words(float(bytes as u64));
    let text = format!(
        "{} of {} payments, {} of {}, {} certified wait",
        pool.size,
        pool.max_transactions,
        bytes(pool.bytes),
        bytes(pool.max_bytes),
        pool.certified_waiting
    );
    labelled("Pool", text, PLAIN)
}

/// Half and nearly all of the last minute's payments were final within these times.
pub(super) fn finality(view: &View) -> Line<'static> {
    let finality = &view.finality;
    let text = format!(
        "{:.1} payments a second; last minute {}, half in {}, 99 % in {}",
        finality.per_second,
        finality.payments,
        latency_words(finality.p50_us),
        latency_words(finality.p99_us)
    );
    Line::from(text)
}

/// What is wrong, the gravest first, in whole sentences.
pub(super) fn problems(view: &View) -> Vec<(String, Style)> {
    let silence = view
        .silent
        .as_ref()
        .map(|(seconds, why)| (format!("no answer since {seconds} s: {}", why.escape_debug()), BAD));
    let reasons =
        view.snapshot.status.reasons.iter().map(|reason| (reason.escape_debug().to_string(), DOUBTFUL));
    let warnings = view.snapshot.chain.warnings.iter();
    let warnings = warnings.map(|text| (format!("warning: {}", text.escape_debug()), DOUBTFUL));
    silence.into_iter().chain(reasons).chain(warnings).collect()
}

fn is_own(view: &View, masternode: &MasternodeInfo) -> bool {
    view.snapshot.status.masternode == Some(masternode.id)
}

/// How grave the state of a masternode is: members that are away first.
fn gravity(view: &View, masternode: &MasternodeInfo) -> u8 {
    let away = !masternode.connected && !is_own(view, masternode);
    match (&masternode.in_set, masternode.jailed) {
        (Some(_), _) if away => 0,
        (_, Some(_)) => 1,
        (Some(_), None) => 2,
        (None, None) => 3,
    }
}

fn heard<'a>(view: &'a View, masternode: &MasternodeInfo) -> Option<&'a HeartbeatInfo> {
    view.snapshot.heartbeats.iter().find(|heartbeat| heartbeat.masternode == masternode.id)
}

/// The width below which the tier makes room for the address; the weight tells it too.
const TIER_WIDTH_MIN: usize = 90;

pub(super) const fn masternode_columns(width: usize) -> &'static str {
    match width {
        ..TIER_WIDTH_MIN => "  ID       STATE    WEIGHT SIGNED UP    HEARD  VOTES   90 % LOST ADDRESS",
        _ => "  ID       STATE     TIER   WEIGHT SIGNED UP    HEARD  VOTES   90 % LOST ADDRESS",
    }
}

/// A line for each masternode: those that are away or jailed first, then by weight.
pub(super) fn masternodes(view: &View, width: usize) -> Vec<Line<'static>> {
    let mut list: Vec<&MasternodeInfo> = view.snapshot.masternodes.iter().collect();
    list.sort_by_key(|info| (gravity(view, info), Reverse(info.effective_weight), info.registration));
    list.into_iter().map(|info| masternode_line(view, info, width)).collect()
}

/// How late a masternode's Final votes come: half of them, nine of ten, and how many did not come at all.
fn vote_words(view: &View, info: &MasternodeInfo) -> (String, String, String) {
    let times =
        view.snapshot.latency.masternodes.iter().find(|one| one.id == info.id).map(|one| one.finalizes);
    let ms = |ms: Option<f64>| match ms {
        Some(ms) if ms < 100.0 => format!("{ms:.1}ms"),
        Some(ms) => format!("{:.0}ms", ms.min(99_999.0)),
        None => "-".to_owned(),
    };
    let lost = times.map_or_else(|| "-".to_owned(), |times| format!("{}%", times.missing_percent()));
    let half = ms(times.and_then(|times| times.p50_ms));
    (half, ms(times.and_then(|times| times.p90_ms)), lost)
}

fn masternode_line(view: &View, info: &MasternodeInfo, width: usize) -> Line<'static> {
    let (own, now) = (is_own(view, info), view.now_ms());
    let proposes = view.snapshot.consensus.proposer == Some(info.id);
    let mark = if proposes {
        '>'
    } else if own {
        '*'
    } else {
        ' '
    };
    let attendance = info.in_set.as_ref().map(|seat| seat.attendance);
    let signed =
        attendance.map_or_else(|| "-".to_owned(), |told| format!("{}/{}", told.signed, told.counted));
    let heartbeat = heard(view, info).filter(|_| !own);
    let age_ms = heartbeat.map(|heartbeat| now.saturating_sub(heartbeat.heard_ms));
    let age = age_ms.map_or_else(|| "-".to_owned(), |ms| age_words(ms / 1_000));
    let (half, most, lost) = vote_words(view, info);
    let up = if own {
        "self"
    } else if info.connected {
        "yes"
    } else {
        "NO"
    };
    let state = match width {
        ..TIER_WIDTH_MIN => format!("{:<8}", cut(&info.state, 8)),
        _ => format!("{:<9} {:<6}", cut(&info.state, 9), cut(info.tier.as_deref().unwrap_or("-"), 6)),
    };
    let text = format!(
        "{mark} {:<8} {state} {:>6} {:>6} {:<4} {:>6} {:>6} {:>6} {:>4} {}",
        info.id.short(),
        info.effective_weight,
        signed,
        up,
        age,
        half,
        most,
        lost,
        info.address.escape_debug()
    );
    let absent = attendance.is_some_and(|told| told.absent);
    let late = age_ms.is_some_and(|ms| ms > LATE_MS);
    let style = match gravity(view, info) {
        0 => BAD,
        1 => DOUBTFUL,
        _ if absent || late => DOUBTFUL,
        _ => PLAIN,
    };
    Line::styled(cut(&text, width), style)
}

pub(super) const PEER_COLUMNS: &str = "  ADDRESS                DIR  PING         UP  BAN  PROGRAM";

/// A line for each peer: those that misbehave first, then the slowest.
pub(super) fn peers(view: &View, width: usize) -> Vec<Line<'static>> {
    let mut list: Vec<&PeerInfo> = view.snapshot.peers.iter().collect();
    list.sort_by_key(|peer| (Reverse(peer.ban_score), Reverse(peer.ping_ms), peer.id));
    let line = |peer: &PeerInfo| {
        let text = format!(
            "  {:<21}  {:<3}  {:<7}  {:>6}  {:>3}  {}",
            cut(&peer.addr.escape_debug().to_string(), 21),
            if peer.inbound { "in" } else { "out" },
            peer.ping_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms")),
            age_words(peer.connected_s),
            peer.ban_score,
            peer.subver.escape_debug()
        );
        Line::styled(cut(&text, width), if peer.ban_score > 0 { DOUBTFUL } else { PLAIN })
    };
    list.into_iter().map(line).collect()
}

/// Processor, memory, network and disk, then what the processor does.
pub(super) fn resources(view: &View, width: usize) -> Vec<Line<'static>> {
    let (memory, totals) = (&view.snapshot.memory, &view.snapshot.totals);
    let resident = memory.resident_bytes.map_or_else(|| "-".to_owned(), |bytes| bytes_words(float(bytes)));
    let bound = bytes_words(float(memory.bound_bytes));
    let total = |bytes: u64| bytes_words(float(bytes));
    let all = format!("{} in, {} out", total(totals.total_bytes_received), total(totals.total_bytes_sent));
    let memory = labelled("Memory", format!("{resident}; its parts at most {bound}"), PLAIN);
    let Some(rates) = &view.rates else {
        return vec![memory, labelled("Network", format!("since the start {all}"), PLAIN)];
    };
    let network =
        format!("{} in, {} out a second; {all}", bytes_words(rates.received), bytes_words(rates.sent));
    let mut lines = vec![
        labelled("Processor", format!("{:.2} of a core", rates.cores), PLAIN),
        memory,
        labelled("Network", network, PLAIN),
        labelled("Log syncs", format!("{:.0} a second", rates.syncs), PLAIN),
        Line::styled("Processor time by stage, milliseconds a second:", HEAD),
    ];
    let stages: Vec<String> =
        rates.stages.iter().map(|(stage, cores)| format!("{stage} {:.1}", cores * 1_000.0)).collect();
    lines.extend(
        wrap(&stages.join(", "), width.saturating_sub(2))
            .into_iter()
            .map(|text| Line::from(format!("  {text}"))),
    );
    lines
        .into_iter()
        .map(|line| if line.width() > width { Line::from(cut(&line.to_string(), width)) } else { line })
        .collect()
}

/// What the keys do and what the columns mean.
pub(super) const HELP: [&str; 16] = [
    "q, Esc, Ctrl-C   end",
    "p                pause the picture, or go on",
    "Tab, Shift-Tab   the next panel, the one before",
    "Up, Down         scroll the panel (also k, j, PgUp, PgDn)",
    "?                this help, or away with it",
    "",
    "Masternodes: > proposes in this round, * is this node.",
    "SIGNED  of the last blocks that count, so many have its vote.",
    "UP      whether this node is connected to it.",
    "HEARD   how long ago its last sign of life came, one a minute.",
    "VOTES   half of its Final votes are here so long after a payment",
    "        was accepted here; 90 % of them, and how many never came.",
    "",
    "Finality: from this node's acceptance of a payment until it is",
    "final. A bar is the median of a second; the last one is now.",
    "Nodes of one process, as of `timed devnet`, share its resources.",
];
