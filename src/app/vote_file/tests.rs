use super::*;
use crate::types::vote::CertificateVote;
use crate::types::{
    Amount, BlockVote, Certificate, Evidence, FinalityVote, KeyHash, Lock, SecretKey, Signature, TxOut,
    VoteBatch,
};

const CHAIN: ChainId = ChainId([7; 32]);
const ME: MasternodeId = MasternodeId([1; 32]);

fn operator() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn head() -> VoteFileHead {
    let origin = JournalOrigin { created_ms: 55, forced: false };
    VoteFileHead { chain_id: CHAIN, operator_key: operator().public(), origin, epoch: 3, moved: true }
}

fn transaction() -> Arc<Transaction> {
    let output = TxOut { value: Amount(5), lock: Lock::KeyHash(KeyHash([2; 32])) };
    let input = |index| OutPoint { txid: TxId([3; 32]), index };
    Arc::new(Transaction::transfer(vec![input(0), input(1)], vec![output], b"\xff\n\"".to_vec()))
}

fn batch(epoch: Epoch, kind: VoteKind, secret: &SecretKey) -> Arc<VoteBatch> {
    let vote = FinalityVote { kind, txid: transaction().txid() };
    Arc::new(VoteBatch::signed(&CHAIN, epoch, ME, 4, vec![vote], secret))
}

fn block_vote(secret: &SecretKey, value: Option<BlockHash>) -> BlockVote {
    let vote = BlockVote {
        step: VoteStep::Precommit,
        epoch: 3,
        height: 9,
        round: 1,
        value,
        validator: ME,
        signature: Signature::EMPTY,
    };
    vote.signed(&CHAIN, secret)
}

fn contradiction(secret: &SecretKey) -> Evidence {
    Evidence::of_votes(block_vote(secret, None), block_vote(secret, Some(BlockHash([4; 32]))))
}

/// One of each kind, of own and of others, but for proposals, which the tests of whole journals have.
fn records() -> Vec<JournalRecord> {
    let stranger = SecretKey::from_seed(&[2; 32]);
    let peers = batch(3, VoteKind::Lock, &stranger);
    let proof: CertificateVote = peers.prove(0).unwrap();
    let certificate = Certificate { vote: peers.votes[0], epoch: 3, votes: vec![proof] };
    vec![
        JournalRecord::EpochStarted { epoch: 3 },
        JournalRecord::Transaction(transaction()),
        JournalRecord::OwnBatch(batch(3, VoteKind::Lock, &operator())),
        JournalRecord::PeerBatch(peers),
        JournalRecord::Certificate(Arc::new(certificate)),
        JournalRecord::OwnBatch(batch(3, VoteKind::Final, &operator())),
        JournalRecord::BlockVote(Arc::new(block_vote(&operator(), Some(BlockHash([4; 32]))))),
        JournalRecord::BlockVote(Arc::new(block_vote(&stranger, None))),
        JournalRecord::ClosingEntered { epoch: 3, height: 8 },
        JournalRecord::Evidence(Arc::new(contradiction(&stranger))),
    ]
}

/// Writes a file of records; bodies are those of `records`.
fn write(records: &[JournalRecord]) -> String {
    let mut out = Vec::new();
    let mut writer = VoteFileWriter::begin(&mut out, head()).unwrap();
    let mut body = |txid: &TxId| {
        Ok(records.iter().find_map(|record| match record {
            JournalRecord::Transaction(body) if body.txid() == *txid => Some(Arc::clone(body)),
            _ => None,
        }))
    };
    for record in records {
        writer.push(record, &mut body).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), records.len());
    String::from_utf8(out).unwrap()
}

#[derive(Default)]
struct Collected {
    head: Option<VoteFileHead>,
    records: Vec<JournalRecord>,
}

impl VoteFileSink for Collected {
    fn head(&mut self, head: &VoteFileHead) -> Result<(), VoteFileError> {
        assert!(self.head.replace(*head).is_none() && self.records.is_empty());
        Ok(())
    }

    fn record(&mut self, record: JournalRecord) -> Result<(), VoteFileError> {
        self.records.push(record);
        Ok(())
    }
}

fn read(text: &str) -> Result<Collected, VoteFileError> {
    let mut collected = Collected::default();
    let count = read_vote_file(text.as_bytes(), &mut collected)?;
    assert_eq!(count, collected.records.len());
    Ok(collected)
}

#[test]
fn what_is_written_is_read_and_spelled_out() {
    for records in [records(), Vec::new()] {
        let text = write(&records);
        let earlier = text.replace("\"moved\": true,\n", "");
        assert!(earlier != text && !read(&earlier).unwrap().head.unwrap().moved);
        let read = read(&text).unwrap();
        assert_eq!((read.head, &read.records), (Some(head()), &records));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["chain_id"], CHAIN.to_string());
        assert_eq!(json["records"].as_array().unwrap().len(), records.len());
        if !records.is_empty() {
            let lock = &json["records"][2]["votes"][0];
            assert_eq!((&lock["kind"], lock["inputs"].as_array().unwrap().len()), (&"lock".into(), 2));
            assert_eq!(
                (&json["records"][6]["own"], &json["records"][7]["own"]),
                (&true.into(), &false.into())
            );
            let line = text.lines().nth(12).unwrap();
            assert!(
                line.starts_with("{\"type\":\"own_batch\"") && line.ends_with("},"),
                "a record a line: {line}"
            );
        }
    }
}

