//! The vectors as the crate makes them.

use std::sync::Arc;

use serde_json::{Value, json};
use timed::types::codec::encode;
use timed::types::evidence::evidence_root;
use timed::types::genesis::{Allocation, GenesisMasternode};
use timed::types::hash::{Domain, DomainHasher};
use timed::types::heartbeat::Heartbeat;
use timed::types::instance::{Acknowledged, InstanceId, InstanceStatement};
use timed::types::message::{SnapshotItem, SnapshotOffer};
use timed::types::transaction::{TRANSACTION_VERSION, signing_digest};
use timed::types::vote::{block_vote_digest, proposal_digest};
use timed::types::{
    Address, Amount, BatchHeader, BlockHash, BlockVote, Certificate, CertificateVote, ChainId,
    ChainParameters, Checkpoint, Commit, Evidence, FinalityVote, GenesisDocument, Hash, Header, Lock,
    MasternodeId, MasternodeRegistration, MasternodeUpdate, Message, Network, OperatorConsent, OutPoint,
    Payload, PublicKey, RuleVersion, SecretKey, Signature, SignerBitmap, StateDigest, Transaction, TxId,
    TxOut, Validator, ValidatorSet, VoteBatch, VoteKind, VoteStep, block, merkle,
};
use timed::wallet::{sealed_memo, signed_message};

use crate::heard::heard;

const CHAIN: ChainId = ChainId([0xc1; 32]);

fn hex(bytes: impl AsRef<[u8]>) -> Value {
    Value::String(::hex::encode(bytes))
}

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn lock(seed: u8) -> Lock {
    Lock::KeyHash(secret(seed).public().key_hash())
}

fn id(fill: u8) -> MasternodeId {
    MasternodeId([fill; 32])
}

// -- keys, addresses, genesis -----------------------------------------------------------------------------------------

fn domains() -> Value {
    let tag = |domain: Domain| String::from_utf8(domain.tag().to_vec()).unwrap();
    let entry = |domain: &Domain| {
        let hash = DomainHasher::new(*domain).bytes(b"content").finish();
        json!({ "of": format!("{domain:?}"), "tag": tag(*domain), "content": hex(b"content"), "hash": hex(hash) })
    };
    Domain::ALL.iter().map(entry).collect()
}

fn keys() -> Value {
    let entry = |seed: u8| {
        let (secret, digest) = (secret(seed), [seed; 32]);
        let key = secret.public();
        let address = |network| Address::of_key_hash(network, key.key_hash()).to_string();
        json!({
            "secret_key": hex(secret.seed().as_slice()),
            "public_key": key,
            "key_hash": key.key_hash(),
            "addresses": {
                "mainnet": address(Network::Mainnet),
                "testnet": address(Network::Testnet),
                "devnet": address(Network::Devnet),
            },
            "digest": hex(digest),
            "signature": secret.sign(&digest).to_string(),
        })
    };
    [1, 2].into_iter().map(entry).collect()
}

/// A small document: two allocations, and four masternodes of two tiers.
fn document() -> GenesisDocument {
    let address = |seed: u8| Address::of_key_hash(Network::Devnet, secret(seed).public().key_hash());
    let parameters = ChainParameters::of_network(Network::Devnet);
    let masternode = |place: u8| GenesisMasternode {
        collateral: parameters.tiers[usize::from(place == 2)].collateral,
        owner: address(0x20 + place),
        operator_key: secret(0x10 + place).public(),
        payout: address(0x30 + place),
        network_address: format!("127.0.0.1:{}", 24_200 + 2 * u16::from(place)),
    };
    GenesisDocument {
        network: Network::Devnet,
        time_ms: 1_750_000_000_000,
        allocations: [(1, 250_000_000_000), (2, 1)]
            .map(|(seed, units)| Allocation { address: address(seed), amount: Amount(units) })
            .to_vec(),
        masternodes: (0..4).map(masternode).collect(),
        parameters,
    }
}

