//! Finality proofs as the crate makes them, of a chain in which sets change and blocks are final.

use serde_json::{Value, json};
use timed::protocol::finality_proof::{Anchor, Ending, EpochLink, FinalityProof, verify_with};
use timed::rpc::finality_proof::FinalityProofInfo;
use timed::types::keys::SequentialVerifier;
use timed::types::{
    CertificateVote, Checkpoint, FinalityVote, GenesisDocument, Transaction, TxId, VoteBatch, VoteKind,
    merkle,
};

use crate::far_proof::far_proof;
use crate::story::{Step, Story, secret_of};

/// A payment of the last block, and what proves it.
pub struct Paid {
    pub genesis: GenesisDocument,
    pub txid: TxId,
    pub payment: Transaction,
    pub links: Vec<EpochLink>,
    /// Of all members of the set, in its order.
    pub votes: Vec<CertificateVote>,
    /// The first member's vote, from a batch that says the same twice: at its second place.
    pub second: CertificateVote,
    /// The first member's vote to lock.
    pub lock: CertificateVote,
    /// Its vote of the next epoch.
    pub late: CertificateVote,
    voted: Ending,
    included: Ending,
}

impl Paid {
    pub fn of_the_story() -> Self {
        let story = Story::tell();
        let (chain_id, last) = (story.genesis.chain_id(), story.steps.last().unwrap());
        let payment = Transaction::clone(&last.block.transactions[0]);
        let (txid, state) = (payment.txid(), &last.state);
        let links: Vec<EpochLink> =
            story.steps.iter().filter(|step| step.block.header.epoch_end).map(link).collect();
        let outputs = last.utxos.iter().map(|(outpoint, entry)| (*outpoint, *entry));
        assert_eq!(state.recompute_digest(outputs), state.digest(), "a sound chain");
        let (epoch, set) = (state.next_epoch(), state.validators());
        let vote = |kind, txid| FinalityVote { kind, txid };
        let of_batch = |place: usize, epoch, first, second| -> CertificateVote {
            let (seq, member) = (u64::try_from(place).unwrap(), &set.members()[place]);
            let votes = vec![first, second];
            let batch = VoteBatch::signed(&chain_id, epoch, member.id, seq, votes, &secret_of(&member.key));
            batch.prove(1).unwrap()
        };
        let (other, own) = (vote(VoteKind::Lock, TxId([0x33; 32])), vote(VoteKind::Final, txid));
        let votes: Vec<CertificateVote> =
            (0..set.members().len()).map(|place| of_batch(place, epoch, other, own)).collect();
        let voted = Ending::voted(txid, epoch, votes.clone(), set).unwrap();
        let included = Ending::included(txid, &last.block, &last.commit, set).unwrap();
        let second = of_batch(0, epoch, own, own);
        let lock = of_batch(0, epoch, own, vote(VoteKind::Lock, txid));
        let late = of_batch(0, epoch + 1, other, own);
        Self { genesis: story.genesis, txid, payment, links, votes, second, lock, late, voted, included }
    }

    /// By its block.
    pub fn included(&self) -> FinalityProof {
        self.proof(&self.links, self.included.clone())
    }

    pub fn proof(&self, links: &[EpochLink], ending: Ending) -> FinalityProof {
        FinalityProof::new(self.genesis.chain_id(), self.txid, links.to_vec(), ending)
    }
}

/// Of the last block's first payment: by votes, by its block, by a block of a later epoch, which a link passes over to, and
/// for who trusts a block of the epoch before; and of an earlier payment, for who trusts the last block.
pub fn vectors() -> Value {
    let paid = Paid::of_the_story();
    let text = |proof: &FinalityProof, trusted: Option<Checkpoint>| {
        let proved = verify_with(&paid.genesis, trusted.as_ref(), proof, &SequentialVerifier).unwrap();
        let info = FinalityProofInfo::of(proof, &proved);
        json!({ "bytes": hex::encode(proof.to_bytes()), "json": info })
    };
    let [voted, included] =
        [&paid.voted, &paid.included].map(|ending| paid.proof(&paid.links, ending.clone()));
    let story = Story::tell();
    let far = far_proof(&story);
    // From the last but one block of epoch 1, whose set is another one than the document's.
    let (first, block) = (&story.steps[0].state, &story.steps[5]);
    let anchor = Anchor::new(&block.block.header, block.state.validators(), first.validators()).unwrap();
    let anchored = paid.proof(&paid.links[1..], paid.included.clone()).anchored(anchor);
    let trusted = Some(Checkpoint::of(&block.block.header));
    // A payment of the epoch before, from the chain's last block.
    let ends: Vec<&Step> = story.steps.iter().filter(|step| step.block.header.epoch_end).collect();
    let names: Vec<_> = ends.iter().map(|step| step.block.header.hash()).collect();
    let path = merkle::path(names.iter().map(|name| name.0.as_slice()), 1).unwrap();
    let (header, end) = (&story.steps.last().unwrap().block.header, &ends[1]);
    let set = end.state.validators();
    let anchor = Anchor::past(header, (&end.block.header, path), set, first.validators()).unwrap();
    let txid = block.block.transactions[0].txid();
    let ending = Ending::included(txid, &block.block, &block.commit, set).unwrap();
    let past = FinalityProof::new(paid.genesis.chain_id(), txid, Vec::new(), ending).anchored(anchor);
    let last = Some(Checkpoint::of(header));
    json!({
        "document": paid.genesis.to_toml().unwrap(),
        "proofs": [text(&voted, None), text(&included, None), text(&far, None), text(&anchored, trusted), text(&past, last)],
        "receipts": [crate::refused::good(&paid).1],
    })
}

fn link(step: &Step) -> EpochLink {
    let (set, next) = (step.state.validators(), step.outcome.state.validators());
    EpochLink::new(&step.block.header, &step.commit, [set, set, next]).unwrap()
}

/// Base64 with padding (RFC 4648, section 4).
pub fn of_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = text
        .trim_end_matches('=')
        .bytes()
        .map(|byte| ALPHABET.iter().position(|letter| *letter == byte).unwrap() as u32)
        .collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}
