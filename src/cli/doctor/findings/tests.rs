use super::*;
use crate::cli::doctor::facts::Ports;
use crate::rpc::fake_node::FakeNode;
use crate::rpc::types::{
    AttendanceInfo, DiskGrowth, DiskInfo, DiskOutlook, HeartbeatInfo, IndexInfo, MembershipInfo, NotReady,
    PeerInfo, PendingRulesInfo, Readiness, RulesInfo,
};
use crate::rpc::{NodeApi as _, fake_node};
use crate::types::{ChainId, MasternodeId, Network, RuleVersion, TimeMs};

const NOW_MS: TimeMs = 1_750_000_100_000;

/// A masternode of a set of four, with a number for a name.
fn member(number: u8) -> MasternodeInfo {
    MasternodeInfo {
        id: MasternodeId([number; 32]),
        state: "active".into(),
        in_set: Some(membership()),
        connected: true,
        jailed: None,
        slashed: false,
        on_trial: false,
        effective_weight: 10,
        bound_until_ms: None,
        ..fake_node::masternode()
    }
}

fn membership() -> MembershipInfo {
    let attendance = AttendanceInfo { signed: 1, counted: 1, absent: false };
    MembershipInfo { since_epoch: 0, since_ms: None, attendance }
}

fn peer(inbound: bool) -> PeerInfo {
    PeerInfo {
        id: 1,
        addr: "192.0.2.1:24100".into(),
        node_id: String::new(),
        inbound,
        version: 1,
        subver: String::new(),
        listen_address: String::new(),
        connected_s: 1,
        bytes_sent: 0,
        bytes_received: 0,
        ping_ms: None,
        ban_score: 0,
    }
}

/// A sound network of four, seen from a full node.
fn sound() -> Node {
    let fake = FakeNode::default();
    let mut status = fake.node_status();
    status.state = NodeState::Following;
    status.masternodes_total = 4;
    let mut chain = fake.blockchain_info();
    chain.time = NOW_MS - 1_000;
    let mut consensus = fake.consensus_info();
    (consensus.total_weight, consensus.quorum) = (40, 27);
    Node {
        status,
        readiness: Readiness::of(Vec::new()),
        chain,
        consensus,
        pool: fake.mempool_info(),
        peers: vec![peer(false), peer(true)],
        masternodes: (1..=4).map(member).collect(),
        heartbeats: Vec::new(),
        index: IndexInfo { synced: true, height: 1, engine: "sled".into() },
        memory: fake.memory_info(),
        disk: None,
        latency: fake.vote_latency(10),
        later: None,
        own_address_answers: None,
    }
}

fn facts(node: Node) -> Facts {
    Facts {
        unusable: Vec::new(),
        version: "0",
        now_ms: NOW_MS,
        config: None,
        machine: None,
        journal: None,
        chains: Chains::default(),
        external_address_answers: None,
        node: Ok(node),
        log: None,
    }
}

/// The worst finding of a check.
fn worst(facts: &Facts, check: &str) -> (Severity, String) {
    let found = examine(facts).into_iter().find(|finding| finding.check == check);
    let found = found.unwrap_or_else(|| panic!("{check} was not looked at"));
    (found.severity, format!("{} {}", found.says, found.next))
}

fn changed(change: impl FnOnce(&mut Node)) -> Facts {
    let mut node = sound();
    change(&mut node);
    facts(node)
}

#[test]
fn a_sound_node_has_nothing_to_attend_to() {
    let findings = examine(&facts(sound()));
    let bad: Vec<_> = findings.iter().filter(|finding| finding.severity >= Severity::Warning).collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert!(findings.iter().all(|finding| !finding.says.is_empty()));
}

#[test]
fn who_is_missing_is_named_and_a_lost_quorum_is_an_error() {
    let of = |missing: &[usize]| {
        let facts =
            changed(|node| missing.iter().for_each(|place| node.masternodes[*place].connected = false));
        worst(&facts, "masternodes")
    };
    let (severity, text) = of(&[1]);
    assert_eq!(severity, Severity::Warning);
    assert!(text.contains(&MasternodeId([2; 32]).short()) && text.contains("3 of 4"), "{text}");
    assert_eq!(of(&[1, 2]).0, Severity::Error);
    assert_eq!(of(&[]).0, Severity::Ok);
}