fn genesis() -> Value {
    let document = document();
    let (state, _) = timed::protocol::state::LedgerState::genesis(&document).unwrap();
    let ids = (0..4).map(|place| GenesisDocument::masternode_id(&document.collateral_outpoint(place)));
    json!({
        "document": document.to_toml().unwrap(),
        "chain_id": document.chain_id(),
        "masternode_ids": ids.collect::<Vec<_>>(),
        "validators_hash": state.validators().hash(),
        "state_digest": state.digest(),
    })
}

// -- Merkle trees -----------------------------------------------------------------------------------------------------

fn trees() -> Value {
    let tree = |count: u8| {
        let leaves: Vec<Vec<u8>> = (0..count).map(|fill| vec![fill; usize::from(fill)]).collect();
        let slices = || leaves.iter().map(Vec::as_slice);
        let paths = (0..leaves.len()).map(|index| merkle::path(slices(), index).unwrap());
        json!({
            "leaves": leaves.iter().map(hex).collect::<Vec<_>>(),
            "root": merkle::root(slices()),
            "paths": paths.collect::<Vec<Vec<Hash>>>(),
        })
    };
    [0, 1, 2, 3, 5, 6, 7].into_iter().map(tree).collect()
}

// -- transactions -----------------------------------------------------------------------------------------------------

fn consent(consent: &OperatorConsent) -> Value {
    json!({ "key": consent.key, "signature": consent.signature.to_string() })
}

fn lock_text(lock: &Lock) -> Value {
    let Lock::KeyHash(hash) = lock;
    json!(hash)
}

fn payload(payload: &Payload) -> Value {
    match payload {
        Payload::Transfer { memo } => json!({ "kind": "transfer", "memo": hex(memo) }),
        Payload::Reward { height } => json!({ "kind": "reward", "height": height }),
        Payload::MasternodeRegister(registration) => json!({
            "kind": "masternode_register",
            "collateral_index": registration.collateral_index,
            "operator": consent(&registration.operator),
            "payout": lock_text(&registration.payout),
            "network_address": registration.network_address,
        }),
        Payload::MasternodeUpdate(update) => json!({
            "kind": "masternode_update",
            "masternode": update.masternode,
            "operator": update.operator.as_ref().map(consent),
            "payout": update.payout.as_ref().map(lock_text),
            "network_address": update.network_address,
            "unjail": update.unjail.as_ref().map(consent),
        }),
        Payload::MasternodeExit { masternode } => {
            json!({ "kind": "masternode_exit", "masternode": masternode })
        }
    }
}

fn transaction(name: &str, transaction: Transaction, signers: &[u8], operators: &[u8]) -> Value {
    let [owners, agreeing] =
        [signers, operators].map(|seeds| seeds.iter().map(|seed| secret(*seed)).collect::<Vec<_>>());
    let transaction = transaction.consented(&CHAIN, &agreeing.iter().collect::<Vec<_>>());
    let transaction = if owners.is_empty() {
        transaction
    } else {
        transaction.signed(&CHAIN, &owners.iter().collect::<Vec<_>>())
    };
    let txid = transaction.txid();
    let seeds = |keys: &[SecretKey]| keys.iter().map(|key| hex(key.seed().as_slice())).collect::<Vec<_>>();
    let inputs = transaction.inputs.iter().map(|input| json!({ "txid": input.txid, "index": input.index }));
    let outputs = transaction.outputs.iter();
    let witnesses = transaction.witnesses.iter();
    let encoding = encode(&transaction);
    json!({
        "name": name,
        "chain_id": CHAIN,
        "secret_keys": seeds(&owners),
        "operator_secret_keys": seeds(&agreeing),
        "transaction": {
            "version": transaction.version,
            "inputs": inputs.collect::<Vec<_>>(),
            "outputs": outputs
                .map(|output| json!({ "value": output.value, "lock": lock_text(&output.lock) }))
                .collect::<Vec<_>>(),
            "payload": payload(&transaction.payload),
            "witnesses": witnesses
                .map(|witness| json!({ "key": witness.key, "signature": witness.signature.to_string() }))
                .collect::<Vec<_>>(),
        },
        "consent_digest": hex(transaction.consent_digest(&CHAIN)),
        "txid": txid,
        "signing_digest": hex(signing_digest(&CHAIN, &txid)),
        "encoding": hex(&encoding),
        "encoded_bytes": encoding.len(),
    })
}