/// INV-VOTEFILE-1.
#[test]
fn each_record_that_is_wrong_is_named() {
    use RecordProblem as P;
    let text = write(&records());
    let problem = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        match read(&changed) {
            Err(VoteFileError::Record { index, problem }) => (index, problem),
            other => panic!("{from}: {:?}", other.map(|read| read.records)),
        }
    };
    let txid = transaction().txid().to_string();
    let root = batch(3, VoteKind::Lock, &operator()).header.votes_root.to_string();
    let signature = batch(3, VoteKind::Lock, &operator()).header.signature.to_string();
    let zero = Signature::EMPTY.to_string();
    assert_eq!(problem("\"body\":\"01", "\"body\":\"zz"), (1, P::Encoding { what: "the body" }));
    assert_eq!(problem("\"body\":\"01", "\"body\":\"02"), (1, P::Contradiction { what: "the txid" }));
    let (input, other) = (format!("{}:1", TxId([3; 32])), format!("{}:7", TxId([3; 32])));
    assert_eq!(problem(&input, &other), (1, P::Contradiction { what: "the list of inputs" }));
    let of_vote = format!("\"txid\":\"{txid}\",\"inputs\":[\"{}:0\"", TxId([3; 32]));
    let changed = of_vote.replace(":0\"", ":5\"");
    let (_, after) = text.split_once("own_batch").unwrap();
    assert!(after.contains(&of_vote));
    let only_vote = format!("\"kind\":\"lock\",{of_vote}");
    assert_eq!(
        problem(&only_vote, &format!("\"kind\":\"lock\",{changed}")),
        (2, P::Contradiction { what: "the inputs of a vote" })
    );
    let (none, inputs) = (format!("\"kind\":\"lock\",\"txid\":\"{txid}\",\"inputs\":null"), {
        let start = text.find(&only_vote).unwrap();
        let end = start + text[start..].find(']').unwrap() + 1;
        text[start..end].to_owned()
    });
    assert_eq!(problem(&inputs, &none), (2, P::NoBody { txid: transaction().txid() }));
    assert_eq!(problem(&root, &"0".repeat(64)), (2, P::Contradiction { what: "the list of votes" }));
    assert_eq!(problem(&signature, &zero), (2, P::BadSignature));
    assert_eq!(problem(&signature, "ab"), (2, P::Encoding { what: "the signature" }));
    assert_eq!(problem("\"seq\":4,\"votes\"", "\"seq\":5,\"votes\""), (2, P::BadSignature));
    assert_eq!(
        problem("\"seq\":4,\"body\"", "\"seq\":5,\"body\""),
        (3, P::Contradiction { what: "the name of the batch" })
    );
    let certificate = "\"type\":\"certificate\",\"epoch\":3";
    assert_eq!(
        problem(certificate, "\"type\":\"certificate\",\"epoch\":4"),
        (4, P::Contradiction { what: "the name of the certificate" })
    );
    assert_eq!(
        problem("\"kind\":\"conflicting_votes\"", "\"kind\":\"conflicting_locks\""),
        (9, P::Contradiction { what: "the name of the evidence" })
    );
    assert_eq!(problem("\"height\":9", "\"height\":10"), (6, P::BadSignature));
    assert_eq!(problem("\"step\":\"precommit\"", "\"step\":\"prevote\""), (6, P::BadSignature));
}

/// INV-VOTEFILE-3.
#[test]
fn a_lock_without_its_inputs_is_taken_of_an_ended_epoch_only() {
    let lock = |epoch| JournalRecord::OwnBatch(batch(epoch, VoteKind::Lock, &operator()));
    assert_eq!(read(&write(&[lock(2)])).unwrap().records, [lock(2)]);
    let refused = read(&write(&[lock(3)])).err().unwrap();
    assert!(matches!(refused, VoteFileError::Record { index: 0, problem: RecordProblem::NoBody { .. } }));
    let promise = JournalRecord::OwnBatch(batch(3, VoteKind::Final, &operator()));
    assert_eq!(read(&write(std::slice::from_ref(&promise))).unwrap().records, [promise]);
}

#[test]
fn what_is_no_such_file_is_refused() {
    let text = write(&records());
    for (from, to) in [
        ("timed-votes", "eip-3076"),
        ("\"version\": 1", "\"version\": 2"),
        ("\"format\": \"timed-votes\",", ""),
    ] {
        let refused = read(&text.replacen(from, to, 1)).err().unwrap();
        assert!(matches!(refused, VoteFileError::UnknownFormat { .. }), "{from}: {refused}");
    }
    for (from, to) in [
        ("\"forced\": false,", ""),
        ("\"forced\"", "\"froced\""),
        ("epoch_started", "epoch_stopped"),
        ("\"epoch\":3}", "\"epoch\":3,\"more\":1}"),
        ("\n]\n}\n", "\n]\n"),
        ("\n]\n}\n", "\n]}}"),
        ("\n]\n}\n", "\n],\"epoch\":1}"),
        ("\"records\": [", "\"records\": 7, \"x\": ["),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let refused = read(&changed).err().unwrap();
        assert!(matches!(refused, VoteFileError::Malformed(_)), "{from} -> {to}: {refused}");
    }
    for text in ["", "[]", "{}", "nonsense"] {
        assert!(matches!(read(text), Err(VoteFileError::Malformed(_))), "{text}");
    }
    let identity = |chain: u8, secret: u8| JournalIdentity {
        chain_id: ChainId([chain; 32]),
        operator: Some(SecretKey::from_seed(&[secret; 32]).public()),
    };
    assert!(head().check(identity(7, 1)).is_ok());
    assert!(matches!(head().check(identity(8, 1)), Err(VoteFileError::WrongChain { .. })));
    assert!(matches!(head().check(identity(7, 2)), Err(VoteFileError::WrongOperator { .. })));
}
