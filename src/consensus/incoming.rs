//! What peers say urgently, on its way to consensus: what is known or too much is left out, signatures are checked.
//!
//! # Place
//! One task takes events from the network's urgent queue. Jobs of the CPU pool check them, and their verdicts go to the
//! inbox of consensus or to the network's record of misbehaviour, in the order of the events.
//!
//! ```text
//!  network --> job: what costs little --> one batch of signatures --> verdicts --> inbox, reputation
//! ```
//!
//! # Invariants
//! - The signatures of a job are checked together: of few members, four take half the time of four checks, sixteen a third.
//!   A job takes what came while the last ones ran, so the batch grows with the load, and nothing waits for it to grow.
//! - INV-INCOMING-1: a bad signature is its sender's alone. When a batch does not hold, each one is checked by itself.
//! - INV-INCOMING-2: a batch of votes passes once, though several copies of it may be in one job.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;

use super::events::Event;
use super::inbox::{ConsensusHandle, ConsensusStopped};
use super::verify::{VerifyError, Voters, epoch_of, without_signature};
use crate::network::{EventReceiver, Misbehaviour, NetworkEvent, NetworkHandle, PeerId};
use crate::runtime::stages::{Stage, enter};
use crate::runtime::{Clock, CpuPool};
use crate::types::{MasternodeId, Message, SignatureCheck, SignatureVerifier};

/// So many signatures are checked where they are found: to hand them to another thread and to be woken by it costs as much
/// as to check them. At 500 payments a second a node made some 30 futex calls a payment before.
const CHECKED_HERE_MAX: usize = 2;
/// Messages that one job of the CPU pool checks, at most.
pub(super) const VERIFY_BATCH: usize = 64;
/// Such jobs at once, at most.
pub(super) const VERIFY_JOBS_MAX: usize = 4;

/// Takes urgent events from the network, checks the signatures of votes on the CPU pool, and hands all to consensus in
/// their order. Ends with the network or with it.
pub async fn verify_urgent(
    mut events: EventReceiver,
    engine: Arc<ConsensusHandle>,
    network: NetworkHandle,
    pool: CpuPool,
    verifier: Arc<dyn SignatureVerifier + Send + Sync>,
) {
    let mut jobs = FuturesOrdered::new();
    let mut open = true;
    loop {
        let mut batch = Vec::with_capacity(VERIFY_BATCH);
        tokio::select! {
            biased;
            Some(checked) = jobs.next(), if !jobs.is_empty() => {
                let checked: Vec<Verdict> = checked;
                for verdict in checked {
                    if deliver(verdict, &engine, &network).await.is_err() {
                        return;
                    }
                }
            }
            count = events.recv_many(&mut batch, VERIFY_BATCH), if open && jobs.len() < VERIFY_JOBS_MAX => {
                if count == 0 {
                    open = false;
                    continue;
                }
                let (voters, verifier) = (engine.voters(), Arc::clone(&verifier));
                let signatures = batch.iter().map(|event| signatures(event, &voters)).fold(0, usize::saturating_add);
                let (handle, now) = (Arc::clone(&engine), Clock.instant());
                let job = move || {
                    let _stage = enter(Stage::Signatures);
                    judge(batch, &Court { voters: &voters, engine: &handle, verifier: &*verifier, now })
                };
                jobs.push_back(if signatures > CHECKED_HERE_MAX {
                    futures::future::Either::Left(pool.run(job))
                } else {
                    futures::future::Either::Right(std::future::ready(job()))
                });
            }
            else => return,
        }
    }
}

enum Verdict {
    Pass(Event),
    /// It was checked and handed in before.
    Known,
    /// Its author signs more than anybody may: it counts as not received.
    LeftOut(PeerId, MasternodeId),
    BadSignature(PeerId),
    Malformed(PeerId),
}