fn transactions() -> Value {
    let input = |fill: u8, index| OutPoint { txid: TxId([fill; 32]), index };
    let output = |units, seed| TxOut { value: Amount(units), lock: lock(seed) };
    let build = |inputs: Vec<OutPoint>, outputs: Vec<TxOut>, payload| Transaction {
        version: TRANSACTION_VERSION,
        inputs,
        outputs,
        payload,
        witnesses: Vec::new(),
    };
    let memo = "thanks for the coffee".as_bytes().to_vec();
    let inputs = vec![input(0xa1, 0), input(0xa2, 7), input(0xa1, 1)];
    let transfer =
        build(inputs, vec![output(150_000_000, 3), output(49_999_000, 1)], Payload::Transfer { memo });
    let registration = Payload::MasternodeRegister(MasternodeRegistration {
        collateral_index: 0,
        operator: OperatorConsent::unsigned(secret(0x11).public()),
        payout: lock(4),
        network_address: "203.0.113.7:24000".to_owned(),
    });
    let bronze = ChainParameters::of_network(Network::Mainnet).tiers[0].collateral;
    let collateral = TxOut { value: bronze, lock: lock(1) };
    let register = build(vec![input(0xa3, 2)], vec![collateral, output(5_000, 1)], registration);
    let update = Payload::MasternodeUpdate(MasternodeUpdate {
        masternode: id(0xd1),
        operator: Some(OperatorConsent::unsigned(secret(0x12).public())),
        payout: None,
        network_address: Some("node.example.org:24000".to_owned()),
        unjail: None,
    });
    let unjail = Payload::MasternodeUpdate(MasternodeUpdate::unjail(id(0xd1), secret(0x11).public()));
    let exit = Payload::MasternodeExit { masternode: id(0xd1) };
    let pay = |payload| build(vec![input(0xa4, 0)], vec![output(7_000, 1)], payload);
    let reward = build(Vec::new(), vec![output(33, 5), output(67, 6)], Payload::Reward { height: 30 });
    Value::Array(vec![
        transaction("transfer with memo, three inputs of two keys", transfer, &[1, 2], &[]),
        transaction("masternode registration", register, &[1], &[0x11]),
        transaction("masternode update", pay(update), &[1], &[0x12]),
        transaction("un-jailing", pay(unjail), &[2], &[0x11]),
        transaction("masternode exit", pay(exit), &[1], &[]),
        transaction("reward", reward, &[], &[]),
    ])
}

// -- blocks -----------------------------------------------------------------------------------------------------------

fn set() -> ValidatorSet {
    let weights = [10, 1, 1, 1];
    let member = |(place, weight): (u8, u64)| Validator {
        id: id(0xe0 + place),
        key: secret(0x10 + place).public(),
        weight,
    };
    ValidatorSet::new((0_u8..).zip(weights).map(member).collect())
}

fn validator_set() -> Value {
    let set = set();
    let members = set.members().iter();
    json!({
        "members": members
            .map(|member| json!({ "id": member.id, "key": member.key, "weight": member.weight }))
            .collect::<Vec<_>>(),
        "total_weight": set.total_weight(),
        "quorum": set.quorum(),
        "hash": set.hash(),
    })
}

