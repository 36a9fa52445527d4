//! What a file of a transaction does, in words for people and as JSON.

use serde_json::{Value, json};

use super::super::wallet::memo::Memo;
use super::super::wallet_rpc::time_and_units;
use crate::protocol::validity::minimum_fee;
use crate::types::{Address, Amount, ChainParameters, Lock};
use crate::wallet::transaction_file::TransactionFile;

/// A fee that is as many times the least one of a quiet network is named as a high one.
const HIGH_FEE_TIMES: u64 = 20;

/// The lines for people; `is_mine` knows the reader's own addresses.
pub(super) fn lines(file: &TransactionFile, is_mine: &dyn Fn(&Lock) -> bool) -> Vec<String> {
    let owners = file.owners();
    let mark = |address: &Address| match (is_mine(&address.lock), owners.contains(&address.lock)) {
        (true, _) => " (yours)",
        (false, true) => " (an owner of the coins)",
        (false, false) => "",
    };
    let mut lines = vec![
        format!("Transaction {}", file.txid()),
        format!("  on {}, chain {}", file.network(), file.chain_id()),
    ];
    lines.push("Spends".to_owned());
    for coin in file.spent() {
        let address = Address { network: file.network(), lock: coin.output.lock };
        let mine = if is_mine(&address.lock) { " (yours)" } else { "" };
        let doubt = if coin.proved { "" } else { "; NOTHING PROVES THIS AMOUNT" };
        lines.push(format!("  {} of {address}{mine}{doubt}", time_and_units(coin.output.value)));
        lines.push(format!("      coin {}", coin.outpoint));
    }
    lines.push("Pays".to_owned());
    for (address, value) in file.payments() {
        lines.push(format!("  {} to {address}{}", time_and_units(value), mark(&address)));
    }
    lines.push(format!("Fee   {}, for {} bytes", time_and_units(file.fee()), file.size()));
    if let Some(times) = high_fee(file) {
        lines.push(format!("  WARNING: that is {times} times the least fee of a quiet network"));
    }
    lines.extend(Memo::of(file.memo(), &[], &file.chain_id()).map(|memo| format!("Memo  {}", memo.words())));
    lines.push(format!("Signed by {} of {} owners", file.signed().len(), owners.len()));
    for lock in file.signed() {
        lines.push(format!("  signed        {}", Address { network: file.network(), lock }));
    }
    for address in file.missing() {
        let mine = if is_mine(&address.lock) { " (yours)" } else { "" };
        lines.push(format!("  has to sign   {address}{mine}"));
    }
    lines
}

/// What the reader loses by it: what their coins have, less what comes back to them.
pub(super) fn own_cost(file: &TransactionFile, is_mine: &dyn Fn(&Lock) -> bool) -> Amount {
    let spent = file.spent().iter().filter(|coin| is_mine(&coin.output.lock)).map(|coin| coin.output.value);
    let back = file.payments().filter(|(address, _)| is_mine(&address.lock)).map(|(_, value)| value);
    // Both sums are parts of sums that the file's rules have bounded.
    let sum = |amounts: &mut dyn Iterator<Item = Amount>| {
        amounts.fold(0, |sum: u64, next| sum.saturating_add(next.0))
    };
    let (mut spent, mut back) = (spent, back);
    Amount(sum(&mut spent).saturating_sub(sum(&mut back)))
}

/// How many times the least fee it pays, where that is many.
fn high_fee(file: &TransactionFile) -> Option<u64> {
    let least = minimum_fee(file.size(), &ChainParameters::of_network(file.network()));
    let times = file.fee().units().checked_div(least.units())?;
    (times >= HIGH_FEE_TIMES).then_some(times)
}