/// How many signatures an event has to check, about: it matters only whether they are few.
fn signatures(event: &NetworkEvent, voters: &Voters) -> usize {
    match event {
        NetworkEvent::Message { message, .. } if epoch_of(message) == Some(voters.epoch) => match message {
            Message::VoteBatch(_) | Message::BlockVote(_) => 1,
            // Proposals with their commits.
            _ => usize::MAX,
        },
        _ => 0,
    }
}

/// By whom and what a job judges.
struct Court<'a> {
    voters: &'a Voters,
    engine: &'a ConsensusHandle,
    verifier: &'a dyn SignatureVerifier,
    now: Instant,
}

/// An event before the signatures of its job are checked.
enum Looked {
    Judged(Verdict),
    /// All is well but for the signature; a batch of votes with its name.
    Signed {
        peer: PeerId,
        message: Message,
        name: Option<[u8; 32]>,
        check: SignatureCheck,
    },
}

/// Judges the events of a job, in their order.
fn judge(events: Vec<NetworkEvent>, court: &Court<'_>) -> Vec<Verdict> {
    let looked: Vec<Looked> = events.into_iter().map(|event| court.look_at(event)).collect();
    let mut checks: Vec<SignatureCheck> = Vec::new();
    for looked in &looked {
        if let Looked::Signed { check, .. } = looked
            && !checks.contains(check)
        {
            checks.push(*check);
        }
    }
    let all_hold = court.verifier.verify_all(&checks).is_ok();
    let holds = |check: &SignatureCheck| all_hold || court.verifier.verify_all(&[*check]).is_ok();
    looked
        .into_iter()
        .map(|looked| match looked {
            Looked::Judged(verdict) => verdict,
            Looked::Signed { peer, message, name, check } => {
                // A copy whose twin in this job held needs no check, and passes no second time.
                if name.is_some_and(|name| court.engine.known().has(&name)) {
                    Verdict::Known
                } else if holds(&check) {
                    court.pass(peer, message, name)
                } else {
                    Verdict::BadSignature(peer)
                }
            }
        })
        .collect()
}

impl Court<'_> {
    /// What costs less than a signature. What can't be judged by the set of the moment goes on unverified: consensus knows
    /// what it is for.
    fn look_at(&self, event: NetworkEvent) -> Looked {
        let (peer, message) = match event {
            NetworkEvent::Connected { peer, .. } => {
                return Looked::Judged(Verdict::Pass(Event::PeerConnected(peer)));
            }
            NetworkEvent::Disconnected { peer } => {
                self.engine.pace().forget(&peer);
                return Looked::Judged(Verdict::Pass(Event::PeerDisconnected(peer)));
            }
            NetworkEvent::Message { peer, message } => (peer, message),
        };
        let unverified =
            |message| Looked::Judged(Verdict::Pass(Event::Message { from: peer, message, verified: false }));
        if epoch_of(&message) != Some(self.voters.epoch) {
            return unverified(message);
        }
        let mut name = None;
        if let Message::VoteBatch(batch) = &message
            && self.voters.set.index_of(&batch.header.validator).is_some()
        {
            let digest = batch.header.digest(&self.voters.chain_id);
            if self.engine.known().has(&digest) {
                return Looked::Judged(Verdict::Known);
            }
            if !self.engine.pace().may_check(peer, batch, self.now) {
                return Looked::Judged(Verdict::LeftOut(peer, batch.header.validator));
            }
            name = Some(digest);
        }
        match without_signature(&message, self.voters) {
            Ok(Some(check)) => Looked::Signed { peer, message, name, check },
            Ok(None) | Err(VerifyError::UnknownValidator) => unverified(message),
            Err(_) => Looked::Judged(Verdict::Malformed(peer)),
        }
    }

    /// For what was checked.
    fn pass(&self, peer: PeerId, message: Message, name: Option<[u8; 32]>) -> Verdict {
        if let (Message::VoteBatch(batch), Some(name)) = (&message, name) {
            if !self.engine.pace().may_pass(batch, self.now) {
                return Verdict::LeftOut(peer, batch.header.validator);
            }
            self.engine.known().note(name);
        }
        Verdict::Pass(Event::Message { from: peer, message, verified: true })
    }
}