fn header() -> (Vec<TxId>, Header) {
    let txids: Vec<TxId> = (0..3).map(|fill| TxId([0xb0 + fill; 32])).collect();
    let header = Header {
        chain_id: CHAIN,
        height: 42,
        round: 1,
        epoch: 3,
        epoch_end: true,
        time: 1_750_000_123_456,
        prev_hash: BlockHash([0xf1; 32]),
        last_commit_root: Commit::default().root(),
        tx_root: block::tx_root(&txids),
        evidence_root: evidence_root([]),
        epoch_ends_root: Hash([0xf5; 32]),
        state_digest: StateDigest([0xf2; 32]),
        validators_hash: set().hash(),
        next_validators_hash: set().hash(),
        proposer: id(0xe0),
        rules: RuleVersion(3),
        announced: RuleVersion(5),
    };
    (txids, header)
}

fn header_text(header: &Header) -> Value {
    json!({
        "chain_id": header.chain_id,
        "height": header.height,
        "round": header.round,
        "epoch": header.epoch,
        "epoch_end": header.epoch_end,
        "time": header.time,
        "prev_hash": header.prev_hash,
        "last_commit_root": header.last_commit_root,
        "tx_root": header.tx_root,
        "evidence_root": header.evidence_root,
        "epoch_ends_root": header.epoch_ends_root,
        "state_digest": header.state_digest,
        "validators_hash": header.validators_hash,
        "next_validators_hash": header.next_validators_hash,
        "proposer": header.proposer,
        "rules": header.rules,
        "announced": header.announced,
    })
}

fn commit(commit: &Commit, members: usize) -> Value {
    let bytes = (0..members.div_ceil(8)).map(|byte| {
        (0..8).fold(0_u8, |bits, bit| bits | u8::from(commit.signers.contains(byte * 8 + bit)) << bit)
    });
    json!({
        "height": commit.height,
        "round": commit.round,
        "block_hash": commit.block_hash,
        "signers": hex(bytes.collect::<Vec<u8>>()),
        "signatures": commit.signatures.iter().map(Signature::to_string).collect::<Vec<_>>(),
        "encoding": hex(encode(commit)),
        "root": commit.root(),
    })
}

fn blocks() -> Value {
    let ((txids, header), set) = (header(), set());
    let (hash, round) = (header.hash(), 2);
    let place = (header.epoch, header.height, round);
    let digest =
        block_vote_digest(&CHAIN, VoteStep::Precommit, header.epoch, header.height, round, Some(hash));
    let mut signers = SignerBitmap::empty(set.len());
    [0, 2].into_iter().for_each(|place| signers.set(place));
    let signatures = [0x10, 0x12].map(|seed| secret(seed).sign(&digest)).to_vec();
    let own = Commit { height: header.height, round, block_hash: hash, signers, signatures };
    let proposer = secret(0x10);
    let proposal = proposal_digest(&CHAIN, place, Some(1), &id(0xe0), &hash);
    json!({
        "txids": txids,
        "header": header_text(&header),
        "header_encoding": hex(encode(&header)),
        "block_hash": hash,
        "tx_root": header.tx_root,
        "empty_root": evidence_root([]),
        "commits": [commit(&Commit::default(), 0), commit(&own, set.len())],
        "votes": [
            block_vote(VoteStep::Prevote, None),
            block_vote(VoteStep::Prevote, Some(hash)),
            block_vote(VoteStep::Precommit, Some(hash)),
        ],
        "proposal": {
            "chain_id": CHAIN,
            "epoch": header.epoch,
            "height": header.height,
            "round": round,
            "pol_round": 1,
            "validator": id(0xe0),
            "block_hash": hash,
            "digest": hex(proposal),
            "secret_key": hex(proposer.seed().as_slice()),
            "signature": proposer.sign(&proposal).to_string(),
        },
    })
}

fn vote(step: VoteStep, value: Option<BlockHash>) -> BlockVote {
    let (validator, signature) = (id(0xe1), Signature::EMPTY);
    let vote = BlockVote { step, epoch: 3, height: 42, round: 2, value, validator, signature };
    vote.signed(&CHAIN, &secret(0x11))
}

