//! A node that fetches a snapshot of real peers, some of whom lie, keep silent or go.

use parking_lot::Mutex;

use super::super::fetch_plan::DEADLINE_MS;
use super::super::fixtures::{ENDS, Origin};
use super::super::source::StoredSnapshots;
use super::*;
use crate::consensus::serve::SnapshotSource as _;
use crate::network::tests::support::{Node, key, patient};
use crate::types::codec::decode;
use crate::types::{Height, Network as Chain};

/// What a peer does with a question for a part, which it has as these bytes: what it answers, and whether it stays.
type Answers = Box<dyn FnMut(SnapshotItem, Vec<u8>) -> (Option<Vec<u8>>, bool) + Send>;

/// A peer that was started.
struct Peer {
    id: PeerId,
    /// What it was asked for.
    asked: Arc<Mutex<Vec<SnapshotItem>>>,
}

impl Peer {
    fn asked(&self) -> Vec<SnapshotItem> {
        self.asked.lock().clone()
    }
}

/// Seeds of keys in the order of the keys: whoever comes first is asked first.
fn seeds() -> Vec<u8> {
    let mut seeds: Vec<u8> = (2..8).collect();
    seeds.sort_unstable_by_key(|seed| key(*seed));
    seeds
}

/// A node without blocks, which has nobody yet.
async fn fetcher(origin: &Origin) -> (Fetcher, std::net::SocketAddr, tempfile::TempDir) {
    let node = Node::start(1).await;
    let (address, home) = (node.address(), tempfile::tempdir().unwrap());
    let store = SnapshotStore::new(RealDisk, home.path().join("snapshots"));
    let sync = SyncConfig { from: SyncFrom::Snapshot, ..Config::of_network(Chain::Devnet).sync };
    (Fetcher::new(sync, origin.check(), store, (node.handle, node.events)), address, home)
}

/// Starts a peer that has these snapshots, and says so again with each answer.
async fn peer(seed: u8, to: std::net::SocketAddr, source: Arc<StoredSnapshots>, answers: Answers) -> Peer {
    peer_that((seed, true), to, source, answers).await
}

/// The same, which may say what it has only when it is asked.
async fn peer_that(
    (seed, says_again): (u8, bool),
    to: std::net::SocketAddr,
    source: Arc<StoredSnapshots>,
    mut answers: Answers,
) -> Peer {
    let mut node = Node::start(seed).await;
    node.dial(to);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, tracker) = (Arc::clone(&asked), node.tracker.clone());
    drop(tracker.spawn(async move {
        while let Some(event) = node.events.bulk.recv().await {
            let NetworkEvent::Message { peer, message } = event else { continue };
            match message {
                Message::GetSnapshots => {
                    let _sent = node.handle.send(peer, &Message::Snapshots(source.offers()));
                }
                Message::GetSnapshotItem { height, item } => {
                    seen.lock().push(item);
                    let (bytes, stays) = answers(item, source.item(height, &item));
                    if let Some(bytes) = bytes {
                        let _sent = node.handle.send(peer, &Message::SnapshotItem { height, item, bytes });
                    }
                    if !stays {
                        node.token.cancel();
                        return;
                    }
                    if says_again {
                        let _sent = node.handle.send(peer, &Message::Snapshots(source.offers()));
                    }
                }
                _ => {}
            }
        }
    }));
    Peer { id: key(seed), asked }
}

fn honest() -> Answers {
    Box::new(|_, bytes| (Some(bytes), true))
}

impl Fetcher {
    /// Until so many peers have said what they have.
    async fn with_offers(&mut self, peers: usize) {
        patient(async {
            while self.offers.len() < peers {
                if let Some(heard) = self.hear(Clock.instant() + TICK).await {
                    self.note(&heard);
                }
            }
        })
        .await;
    }
}

