//! Pictures of a fixed snapshot: what must be readable at each size.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;

use super::draw::{draw, text_of};
use super::finality::FinalityView;
use super::gather::{Rates, Snapshot, Sums};
use super::panels::{cut, wrap};
use super::parse_size;
use super::screen::Choices;
use super::view::{Panel, View};
use crate::rpc::fake_node::latency;
use crate::rpc::types::{
    AttendanceInfo, BlockchainInfo, CommitInfo, CommitSigner, ConsensusInfo, HeartbeatInfo, MasternodeInfo,
    MembershipInfo, MemoryInfo, MempoolInfo, NetTotals, NodeState, NodeStatus, PeerInfo, ResourceInfo,
    RulesInfo, VoteLatencyInfo,
};
use crate::runtime::Clock;
use crate::types::{
    Address, Amount, BlockHash, ChainId, ChainParameters, MasternodeId, Network, RuleVersion, SecretKey,
    StateDigest,
};

const NOW_MS: u64 = 1_800_000_000_000;

fn masternode(number: u8, connected: bool) -> MasternodeInfo {
    let key = SecretKey::from_seed(&[number; 32]).public();
    let owner = Address::of_key_hash(Network::Devnet, key.key_hash());
    MasternodeInfo {
        id: MasternodeId([number; 32]),
        state: "active".to_owned(),
        in_set: Some(MembershipInfo {
            since_epoch: 0,
            since_ms: None,
            attendance: AttendanceInfo { signed: 49, counted: 50, absent: false },
        }),
        operator_key: key,
        owner,
        payout: owner,
        address: format!("127.0.0.1:{}", 24_200 + 2 * u16::from(number)),
        connected,
        collateral: Amount(1),
        collateral_time: String::new(),
        collateral_outpoint: String::new(),
        collateral_height: 0,
        tier: Some("silver".to_owned()),
        weight: 10,
        effective_weight: 10,
        on_trial: false,
        registration: u64::from(number),
        pending: None,
        exit_requested: false,
        jailed: None,
        jailed_since_ms: None,
        slashed: false,
        left_ms: None,
        bound_until_ms: None,
    }
}

fn heartbeat(number: u8, height: u64, age_ms: u64) -> HeartbeatInfo {
    HeartbeatInfo {
        masternode: MasternodeId([number; 32]),
        epoch: 7,
        height,
        next_seq: 0,
        time_ms: NOW_MS,
        heard_ms: NOW_MS - age_ms,
        attested_by: Vec::new(),
    }
}

fn peer(number: u8) -> PeerInfo {
    PeerInfo {
        id: u64::from(number),
        addr: format!("127.0.0.1:{}", 40_000 + u16::from(number)),
        node_id: String::new(),
        inbound: number.is_multiple_of(2),
        version: 1,
        subver: "/timed:0.1.0/".to_owned(),
        listen_address: String::new(),
        connected_s: 61,
        bytes_sent: 1,
        bytes_received: 1,
        ping_ms: Some(u64::from(number)),
        ban_score: 0,
    }
}

fn chain() -> BlockchainInfo {
    BlockchainInfo {
        chain: "devnet".to_owned(),
        chain_id: ChainId([2; 32]),
        blocks: 1_234,
        headers: 1_234,
        best_block_hash: BlockHash([0xab; 32]),
        time: NOW_MS - 1_500,
        epoch: 7,
        pruned: false,
        pruneheight: 1,
        initial_block_download: false,
        state_digest: StateDigest([3; 32]),
        supply: Amount(1),
        supply_time: String::new(),
        min_fee_per_kb: Amount(1_000),
        min_fee_per_kb_time: Amount(1_000).to_string(),
        parameters: ChainParameters::of_network(Network::Devnet),
        rules: RulesInfo {
            in_force: RuleVersion::FIRST,
            since_epoch: 0,
            known: RuleVersion::FIRST,
            pending: None,
            announced: Vec::new(),
            quorum: 3,
        },
        warnings: Vec::new(),
    }
}