fn block_vote(step: VoteStep, value: Option<BlockHash>) -> Value {
    let vote = vote(step, value);
    json!({
        "chain_id": CHAIN,
        "secret_key": hex(secret(0x11).seed().as_slice()),
        "step": if step == VoteStep::Prevote { "prevote" } else { "precommit" },
        "epoch": vote.epoch,
        "height": vote.height,
        "round": vote.round,
        "value": vote.value,
        "validator": vote.validator,
        "signature": vote.signature.to_string(),
        "digest": hex(vote.digest(&CHAIN)),
        "encoding": hex(encode(&vote)),
    })
}

fn evidence() -> Value {
    let evidence = Evidence::of_votes(
        vote(VoteStep::Precommit, Some(BlockHash([7; 32]))),
        vote(VoteStep::Precommit, None),
    );
    let votes = [None, Some(BlockHash([7; 32]))].map(|value| block_vote(VoteStep::Precommit, value));
    json!({
        "votes": votes,
        "encoding": hex(encode(&evidence)),
        "hash": evidence.hash(),
        "evidence_root": evidence_root([&evidence]),
        "foreign": foreign_precommit(),
    })
}

/// A precommit for the header of [`blocks`], by a member of epoch 2.
fn foreign_precommit() -> Value {
    let (_, header) = header();
    let value = Some(header.hash());
    let evidence = Evidence::of_foreign(2, vote(VoteStep::Precommit, value), header.clone());
    json!({
        "member_in": 2,
        "vote": block_vote(VoteStep::Precommit, value),
        "header": header_text(&header),
        "encoding": hex(encode(&evidence)),
        "hash": evidence.hash(),
    })
}

// -- votes on payments ------------------------------------------------------------------------------------------------

fn finality_vote(vote: &FinalityVote) -> Value {
    let kind = if vote.kind == VoteKind::Lock { "lock" } else { "final" };
    json!({ "kind": kind, "txid": vote.txid })
}

fn batch_header(header: &BatchHeader) -> Value {
    json!({
        "epoch": header.epoch,
        "validator": header.validator,
        "seq": header.seq,
        "count": header.count,
        "votes_root": header.votes_root,
        "signature": header.signature.to_string(),
    })
}

fn certificate_vote(vote: &CertificateVote) -> Value {
    let mut text = batch_header(&vote.header);
    text["index"] = json!(vote.index);
    text["path"] = json!(vote.path);
    text
}

fn batch(place: u8) -> VoteBatch {
    let vote = |kind, fill: u8| FinalityVote { kind, txid: TxId([fill; 32]) };
    let votes = vec![
        vote(VoteKind::Lock, 0x51 + place),
        vote(VoteKind::Final, 0x61),
        vote(VoteKind::Lock, 0x71 + place),
    ];
    let seq = u64::from(place) * 5;
    VoteBatch::signed(&CHAIN, 3, id(0xe0 + place), seq, votes, &secret(0x10 + place))
}

fn batches() -> Value {
    let batch = batch(0);
    let mut text = batch_header(&batch.header);
    text["chain_id"] = json!(CHAIN);
    text["secret_key"] = hex(secret(0x10).seed().as_slice());
    text["votes"] = batch.votes.iter().map(finality_vote).collect();
    text["digest"] = hex(batch.header.digest(&CHAIN));
    text["encoding"] = hex(encode(&batch));
    text["proofs"] = (0..3).map(|index| certificate_vote(&batch.prove(index).unwrap())).collect();
    text
}

fn certificate() -> Value {
    let votes: Vec<CertificateVote> = (0..2).map(|place| batch(place).prove(1).unwrap()).collect();
    let vote = FinalityVote { kind: VoteKind::Final, txid: TxId([0x61; 32]) };
    let certificate = Certificate { vote, epoch: 3, votes };
    json!({
        "kind": "final",
        "txid": vote.txid,
        "epoch": 3,
        "votes": certificate.votes.iter().map(certificate_vote).collect::<Vec<_>>(),
        "encoding": hex(encode(&certificate)),
    })
}