/// What was fetched is all there, and as it is at its origin.
fn assert_fetched(fetcher: &Fetcher, origin: &Origin, height: Height, chunks: usize) {
    let fetched = fetcher.store.get(height).unwrap().expect("a whole snapshot");
    let given = origin.store.get(height).unwrap().unwrap();
    let chunks = (0..u32::try_from(chunks).unwrap()).map(SnapshotPart::Chunk);
    for part in chunks.chain([SnapshotPart::Manifest, SnapshotPart::Proof, SnapshotPart::Block]) {
        assert_eq!(fetched.read(part).unwrap(), given.read(part).unwrap(), "{part:?}");
    }
}

fn is_chunk(item: &SnapshotItem) -> bool {
    matches!(item, SnapshotItem::Chunk(_))
}

type Lie = fn(SnapshotItem) -> bool;
const LIES: [Lie; 4] = [
    |item| matches!(item, SnapshotItem::Proof(_)),
    |item| item == SnapshotItem::Manifest,
    |item| item == SnapshotItem::Block,
    |item| is_chunk(&item),
];

/// The same message with something else in it.
fn changed(item: SnapshotItem, mut bytes: Vec<u8>) -> Vec<u8> {
    match item {
        SnapshotItem::Block => {
            let mut committed: CommittedBlock = decode(&bytes).unwrap();
            committed.commit.signatures[0] = crate::types::Signature::EMPTY;
            encode(&committed)
        }
        _ => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            bytes
        }
    }
}

/// INV-FETCH-1, INV-FETCH-4, INV-FETCH-6: however often it offers the same again.
#[tokio::test]
async fn who_gave_something_false_is_asked_for_nothing_more_and_others_give_it() {
    let origin = Origin::new();
    let manifest = origin.make(ENDS[1]);
    let source = Arc::new(origin.source());
    for (place, lies) in LIES.into_iter().enumerate() {
        let (mut fetcher, address, _home) = fetcher(&origin).await;
        let seeds = seeds();
        let answers: Answers = Box::new(move |item, bytes| {
            let is_false = lies(item);
            (Some(if is_false { changed(item, bytes) } else { bytes }), true)
        });
        let liar = peer(seeds[0], address, Arc::clone(&source), answers).await;
        let other = peer(seeds[1], address, Arc::clone(&source), honest()).await;
        fetcher.with_offers(2).await;
        let committed = patient(fetcher.try_offers()).await.unwrap().expect("one that is honest is enough");
        assert_eq!(committed, *origin.committed(ENDS[1]));
        assert_fetched(&fetcher, &origin, committed.block.header.height, manifest.chunks.len());
        let asked = liar.asked();
        let first = asked.iter().position(|item| lies(*item)).expect("it came first");
        if place < 3 {
            assert_eq!(first + 1, asked.len(), "nothing behind its lie: {asked:?}");
        } else {
            let chunks: BTreeSet<u32> = asked
                .iter()
                .filter_map(|item| match item {
                    SnapshotItem::Chunk(chunk) => Some(*chunk),
                    _ => None,
                })
                .collect();
            assert_eq!(chunks.len(), asked.len() - first, "none of them twice: {asked:?}");
        }
        assert!(fetcher.excluded.contains(&liar.id) && !fetcher.excluded.contains(&other.id));
        assert!(!fetcher.offers.contains_key(&liar.id), "its offers count for nothing");
    }
}

/// A connection may break at any moment.
#[tokio::test]
async fn what_a_peer_took_with_it_is_asked_of_others() {
    let origin = Origin::new();
    let manifest = origin.make(ENDS[1]);
    let source = Arc::new(origin.source());
    for goes in LIES {
        let (mut fetcher, address, _home) = fetcher(&origin).await;
        let seeds = seeds();
        let answers: Answers = Box::new(move |item, bytes| {
            let goes = goes(item);
            ((!goes).then_some(bytes), !goes)
        });
        let _gone = peer(seeds[0], address, Arc::clone(&source), answers).await;
        let _other = peer(seeds[1], address, Arc::clone(&source), honest()).await;
        fetcher.with_offers(2).await;
        let committed = patient(fetcher.try_offers()).await.unwrap().expect("another one is there");
        assert_fetched(&fetcher, &origin, committed.block.header.height, manifest.chunks.len());
    }
}

