//! `timed`: the full-node daemon of TIME Coin, as a library for its binary, tests and benches.
//!
//! This page is the map. A first hour: README, then this page, then the head of the folder that you came for. Each folder's
//! head says which file decides what, and which places to touch to add something.
//!
//! # The floors
//! Imports go downwards only, and folders of one floor don't know each other. `tests/architecture.rs` holds both.
//!
//! | floor | folder | holds |
//! |---|---|---|
//! | 1 | [`types`] | pure data, its encoding, its limits |
//! | 2 | [`protocol`] | pure rules and machines: facts in, orders out |
//! | 3 | [`runtime`] | clock, tasks, CPU pool, configuration, log, metrics |
//! | 4 | [`storage`] | block log, vote journal, index, snapshots |
//! | 5 | [`network`] | connections to peers, and what they may cost |
//! | 6 | [`utxo`] | the state of each output |
//! | 6 | [`mempool`] | transactions that no block has |
//! | 6 | [`wallet`] | keys and signed payments; no part of a node |
//! | 7 | [`admission`] | takes transactions, or says why not |
//! | 7 | [`consensus`] | drives the machines, on one thread |
//! | 8 | [`rpc`] | what people and programs ask |
//! | 9 | [`app`] | wires a node, starts and stops it |
//! | 10 | [`devnet`] | a network of nodes in one program |
//! | 11 | [`cli`] | the commands |
//!
//! # To add something
//! Heads have lists "To add ...", each with what finds a forgotten place.
//!
//! | what | the list is in the head of |
//! |---|---|
//! | a kind of payload | [`protocol`] |
//! | a kind of message between nodes | [`network`] |
//! | a method, a topic of subscriptions | [`rpc`] |
//! | a reason for a refusal | [`admission`] |
//! | a metric | [`runtime`] |
//! | a key of the configuration | [`runtime::config`] |
//! | a format on disk, an engine of the index | [`storage`] |
//! | a command | [`cli`] |
//! | another time for votes to leave | `consensus::finality` |
//! | a campaign of tests | `tests/claims.md` |
//!
//! # Threads and queues
//! Names in capitals are threads of their own, those in brackets are tasks of the runtime.
//!
//! ```text
//!        peers                                              people and programs
//!          |                                                         |
//!  [two a connection]                                       [one a connection]
//!    urgent |    | bulk                                 payments |      | questions
//!           v    v                                               |      v
//! [vote checks] [bulk router] --bodies, names--> ADMISSION <-----+   outputs, pool, feeds, events;
//!  CPU pool |    | the rest                         |                blocks and index on blocking threads
//!           v    v                                  | what passed
//!     urgent lane, bulk lane <----------------------+
//!                |
//!                v
//!  own lane --> CONSENSUS --> peers
//!     ^          |  |  |  |  |  |
//!     |          |  |  |  |  |  +- notifications -> OBSERVERS -> outputs, pool, feeds, events, log, metrics
//!     |          |  |  |  |  +---- parts of answers -> ANSWERS TO PEERS -> peers
//!     +----------|--|--|--+------- blocks of others -> BLOCKS AHEAD
//!     +----------|--|--+---------- timers -> TIMEOUT MONITOR
//!     +----------|--+------------- decided blocks -> BLOCK LOG <- applied blocks - OBSERVERS
//!     |          |                                    +-> INDEX WRITER -> index
//!     |          |                                    +-> SNAPSHOTS
//!     +----------+---------------- staged writes -> VOTE JOURNAL -> peers
//! ```
//!
//! | thread | starts in | alone does |
//! |---|---|---|
//! | `consensus` | [`start_engine`](consensus::engine::start_engine) | decides all that is voted on; reads the disk only for what is not cached, and never writes |
//! | `vote journal` | [`start_journal`](consensus::vote_journal::start_journal) | syncs what this node says, and sends it then |
//! | `block log` | [`start_block_log`](consensus::block_commit::start_block_log) | appends and syncs blocks, orders the index, prunes |
//! | `index-writer` | [`IndexWriter::start`](storage::IndexWriter::start) | brings the index forward, and marks how far it is |
//! | `observers` | [`start_observers`](consensus::observers::start_observers) | tells whoever watches, in the order of consensus |
//! | `timeout monitor` | [`TimeoutMonitor::start`](consensus::timeout_monitor::TimeoutMonitor::start) | calls consensus back |
//! | `blocks ahead` | [`AheadSender::start`](consensus::sync::ahead_thread::AheadSender::start) | checks signatures of blocks that sync fetched |
//! | `answers to peers`, `snapshots to peers` | [`AnswerServer::start`](consensus::serve::AnswerServer::start) | reads, proves and encodes what peers asked for |
//! | `admission` | [`admission::start`] | checks transactions, many at a time |
//! | `snapshots` | [`app::snapshots`] | makes snapshots, and says which blocks may go |
//! | `old votes`, `old blocks` | [`RetiredFiles`](consensus::retired_files::RetiredFiles) | removes files slowly |
//! | `cpu-N` | [`CpuPool`](runtime::CpuPool) | large batches of signatures; small jobs go to the runtime's blocking threads |
//!
//! Tasks with a name: `vote checks` ([`verify_urgent`](consensus::incoming::verify_urgent)), `bulk router`
//! ([`route_bulk`](admission::route_bulk)), `conflicts`, `disk space`, `telemetry`, `watchdog`, and the trackers `network`,
//! `RPC server` and `metrics server`. [`TaskRegistry`](runtime::TaskRegistry) stops them, the last one first; the index's
//! thread ends with the block log's.
//!
//! Every queue has a bound; [`app::memory`] adds the bytes up.
//!
//! | from | to | at most | when it is full |
//! |---|---|---|---|
//! | a connection, urgent | `vote checks` | 1,024 KiB ([`URGENT_EVENTS_BYTES_MAX`](network::connection::URGENT_EVENTS_BYTES_MAX)); large ones from a pool of 16 MiB ([`RECEIVE_URGENT_POOL_BYTES`](network::pools::RECEIVE_URGENT_POOL_BYTES)) for strangers, and another for members | that peer is not read |
//! | a connection, bulk | `bulk router` | 4,096 ([`BULK_EVENTS_MAX`](network::connection::BULK_EVENTS_MAX)) in 1 MiB ([`BULK_WINDOW_BYTES`](network::frame::BULK_WINDOW_BYTES)); pools of 32 MiB ([`RECEIVE_BULK_POOL_BYTES`](network::pools::RECEIVE_BULK_POOL_BYTES)) likewise | that peer gets no credit |
//! | `vote checks` | `consensus`, urgent lane | 256 ([`URGENT_EVENTS_MAX`](consensus::inbox::URGENT_EVENTS_MAX)), 32 MiB ([`URGENT_BYTES_MAX`](consensus::inbox::URGENT_BYTES_MAX)) | the task waits |
//! | `bulk router`, `admission` | `consensus`, bulk lane | 256 ([`BULK_EVENTS_MAX`](consensus::inbox::BULK_EVENTS_MAX)), 64 MiB ([`BULK_BYTES_MAX`](consensus::inbox::BULK_BYTES_MAX)) and what passed admission | both wait |
//! | disks, timers, checks | `consensus`, own lane | as many as consensus ordered | never |
//! | RPC | `admission` | 4,096 ([`USER_QUEUE_MAX`](admission::thread::USER_QUEUE_MAX)), 16 MiB ([`USER_QUEUE_BYTES_MAX`](admission::thread::USER_QUEUE_BYTES_MAX)) | callers wait; [`load`](admission::load) has refused most before |
//! | router, `consensus` | `admission`, bodies that were asked for | 512 ([`WANTED_QUEUE_MAX`](admission::thread::WANTED_QUEUE_MAX)), 16 MiB ([`WANTED_QUEUE_BYTES_MAX`](admission::thread::WANTED_QUEUE_BYTES_MAX)) | the router waits; what consensus passes on is dropped |
//! | router, `consensus` | `admission`, other bodies | 512 ([`PEER_QUEUE_MAX`](admission::thread::PEER_QUEUE_MAX)), 32 MiB ([`PEER_QUEUE_BYTES_MAX`](admission::thread::PEER_QUEUE_BYTES_MAX)) | likewise |
//! | router | `admission`, announcements | 64 ([`ANNOUNCEMENTS_MAX`](admission::thread::ANNOUNCEMENTS_MAX)) | dropped |
//! | `consensus` | `vote journal` | 4,096 ([`JOURNAL_QUEUE_MAX`](consensus::vote_journal::JOURNAL_QUEUE_MAX)), 64 MiB ([`JOURNAL_QUEUE_BYTES_MAX`](storage::memory::JOURNAL_QUEUE_BYTES_MAX)) | consensus waits |
//! | `consensus`, `observers` | `block log` | 80 ([`BLOCK_ORDERS_MAX`](consensus::block_commit::BLOCK_ORDERS_MAX)); decided ones 64 ([`COMMITTING_BLOCKS_MAX`](consensus::blocks::COMMITTING_BLOCKS_MAX)) of 16 MiB ([`COMMITTING_BYTES_MAX`](consensus::blocks::COMMITTING_BYTES_MAX)) | both wait |
//! | `block log` | `index-writer` | 1,024 ([`QUEUE_CHANGES_MAX`](storage::index_writer::QUEUE_CHANGES_MAX)), 256 MiB ([`QUEUE_BYTES_MAX`](storage::index_writer::QUEUE_BYTES_MAX)) | the block log waits |
//! | `consensus` | `observers` | 64 MiB ([`OBSERVED_BYTES_MAX`](consensus::observers::OBSERVED_BYTES_MAX)) and one turn's | consensus waits |
//! | `consensus`; the router for snapshots | `answers to peers`, `snapshots to peers` | 840 KiB a peer ([`PEER_PARTS_BYTES_MAX`](consensus::serve::PEER_PARTS_BYTES_MAX)) | not answered; the peer asks again |
//! | `consensus` | `blocks ahead` | 32 ([`WAITING_MAX`](consensus::sync::ahead_thread::WAITING_MAX)), 32 MiB ([`AHEAD_BYTES_MAX`](consensus::sync::ahead_thread::AHEAD_BYTES_MAX)) | consensus checks by itself |
//! | `block log` | `snapshots` | 1 | that epoch has no snapshot |
//! | logs | `old votes`, `old blocks` | 1 ([`REMOVALS_MAX`](consensus::retired_files::REMOVALS_MAX)) | the next removal finds it |
//! | anybody | a peer, urgent | 8 MiB ([`URGENT_BYTES_MAX`](network::send_queue::URGENT_BYTES_MAX)) | the connection ends |
//! | anybody | a peer, bulk | 12,800 KiB ([`BULK_BYTES_MAX`](network::send_queue::BULK_BYTES_MAX)) | the message is dropped |
//! | `observers` | readers of events | 65,536 ([`EVENTS_MAX`](rpc::limits::EVENTS_MAX)), 48 MiB ([`EVENTS_BYTES_MAX`](rpc::limits::EVENTS_BYTES_MAX)) | the oldest go; readers go on in the blocks |
//!
//! Callers of RPC have places, bodies, answers and turns of their own: [`rpc::limits`]. What a block makes before the index
//! has it stays in memory, 256 MiB ([`OVERLAY_BYTES_MAX`](utxo::OVERLAY_BYTES_MAX)) at most: the block log waits then.
//!
//! # An output's states
//! As one node sees them ([`OutputState`](utxo::OutputState)). `T` is a transaction that spends the output.
//!
//! ```text
//!   Unknown
//!      | a block or a final transaction makes it
//!      v
//!   Unspent <---------------------------------------------+
//!      | all inputs of T are locked to T, or none         |
//!      v                                                  | T is dropped, or the epoch
//!   Locked by T ----------------------------------------->+ ends and T is not final
//!      | this node's vote for T is durable                |
//!      v                                                  |
//!   SpentPending by T ----------------------------------->+
//!      | T is final: nothing goes back from here
//!      v
//!   SpentFinalized by T
//!      | a block contains T
//!      v
//!   Confirmed by T, at a height
//! ```
//!
//! | step | made by |
//! |---|---|
//! | `Locked` | [`UtxoManager::lock`](utxo::UtxoManager::lock): admission early, then the finality machine |
//! | `SpentPending` | [`UtxoManager::mark_voted`](utxo::UtxoManager::mark_voted); a node that does not vote leaves this out |
//! | `SpentFinalized` | [`UtxoManager::mark_final`](utxo::UtxoManager::mark_final) |
//! | `Confirmed` | [`UtxoManager::apply_block`](utxo::UtxoManager::apply_block), from any state: a node that syncs sees no votes |
//! | back | [`UtxoManager::release`](utxo::UtxoManager::release), [`UtxoManager::start_epoch`](utxo::UtxoManager::start_epoch) |
//!
//! The machine decides. Where admission locked another transaction first, the machine's word replaces that lock.
//!
//! # A block's way
//! Lines are those of Tendermint ([`protocol::bft`]). Whatever this node says of a block is in its journal first.
//!
//! | it is | when | then |
//! |---|---|---|
//! | due | the interval is over, enough is certified, or the epoch is to end | [`BftConsensus`](consensus::blocks::BftConsensus) builds it of what is certified |
//! | proposed | the proposer's journal has it | others ask for bodies and certificates that they lack, and judge it |
//! | prevoted | valid and acceptable (line 22), or valid with a proof of lock (line 28) | journaled, sent |
//! | precommitted | prevotes of weight `Q` (line 36); the block is locked | journaled with proposal, bodies and prevotes, sent |
//! | committed | precommits of weight `Q` in one round (line 49); they are its [`Commit`](types::Commit) | [`Output::CommitBlock`](consensus::events::Output::CommitBlock). Blocks of sync begin here |
//! | durable | the block log synced it ([`DurableBlock`](storage::DurableBlock)) | it becomes the tip, and changes the outputs, in `consensus/chain.rs` alone |
//! | told | [`Notification::BlockApplied`](consensus::events::Notification::BlockApplied) | pool, feeds and subscribers hear of it |
//! | indexed | the index has it, in memory | whoever asks the index finds it |
//! | marked | 64 ([`MARK_BLOCKS`](storage::index_writer::MARK_BLOCKS)) blocks or 32,768 ([`MARK_ENTRIES`](storage::index_writer::MARK_ENTRIES)) entries later, or in a pause | a start goes on behind the [`Mark`](storage::Mark) |
//! | pruned | `[storage] prune` says so | it is below the horizon; answers say where the node begins |
//!
//! # Glossary
//! People and their weight:
//!
//! | word | here |
//! |---|---|
//! | masternode | a registered collateral with an owner, an operator key, a payout and an address: [`MasternodeRecord`](protocol::masternodes::MasternodeRecord) |
//! | owner, operator | who may spend the collateral; whose key votes |
//! | tier | a collateral and the full weight that it gives: [`Tier`](types::genesis::Tier) |
//! | weight | what a vote counts: the effective weight, which grows up to the full one |
//! | on trial | it has attended no whole epoch yet since it entered the set, where it weighs 1 |
//! | validator set, set | who votes in an epoch, in order: [`ValidatorSet`](types::ValidatorSet); each is a member |
//! | quorum, `Q` | more than two thirds of the set's weight: [`ValidatorSet::quorum`](types::ValidatorSet::quorum) |
//! | third | beyond it somebody honest is among the voters: [`ValidatorSet::exceeds_third`](types::ValidatorSet::exceeds_third) |
//! | jailed | kept out of the set, for absence or for evidence: [`Jail`](protocol::masternodes::Jail) |
//! | evidence | two signatures, or one, that no honest member gives: [`Evidence`](types::Evidence) |
//! | instance | one start of a masternode's node; a quorum acknowledges it before it signs: [`consensus::instances`] |
//! | full node | one without an operator key: it counts all votes and casts none |
//!
//! Payments:
//!
//! | word | here |
//! |---|---|
//! | copy | a transaction with certain witnesses; a txid may have several: [`CopyId`](protocol::validity::CopyId) |
//! | body | a copy whose witnesses were held to the outputs that it spends |
//! | lock vote | `Lock(T)`: the voter has locked all inputs to `T`: [`VoteKind::Lock`](types::VoteKind::Lock) |
//! | certificate | votes of weight `Q` for one thing, with their paths; lock votes certify `T`: [`Certificate`](types::Certificate) |
//! | final vote, promise | `Final(T)`: the voter won't help to end the epoch without `T`: [`VoteKind::Final`](types::VoteKind::Final) |
//! | final | final votes of weight `Q`, or a block contains it |
//! | batch | what one member votes at a time, numbered in the epoch: [`VoteBatch`](types::VoteBatch); when it leaves: `consensus/finality/batching.rs` |
//! | rival | another transaction that spends one of the same outputs |
//! | orphan | a peer's transaction whose inputs are not all known here: `admission/orphans.rs` |
//! | waiting | a user's transaction behind parents that are not final: `admission/waiting.rs` |
//! | announcement | names of transactions that lack votes, told again: [`Message::Announce`](types::Message::Announce) |
//! | door, busy | how much users may have on its way, and the refusal beyond it: [`admission::load`] |
//! | mempool, pool | what RPC and peers see of transactions that no block has: [`TransactionPool`](mempool::TransactionPool) |
//! | floor | the rate of fees below which a full pool takes nothing: [`FeeRate`](mempool::FeeRate) |
//! | finality proof | what shows a stranger that a payment is final: [`protocol::finality_proof`] |
//!
//! Blocks and epochs:
//!
//! | word | here |
//! |---|---|
//! | epoch | the blocks for which the set stays as it is |
//! | closing | its last ordinary block is applied: no new votes on payments, until a block ends the epoch |
//! | round | one attempt to decide a height, with one proposer: [`Round`](types::Round) |
//! | proposal | a block as names of transactions, with its round: [`Proposal`](types::Proposal) |
//! | prevote, precommit | first and second vote of a round: [`VoteStep`](types::VoteStep) |
//! | nil | a vote for no block |
//! | proof of lock | prevotes of weight `Q` for a block in an earlier round |
//! | commit | precommits of weight `Q` for one block in one round: [`Commit`](types::Commit) |
//! | fork | two committed blocks of one height: [`ForkProof`](types::fork::ForkProof) |
//! | rules | the version of validity that is in force: [`RuleVersion`](types::RuleVersion) |
//!
//! A node:
//!
//! | word | here |
//! |---|---|
//! | journal | what this key said, on disk before it leaves: [`storage::journal`] |
//! | durable, released | synced; a message that may be sent: [`Durable`](storage::Durable), [`Released`](types::Released) |
//! | block log | the chain's truth, append-only: [`BlockLog`](storage::BlockLog) |
//! | index | outputs, places, history; made of the block log at any time: [`Index`](storage::Index) |
//! | window, mark | what the index holds in memory; up to where it is durable: [`Mark`](storage::Mark) |
//! | horizon | the first block that is here |
//! | snapshot | the state behind an epoch's last block, in parts that peers need not be trusted for: [`protocol::snapshot`] |
//! | checkpoint | a block that an operator knows to be of the chain: [`Checkpoint`](types::Checkpoint) |
//! | machine, effect | a pure state of [`protocol`], and what it orders |
//! | shell | what executes orders: threads and disks, or the simulator: [`Shell`](consensus::events::Shell) |
//! | observer | hears what consensus decided: [`Observer`](consensus::observers::Observer) |
//! | mirror | outputs and pool as the machine decided: [`Mirror`](admission::Mirror) |
//! | feeds, events | what readers can follow: [`Feeds`](app::feeds::Feeds), [`EventLog`](rpc::EventLog) |
//! | cursor | a place in the events that outlives a restart: [`Cursor`](rpc::events::Cursor) |
//! | lane | urgent (votes) or bulk (the rest), on the wire and in the inbox: [`MessageLane`](network::MessageLane) |
//! | member, stranger | a peer that proved an operator key of the set; anybody else |
//! | credit | how much of the bulk lane a peer may send: `network/credit.rs` |
//!
//! # Where things are written down
//! The rules of the protocol stand in [`protocol`]: what code and tests call "rule 0" to "rule 6" is in its section 4, I1
//! to I10 in its section 9. The bytes, with test vectors, stand in [`types`]. A module's own invariants have an id of the
//! form `INV-AREA-n`. It is defined once, in a module's head under "Invariants", and quoted by an assertion or a test
//! that holds it; `tests/architecture.rs` holds this too. Which test holds which claim: `tests/claims.md`.

pub mod admission;
pub mod app;
pub mod cli;
pub mod consensus;
pub mod devnet;
pub mod mempool;
pub mod network;
pub mod protocol;
pub mod rpc;
pub mod runtime;
pub mod storage;
pub mod types;
pub mod utxo;
pub mod wallet;