fn snapshot() -> Snapshot {
    let commit_signer = |index| CommitSigner { index, masternode: None, signature: String::new() };
    Snapshot {
        status: NodeStatus {
            name: "node0".to_owned(),
            version: "0.1.0".to_owned(),
            network: "devnet".to_owned(),
            state: NodeState::Voting,
            reasons: Vec::new(),
            height: 1_234,
            target_height: 1_234,
            epoch: 7,
            masternode: Some(MasternodeId([1; 32])),
            masternodes_connected: 3,
            masternodes_total: 4,
            peers: 3,
            mempool_transactions: 17,
            uptime_s: 3_700,
        },
        chain: chain(),
        consensus: ConsensusInfo {
            height: 1_235,
            round: 2,
            step: "prevote".to_owned(),
            proposer: Some(MasternodeId([3; 32])),
            epoch: 7,
            epoch_start_ms: Some(NOW_MS - 18_000),
            closing: false,
            validator_index: Some(0),
            validators: 4,
            total_weight: 40,
            quorum: 27,
            prevote_weight: 20,
            precommit_weight: 10,
            transactions_open: 5,
            certified_waiting: 6,
            last_block_time_ms: Some(NOW_MS - 1_300),
        },
        commit: Some(CommitInfo {
            height: 1_234,
            hash: BlockHash([0xab; 32]),
            epoch: 7,
            round: 0,
            signed_weight: Some(30),
            quorum: Some(27),
            signers: (0..3).map(commit_signer).collect(),
        }),
        pool: MempoolInfo {
            size: 17,
            bytes: 4_200,
            max_transactions: 10_000,
            max_bytes: 300_000_000,
            min_fee_per_kb: Amount(1_000),
            min_fee_per_kb_time: Amount(1_000).to_string(),
            certified_waiting: 6,
        },
        peers: (1..=3).map(peer).collect(),
        masternodes: (1..=4).map(|number| masternode(number, number != 4)).collect(),
        heartbeats: vec![
            heartbeat(2, 1_234, 2_000),
            heartbeat(3, 1_232, 3_000),
            heartbeat(4, 900, 1_000_000),
        ],
        latency: VoteLatencyInfo { minutes: 2, watched_s: 100, masternodes: (1..=3).map(latency).collect() },
        resources: ResourceInfo {
            process_id: 1,
            process_us: 9_000_000,
            stages_us: [("index".to_owned(), 4_000_000), ("signatures".to_owned(), 5_000_000)].into(),
            log_syncs: 100,
        },
        memory: MemoryInfo {
            resident_bytes: Some(123_400_000),
            bound_bytes: 812_000_000,
            bounds: Default::default(),
        },
        totals: NetTotals { total_bytes_received: 5_000_000, total_bytes_sent: 6_000_000, time_ms: NOW_MS },
    }
}

fn view() -> View {
    let finality = FinalityView {
        medians_us: (0..60).map(|second| (second != 30).then_some(4_000 + second * 10)).collect(),
        p50_us: Some(4_300),
        p99_us: Some(11_900),
        payments: 12_000,
        per_second: 200.0,
    };
    View {
        url: "http://127.0.0.1:24201".to_owned(),
        snapshot: snapshot(),
        rates: Some(Rates {
            cores: 0.34,
            stages: vec![("signatures".to_owned(), 0.012_3), ("index".to_owned(), 0.007)],
            syncs: 122.0,
            received: 96_800.0,
            sent: 90_000.0,
        }),
        finality,
        silent: None,
        panel: Panel::Masternodes,
        scroll: 0,
        helps: false,
        paused: false,
        is_text: false,
    }
}

/// As a terminal shows it.
fn picture(view: &View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(view, frame.area(), frame.buffer_mut())).unwrap();
    let text = terminal.backend().to_string();
    assert_eq!(text.lines().count(), usize::from(height));
    text
}

fn assert_shows(picture: &str, parts: &[&str]) {
    for part in parts {
        assert!(picture.contains(part), "{part} is missing in\n{picture}");
    }
}

/// What both sizes show.
const ALWAYS: [&str; 13] = [
    "timed 0.1.0 devnet node0, up 1 h 1 min",
    "voting",
    "1234 abababababababab, 1.3 s since the last block",
    "7, ends in about 42 s",
    "height 1235, round 2, prevote, proposer 03030303",
    "last block 30; prevotes 20/27, precommits 10/27; 5 payments open",
    "3 of 4 connected, weight 30 of 40, 27 needed",
    "17 of 10000 payments, 4.2 kB of 300.0 MB, 6 certified wait",
    "200.0 payments a second; last minute 12000, half in 4.3 ms, 99 % in 11.9 ms",
    "4.6 ms at most",
    "  02020202",
    "q end  p pause  Tab panel",
    "http://127.0.0.1:24201",
];