#[test]
fn peers_blocks_clock_and_progress_are_judged() {
    assert_eq!(worst(&changed(|node| node.peers.clear()), "peers").0, Severity::Error);
    let late = changed(|node| node.chain.time = NOW_MS - 600_000);
    let (severity, text) = worst(&late, "blocks");
    assert!(severity == Severity::Error && text.contains("10 min 0 s ago"), "{text}");
    for (ms, expected) in [(-3_000, Severity::Error), (700, Severity::Warning), (20, Severity::Ok)] {
        let skewed = changed(|node| {
            let beat = |number: u8, off_ms: i64| HeartbeatInfo {
                masternode: MasternodeId([number; 32]),
                epoch: 0,
                height: 1,
                next_seq: 0,
                time_ms: NOW_MS,
                heard_ms: NOW_MS.saturating_add_signed(off_ms),
                attested_by: Vec::new(),
            };
            // One that is far off itself says nothing of this node's clock.
            node.heartbeats = vec![beat(1, ms), beat(2, ms), beat(3, 90_000)];
        });
        assert_eq!(worst(&skewed, "clock").0, expected, "{ms} ms");
    }
    let catching_up = |later| {
        changed(|node| {
            (node.status.height, node.status.target_height, node.later) = (100, 1_100, Some((later, 2_000)));
        })
    };
    let (severity, text) = worst(&catching_up(200), "sync");
    assert!(severity == Severity::Note && text.contains("50 blocks a second: 18 s to go"), "{text}");
    assert_eq!(worst(&catching_up(100), "sync").0, Severity::Error);
}

#[test]
fn an_own_masternode_that_does_not_vote_says_why_and_what_to_do() {
    let own = |change: fn(&mut MasternodeInfo)| {
        let facts = changed(|node| {
            node.status.masternode = Some(MasternodeId([1; 32]));
            change(&mut node.masternodes[0]);
        });
        worst(&facts, "own_masternode")
    };
    assert_eq!(own(|_| {}).0, Severity::Ok);
    let (severity, text) = own(|one| one.jailed = Some(JailReason::Absence));
    assert!(severity == Severity::Error && text.contains("masternode unjail"), "{text}");
    let (severity, text) = own(|one| one.jailed = Some(JailReason::Evidence));
    assert!(severity == Severity::Error && text.contains("out for good"), "{text}");
    let (severity, text) = own(|one| (one.in_set, one.state) = (None, "eligible".into()));
    assert!(severity == Severity::Note && text.contains("eligible"), "{text}");
    let away = changed(|node| {
        node.status.masternode = Some(MasternodeId([1; 32]));
        node.own_address_answers = Some(false);
    });
    assert_eq!(worst(&away, "own_address").0, Severity::Warning);
    let mut unregistered = facts(sound());
    let mut config = Config::of_network(Network::Devnet);
    config.masternode.enabled = true;
    unregistered.config = Some(Ok(config));
    let detail = "the operator key is no masternode's".to_owned();
    let problem = NotReady { reason: "not_registered".to_owned(), detail };
    unregistered.node.as_mut().unwrap().readiness = Readiness::of(vec![problem]);
    let (severity, text) = worst(&unregistered, "own_masternode");
    // Running first and registering then is the order of the README.
    assert!(severity == Severity::Warning && text.contains("register --dry-run"), "{text}");
    let is_said_by_node =
        |facts: &Facts| examine(facts).iter().any(|finding| finding.says.contains("The node says"));
    assert!(!is_said_by_node(&unregistered), "nothing is said twice");
    unregistered.config = None;
    assert!(is_said_by_node(&unregistered), "without its configuration the node's word is all there is");
}

#[test]
fn what_the_node_says_has_a_next_step_and_the_worst_comes_first() {
    let reasons = [
        "failed",
        "fork",
        "key_copied",
        "other_chain",
        "no_peers",
        "halted",
        "syncing",
        "young_journal",
        "listening",
        "not_in_set",
        "not_registered",
    ];
    for reason in reasons {
        let facts = changed(|node| {
            let told = NotReady { reason: reason.to_owned(), detail: "so it is".to_owned() };
            node.readiness = Readiness::of(vec![told]);
        });
        let findings = examine(&facts);
        let found = findings.iter().find(|finding| finding.says.contains("so it is")).unwrap();
        assert!(found.severity > Severity::Ok && !found.next.is_empty(), "{reason}: {found:?}");
        assert!(findings.is_sorted_by_key(|finding| std::cmp::Reverse(finding.severity)));
    }
}

