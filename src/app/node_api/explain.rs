//! What a transaction waits for, in sentences.

use std::collections::BTreeSet;

use crate::protocol::finality::{BodyPlace, Explanation, Rival};
use crate::rpc::types::{ConflictInfo, ExplainInfo, MemberVotesInfo, TransactionStatus, VotesInfo};
use crate::types::{Height, MasternodeId, OutPoint, TxId};

/// Masternodes that a sentence names, at most.
const NAMED_MAX: usize = 8;

/// Explains a transaction by what is known of it.
///
/// `winner` has one of its coins for good. `votes` is what the finality machine has, while no block contains the transaction.
pub(super) fn explain(
    (txid, winner): (TxId, Option<TxId>),
    (status, height, tip): (TransactionStatus, Option<Height>, Height),
    votes: Option<&Explanation>,
    connected: &BTreeSet<MasternodeId>,
) -> ExplainInfo {
    let says = match (height, votes) {
        (Some(height), _) => {
            let confirmations = tip.max(height).saturating_sub(height).saturating_add(1);
            let plural = if confirmations == 1 { "" } else { "s" };
            vec![format!("It is in block {height}, with {confirmations} confirmation{plural}.")]
        }
        (None, votes) => match (winner, votes) {
            (Some(winner), _) => vec![format!("It can never be final: {winner} has spent one of its coins.")],
            (None, Some(votes)) => sentences(votes, connected),
            (None, None) => nothing_known(status),
        },
    };
    let next = what_comes_next(height.is_some(), winner.is_some(), status, votes).to_owned();
    let votes = votes.filter(|_| height.is_none()).map(|votes| votes_info(votes, connected));
    ExplainInfo { txid, status, says, next, height, votes }
}

/// The next step of each state; of several reasons to wait the one that has to go first.
fn what_comes_next(
    in_block: bool,
    has_lost: bool,
    status: TransactionStatus,
    votes: Option<&Explanation>,
) -> &'static str {
    if in_block {
        return "Nothing more: it can't be undone, and a receipt proves it to anybody.";
    }
    let Some(votes) = votes.filter(|votes| !has_lost && !votes.is_dead) else {
        return match status {
            _ if has_lost || votes.is_some() => {
                "Nothing: what is to be paid has to be paid anew, of other coins."
            }
            TransactionStatus::Unknown => "Once it is sent and taken, the masternodes vote on it.",
            _ => "Its votes are counted, and it is certified and final as soon as a quorum of them is here.",
        };
    };
    if votes.is_final {
        "A block takes it up; it counts as paid already."
    } else if votes.is_closing {
        "When the next epoch begins, the masternodes of its set vote."
    } else if !votes.waits_for.is_empty() {
        "When the payment that makes its coins is final, the masternodes vote on this one."
    } else if votes.body != BodyPlace::Held {
        "When the payment is here and checked, this node counts it and votes, if it is a masternode."
    } else if votes.waits_for_blocks {
        "When blocks have caught up with what is certified, it is voted on."
    } else if votes.is_certified {
        "With a quorum of Final votes it is final; no payment that conflicts with it can be in this epoch."
    } else if votes.rivals.is_empty() {
        "With a quorum of Lock votes it is certified, and Final votes follow."
    } else {
        "The first of the conflicting payments that gets a quorum of Lock votes is certified, and the others lose."
    }
}

fn nothing_known(status: TransactionStatus) -> Vec<String> {
    if status > TransactionStatus::Unknown {
        return vec!["It was taken a moment ago, and its votes are not counted yet; ask again.".to_owned()];
    }
    vec![
        "This node knows nothing of it: neither pool nor votes nor blocks.".to_owned(),
        "It was refused, or lost its coins to another payment, or was never sent to this network; send it again to \
         hear the reason."
            .to_owned(),
    ]
}

fn names(ids: &[MasternodeId]) -> String {
    let named: Vec<String> = ids.iter().take(NAMED_MAX).map(MasternodeId::short).collect();
    let more = ids.len().saturating_sub(NAMED_MAX);
    if more == 0 { named.join(", ") } else { format!("{} and {more} more", named.join(", ")) }
}