#[test]
fn at_80_by_24_all_but_the_other_panels_is_readable() {
    let mut view = view();
    let picture_of = |view: &View| picture(view, 80, 24);
    let first = picture_of(&view);
    assert_shows(&first, &ALWAYS);
    assert_shows(
        &first,
        &[
            "Masternodes  (Tab: Peers, Resources, Problems)",
            "  04040404 active       10  49/50 NO   16 min      -      -    - 127.0.0.1:24208",
            "> 03030303 active       10  49/50 yes     3 s  3.0ms  3.0ms   0% 127.0.0.1:24206",
            "* 01010101 active       10  49/50 self      -  1.0ms  1.0ms   0% 127.0.0.1:24202",
        ],
    );
    let place = |part: &str| first.find(part).unwrap();
    assert!(place("04040404") < place("> 03030303") && place("  02020202") < place("> 03030303"), "{first}");
    view.panel = Panel::Peers;
    assert_shows(&picture_of(&view), &["127.0.0.1:40003        out  3 ms       61 s    0  /timed:0.1.0/"]);
    view.panel = Panel::Resources;
    assert_shows(
        &picture_of(&view),
        &[
            "Processor    0.34 of a core",
            "Memory       123.4 MB; its parts at most 812.0 MB",
            "Network      96.8 kB in, 90.0 kB out a second; 5.0 MB in, 6.0 MB out",
            "Log syncs    122 a second",
            "signatures 12.3, index 7.0",
        ],
    );
}

#[test]
fn at_120_by_40_all_panels_are_there_at_once() {
    let picture = picture(&view(), 120, 40);
    assert_shows(&picture, &ALWAYS);
    let more = [
        "  04040404 active    silver     10  49/50 NO   16 min      -      -    - 127.0.0.1:24208",
        " Peers ",
        " Resources ",
        "127.0.0.1:40003",
        "0.34 of a core",
        "signatures 12.3, index 7.0",
    ];
    assert_shows(&picture, &more);
    assert!(!picture.contains("Tab: "), "{picture}");
}

#[test]
fn what_is_wrong_stands_first_and_whole() {
    let mut view = view();
    let reason =
        "no new block: 2 of 4 masternodes are up, with 20 of the needed weight of 27; start those that are \
                  missing, with their operator keys and their vote journals"
            .to_owned();
    view.snapshot.status.reasons = vec![reason.clone()];
    view.silent = Some((17, "no node answers at http://127.0.0.1:24201: is it running?".to_owned()));
    for (width, height) in [(80, 24), (120, 40)] {
        let picture = picture(&view, width, height);
        let words: Vec<&str> = picture.split(['"', '\n', ' ', '!']).filter(|word| !word.is_empty()).collect();
        let text = words.join(" ");
        assert_shows(
            &text,
            &[&reason, "no answer since 17 s: no node answers at http://127.0.0.1:24201: is it running?"],
        );
        assert_shows(&picture, &["NO ANSWER", "Masternodes", "04040404", "200.0 payments"]);
        assert!(picture.find("no answer since").unwrap() < picture.find("no new block").unwrap());
    }
    // More than fits is in a panel of its own, and the picture says so.
    view.snapshot.status.reasons = (0..9).map(|number| format!("reason {number}: {reason}")).collect();
    let first = picture(&view, 80, 24);
    assert_shows(&first, &["more of this in the panel Problems (Tab)", "04040404"]);
    view.panel = Panel::Problems;
    view.scroll = 25;
    assert_shows(&picture(&view, 80, 24), &["! reason 8: no new block"]);
}

#[test]
fn a_terminal_that_is_too_small_is_told_and_no_size_is_a_panic() {
    let mut view = view();
    for (width, height) in [(79, 24), (80, 23), (40, 10)] {
        let picture = picture(&view, width, height).replace(['"', '\n'], " ");
        let text = picture.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_shows(&text, &["needs 80 columns and 24 rows", &format!("has {width} and {height}")]);
    }
    view.silent = Some((1, "x".repeat(3_000)));
    view.snapshot.status.name = "\u{1b}[31m".repeat(50);
    view.snapshot.masternodes = (0..100).map(|number| masternode(number, true)).collect();
    for helps in [false, true] {
        view.helps = helps;
        for panel in Panel::ALL {
            (view.panel, view.scroll) = (panel, 500);
            for (width, height) in
                [(0, 0), (1, 1), (1, 200), (80, 24), (81, 25), (119, 60), (120, 40), (300, 100)]
            {
                let text = text_of(&view, Rect::new(0, 0, width, height));
                assert!(!text.contains('\u{1b}'), "INV-TOP-1");
            }
        }
    }
}

