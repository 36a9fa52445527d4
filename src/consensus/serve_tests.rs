//! What peers get, how much of it, and in which turn.

use std::collections::BTreeSet;

use super::*;
use crate::types::{
    BlockHash, ChainId, Checkpoint, CommittedBlock, FinalityVote, Hash, MasternodeId, SecretKey, VoteKind,
    VoteSource,
};

struct Nothing;

impl JournalSource for Nothing {
    fn body(&self, _txid: &TxId) -> Option<Arc<Transaction>> {
        None
    }

    fn message(&self, _place: crate::storage::RecordPlace) -> Option<Message> {
        None
    }
}

impl BlockSource for Nothing {
    fn block(&self, _height: Height) -> Option<Released<CommittedBlock>> {
        None
    }
}

fn assembler() -> Assembler {
    Assembler::new(Arc::new(Nothing), Arc::new(Nothing))
}

fn txid(number: u32) -> TxId {
    TxId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// A batch of one member with these votes.
fn batch(member: u8, seq: u64, votes: std::ops::Range<u32>) -> Released<VoteBatch> {
    let votes = votes.map(|number| FinalityVote { kind: VoteKind::Lock, txid: txid(number) }).collect();
    let id = MasternodeId([member; 32]);
    Released::heard(VoteBatch::signed(
        &ChainId([1; 32]),
        0,
        id,
        seq,
        votes,
        &SecretKey::from_seed(&[member; 32]),
    ))
}

/// Certificates of so many members for all votes of full batches.
fn parts(members: u8, certificates: u32) -> Vec<CertificateParts> {
    let batches: Vec<_> = (0..members).map(|member| batch(member, 0, 0..4_096)).collect();
    let of = |number: u32| CertificateParts {
        vote: FinalityVote { kind: VoteKind::Lock, txid: txid(number) },
        epoch: 0,
        sources: batches.iter().map(|batch| VoteSource::Batch(batch.clone(), number as usize)).collect(),
    };
    (0..certificates).map(of).collect()
}

fn peer(number: u8) -> PeerId {
    SecretKey::from_seed(&[number; 32]).public()
}

fn blocks(from: Height) -> Answer {
    Answer::Blocks { from, count: 1 }
}

/// INV-SERVE-1.
#[test]
fn certificates_of_the_largest_set_arrive_within_the_limit_of_an_answer() {
    let (messages, bytes) = assembler().messages(Answer::Certificates(parts(67, 100)));
    let [Message::Certificates(sent)] = messages.as_slice() else { panic!("one message") };
    assert!(bytes <= RESPONSE_BYTES_MAX && (10..100).contains(&sent.len()), "{bytes} {}", sent.len());
    assert!(encode(&messages[0]).len() <= crate::network::MessageKind::of(&messages[0]).bytes_max());
    for certificate in sent {
        assert_eq!(certificate.votes.len(), 67);
        assert!(certificate.votes.iter().all(|vote| vote.proves(&certificate.vote)));
    }
}

/// INV-SERVE-3: each batch is hashed once, however many certificates stand on it.
#[test]
fn trees_are_kept_within_their_bytes() {
    let mut assembler = assembler();
    let (first, _) = assembler.messages(Answer::Certificates(parts(4, 50)));
    assert_eq!(assembler.trees.by_root.len(), 1, "the members voted alike");
    let (second, _) = assembler.messages(Answer::Certificates(parts(4, 50)));
    assert_eq!(first, second);
    for number in 0..200 {
        let _ = assembler.trees.of(&batch(1, 1, number..number + 4_096));
        let trees = &assembler.trees;
        let bytes: usize = trees.by_root.values().map(|tree| tree.bytes()).sum();
        assert!(bytes == trees.bytes && bytes <= TREES_BYTES_MAX);
    }
}

#[test]
fn an_answer_with_batches_says_where_it_was_cut() {
    let batches: Vec<_> = (3..40).map(|seq| batch(1, seq, 0..4_096)).collect();
    let end = BatchesEnd { epoch: 0, validator: MasternodeId([1; 32]), before_seq: 50 };
    let (messages, bytes) = assembler().messages(Answer::Batches { batches: batches.clone(), end });
    let sent = messages.len() - 1;
    assert!(bytes <= RESPONSE_BYTES_MAX && sent > 1 && sent < batches.len());
    let before_seq = batches[sent].header.seq;
    let (epoch, validator) = (end.epoch, end.validator);
    assert_eq!(messages.last(), Some(&Message::BatchesEnd { epoch, validator, before_seq }));
    let all = Answer::Batches { batches: batches[..2].to_vec(), end };
    let (messages, _) = assembler().messages(all);
    assert_eq!(messages.last(), Some(&Message::BatchesEnd { epoch, validator, before_seq: 50 }));
}

/// INV-SERVE-2.
#[test]
fn peers_take_turns_whatever_one_of_them_asks() {
    let now = Clock.instant();
    let mut queue = AnswerQueue::default();
    let end = BatchesEnd { epoch: 0, validator: MasternodeId([1; 32]), before_seq: 0 };
    for _ in 0..1_000 {
        queue.push(
            Recipient::Peer(peer(1)),
            Standing::Stranger,
            Answer::Batches { batches: Vec::new(), end },
            now,
        );
        queue.push(Recipient::Peer(peer(1)), Standing::Stranger, blocks(1), now);
    }
    queue.push(Recipient::Peer(peer(2)), Standing::Stranger, blocks(7), now);
    let served: Vec<_> = std::iter::from_fn(|| queue.pop(now, |_, _| true)).collect();
    assert_eq!(
        served.len(),
        BATCH_ANSWERS_MAX + BLOCK_ANSWERS_MAX + 1,
        "so many for blocks, and one for each member's batches"
    );
    let second = served.iter().position(|(to, _)| *to == Recipient::Peer(peer(2)));
    assert_eq!(second, Some(1), "the second peer waits for one answer of the first");
    assert!(queue.is_empty());
}

/// INV-SERVE-3.
#[test]
fn who_has_used_up_its_budget_waits_and_nobody_else_does() {
    let began = Clock.instant();
    let mut queue = AnswerQueue::default();
    let ask = |queue: &mut AnswerQueue, number, now| {
        queue.push(Recipient::Peer(peer(number)), Standing::Stranger, blocks(1), now);
    };
    ask(&mut queue, 1, began);
    assert!(queue.pop(began, |_, _| true).is_some());
    queue.paid(peer(1), BURST_BYTES + BYTES_PER_SECOND);
    ask(&mut queue, 1, began);
    ask(&mut queue, 2, began);
    assert!(matches!(queue.pop(began, |_, _| true), Some((Recipient::Peer(to), _)) if to == peer(2)));
    assert!(queue.pop(began, |_, _| true).is_none() && !queue.is_empty());
    assert!(queue.pop(began + Duration::from_millis(999), |_, _| true).is_none());
    let later = began + Duration::from_millis(1_001);
    assert!(matches!(queue.pop(later, |_, _| true), Some((Recipient::Peer(to), _)) if to == peer(1)));
    queue.forget_idle(later + Duration::from_secs(60));
    assert!(queue.peers.is_empty());
}

/// INV-SERVE-3.
#[test]
fn who_has_used_up_just_its_budget_waits_until_there_is_some_again() {
    let began = Clock.instant();
    let mut queue = AnswerQueue::default();
    for (left, is_served) in [(1, true), (0, false)] {
        queue.push(Recipient::Peer(peer(left)), Standing::Stranger, blocks(1), began);
        assert!(queue.pop(began, |_, _| true).is_some());
        queue.paid(peer(left), BURST_BYTES - usize::from(left));
        queue.push(Recipient::Peer(peer(left)), Standing::Stranger, blocks(1), began);
        assert_eq!(queue.pop(began, |_, _| true).is_some(), is_served);
    }
    assert!(queue.pop(began + Duration::from_millis(1), |_, _| true).is_some());
}

#[test]
fn no_more_answers_wait_for_everybody_than_may() {
    let mut queue = AnswerQueue::default();
    let now = Clock.instant();
    (0..=SHARED_ANSWERS_MAX as u64)
        .for_each(|from| queue.push(Recipient::All, Standing::Stranger, blocks(from), now));
    let served = std::iter::from_fn(|| queue.pop(now, |_, _| true)).map(|(to, answer)| match answer {
        Answer::Blocks { from, .. } if to == Recipient::All => from,
        other => panic!("{other:?}"),
    });
    assert!(served.eq(0..SHARED_ANSWERS_MAX as u64), "in their order");
}

/// What was paid is held against the peer, and who is gone is not remembered for ever.
#[tokio::test]
async fn the_thread_counts_what_it_sends_and_forgets_who_is_gone() {
    use crate::network::tests::support::{Node, eventually};
    let node = Node::start(1).await;
    let registry = TaskRegistry::new(tokio_util::sync::CancellationToken::new());
    let server =
        AnswerServer::start("answers to peers", assembler(), node.handle.clone(), &registry).unwrap();
    let large = |seq| batch(1, seq, 0..4_096);
    let end = BatchesEnd { epoch: 0, validator: MasternodeId([1; 32]), before_seq: 9 };
    let batches: Vec<_> = (0..4).map(large).collect();
    let bytes: usize = batches.iter().map(|batch| encode(batch).len()).sum();
    server.serve(Recipient::Peer(peer(0)), Standing::Stranger, Answer::Batches { batches, end });
    let budget = || server.state.lock().queue.peers.get(&peer(0)).map(|of_peer| of_peer.budget);
    eventually(|| budget() == Some(BURST_BYTES as i64 - bytes as i64)).await;
    let nobody = |number: u32| {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        crate::types::PublicKey(bytes)
    };
    for number in 1..FORGET_EVERY {
        server.serve(
            Recipient::Peer(nobody(number)),
            Standing::Stranger,
            Answer::Batches { batches: Vec::new(), end },
        );
    }
    eventually(|| server.state.lock().queue.peers.len() <= 1).await;
    server.stop();
    registry.shutdown(Duration::from_secs(5)).await.unwrap();
}

/// INV-SERVE-3.
#[test]
fn who_has_used_up_its_budget_is_not_forgotten_before_it_has_it_again() {
    let began = Clock.instant();
    let mut queue = AnswerQueue::default();
    queue.push(Recipient::Peer(peer(1)), Standing::Stranger, blocks(1), began);
    assert!(queue.pop(began, |_, _| true).is_some());
    queue.paid(peer(1), BURST_BYTES + BYTES_PER_SECOND);
    // It asks for nothing while others are served.
    queue.forget_idle(began);
    queue.push(Recipient::Peer(peer(1)), Standing::Stranger, blocks(1), began);
    assert!(queue.pop(began, |_, _| true).is_none() && !queue.is_empty());
}

/// INV-SERVE-3: a second brings as much however often somebody looks in it.
#[test]
fn parts_of_a_millisecond_are_not_lost() {
    let (began, looks) = (Clock.instant(), 100);
    let mut of_peer = OfPeer { budget: 0, ..OfPeer::new(Standing::Stranger, began) };
    for look in 1..=looks {
        of_peer.refill(began + Duration::from_micros(1_999 * look));
    }
    // Of 199.9 ms at most one is still to come, and of each look less than a byte is rounded away.
    let whole = i64::try_from(BYTES_PER_SECOND * 199 / 1_000).unwrap();
    assert!((whole - 100..=whole).contains(&of_peer.budget), "{} of {whole}", of_peer.budget);
}

/// Snapshots whose parts have so many bytes.
struct Snapshots(usize);

impl SnapshotSource for Snapshots {
    fn offers(&self) -> Vec<SnapshotOffer> {
        let block = Checkpoint { height: 7, block_hash: BlockHash::ZERO };
        vec![SnapshotOffer { block, manifest: Hash::ZERO, outputs: 1, bytes: 1 }; 2]
    }

    fn item(&self, _height: Height, item: &SnapshotItem) -> Vec<u8> {
        if *item == SnapshotItem::Block { Vec::new() } else { vec![1; self.0] }
    }
}

/// INV-SERVE-3: parts of snapshots are the largest answers that there are.
#[test]
fn parts_of_snapshots_are_paid_for_and_what_is_not_here_is_said_to_be_missing() {
    let mut giving = assembler().with_snapshots(Arc::new(Snapshots(5_000)));
    let mut ask = |item| giving.messages(Answer::SnapshotItem { height: 7, item });
    let (chunk, missing) = (SnapshotItem::Chunk(3), SnapshotItem::Block);
    let answer = |item, bytes| vec![Message::SnapshotItem { height: 7, item, bytes }];
    assert_eq!(ask(chunk), (answer(chunk, vec![1; 5_000]), 5_000));
    assert_eq!(ask(missing), (answer(missing, Vec::new()), 0));
    let (messages, bytes) = giving.messages(Answer::Snapshots);
    assert!(matches!(messages.as_slice(), [Message::Snapshots(offers)] if offers.len() == 2) && bytes > 0);
    // A node that gives none says so as well: nobody waits for it.
    let mut other = assembler();
    assert_eq!(other.messages(Answer::Snapshots).0, [Message::Snapshots(Vec::new())]);
    let answered = other.messages(Answer::SnapshotItem { height: 7, item: chunk });
    assert_eq!(answered, (answer(chunk, Vec::new()), 0));
}

/// INV-SERVE-2.
#[test]
fn of_each_kind_of_question_so_many_wait_for_a_peer_and_no_more() {
    let now = Clock.instant();
    let end = BatchesEnd { epoch: 0, validator: MasternodeId([1; 32]), before_seq: 0 };
    let item = SnapshotItem::Manifest;
    let questions: [(&dyn Fn() -> Answer, usize); 6] = [
        (&|| Answer::Batches { batches: Vec::new(), end }, BATCH_ANSWERS_MAX),
        (&|| blocks(1), BLOCK_ANSWERS_MAX),
        (&|| Answer::SnapshotItem { height: 1, item }, SNAPSHOT_ANSWERS_MAX),
        (&|| Answer::Snapshots, 1),
        (&|| Answer::Certificates(Vec::new()), 1),
        (&|| Answer::Transactions { resident: Vec::new(), journaled: Vec::new() }, 1),
    ];
    let mut all = AnswerQueue::default();
    for (question, most) in questions {
        let mut queue = AnswerQueue::default();
        for _ in 0..200 {
            queue.push(Recipient::Peer(peer(1)), Standing::Stranger, question(), now);
            all.push(Recipient::Peer(peer(1)), Standing::Stranger, question(), now);
        }
        assert_eq!(std::iter::from_fn(|| queue.pop(now, |_, _| true)).count(), most);
    }
    let most: usize = questions.iter().map(|(_, most)| most).sum();
    assert_eq!(
        std::iter::from_fn(|| all.pop(now, |_, _| true)).count(),
        most,
        "one kind takes nothing of another"
    );
}

/// One transaction with so many bytes.
fn large(bytes: usize) -> Arc<Transaction> {
    Arc::new(Transaction::transfer(Vec::new(), Vec::new(), vec![7; bytes]))
}

/// Blocks that are each larger than an answer.
struct Large;

impl BlockSource for Large {
    fn block(&self, height: Height) -> Option<Released<CommittedBlock>> {
        let mut committed = crate::consensus::fixtures::block(height);
        committed.block.transactions = vec![large(RESPONSE_BYTES_MAX)];
        Some(Released::heard(committed))
    }
}

/// INV-SERVE-1: who lacks an object that is larger than an answer would never get it, and never get any further.
#[test]
fn what_is_larger_than_an_answer_is_sent_alone() {
    let mut giving = Assembler::new(Arc::new(Nothing), Arc::new(Large));
    let (messages, bytes) = giving.messages(Answer::Blocks { from: 5, count: 3 });
    let [Message::Blocks(sent)] = messages.as_slice() else { panic!("one message") };
    assert_eq!(sent.iter().map(|block| block.block.header.height).collect::<Vec<_>>(), [5]);
    assert!(bytes > RESPONSE_BYTES_MAX, "and paid for: {bytes}");
    let resident = vec![large(RESPONSE_BYTES_MAX), large(1)];
    let (messages, _) = giving.messages(Answer::Transactions { resident, journaled: Vec::new() });
    assert_eq!(messages, [Message::Transactions(vec![large(RESPONSE_BYTES_MAX)])]);
}

/// A proof that nobody has asked for before: the `number`th.
fn proof_from(number: u64) -> Answer {
    let trusted = Checkpoint { height: number, block_hash: BlockHash([1; 32]) };
    Answer::SnapshotItem { height: 9, item: SnapshotItem::Proof(Some(trusted)) }
}

/// So many strangers ask for proofs as fast as they may, for a minute in which nobody sleeps; a search takes this long. How
/// long each was searched for.
fn besieged(strangers: u8, search: Duration) -> Vec<Duration> {
    let began = Clock.instant();
    let (mut now, mut queue) = (began, AnswerQueue::default());
    let peers: Vec<PeerId> = (0..strangers).map(peer).collect();
    let mut taken = vec![Duration::ZERO; peers.len()];
    let mut asked = 0;
    while now < began + Duration::from_secs(60) {
        for stranger in &peers {
            asked += 1;
            queue.push(Recipient::Peer(*stranger), Standing::Stranger, proof_from(asked), now);
        }
        match queue.pop(now, |_, _| true) {
            Some((Recipient::Peer(to), _)) => {
                now += search;
                queue.paid(to, 1_000);
                queue.searched(to, search, now);
                taken[peers.iter().position(|stranger| *stranger == to).unwrap()] += search;
            }
            _ => now += BUDGET_PAUSE,
        }
        queue.forget_idle(now);
    }
    taken
}

/// INV-SERVE-4.
#[test]
fn searches_for_strangers_take_no_more_than_their_share_of_the_time() {
    let minute = Duration::from_secs(60);
    for search in [5, 50, 700].map(Duration::from_millis) {
        let one = besieged(1, search)[0];
        let most = minute / SEARCH_SHARE + SEARCH_BURST + search;
        assert!(one <= most && one >= minute / SEARCH_SHARE - search, "{one:?} of a minute, {search:?} each");
        let all = besieged(20, search);
        let (sum, most) = (all.iter().sum::<Duration>(), minute / SEARCHES_SHARE + SEARCH_BURST + search);
        assert!(
            sum <= most && sum >= minute / SEARCHES_SHARE - search,
            "{sum:?} of a minute, {search:?} each"
        );
        let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!(*most <= *least + 2 * search, "turns: {least:?} to {most:?}");
    }
}

/// INV-SERVE-4: who asks for parts that lie on the disk waits for no searches, and a search is charged to its asker alone.
#[test]
fn searches_above_their_share_delay_nobody_else() {
    let now = Clock.instant();
    let mut queue = AnswerQueue::default();
    let chunk = || Answer::SnapshotItem { height: 9, item: SnapshotItem::Chunk(1) };
    queue.push(Recipient::Peer(peer(1)), Standing::Stranger, proof_from(1), now);
    assert!(queue.pop(now, |_, _| true).is_some());
    let owed = Duration::from_millis(10);
    queue.searched(peer(1), SEARCH_BURST + owed, now);
    queue.push(Recipient::Peer(peer(1)), Standing::Stranger, proof_from(2), now);
    queue.push(Recipient::Peer(peer(2)), Standing::Stranger, proof_from(2), now);
    queue.push(Recipient::Peer(peer(3)), Standing::Stranger, chunk(), now);
    let mut is_next = |number, after| {
        let next = queue.pop(now + after, |_, _| true);
        assert!(next.is_some() || !queue.is_empty());
        matches!(next, Some((Recipient::Peer(to), _)) if to == peer(number))
    };
    assert!(is_next(3, Duration::ZERO), "a chunk lies on the disk");
    assert!(!is_next(2, SEARCHES_SHARE * owed), "everybody's searches are to be paid off first");
    let moment = Duration::from_millis(1);
    assert!(is_next(2, SEARCHES_SHARE * owed + moment), "it owes nothing itself");
    assert!(!is_next(1, SEARCH_SHARE * owed));
    assert!(is_next(1, SEARCH_SHARE * owed + moment));
}

/// Takes as long to search as it may at once, and counts.
struct Slow(std::sync::atomic::AtomicUsize);

impl SnapshotSource for Slow {
    fn offers(&self) -> Vec<SnapshotOffer> {
        Vec::new()
    }

    fn item(&self, _height: Height, _item: &SnapshotItem) -> Vec<u8> {
        std::thread::sleep(SEARCH_BURST);
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Vec::new()
    }
}

/// INV-SERVE-4: the thread counts the time, whatever came of a search.
#[tokio::test]
async fn the_thread_charges_who_asks_for_proofs_with_the_time_that_they_take() {
    use std::sync::atomic::Ordering::Relaxed;

    use crate::network::tests::support::{Node, eventually};
    let node = Node::start(1).await;
    let registry = TaskRegistry::new(tokio_util::sync::CancellationToken::new());
    let slow = Arc::new(Slow(0.into()));
    let giver = assembler().with_snapshots(Arc::clone(&slow) as Arc<dyn SnapshotSource>);
    let server = AnswerServer::start("snapshots to peers", giver, node.handle.clone(), &registry).unwrap();
    (0..4).for_each(|number| server.serve(Recipient::Peer(peer(0)), Standing::Stranger, proof_from(number)));
    let left = || server.state.lock().queue.peers.get(&peer(0)).map(|of_peer| of_peer.searches.left_us);
    eventually(|| slow.0.load(Relaxed) == 1 && left().is_some_and(|left| left < SEARCH_BURST_US / 2)).await;
    server.stop();
    registry.shutdown(Duration::from_secs(5)).await.unwrap();
}

/// INV-SERVE-5: a member that starts again asks for each other one's batches, and has two seconds for each answer.
#[test]
fn strangers_have_one_turn_together_and_each_member_has_its_own() {
    let now = Clock.instant();
    let mut queue = AnswerQueue::default();
    let end = BatchesEnd { epoch: 0, validator: MasternodeId([1; 32]), before_seq: 0 };
    for number in 10..74 {
        queue.push(Recipient::Peer(peer(number)), Standing::Stranger, blocks(1), now);
        queue.push(Recipient::Peer(peer(number)), Standing::Stranger, blocks(2), now);
    }
    let members = [peer(1), peer(2)];
    for _ in 0..10 {
        for member in members {
            queue.push(
                Recipient::Peer(member),
                Standing::Member,
                Answer::Batches { batches: Vec::new(), end },
                now,
            );
        }
    }
    let mut popped = Vec::new();
    while let Some((Recipient::Peer(to), _)) = queue.pop(now, |_, _| true) {
        popped.push(to);
    }
    assert_eq!(popped.len(), 2 * 64 + 20);
    let last = popped.iter().rposition(|to| members.contains(to)).unwrap();
    assert!(last < 30, "two members' answers and one of a stranger by turns: {last}");
    let strangers: BTreeSet<PeerId> =
        popped.iter().filter(|to| !members.contains(to)).take(64).copied().collect();
    assert_eq!(strangers.len(), 64, "and they have their turns among themselves");
    assert!(queue.is_empty());
}

/// INV-SERVE-5: a connection that is gone, or an epoch that ends, makes a stranger of a member whose answers wait.
#[test]
fn a_member_that_becomes_a_stranger_while_it_waits_holds_up_nobody() {
    let (now, one, other) = (Clock.instant(), peer(1), peer(2));
    let end = BatchesEnd { epoch: 0, validator: MasternodeId([1; 32]), before_seq: 0 };
    let batches = || Answer::Batches { batches: Vec::new(), end };
    for others_wait in [false, true] {
        let mut queue = AnswerQueue::default();
        for standing in [Standing::Member, Standing::Member, Standing::Stranger] {
            queue.push(Recipient::Peer(one), standing, batches(), now);
        }
        if others_wait {
            queue.push(Recipient::Peer(other), Standing::Stranger, batches(), now);
        }
        for left in (0..3 + usize::from(others_wait)).rev() {
            assert!(queue.pop(now, |_, _| true).is_some());
            assert_eq!(queue.is_empty(), left == 0, "the thread sleeps when it is");
        }
        queue.push(Recipient::Peer(other), Standing::Stranger, batches(), now);
        assert!(
            queue.pop(now, |_, _| true).is_some() && queue.pop(now, |_, _| true).is_none(),
            "and whoever comes then"
        );
    }
}

/// INV-SERVE-3: a slow line costs its own peer time, and neither the connection nor anybody's turn.
#[test]
fn who_has_not_taken_its_last_answer_waits_for_the_next_one_and_nobody_else_does() {
    let now = Clock.instant();
    let mut queue = AnswerQueue::default();
    for number in [1, 2, 1] {
        queue.push(Recipient::Peer(peer(number)), Standing::Member, blocks(1), now);
    }
    let slow = |to, _: &Answer| to != peer(1);
    assert!(matches!(queue.pop(now, slow), Some((Recipient::Peer(to), _)) if to == peer(2)));
    assert!(queue.pop(now, slow).is_none() && !queue.is_empty());
    let served = std::iter::from_fn(|| queue.pop(now, |_, _| true)).count();
    assert!(served == 2 && queue.is_empty(), "all that it has waited for");
}