#[test]
fn a_machine_is_judged_by_its_disk_and_its_limits() {
    let with = |machine: Machine| {
        let mut facts = facts(sound());
        facts.config = Some(Ok(Config::of_network(Network::Devnet)));
        facts.machine = Some(machine);
        facts
    };
    let dir = || Some("data".into());
    for (free, expected) in
        [(511_999_999, Severity::Error), (512_000_000, Severity::Warning), (1 << 40, Severity::Ok)]
    {
        let facts = with(Machine { data_dir: dir(), free_bytes: Some(free), ..Machine::default() });
        assert_eq!(worst(&facts, "disk_space").0, expected, "{free}");
    }
    for (us, expected) in [(200_000, Severity::Error), (20_000, Severity::Warning), (900, Severity::Ok)] {
        let facts = with(Machine { data_dir: dir(), sync_us: Some(us), ..Machine::default() });
        assert_eq!(worst(&facts, "disk_sync").0, expected, "{us}");
    }
    let facts = with(Machine { open_files: Some(256), ..Machine::default() });
    assert_eq!(worst(&facts, "open_files").0, Severity::Warning);
    assert_eq!(worst(&facts, "data_dir").0, Severity::Note);
    let mut dead = with(Machine::default());
    dead.node = Err(Silence::Mute("no node answers".to_owned()));
    let (severity, text) = worst(&dead, "node");
    assert!(severity == Severity::Error && text.contains("start it"), "{text}");
    dead.node = Err(Silence::Starting("the node is starting: building the index: 4 %".to_owned()));
    let (severity, text) = worst(&dead, "node");
    assert!(severity == Severity::Warning && text.contains("index: 4 %") && text.contains("wait"), "{text}");
    let mut wrong = facts;
    wrong.config = Some(Err(vec!["line 2".to_owned(), "line 7".to_owned()]));
    let findings = examine(&wrong);
    let told: Vec<_> = findings.iter().filter(|finding| finding.check == "config").collect();
    assert!(told.len() == 2 && told[1].says.contains("line 7") && !told[1].next.is_empty(), "{told:?}");
    wrong.node = Err(Silence::Mute("no node answers".to_owned()));
    assert_eq!(worst(&wrong, "node").0, Severity::Error);
    wrong.node = Err(Silence::Mute("config.toml: line 2".to_owned()));
    assert!(examine(&wrong).iter().all(|finding| finding.check != "node"), "what is told is not told twice");
}

#[test]
fn whose_votes_are_late_or_missing_is_named_and_whose_are_not_is_not() {
    let of = |change: &dyn Fn(&mut Node)| worst(&changed(|node| change(node)), "votes");
    assert_eq!(of(&|_| {}).0, Severity::Ok);
    let late =
        |node: &mut Node, place: usize, ms: f64| node.latency.masternodes[place].lock.p90_ms = Some(ms);
    let (severity, text) = of(&|node| late(node, 3, 900.0));
    assert_eq!(severity, Severity::Warning);
    let [third, fourth] = [3, 4].map(|number| MasternodeId([number; 32]).short());
    assert!(
        text.contains(&format!("{fourth}, a tenth later than 900 ms")) && !text.contains(&third),
        "{text}"
    );
    let (severity, text) = of(&|node| node.latency.masternodes[3].lock.missing = 25);
    assert!(severity == Severity::Warning && text.contains(&format!("{fourth}, 20 % missing")), "{text}");
    let (_, text) = of(&|node| {
        node.latency.masternodes[3].own = true;
        late(node, 3, 900.0);
    });
    assert!(text.contains(&format!("{fourth}, this node's own, a tenth")), "{text}");
    // Slow for the world is slow, whatever the others are like; far away is not late.
    assert_eq!(of(&|node| late(node, 3, 400.0)).0, Severity::Ok);
    let (severity, text) = of(&|node| (0..4).for_each(|place| late(node, place, 900.0)));
    assert!(severity == Severity::Warning && text.contains("this node first"), "{text}");
    // A handful of votes says nothing.
    let few = |node: &mut Node| {
        late(node, 3, 9_000.0);
        node.latency.masternodes.iter_mut().for_each(|one| one.lock.count = 19);
    };
    let (severity, text) = of(&few);
    assert!(severity == Severity::Ok && text.contains("Too few payments"), "{text}");
}