/// The same for programs.
pub(super) fn json(file: &TransactionFile) -> Value {
    let address = |lock| Address { network: file.network(), lock };
    let inputs = file.spent().iter().map(|coin| {
        json!({
            "txid": coin.outpoint.txid,
            "vout": coin.outpoint.index,
            "value": coin.output.value,
            "value_time": coin.output.value.to_string(),
            "address": address(coin.output.lock),
            "proved": coin.proved,
        })
    });
    let outputs = file.payments().map(
        |(address, value)| json!({ "value": value, "value_time": value.to_string(), "address": address }),
    );
    json!({
        "txid": file.txid(),
        "network": file.network(),
        "chain_id": file.chain_id(),
        "inputs": inputs.collect::<Vec<_>>(),
        "outputs": outputs.collect::<Vec<_>>(),
        "fee": file.fee(),
        "fee_time": file.fee().to_string(),
        "size": file.size(),
        "memo": hex::encode(file.memo()),
        "signed": file.signed().into_iter().map(address).collect::<Vec<_>>(),
        "missing": file.missing(),
        "complete": file.complete().is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ChainId, Network, OutPoint, SecretKey, Transaction, TxId, TxOut};
    use crate::wallet::Plan;

    fn lock(seed: u8) -> Lock {
        Lock::KeyHash(SecretKey::from_seed(&[seed; 32]).public().key_hash())
    }

    fn address(seed: u8) -> Address {
        Address { network: Network::Devnet, lock: lock(seed) }
    }

    /// Keys 1 and 2 pay key 8, with change to key 1; key 2 has signed, and nothing proves the amounts.
    fn file(fee: u64) -> TransactionFile {
        let output = |seed, value| TxOut { value: Amount(value), lock: lock(seed) };
        let inputs = (0..2).map(|index| OutPoint { txid: TxId([3; 32]), index }).collect();
        let outputs = vec![output(8, 700_000), output(1, 100_000 - fee)];
        let plan = Plan {
            transaction: Transaction::transfer(inputs, outputs, b"rent\n".to_vec()),
            spent: vec![output(1, 500_000), output(2, 300_000)],
            fee: Amount(fee),
            change: Amount(100_000 - fee),
        };
        let mut file =
            TransactionFile::new(Network::Devnet, ChainId([9; 32]), plan, Vec::new(), None).unwrap();
        assert_eq!(file.sign(&[&SecretKey::from_seed(&[2; 32])], true), Ok(1));
        file
    }

    #[test]
    fn it_says_in_words_who_pays_whom_and_who_still_has_to_sign() {
        let is_mine = |owner: &Lock| *owner == lock(1);
        let text = lines(&file(1_000), &is_mine).join("\n");
        for part in [
            format!("0.00500000 TIME (500000 units) of {} (yours); NOTHING PROVES THIS AMOUNT", address(1)),
            format!("0.00700000 TIME (700000 units) to {}\n", address(8)),
            format!("0.00099000 TIME (99000 units) to {} (yours)", address(1)),
            "Fee   0.00001000 TIME (1000 units)".to_owned(),
            "Memo  \"rent\\n\"".to_owned(),
            "Signed by 1 of 2 owners".to_owned(),
            format!("signed        {}", address(2)),
            format!("has to sign   {} (yours)", address(1)),
        ] {
            assert!(text.contains(&part), "{part}:\n{text}");
        }
        assert!(!text.contains("WARNING"), "{text}");
        let of_stranger = lines(&file(1_000), &|_| false).join("\n");
        assert!(of_stranger.contains(&format!("{} (an owner of the coins)", address(1))), "{of_stranger}");
        assert_eq!(own_cost(&file(1_000), &is_mine), Amount(401_000));
        assert_eq!(
            own_cost(&file(1_000), &|owner| *owner == lock(8)),
            Amount::ZERO,
            "who is paid loses nothing"
        );
    }

    #[test]
    fn a_fee_beyond_all_measure_is_pointed_out() {
        assert_eq!((high_fee(&file(19_999)), high_fee(&file(20_000))), (None, Some(20)));
        assert!(lines(&file(20_000), &|_| false).join("\n").contains("WARNING: that is 20 times"));
    }

    #[test]
    fn programs_read_the_same() {
        let said = json(&file(1_000));
        assert_eq!(said["inputs"][1]["value"], 300_000);
        assert_eq!(said["inputs"][1]["proved"], false);
        assert_eq!(said["outputs"][0]["address"], json!(address(8)));
        assert_eq!((&said["missing"], &said["complete"]), (&json!([address(1)]), &json!(false)));
        assert_eq!((&said["fee"], &said["memo"]), (&json!(1_000), &json!("72656e740a")));
    }
}