/// One that began at a checkpoint has no proof from the genesis document, and gives all the rest.
#[tokio::test]
async fn who_says_that_it_lacks_a_part_is_asked_for_the_others() {
    let origin = Origin::new();
    let manifest = origin.make(ENDS[1]);
    let source = Arc::new(origin.source());
    let (mut fetcher, address, _home) = fetcher(&origin).await;
    let seeds = seeds();
    let proofless: Answers = Box::new(|item, bytes| {
        let is_proof = matches!(item, SnapshotItem::Proof(_));
        (Some(if is_proof { Vec::new() } else { bytes }), true)
    });
    let chunkless: Answers = Box::new(|item, bytes| {
        let is_proof = matches!(item, SnapshotItem::Proof(_));
        (is_proof.then_some(bytes), is_proof)
    });
    let lacking = peer(seeds[0], address, Arc::clone(&source), proofless).await;
    let _proving = peer(seeds[1], address, Arc::clone(&source), chunkless).await;
    fetcher.with_offers(2).await;
    let committed = patient(fetcher.try_offers()).await.unwrap().expect("together they have all");
    assert_fetched(&fetcher, &origin, committed.block.header.height, manifest.chunks.len());
    assert!(!fetcher.excluded.contains(&lacking.id));
}

/// Peers keep some, and make a new one each hour: over a slow line the one that was offered goes meanwhile.
#[tokio::test]
async fn a_snapshot_that_has_gone_everywhere_is_left_for_a_newer_one_and_nobody_is_blamed() {
    let origin = Origin::new();
    let newer = origin.make(ENDS[1]);
    let directory = |place| origin.store.begin(origin.named(place).height).unwrap().path().to_owned();
    let (old, new, aside) = (directory(ENDS[0]), directory(ENDS[1]), origin.home.path().join("aside"));
    std::fs::rename(&new, &aside).unwrap();
    origin.make(ENDS[0]);
    let source = Arc::new(origin.source());
    let (mut fetcher, address, _home) = fetcher(&origin).await;
    let mut peers = Vec::new();
    for seed in &seeds()[..2] {
        let (old, new, aside) = (old.clone(), new.clone(), aside.clone());
        let goes: Answers = Box::new(move |item, bytes| {
            let is_first = is_chunk(&item) && aside.exists();
            if is_first {
                std::fs::remove_dir_all(&old).unwrap();
                std::fs::rename(&aside, &new).unwrap();
            }
            (Some(if is_first { Vec::new() } else { bytes }), true)
        });
        peers.push(peer_that((*seed, false), address, Arc::clone(&source), goes).await);
    }
    fetcher.with_offers(2).await;
    let committed = patient(fetcher.try_offers()).await.unwrap().expect("the newer one is there");
    assert_eq!(committed, *origin.committed(ENDS[1]));
    assert_fetched(&fetcher, &origin, committed.block.header.height, newer.chunks.len());
    assert!(peers.iter().all(|peer| !fetcher.excluded.contains(&peer.id)));
}

/// INV-FETCH-4: a proof of another block proves nothing of this one, though both are of the chain.
#[tokio::test]
async fn a_proof_of_another_block_of_the_chain_is_as_good_as_none() {
    let origin = Origin::new();
    let manifest = origin.make(ENDS[1]);
    let source = Arc::new(origin.source());
    let (mut fetcher, address, _home) = fetcher(&origin).await;
    let seeds = seeds();
    let other_proof = encode(&origin.proof(None, ENDS[0]));
    let answers: Answers = Box::new(move |item, bytes| {
        let is_proof = matches!(item, SnapshotItem::Proof(_));
        (Some(if is_proof { other_proof.clone() } else { bytes }), true)
    });
    let liar = peer(seeds[0], address, Arc::clone(&source), answers).await;
    let _other = peer(seeds[1], address, Arc::clone(&source), honest()).await;
    fetcher.with_offers(2).await;
    let committed = patient(fetcher.try_offers()).await.unwrap().expect("another one proves it");
    assert_fetched(&fetcher, &origin, committed.block.header.height, manifest.chunks.len());
    assert_eq!(liar.asked().len(), 1);
}