/// Whose votes are missing, and which of them can't be heard.
fn missing(
    votes: &Explanation,
    connected: &BTreeSet<MasternodeId>,
    kind: &str,
    has_voted: impl Fn(&crate::protocol::finality::MemberVotes) -> bool,
) -> String {
    let lacking: Vec<MasternodeId> =
        votes.votes.iter().filter(|member| !has_voted(member)).map(|member| member.id).collect();
    let silent: Vec<MasternodeId> = lacking.iter().filter(|id| !connected.contains(id)).copied().collect();
    let away = match silent.len() {
        0 => String::new(),
        _ => format!("; not connected to this node: {}", names(&silent)),
    };
    format!("Without a {kind} vote here: {}{away}.", names(&lacking))
}

fn rivals(rivals: &[Rival], quorum: u64) -> Vec<String> {
    rivals
        .iter()
        .map(|rival| {
            let name = rival.txid;
            if rival.is_final {
                format!("It conflicts with {name}, which is final: this one can't be any more.")
            } else if rival.is_certified {
                format!("It conflicts with {name}, which a quorum has locked the coins to: this one has lost.")
            } else {
                format!(
                    "It conflicts with {name}, which spends a coin of it and has Lock votes of weight {} of {quorum}. If \
                     neither gets a quorum, the votes of the next epoch decide.",
                    rival.lock_weight
                )
            }
        })
        .collect()
}

fn sentences(votes: &Explanation, connected: &BTreeSet<MasternodeId>) -> Vec<String> {
    let quorum = votes.set.quorum();
    if votes.is_final {
        return vec!["It is final. The next block takes it up.".to_owned()];
    }
    let mut says = Vec::new();
    if votes.is_dead {
        says.push(
            "It can't be final any more: a block contains a payment that spends one of its coins.".to_owned(),
        );
        return says;
    }
    if votes.is_certified {
        says.push(format!(
            "It is certified: a quorum has locked its coins to it. Its Final votes have weight {} here, of {quorum} that make it \
             final.",
            votes.final_weight()
        ));
        says.push(missing(votes, connected, "Final", |member| member.finalizes));
    } else {
        says.push(format!(
            "Its Lock votes have weight {} here, of {quorum} that certify it.",
            votes.lock_weight()
        ));
        says.push(missing(votes, connected, "Lock", |member| member.lock));
    }
    match votes.body {
        BodyPlace::Missing => {
            says.push(
                "The payment itself is not here: only votes speak of it, and peers are asked for it."
                    .to_owned(),
            );
        }
        BodyPlace::Unchecked => {
            says.push("Its signatures can't be held to the coins that it spends yet.".to_owned());
        }
        BodyPlace::Held => {}
    }
    if !votes.waits_for.is_empty() {
        let outputs: Vec<String> = votes.waits_for.iter().take(NAMED_MAX).map(OutPoint::to_string).collect();
        says.push(format!(
            "It spends what does not exist yet: {}. It is voted on once the payment that makes it is final.",
            outputs.join(", ")
        ));
    }
    says.extend(rivals(&votes.rivals, quorum));
    if votes.waits_for_blocks {
        says.push(
            "Too much that is certified waits for blocks; this node votes on it when they have caught up."
                .to_owned(),
        );
    }
    if votes.is_closing {
        says.push(format!(
            "Epoch {} is ending: no vote is cast until the next one begins, with the next blocks.",
            votes.epoch
        ));
    }
    says
}

