//! `timed wallet send`: builds a payment, says what it costs, asks, sends it and waits.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::confirm::{OffTerminal, confirm};
use super::super::rpc_client::{ConnectionArgs, say, say_json};
use super::super::wallet_rpc::{Funding, Outcome, check_network, send_and_wait, time_and_units};
use super::super::{CliError, output};
use super::owner::{Owners, OwnersArgs};
use super::payment::{Payment, PaymentArgs, tell_label};
use crate::rpc::types::TransactionStatus;
use crate::types::codec::encode;
use crate::types::{Address, Amount, TxId};
use crate::wallet::{BuiltTransaction, Coin, CoinState, Funds, Payout, Transfer};

/// Flags of `timed wallet send`.
#[derive(Debug, clap::Args)]
pub(super) struct SendArgs {
    #[command(flatten)]
    owners: OwnersArgs,
    /// Which node.
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    payment: PaymentArgs,
    /// Build the payment and say what it costs, and send nothing.
    #[arg(long)]
    dry_run: bool,
    /// Don't ask before it is sent.
    #[arg(long)]
    yes: bool,
    /// Wait until the payment is final, and print how long that took.
    #[arg(long)]
    wait: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct PaymentReport {
    txid: TxId,
    /// False for a dry run.
    sent: bool,
    recipient: Address,
    amount: Amount,
    amount_time: String,
    fee: Amount,
    fee_time: String,
    change: Amount,
    change_time: String,
    /// As the transaction carries it, in hexadecimal.
    memo: String,
    /// Whether the receiver alone can read it.
    memo_encrypted: bool,
    inputs: usize,
    /// Encoded bytes.
    size: usize,
    #[serde(flatten)]
    outcome: Outcome,
}

impl PaymentReport {
    fn of(payment: &Payment, memo: &[u8], built: &BuiltTransaction) -> Self {
        // The payment is the first output; the second one is change.
        let amount = built.transaction.outputs.first().map(|output| output.value).unwrap_or_default();
        Self {
            txid: built.transaction.txid(),
            sent: false,
            recipient: payment.recipient,
            amount,
            amount_time: amount.to_string(),
            fee: built.fee,
            fee_time: built.fee.to_string(),
            change: built.change,
            change_time: built.change.to_string(),
            memo: hex::encode(memo),
            memo_encrypted: payment.is_encrypted(),
            inputs: built.transaction.inputs.len(),
            size: encode(&built.transaction).len(),
            outcome: Outcome {
                status: TransactionStatus::Unknown,
                finality_ms: None,
                node_finality_ms: None,
            },
        }
    }

    /// What it does and costs, for people.
    fn lines(&self, payment: &Payment) -> Vec<String> {
        let coins = if self.inputs == 1 { "coin" } else { "coins" };
        let mut lines = vec![
            format!("Pays    {} to {}", time_and_units(self.amount), self.recipient),
            format!(
                "Fee     {}, for {} bytes with {} {coins}",
                time_and_units(self.fee),
                self.size,
                self.inputs
            ),
        ];
        if self.change != Amount::ZERO {
            lines.push(format!("Change  {}", time_and_units(self.change)));
        }
        lines.extend(payment.memo_line().map(|memo| format!("Memo    {memo}")));
        lines
    }
}

/// Runs `timed wallet send`.
pub(super) async fn send(args: &SendArgs) -> Result<(), CliError> {
    let payment = args.payment.payment()?;
    let client = args.connection.client()?;
    let owners = args.owners.open_to_spend(&client).await?;
    let funding = Funding::of(&client, &owners.addresses()).await?;
    check_network(payment.recipient, &funding.chain)?;
    let memo = payment.memo(Some(&client), &funding.chain.chain_id).await?;
    let built = build(&owners, &funding, &payment, &memo)?;
    args.payment.check_fee(built.fee, &funding.parameters)?;
    let mut report = PaymentReport::of(&payment, &memo, &built);
    tell_label(payment.label.as_deref());
    if payment.payout == Payout::Everything {
        tell_left(&owners, &funding, &built);
    }
    if args.dry_run {
        if args.json {
            return Ok(say_json(&report)?);
        }
        report.lines(&payment).iter().try_for_each(|line| say(line))?;
        output::notice("Nothing was sent: this was a dry run.");
        return Ok(());
    }
    report.lines(&payment).iter().for_each(output::notice);
    // What belongs to everybody is nobody's loss.
    confirm("send it", args.yes || args.owners.is_public(), OffTerminal::GoesOn)?;
    report.outcome = send_and_wait(&client, &built.transaction, args.payment.max_fee(), args.wait).await?;
    report.sent = true;
    if args.json {
        return Ok(say_json(&report)?);
    }
    say(&report.txid.to_string())?;
    let line = report.outcome.line(report.txid, args.wait)?;
    Ok(line.map_or(Ok(()), |line| say(&line))?)
}

fn build(
    owners: &Owners,
    funding: &Funding,
    payment: &Payment,
    memo: &[u8],
) -> Result<BuiltTransaction, CliError> {
    let (keys, change) = (owners.keys(), owners.change()?);
    let funds = Funds {
        chain_id: &funding.chain.chain_id,
        parameters: &funding.parameters,
        coins: &funding.coins,
        keys: &keys,
        change: change.lock,
    };
    let transfer =
        Transfer { network: change.network, recipient: payment.recipient, payout: payment.payout, memo };
    transfer.build(&funds).map_err(|error| CliError::Failed(error.to_string()))
}

/// Says what sending everything leaves behind.
fn tell_left(owners: &Owners, funding: &Funding, built: &BuiltTransaction) {
    let (locks, spent) = (owners.locks(), BTreeSet::from_iter(&built.transaction.inputs));
    let is_left = |coin: &&Coin| {
        let is_free = coin.state == CoinState::Free && locks.contains(&coin.output.lock);
        is_free && !spent.contains(&coin.outpoint)
    };
    let left = funding.coins.iter().filter(is_left).count();
    if left > 0 {
        output::notice(format_args!(
            "{left} coins stay: they cost more than they hold, or one transaction can't hold them, and then the same again sends more"
        ));
    }
}