fn statement() -> InstanceStatement {
    let instance = |byte: u8, attempt: u32| InstanceId { start: [byte; 16], attempt };
    let statement = InstanceStatement {
        validator: id(0xe1),
        epoch: 3,
        instance: instance(0xb7, 2),
        seq: 5,
        asks: true,
        rivals: vec![instance(0xb8, 0)],
        acknowledged: vec![Acknowledged { validator: id(0xe2), instance: instance(0xb9, 1) }],
        signature: Signature::EMPTY,
    };
    statement.signed(&CHAIN, &secret(0x11))
}

fn heartbeat() -> (Heartbeat, Value) {
    let mut heard = SignerBitmap::empty(4);
    [0, 1, 3].into_iter().for_each(|place| heard.set(place));
    let (validator, signature) = (id(0xe1), Signature::EMPTY);
    let heartbeat = Heartbeat {
        validator,
        instance: InstanceId { start: [0xb7; 16], attempt: 2 },
        epoch: 3,
        height: 41,
        next_seq: 6,
        time_ms: 1_750_000_123_999,
        heard,
        signature,
    };
    let heartbeat = heartbeat.signed(&CHAIN, &secret(0x11));
    let text = json!({
        "chain_id": CHAIN,
        "secret_key": hex(secret(0x11).seed().as_slice()),
        "validator": heartbeat.validator,
        "start": hex(heartbeat.instance.start),
        "attempt": heartbeat.instance.attempt,
        "epoch": heartbeat.epoch,
        "height": heartbeat.height,
        "next_seq": heartbeat.next_seq,
        "time_ms": heartbeat.time_ms,
        "heard": "0b",
        "digest": hex(heartbeat.digest(&CHAIN)),
        "signature": heartbeat.signature.to_string(),
        "encoding": hex(encode(&heartbeat)),
    });
    (heartbeat, text)
}

// -- peers ------------------------------------------------------------------------------------------------------------

fn handshake() -> Value {
    let transcript = [0x77; 32];
    let digest = |role: u8| {
        let hasher = DomainHasher::new(Domain::Handshake).bytes(&[role]).bytes(&transcript);
        hex(hasher.bytes(&CHAIN.0).finish())
    };
    let identity = secret(0x22).public();
    let member = |role: u8| {
        let hasher = DomainHasher::new(Domain::MemberConnection).bytes(&[role]).bytes(&transcript);
        hex(hasher.bytes(&CHAIN.0).bytes(&identity.0).finish())
    };
    json!({
        "chain_id": CHAIN,
        "transcript": hex(transcript),
        "identity": identity,
        "initiator": digest(0),
        "responder": digest(1),
        "initiator_member": member(0),
        "responder_member": member(1),
    })
}