#[test]
fn a_journal_that_does_not_fit_is_an_error_with_its_own_exit_code() {
    use crate::cli::doctor::kind_of;
    let of = |journal: Journal| {
        let mut facts = facts(sound());
        (facts.config, facts.machine) =
            (Some(Ok(Config::of_network(Network::Devnet))), Some(Machine::default()));
        facts.journal = Some(journal);
        worst(&facts, "journal")
    };
    assert_eq!(of(Journal::Own).0, Severity::Ok);
    let (severity, text) = of(Journal::Missing);
    assert!(
        severity == Severity::Error && text.contains("votes import") && text.contains("votes new"),
        "{text}"
    );
    let (severity, text) = of(Journal::Foreign("it is of another key".to_owned()));
    assert!(severity == Severity::Error && text.contains("it is of another key"), "{text}");
    assert_eq!(of(Journal::Unreadable("denied".to_owned())).0, Severity::Error);
    // What keeps the journal from being looked at is told by itself, with the words of the node.
    let mut facts = facts(sound());
    facts.config = Some(Ok(Config::of_network(Network::Devnet)));
    facts.machine = Some(Machine::default());
    facts.journal = Some(Journal::Unreadable("denied".to_owned()));
    let (key, says) =
        ("masternode.operator_key".to_owned(), "it can be read by others; run: chmod 600".to_owned());
    facts.unusable = vec![Unusable { key, says }];
    let (severity, text) = worst(&facts, "config");
    assert!(
        severity == Severity::Error && text.contains("operator_key") && text.contains("chmod 600"),
        "{text}"
    );
    assert!(examine(&facts).iter().all(|finding| finding.check != "journal"));
    assert_eq!(["journal", "config", "peers"].map(|check| kind_of(check).code()), [3, 2, 1]);
}

#[test]
fn a_masternode_with_a_wrong_key_or_an_address_that_nobody_reaches_is_told_so() {
    let mut facts = facts(sound());
    let mut config = Config::of_network(Network::Devnet);
    config.masternode.enabled = true;
    config.network.external_address = Some(fake_node::masternode().address);
    (facts.config, facts.machine) = (Some(Ok(config)), Some(Machine::default()));
    let (severity, text) = worst(&facts, "own_masternode");
    assert!(severity == Severity::Error && text.contains("another operator key"), "{text}");
    facts.external_address_answers = Some(false);
    let (severity, text) = worst(&facts, "external_address");
    assert!(severity == Severity::Warning && text.contains("127.0.0.1:24200"), "{text}");
}

#[test]
fn rules_to_come_that_the_node_does_not_know_are_an_error_before_they_stop_it() {
    let of = |known: u32, pending: Option<u32>| {
        let facts = changed(|node| {
            let version = |version| PendingRulesInfo { version: RuleVersion(version), epoch: 9 };
            let rules = RulesInfo {
                known: RuleVersion(known),
                pending: pending.map(version),
                ..node.chain.rules.clone()
            };
            node.chain.rules = rules;
        });
        worst(&facts, "rules")
    };
    assert_eq!((of(1, None).0, of(2, Some(2)).0), (Severity::Ok, Severity::Ok));
    let (severity, text) = of(1, Some(2));
    assert!(severity == Severity::Error && text.contains("Rules 2 come with epoch 9"), "{text}");
    assert!(text.contains("install a newer timed before that epoch"), "{text}");
}

#[test]
fn ports_that_another_program_has_are_named_with_their_keys_unless_a_node_has_them() {
    let of = |machine: Machine| {
        let mut dead = facts(sound());
        dead.node = Err(Silence::Mute("no node answers".to_owned()));
        let mut config = Config::of_network(Network::Devnet);
        config.metrics.enabled = true;
        (dead.config, dead.machine) = (Some(Ok(config)), Some(machine));
        dead
    };
    let (taken, free) = (Some(false), Some(true));
    for (ports, check, key) in [
        (
            Ports { peers_free: taken, rpc_free: free, metrics_free: free },
            "peer_port",
            "[network] listen_address",
        ),
        (Ports { peers_free: free, rpc_free: taken, metrics_free: free }, "rpc_port", "[rpc] listen_address"),
        (
            Ports { peers_free: free, rpc_free: free, metrics_free: taken },
            "metrics_port",
            "[metrics] listen_address",
        ),
    ] {
        let facts = of(Machine { ports, ..Machine::default() });
        let (severity, text) = worst(&facts, check);
        assert!(severity == Severity::Error && text.contains(key), "{text}");
        let blamed = examine(&facts).iter().filter(|finding| finding.check.ends_with("_port")).count();
        assert_eq!(blamed, 1, "{check}");
        let held =
            of(Machine { ports, holder: Some(77), data_dir: Some("data".into()), ..Machine::default() });
        assert!(examine(&held).iter().all(|finding| !finding.check.ends_with("_port")));
        assert!(worst(&held, "data_dir").1.contains("Process 77 holds the data directory"));
    }
}