#[test]
fn a_long_list_says_how_much_is_below_and_scrolls_to_its_end() {
    let mut view = view();
    view.snapshot.masternodes = (0..100).map(|number| masternode(number, true)).collect();
    let first = picture(&view, 80, 24);
    assert_shows(&first, &["* 01010101", "and 92 more"]);
    let mut choices = Choices::new();
    for _ in 0..30 {
        choices.press(KeyEvent::new(KeyCode::PageDown, KeyModifiers::NONE), &view, 80);
    }
    let last = picture(&choices.apply(view.clone()), 80, 24);
    assert!(last.contains("63636363") && !last.contains(" more"), "{last}");
    choices.press(KeyEvent::new(KeyCode::Up, KeyModifiers::NONE), &view, 80);
    assert_shows(&picture(&choices.apply(view), 80, 24), &["62626262", "63636363"]);
}

#[test]
fn keys_do_what_the_help_says() {
    let mut choices = Choices::new();
    let press = |choices: &mut Choices, code, modifiers| {
        choices.press(KeyEvent::new(code, modifiers), &view(), 80);
    };
    let none = KeyModifiers::NONE;
    press(&mut choices, KeyCode::Char('?'), none);
    let helped = picture(&choices.apply(view()), 80, 24);
    assert_shows(
        &helped,
        &[
            "Ctrl-C",
            "pause the picture",
            "scroll the panel",
            "whether this node is connected to it",
            "share its resources.",
        ],
    );
    press(&mut choices, KeyCode::Char('?'), none);
    assert!(!picture(&choices.apply(view()), 80, 24).contains("pause the picture"));
    press(&mut choices, KeyCode::Tab, none);
    assert_eq!(choices.apply(view()).panel, Panel::Peers);
    press(&mut choices, KeyCode::BackTab, none);
    press(&mut choices, KeyCode::BackTab, none);
    assert_eq!(choices.apply(view()).panel, Panel::Problems);

    // A paused picture stays as it was, until the key comes again.
    press(&mut choices, KeyCode::Char('p'), none);
    let mut later = view();
    later.snapshot.chain.blocks = 9_999;
    assert_shows(&picture(&choices.apply(later.clone()), 80, 24), &["1234 abab", "PAUSED"]);
    press(&mut choices, KeyCode::Char('p'), none);
    assert_shows(&picture(&choices.apply(later), 80, 24), &["9999 abab"]);

    press(&mut choices, KeyCode::Char('c'), none);
    assert!(!choices.ends);
    for (code, modifiers) in
        [(KeyCode::Char('q'), none), (KeyCode::Esc, none), (KeyCode::Char('c'), KeyModifiers::CONTROL)]
    {
        let mut choices = Choices::new();
        press(&mut choices, code, modifiers);
        assert!(choices.ends, "{code:?}");
    }
}

#[test]
fn rates_are_between_two_looks_at_one_process() {
    let now = Clock.instant();
    let (resources, totals) = (snapshot().resources, snapshot().totals);
    let before = Sums { at: now, resources: resources.clone(), totals: totals.clone() };
    let mut after = Sums { at: now + Duration::from_secs(2), resources, totals };
    after.resources.process_us += 1_000_000;
    after.resources.stages_us.insert("index".to_owned(), 4_600_000);
    after.resources.log_syncs += 20;
    after.totals.total_bytes_received += 4_000;
    let rates = Rates::between(&before, &after).unwrap();
    assert_eq!((rates.cores, rates.syncs, rates.received, rates.sent), (0.5, 10.0, 2_000.0, 0.0));
    assert_eq!(rates.stages, [("index".to_owned(), 0.3), ("signatures".to_owned(), 0.0)]);
    after.resources.process_id = 2;
    assert_eq!(Rates::between(&before, &after), None, "it was started again");
}

#[test]
fn texts_are_wrapped_between_words_and_lose_nothing() {
    assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    assert_eq!(wrap("abcdefgh ij", 4), ["abcd", "efgh", "ij"]);
    assert_eq!(wrap("a abcdefg", 4), ["a", "abcd", "efg"]);
    assert!(wrap("  ", 4).is_empty());
    assert_eq!((cut("abcd", 4), cut("abcde", 4)), ("abcd".to_owned(), "abc\u{2026}".to_owned()));
}

#[test]
fn a_size_is_one_that_a_picture_fits_into() {
    assert_eq!(parse_size("80x24"), Ok((80, 24)));
    for text in ["79x24", "80x23", "80", "80x", "1001x40", "x"] {
        assert!(parse_size(text).is_err(), "{text}");
    }
}