/// The node is not kept by those who give nothing: it begins with block 1.
#[tokio::test]
async fn a_snapshot_that_nobody_can_give_is_not_tried_again() {
    let origin = Origin::new();
    origin.make(ENDS[1]);
    let source = Arc::new(origin.source());
    let (mut fetcher, address, home) = fetcher(&origin).await;
    let false_chunks = || -> Answers {
        Box::new(|item, bytes| (Some(if is_chunk(&item) { changed(item, bytes) } else { bytes }), true))
    };
    for seed in &seeds()[..2] {
        peer(*seed, address, Arc::clone(&source), false_chunks()).await;
    }
    fetcher.with_offers(2).await;
    assert_eq!(patient(fetcher.try_offers()).await.unwrap(), None);
    assert_eq!(fetcher.candidates(), []);
    assert!(fetcher.store.list().unwrap().is_empty(), "none is there under its name");
    drop(home);
}

/// INV-FETCH-2.
#[tokio::test]
async fn who_was_late_is_not_asked_for_another_snapshot_either() {
    let origin = Origin::new();
    origin.make(ENDS[0]);
    let offer = origin.source().offers()[0];
    let (mut fetcher, ..) = fetcher(&origin).await;
    let mut plan = ChunkPlan::new([key(2), key(3)], BTreeSet::from([0]), 0);
    for peer in [2, 3] {
        fetcher.note(&Heard::Said(key(peer), Message::Snapshots(vec![offer])));
    }
    let (late, _) = plan.requests(0)[0];
    fetcher.leave_late(&mut plan, DEADLINE_MS);
    fetcher.note(&Heard::Said(late, Message::Snapshots(vec![offer])));
    let left: Vec<PeerId> = [key(2), key(3)].into_iter().filter(|peer| *peer != late).collect();
    assert_eq!(fetcher.candidates()[0].peers, left.iter().copied().collect());
    fetcher.note(&Heard::Gone(left[0]));
    assert_eq!(fetcher.candidates(), [], "nor is one that is gone");
}

/// Identities cost nothing.
#[tokio::test]
async fn so_many_failures_and_no_more_keep_a_node_from_its_first_block() {
    let origin = Origin::new();
    ENDS.iter().for_each(|place| drop(origin.make(*place)));
    let offers = origin.source().offers();
    let (mut fetcher, ..) = fetcher(&origin).await;
    fetcher.note(&Heard::Said(key(1), Message::Snapshots(offers.clone())));
    fetcher.refused.insert(offers[0].names());
    (2..=FAILURES_MAX).for_each(|number| fetcher.exclude(key(u8::try_from(number).unwrap())));
    assert_eq!(fetcher.candidates().len(), ENDS.len() - 1);
    fetcher.exclude(key(200));
    assert_eq!(fetcher.candidates(), []);
}

/// A single stranger could keep it for ever with offers.
#[tokio::test]
async fn offers_that_come_again_and_again_are_not_waited_for() {
    let origin = Origin::new();
    origin.make(ENDS[0]);
    let offers = origin.source().offers();
    let (mut fetcher, address, _home) = fetcher(&origin).await;
    // The time for peers is nearly over.
    fetcher.started = Clock.instant().checked_sub(PEERS_WAIT - TICK).unwrap();
    let node = Node::start(2).await;
    node.dial(address);
    let tracker = node.tracker.clone();
    drop(tracker.spawn(async move {
        while !node.token.is_cancelled() {
            let _sent = node.handle.send(key(1), &Message::Snapshots(offers.clone()));
            tokio::time::sleep(TICK / 10).await;
        }
    }));
    patient(fetcher.gather()).await;
}
