//! What the tests of the network share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::network::connection::Connection;
use crate::network::frame::{Opener, Sealer, split_session};
use crate::network::handshake::Hello;
use crate::types::message::NodeStatus;
use crate::types::vote::FinalityVote;
use crate::types::{
    BlockBlueprint, BlockHash, BlockVote, ChainId, Commit, Hash, Header, MasternodeId, Message, Payload,
    Proposal, PublicKey, SecretKey, Signature, SignerBitmap, StateDigest, Transaction, TxId, VoteBatch,
    VoteKind, VoteStep,
};

pub(crate) const CHAIN: ChainId = ChainId([7; 32]);

pub(crate) fn vote_batch(seq: u64, votes: usize) -> VoteBatch {
    let votes = vec![FinalityVote { kind: VoteKind::Lock, txid: TxId::ZERO }; votes];
    let secret = SecretKey::from_seed(&[5; 32]);
    VoteBatch::signed(&CHAIN, 0, MasternodeId::ZERO, seq, votes, &secret)
}

pub(crate) fn transaction(number: u64, memo_bytes: usize) -> Arc<Transaction> {
    let mut memo = number.to_le_bytes().to_vec();
    memo.resize(memo_bytes.max(8), 0);
    Arc::new(Transaction {
        version: 1,
        inputs: Vec::new(),
        outputs: Vec::new(),
        payload: Payload::Transfer { memo },
        witnesses: Vec::new(),
    })
}

pub(crate) fn block_vote(height: u64) -> Arc<BlockVote> {
    Arc::new(BlockVote {
        step: VoteStep::Prevote,
        epoch: 0,
        height,
        round: 0,
        value: None,
        validator: MasternodeId::ZERO,
        signature: Signature::EMPTY,
    })
}

pub(crate) fn proposal() -> Proposal {
    let header = Header {
        chain_id: CHAIN,
        height: 1,
        round: 0,
        epoch: 0,
        epoch_end: false,
        time: 1,
        prev_hash: BlockHash::ZERO,
        last_commit_root: Hash::ZERO,
        tx_root: Hash::ZERO,
        evidence_root: Hash::ZERO,
        state_digest: StateDigest::ZERO,
        validators_hash: Hash::ZERO,
        next_validators_hash: Hash::ZERO,
        proposer: MasternodeId::ZERO,
    };
    Proposal {
        round: 0,
        pol_round: None,
        validator: MasternodeId::ZERO,
        block: BlockBlueprint { header, last_commit: Commit::default(), txids: Vec::new() },
        signature: Signature::EMPTY,
    }
}

/// One message of each kind, in the order of the tags.
pub(crate) fn one_of_each() -> Vec<Message> {
    let validator = MasternodeId::ZERO;
    vec![
        Message::Ping(1),
        Message::Pong(1),
        Message::Status(NodeStatus {
            height: 1,
            tip: BlockHash::ZERO,
            epoch: 0,
            round: 0,
            has_proposal: false,
            prevotes: SignerBitmap::empty(4),
            precommits: SignerBitmap::empty(4),
            batches: Vec::new(),
        }),
        Message::Transaction(transaction(1, 8)),
        Message::VoteBatch(Arc::new(vote_batch(1, 1))),
        Message::Proposal(Arc::new(proposal())),
        Message::BlockVote(block_vote(1)),
        Message::GetTransactions(Vec::new()),
        Message::Transactions(Vec::new()),
        Message::GetCertificates(VoteKind::Lock, Vec::new()),
        Message::Certificates(Vec::new()),
        Message::GetBatches { epoch: 0, validator, from_seq: 0, count: 1 },
        Message::BatchesSettled { epoch: 0, validator, before_seq: 0, height: 1 },
        Message::GetBlocks { from: 1, count: 1 },
        Message::Blocks(Vec::new()),
        Message::GetMasternodes,
        Message::Masternodes(Vec::new()),
    ]
}

/// What one side seals the other one opens.
pub(crate) fn session_pair() -> (Sealer, Opener) {
    let builder = || snow::Builder::new("Noise_NN_25519_AESGCM_SHA256".parse().unwrap());
    let mut initiator = builder().build_initiator().unwrap();
    let mut responder = builder().build_responder().unwrap();
    let (mut message, mut payload) = ([0; 1_024], [0; 1_024]);
    let length = initiator.write_message(&[], &mut message).unwrap();
    responder.read_message(&message[..length], &mut payload).unwrap();
    let length = responder.write_message(&[], &mut message).unwrap();
    initiator.read_message(&message[..length], &mut payload).unwrap();
    let (sealer, _) = split_session(initiator.into_stateless_transport_mode().unwrap());
    let (_, opener) = split_session(responder.into_stateless_transport_mode().unwrap());
    (sealer, opener)
}

/// A connection that nobody runs.
pub(crate) fn connection(id: u64, peer: PublicKey, inbound: bool) -> Arc<Connection> {
    let remote = Hello {
        protocol_version: 1,
        chain_id: CHAIN,
        identity: peer,
        user_agent: String::new(),
        advertised: None,
        listen_port: 1,
        signature: Signature::EMPTY,
    };
    let address = "127.0.0.1:1".parse().unwrap();
    Arc::new(Connection::new(id, &remote, address, inbound, &CancellationToken::new()))
}