fn votes_info(votes: &Explanation, connected: &BTreeSet<MasternodeId>) -> VotesInfo {
    VotesInfo {
        epoch: votes.epoch,
        closing: votes.is_closing,
        total_weight: votes.set.total_weight(),
        quorum: votes.set.quorum(),
        lock_weight: votes.lock_weight(),
        final_weight: votes.final_weight(),
        masternodes: votes
            .votes
            .iter()
            .map(|member| MemberVotesInfo {
                id: member.id,
                weight: member.weight,
                connected: connected.contains(&member.id),
                lock: member.lock,
                finalizes: member.finalizes,
            })
            .collect(),
        waits_for: votes.waits_for.iter().map(OutPoint::to_string).collect(),
        conflicts: votes
            .rivals
            .iter()
            .map(|rival| ConflictInfo {
                txid: rival.txid,
                lock_weight: rival.lock_weight,
                certified: rival.is_certified,
                is_final: rival.is_final,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::protocol::finality::MemberVotes;
    use crate::types::{SecretKey, Validator, ValidatorSet};

    fn id(number: u8) -> MasternodeId {
        MasternodeId([number; 32])
    }

    /// Four members, of whom the first `lock` voted `Lock` and the first `finals` voted `Final`.
    fn votes(lock: u8, finals: u8) -> Explanation {
        let key = |number: u8| SecretKey::from_seed(&[number; 32]).public();
        let member = |number: u8| Validator { id: id(number), key: key(number), weight: 1 };
        let set = Arc::new(ValidatorSet::new((1..=4).map(member).collect()));
        let of = |number: u8| MemberVotes {
            id: id(number),
            weight: 1,
            lock: number <= lock,
            finalizes: number <= finals,
        };
        Explanation {
            epoch: 7,
            set,
            is_closing: false,
            body: BodyPlace::Held,
            votes: (1..=4).map(of).collect(),
            is_certified: lock >= 3,
            is_final: finals >= 3,
            is_dead: false,
            waits_for_blocks: false,
            waits_for: Vec::new(),
            rivals: Vec::new(),
        }
    }

    fn said(votes: &Explanation) -> String {
        let connected = BTreeSet::from([id(1), id(2), id(3)]);
        let info =
            explain((TxId([9; 32]), None), (TransactionStatus::Pending, None, 5), Some(votes), &connected);
        assert_eq!(info.votes.as_ref().map(|votes| votes.quorum), Some(3));
        info.says.join(" ")
    }

    #[test]
    fn who_lacks_and_who_is_away_is_named() {
        let text = said(&votes(2, 0));
        assert!(text.contains("Its Lock votes have weight 2 here, of 3 that certify it"), "{text}");
        let (third, fourth) = (id(3).short(), id(4).short());
        assert!(
            text.contains(&format!(
                "Without a Lock vote here: {third}, {fourth}; not connected to this node: {fourth}."
            )),
            "{text}"
        );
        let text = said(&votes(3, 1));
        assert!(
            text.contains("It is certified: a quorum")
                && text.contains("weight 1 here, of 3 that make it final"),
            "{text}"
        );
        assert!(!text.contains("Lock vote"), "what is certified lacks no Lock vote that matters: {text}");
        assert_eq!(said(&votes(4, 3)), "It is final. The next block takes it up.");
    }

    #[test]
    fn each_obstacle_has_its_sentence() {
        let rival = Rival { txid: TxId([8; 32]), lock_weight: 2, is_certified: false, is_final: false };
        let waits_for = vec![OutPoint { txid: TxId([5; 32]), index: 3 }];
        for (votes, expected) in [
            (Explanation { body: BodyPlace::Missing, ..votes(1, 0) }, "only votes speak of it".to_owned()),
            (Explanation { body: BodyPlace::Unchecked, ..votes(1, 0) }, "can't be held to".to_owned()),
            (Explanation { waits_for: waits_for.clone(), ..votes(0, 0) }, waits_for[0].to_string()),
            (Explanation { rivals: vec![rival], ..votes(1, 0) }, "Lock votes of weight 2 of 3".to_owned()),
            (
                Explanation { rivals: vec![Rival { is_certified: true, ..rival }], ..votes(1, 0) },
                "this one has lost".to_owned(),
            ),
            (
                Explanation { rivals: vec![Rival { is_final: true, ..rival }], ..votes(1, 0) },
                "which is final".to_owned(),
            ),
            (Explanation { waits_for_blocks: true, ..votes(0, 0) }, "waits for blocks".to_owned()),
            (Explanation { is_closing: true, ..votes(0, 0) }, "Epoch 7 is ending".to_owned()),
            (Explanation { is_dead: true, ..votes(0, 0) }, "can't be final any more".to_owned()),
        ] {
            let text = said(&votes);
            assert!(text.contains(&expected), "{expected:?} is not in {text:?}");
        }
    }

    #[test]
    fn who_has_lost_is_told_to_whom_and_not_what_its_votes_lack() {
        let winner = TxId([8; 32]);
        let known = (TransactionStatus::Conflicted, None, 5);
        for votes in [None, Some(votes(2, 0)), Some(Explanation { is_dead: true, ..votes(3, 0) })] {
            let info = explain((TxId([9; 32]), Some(winner)), known, votes.as_ref(), &BTreeSet::new());
            assert_eq!(info.says, [format!("It can never be final: {winner} has spent one of its coins.")]);
        }
    }

    #[test]
    fn what_is_in_a_block_or_unknown_has_no_votes() {
        let none = BTreeSet::new();
        let info = explain((TxId([9; 32]), None), (TransactionStatus::Confirmed, Some(3), 5), None, &none);
        assert_eq!(info.says, ["It is in block 3, with 3 confirmations."]);
        assert!(info.votes.is_none());
        let info = explain((TxId([9; 32]), None), (TransactionStatus::Unknown, None, 5), None, &none);
        assert!(info.says[0].contains("knows nothing of it"));
        let info = explain((TxId([9; 32]), None), (TransactionStatus::Pending, None, 5), None, &none);
        assert!(info.says[0].contains("ask again"));
    }

    #[test]
    fn each_state_says_what_comes_next() {
        let rival = Rival { txid: TxId([8; 32]), lock_weight: 2, is_certified: false, is_final: false };
        let waits_for = vec![OutPoint { txid: TxId([5; 32]), index: 3 }];
        let next = |status, height, winner, votes: Option<&Explanation>| {
            explain((TxId([9; 32]), winner), (status, height, 5), votes, &BTreeSet::new()).next
        };
        use TransactionStatus::{Confirmed, Conflicted, Pending, Unknown};
        let mut seen = BTreeSet::new();
        for (told, expected) in [
            (next(Confirmed, Some(3), None, None), "a receipt proves it"),
            (next(Unknown, None, None, None), "Once it is sent"),
            (next(Pending, None, None, None), "Its votes are counted"),
            (next(Conflicted, None, Some(TxId([7; 32])), Some(&votes(2, 0))), "paid anew, of other coins"),
            (next(Pending, None, None, Some(&votes(2, 0))), "quorum of Lock votes it is certified"),
            (next(Pending, None, None, Some(&votes(3, 0))), "quorum of Final votes"),
            (next(Pending, None, None, Some(&votes(4, 3))), "A block takes it up"),
            (
                next(Pending, None, None, Some(&Explanation { is_closing: true, ..votes(2, 0) })),
                "When the next epoch begins",
            ),
            (
                next(Pending, None, None, Some(&Explanation { waits_for, ..votes(0, 0) })),
                "that makes its coins is final",
            ),
            (
                next(Pending, None, None, Some(&Explanation { body: BodyPlace::Missing, ..votes(1, 0) })),
                "When the payment is here",
            ),
            (
                next(Pending, None, None, Some(&Explanation { waits_for_blocks: true, ..votes(0, 0) })),
                "blocks have caught up",
            ),
            (
                next(Pending, None, None, Some(&Explanation { rivals: vec![rival], ..votes(1, 0) })),
                "the others lose",
            ),
        ] {
            assert!(told.contains(expected), "{expected:?} is not in {told:?}");
            assert!(seen.insert(told.clone()), "{told:?} is said of two states");
        }
        let dead = next(Pending, None, None, Some(&Explanation { is_dead: true, ..votes(3, 0) }));
        assert!(dead.contains("paid anew"), "{dead}");
    }

    #[test]
    fn no_more_than_a_few_are_named() {
        let ids: Vec<MasternodeId> = (0..20).map(id).collect();
        assert!(names(&ids).ends_with("and 12 more"));
    }
}