fn messages() -> Value {
    let status = timed::types::message::NodeStatus {
        height: 41,
        horizon: 1,
        tip: BlockHash([0xf1; 32]),
        epoch: 3,
        round: 1,
        has_proposal: true,
        prevotes: SignerBitmap::empty(4),
        precommits: SignerBitmap::default(),
        batches: (0..4).map(|place| timed::types::message::HeldBatches { from: place, until: 7 }).collect(),
    };
    let status_text = json!({
        "height": status.height,
        "horizon": status.horizon,
        "tip": status.tip,
        "epoch": status.epoch,
        "round": status.round,
        "has_proposal": status.has_proposal,
        "prevotes": "00",
        "precommits": "",
        "batches": status
            .batches
            .iter()
            .map(|held| json!({ "from": held.from, "until": held.until }))
            .collect::<Vec<_>>(),
    });
    let peer = timed::types::message::PeerAddress {
        address: "203.0.113.7:24000".to_owned(),
        identity: Some(PublicKey([0x22; 32])),
    };
    let validator = id(0xe1);
    let messages = [
        Message::Ping(7),
        Message::Pong(7),
        Message::Status(status),
        Message::VoteBatch(heard(&batch(0))),
        Message::BlockVote(heard(&vote(VoteStep::Prevote, None))),
        Message::GetTransactions(vec![TxId([0xa1; 32])]),
        Message::Transactions(Vec::new()),
        Message::GetCertificates(VoteKind::Lock, vec![TxId([0xa1; 32])]),
        Message::Certificates(Vec::new()),
        Message::GetBatches { epoch: 3, validator, from_seq: 5, count: 2 },
        Message::BatchesEnd { epoch: 3, validator, before_seq: 5 },
        Message::GetBlocks { from: 42, count: 64 },
        Message::Blocks(Vec::new()),
        Message::GetMasternodes,
        Message::Masternodes(vec![peer]),
        Message::Heartbeat(heard(&heartbeat().0)),
        Message::Instance(Arc::new(statement())),
        Message::Neighbours(vec![PublicKey([0x22; 32])]),
        Message::Announce(vec![TxId([0xa1; 32])]),
        Message::GetSnapshots,
        Message::Snapshots(vec![SnapshotOffer {
            block: Checkpoint { height: 7_200, block_hash: BlockHash([0xb1; 32]) },
            manifest: Hash([0xb2; 32]),
            outputs: 40_000,
            bytes: 3_600_000,
        }]),
        Message::GetSnapshotItem { height: 7_200, item: SnapshotItem::Proof(None) },
        Message::SnapshotItem { height: 7_200, item: SnapshotItem::Chunk(2), bytes: vec![1, 2, 3] },
    ];
    let entry = |message: &Message| {
        let name = timed::network::MessageKind::of(message).name();
        let mut entry = json!({ "name": name, "encoding": hex(encode(message)) });
        if matches!(message, Message::Status(_)) {
            entry["content"] = status_text.clone();
        }
        entry
    };
    messages.iter().map(entry).collect()
}

fn signed_messages() -> Value {
    let entry = |(network, message): (Network, &str)| {
        let key = secret(1);
        let address = Address::of_key_hash(network, key.public().key_hash());
        json!({
            "secret_key": hex(key.seed().as_slice()),
            "network": network,
            "address": address,
            "message": message,
            "digest": hex(signed_message::digest(&address, message)),
            "signature": signed_message::sign(&address, &key, message).unwrap(),
        })
    };
    let messages =
        [(Network::Mainnet, "I own this address."), (Network::Devnet, "größer\n"), (Network::Testnet, "")];
    messages.into_iter().map(entry).collect()
}

fn sealed_memos() -> Value {
    let entry = |(seed, text): (u8, &[u8])| {
        let (receiver, once, chain_id) = (secret(seed), [seed + 0x40; 32], CHAIN);
        let memo = sealed_memo::seal_by(text, &receiver.public(), &chain_id, &once).unwrap();
        assert_eq!(sealed_memo::open(&memo, &receiver, &chain_id).as_deref(), Some(text));
        json!({
            "chain_id": chain_id,
            "receiver_secret_key": hex(receiver.seed().as_slice()),
            "receiver_public_key": receiver.public(),
            "once_secret": hex(once),
            "text": hex(text),
            "memo": hex(memo),
        })
    };
    let longest = [b'm'; sealed_memo::SEALED_TEXT_BYTES_MAX];
    [(1, &b"order 7"[..]), (2, b""), (3, &longest)].into_iter().map(entry).collect()
}

/// All vectors but the finality proofs.
pub fn vectors() -> Value {
    json!({
        "domains": domains(),
        "keys": keys(),
        "genesis": genesis(),
        "merkle_trees": trees(),
        "transactions": transactions(),
        "validator_set": validator_set(),
        "blocks": blocks(),
        "evidence": evidence(),
        "vote_batch": batches(),
        "certificate": certificate(),
        "heartbeat": heartbeat().1,
        "handshake": handshake(),
        "messages": messages(),
        "signed_messages": signed_messages(),
        "sealed_memos": sealed_memos(),
    })
}
