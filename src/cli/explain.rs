//! `timed explain TXID`: what a payment waits for.

use clap::Args as ClapArgs;
use serde_json::json;

use super::rpc_client::{ConnectionArgs, RpcCommandError, say, say_json};
use crate::rpc::types::{ExplainInfo, MemberVotesInfo, TransactionStatus};
use crate::types::TxId;

/// Arguments of `timed explain`.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// Which node
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The payment
    pub txid: TxId,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const fn status_words(status: TransactionStatus) -> &'static str {
    match status {
        TransactionStatus::Unknown => "unknown here",
        TransactionStatus::Conflicted => "lost its coin to another transaction",
        TransactionStatus::Pending => "waiting for votes",
        TransactionStatus::Certified => "certified",
        TransactionStatus::Final => "final",
        TransactionStatus::Confirmed => "final, and in a block",
    }
}

fn member_line(member: &MemberVotesInfo) -> String {
    let vote = |is_here: bool, word: &'static str| if is_here { word } else { "-" };
    let away = if member.connected { "" } else { "  not connected" };
    let line = format!(
        "  {}  {:>6}  {:<4}  {:<5}{away}",
        member.id.short(),
        member.weight,
        vote(member.lock, "Lock"),
        vote(member.finalizes, "Final")
    );
    line.trim_end().to_owned()
}

/// The lines for people.
#[must_use]
pub fn lines(info: &ExplainInfo) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", info.txid, status_words(info.status))];
    lines.extend(info.says.iter().cloned());
    lines.push(format!("Next: {}", info.next));
    if let Some(votes) = &info.votes {
        lines.push(String::new());
        lines.push(format!(
            "Votes of epoch {}: Lock {}, Final {}, of {}; {} decide",
            votes.epoch, votes.lock_weight, votes.final_weight, votes.total_weight, votes.quorum
        ));
        lines.push("  masternode  weight  votes".to_owned());
        lines.extend(votes.masternodes.iter().map(member_line));
    }
    lines
}

/// Asks the node and prints.
///
/// # Errors
/// When the node can't be reached or refuses.
pub async fn run(args: Args) -> Result<(), RpcCommandError> {
    let client = args.connection.client()?;
    let info: ExplainInfo = client.call("explaintransaction", &[json!(args.txid)]).await?;
    if args.json {
        return say_json(&info);
    }
    lines(&info).iter().try_for_each(|line| say(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::types::VotesInfo;
    use crate::types::MasternodeId;

    #[test]
    fn sentences_come_before_the_table_of_votes() {
        let member = |number: u8, lock, finalizes, connected| MemberVotesInfo {
            id: MasternodeId([number; 32]),
            weight: 10,
            connected,
            lock,
            finalizes,
        };
        let votes = VotesInfo {
            epoch: 3,
            closing: false,
            total_weight: 30,
            quorum: 21,
            lock_weight: 20,
            final_weight: 10,
            masternodes: vec![
                member(1, true, true, true),
                member(2, true, false, true),
                member(3, false, false, false),
            ],
            waits_for: Vec::new(),
            conflicts: Vec::new(),
        };
        let info = ExplainInfo {
            txid: TxId([9; 32]),
            status: TransactionStatus::Pending,
            says: vec!["It is certified with Lock votes.".to_owned()],
            next: "It is final soon.".to_owned(),
            height: None,
            votes: Some(votes),
        };
        let expected = [
            format!("{}: waiting for votes", TxId([9; 32])),
            "It is certified with Lock votes.".to_owned(),
            "Next: It is final soon.".to_owned(),
            String::new(),
            "Votes of epoch 3: Lock 20, Final 10, of 30; 21 decide".to_owned(),
            "  masternode  weight  votes".to_owned(),
            "  01010101      10  Lock  Final".to_owned(),
            "  02020202      10  Lock  -".to_owned(),
            "  03030303      10  -     -      not connected".to_owned(),
        ];
        assert_eq!(lines(&info), expected);
        let included = ExplainInfo { votes: None, status: TransactionStatus::Confirmed, ..info };
        assert_eq!(lines(&included).len(), 3);
    }
}