async fn deliver(
    verdict: Verdict,
    engine: &ConsensusHandle,
    network: &NetworkHandle,
) -> Result<(), ConsensusStopped> {
    match verdict {
        Verdict::Pass(event) => engine.urgent(event).await?,
        Verdict::Known => {}
        Verdict::LeftOut(peer, author) => {
            tracing::debug!(peer = %peer.short(), masternode = %author.short(), "Votes beyond their author's pace left out");
        }
        Verdict::BadSignature(peer) => network.report(peer, Misbehaviour::InvalidSignature),
        Verdict::Malformed(peer) => network.report(peer, Misbehaviour::Malformed),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::keys::SequentialVerifier;
    use crate::types::{
        ChainId, FinalityVote, PublicKey, Released, SecretKey, TxId, Validator, ValidatorSet, VoteBatch,
        VoteKind,
    };

    const PEER: PeerId = PublicKey([5; 32]);

    fn batch(validator: MasternodeId, seq: u64, votes: usize, secret: &SecretKey) -> NetworkEvent {
        let vote = |number: usize| {
            let mut txid = [0; 32];
            txid[..8].copy_from_slice(&number.to_le_bytes());
            FinalityVote { kind: VoteKind::Lock, txid: TxId(txid) }
        };
        let votes = (0..votes).map(vote).collect();
        let batch = VoteBatch::signed(&ChainId::ZERO, 0, validator, seq, votes, secret);
        NetworkEvent::Message { peer: PEER, message: Message::VoteBatch(Released::heard(batch)) }
    }

    /// Members with the keys of seeds 1, 2 and so on, by the same bytes as ids, and consensus that listens to nobody.
    fn members(count: u8) -> (Vec<(MasternodeId, SecretKey)>, Voters, Arc<ConsensusHandle>) {
        let members: Vec<_> =
            (1..=count).map(|byte| (MasternodeId([byte; 32]), SecretKey::from_seed(&[byte; 32]))).collect();
        let of_set =
            |(id, secret): &(MasternodeId, SecretKey)| Validator { id: *id, key: secret.public(), weight: 1 };
        let set = Arc::new(ValidatorSet::new(members.iter().map(of_set).collect()));
        let voters = Voters { chain_id: ChainId::ZERO, epoch: 0, set };
        let (handle, _inbox) = ConsensusHandle::new(voters.clone());
        (members, voters, handle)
    }

    /// Notes how many signatures it was asked for at once.
    #[derive(Default)]
    struct Counting(parking_lot::Mutex<Vec<usize>>);

    impl SignatureVerifier for Counting {
        fn verify_all(&self, checks: &[SignatureCheck]) -> Result<(), usize> {
            self.0.lock().push(checks.len());
            SequentialVerifier.verify_all(checks)
        }
    }

    fn words(verdicts: &[Verdict]) -> Vec<&'static str> {
        let word = |verdict: &Verdict| match verdict {
            Verdict::Pass(Event::Message { verified: true, .. }) => "checked",
            Verdict::Pass(_) => "unchecked",
            Verdict::Known => "known",
            Verdict::LeftOut(..) => "left out",
            Verdict::BadSignature(_) => "bad signature",
            Verdict::Malformed(_) => "malformed",
        };
        verdicts.iter().map(word).collect()
    }

    /// INV-INCOMING-1, INV-INCOMING-2.
    #[test]
    fn signatures_of_a_job_are_checked_at_once_and_a_bad_one_is_its_senders_alone() {
        let (members, voters, engine) = members(3);
        let [(a, a_key), (b, b_key), (c, c_key)] = &members[..] else { panic!("three members") };
        let stranger = MasternodeId([9; 32]);
        let verifier = Counting::default();
        let judge = |events| {
            let court = Court { voters: &voters, engine: &engine, verifier: &verifier, now: Clock.instant() };
            words(&judge(events, &court))
        };
        let good = vec![
            batch(*a, 0, 1, a_key),
            batch(*b, 0, 1, b_key),
            batch(*a, 0, 1, a_key),
            batch(stranger, 0, 1, a_key),
            batch(*a, 1, 1, a_key),
            NetworkEvent::Disconnected { peer: PEER },
        ];
        assert_eq!(judge(good), ["checked", "checked", "known", "unchecked", "checked", "unchecked"]);
        assert_eq!(*verifier.0.lock(), [3], "each once, together");
        let forged = vec![
            batch(*c, 0, 1, a_key),
            batch(*b, 1, 1, b_key),
            batch(*c, 0, 0, c_key),
            batch(*c, 0, 1, c_key),
            batch(*b, 0, 1, b_key),
        ];
        assert_eq!(judge(forged), ["bad signature", "checked", "malformed", "checked", "known"]);
    }

    /// INV-PACE-1, INV-PACE-2, where messages come in.
    #[test]
    fn one_members_votes_pass_up_to_its_pace_and_forged_ones_take_nothing_of_it() {
        let (members, voters, handle) = members(2);
        let [(loud_id, loud), (quiet_id, quiet)] = members.try_into().unwrap();
        let court =
            Court { voters: &voters, engine: &handle, verifier: &SequentialVerifier, now: Clock.instant() };
        let judge = |event| judge(vec![event], &court).remove(0);
        let most = crate::types::limits::BATCH_VOTES_MAX;
        let passed =
            (0..100).filter(|seq| matches!(judge(batch(loud_id, *seq, most, &loud)), Verdict::Pass(_)));
        assert_eq!(passed.count(), 4);
        assert!(matches!(judge(batch(loud_id, 0, most, &loud)), Verdict::Known), "what passed is known");
        // A stranger to the quiet one's key says much in its name, and is told off.
        let forged = judge(batch(quiet_id, 0, most, &loud));
        assert!(matches!(forged, Verdict::BadSignature(_)));
        assert!(matches!(judge(batch(quiet_id, 0, 1, &quiet)), Verdict::Pass(_)));
        let name_is_used_up = || {
            let all = (1..12).map(|seq| judge(batch(quiet_id, seq, most, &loud)));
            all.filter(|verdict| matches!(verdict, Verdict::BadSignature(_))).count()
        };
        assert!((1..10).contains(&name_is_used_up()), "its own budget for that name");
        assert_eq!(name_is_used_up(), 0);
        // A connection that begins again has a new one, but none for the author.
        judge(NetworkEvent::Disconnected { peer: PEER });
        assert!((1..10).contains(&name_is_used_up()));
        assert!(matches!(judge(batch(loud_id, 200, most, &loud)), Verdict::LeftOut(..)));
    }

    /// What was left out was not received: whoever holds it is asked for it, and then it has to count.
    #[test]
    fn what_was_left_out_passes_once_its_author_has_a_pace_again() {
        let (members, voters, handle) = members(1);
        let [(loud_id, loud)] = &members[..] else { panic!("one member") };
        let (most, began) = (crate::types::limits::BATCH_VOTES_MAX, Clock.instant());
        // Each comes from another peer, so that the author's own budget is the one that ends.
        let judge = |seq: u64, waited_s| {
            let NetworkEvent::Message { message, .. } = batch(*loud_id, seq, most, loud) else {
                panic!("a batch")
            };
            let peer = PublicKey([u8::try_from(seq).unwrap(); 32]);
            let now = began + std::time::Duration::from_secs(waited_s);
            let court = Court { voters: &voters, engine: &handle, verifier: &SequentialVerifier, now };
            judge(vec![NetworkEvent::Message { peer, message }], &court).remove(0)
        };
        let is_left_out = |seq: &u64| matches!(judge(*seq, 0), Verdict::LeftOut(..));
        let left_out = (0..100).find(is_left_out).unwrap();
        assert_eq!(words(&[judge(left_out, 60), judge(left_out, 60)]), ["checked", "known"]);
    }
}