#[test]
fn blocks_or_a_node_of_another_chain_are_an_error() {
    let of = |genesis: u8, blocks: Option<u8>| {
        let mut facts = facts(sound());
        let config = Config::of_network(Network::Devnet);
        (facts.config, facts.machine) = (Some(Ok(config)), Some(Machine::default()));
        let chain = |number: u8| ChainId([number; 32]);
        facts.chains = Chains { genesis: Some(chain(genesis)), blocks: blocks.map(chain) };
        facts.node.as_mut().unwrap().chain.chain_id = chain(7);
        facts
    };
    assert_eq!(worst(&of(7, Some(7)), "chain").0, Severity::Ok);
    let (severity, text) = worst(&of(7, Some(8)), "chain");
    assert!(severity == Severity::Error && text.contains(&ChainId([8; 32]).short()), "{text}");
    assert!(text.contains("[node] genesis") && text.contains("[node] data_dir"), "{text}");
    assert!(
        examine(&of(7, None)).iter().all(|finding| finding.check != "chain" && finding.check != "rpc_port")
    );
    let (severity, text) = worst(&of(9, None), "rpc_port");
    assert!(severity == Severity::Error && text.contains("[rpc] listen_address"), "{text}");
}

#[test]
fn the_open_files_that_are_needed_grow_with_what_the_configuration_lets_in() {
    let mut config = Config::of_network(Network::Devnet);
    let before = files_needed(&config);
    config.network.max_inbound += 500;
    config.rpc.max_connections += 30;
    assert_eq!(files_needed(&config), before + 530);
    config.storage.engine = StorageEngine::Fjall;
    assert_eq!(files_needed(&config), before + 530 + FJALL_FILES);
    let of = |files: u64| {
        let mut facts = facts(sound());
        let machine = Machine { open_files: Some(files), ..Machine::default() };
        (facts.config, facts.machine) = (Some(Ok(config.clone())), Some(machine));
        worst(&facts, "open_files")
    };
    let needed = files_needed(&config);
    assert_eq!(of(needed).0, Severity::Ok);
    let (severity, text) = of(needed - 1);
    assert!(severity == Severity::Warning && text.contains(&needed.to_string()), "{text}");
}

#[test]
fn a_limit_of_memory_is_named_where_it_is_less_than_the_machine_has() {
    let of = |memory_limited| {
        let mut facts = facts(sound());
        let machine = Machine { memory_bytes: Some(1 << 30), memory_limited, ..Machine::default() };
        (facts.config, facts.machine) = (Some(Ok(Config::of_network(Network::Devnet))), Some(machine));
        facts.node.as_mut().unwrap().memory.bound_bytes = 2 << 30;
        worst(&facts, "memory")
    };
    let (severity, text) = of(true);
    assert!(
        severity == Severity::Note && text.contains("1024 MiB of memory that its control group grants"),
        "{text}"
    );
    assert!(!of(false).1.contains("control group"));
}

#[test]
fn a_disk_that_is_full_soon_is_a_warning() {
    let of = |after_s| {
        let facts = changed(|node| {
            let growth = DiskGrowth { blocks: 10, bytes: 1, over_ms: 1, bytes_a_day: 86_400_000 };
            let outlook = Some(DiskOutlook::Full { after_s, level_bytes: None });
            node.disk = Some(DiskInfo {
                blocks_bytes: 1,
                index_bytes: 1,
                free_bytes: None,
                growth: Some(growth),
                outlook,
            });
        });
        worst(&facts, "disk_growth")
    };
    let (severity, text) = of(disk_growth::SOON_S - 1);
    assert!(severity == Severity::Warning && text.contains("[storage] prune"), "{text}");
    assert_eq!(of(disk_growth::SOON_S).0, Severity::Ok);
}
