//! `timed wallet balance`, `utxos` and `accounts`: what accounts have.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::json;

use super::super::CliError;
use super::super::rpc_client::{ConnectionArgs, RpcClient, say, say_json};
use super::super::wallet_rpc::{Found, WALLET_UTXOS_MAX, check_network, time_and_units, utxos_of};
use super::owner::{Account, KeystoreArgs, Owners, OwnersArgs, used_accounts};
use crate::rpc::types::{AddressBalance, AddressUtxo, BlockchainInfo};
use crate::types::{Address, Amount, Height, TxId};

/// Whose coins, by which node, and in which form.
#[derive(Debug, clap::Args)]
pub(super) struct CoinsArgs {
    #[command(flatten)]
    owners: OwnersArgs,
    /// Which node.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Flags of `timed wallet accounts`.
#[derive(Debug, clap::Args)]
pub(super) struct AccountsArgs {
    #[command(flatten)]
    keystore: KeystoreArgs,
    /// Which node.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `timed wallet balance`: what each address has, and the sum.
pub(super) async fn balance(args: &CoinsArgs) -> Result<(), CliError> {
    let client = args.connection.client()?;
    let owners = args.owners.open(&client).await?;
    let balances = balances(&client, &owners).await?;
    if args.json {
        return Ok(say_json(&balances)?);
    }
    for balance in &balances {
        say(&format!("{}  {}", balance.address, time_and_units(balance.spendable)))?;
        if balance.locked != Amount::ZERO {
            say(&format!("    {} more on their way", time_and_units(balance.locked)))?;
        }
        if balance.bound != Amount::ZERO {
            say(&format!("    {} more bound as collateral of masternodes", time_and_units(balance.bound)))?;
        }
    }
    if balances.len() > 1 {
        say(&format!("Total {}", time_and_units(sum(&balances, |balance| balance.spendable))))?;
        let bound = sum(&balances, |balance| balance.bound);
        if bound != Amount::ZERO {
            say(&format!("    {} more bound", time_and_units(bound)))?;
        }
    }
    Ok(())
}

async fn balances(client: &RpcClient, owners: &Owners) -> Result<Vec<AddressBalance>, CliError> {
    let mut balances = Vec::with_capacity(owners.accounts().len());
    for address in owners.addresses() {
        balances.push(client.call("getaddressbalance", &[json!(address)]).await?);
    }
    Ok(balances)
}

/// Saturating, since all coins that exist fit into 64 bits.
fn sum<T>(items: &[T], amount: impl Fn(&T) -> Amount) -> Amount {
    Amount(items.iter().fold(0, |sum, item| sum.saturating_add(amount(item).units())))
}

/// One account as `accounts --json` prints it.
#[derive(Serialize)]
struct AccountReport {
    account: u32,
    #[serde(flatten)]
    balance: AddressBalance,
}

/// Runs `timed wallet accounts`: the accounts that were used, with what they have.
pub(super) async fn accounts(args: &AccountsArgs) -> Result<(), CliError> {
    let client = args.connection.client()?;
    let wallet = args.keystore.keyring()?;
    let owners = Owners::of(&wallet, &used_accounts(&wallet, &client).await?)?;
    let found = owners.accounts().iter().zip(balances(&client, &owners).await?);
    let reports: Vec<AccountReport> =
        found.map(|(account, balance)| AccountReport { account: account.index, balance }).collect();
    if args.json {
        return Ok(say_json(&reports)?);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["ACCOUNT", "ADDRESS", "TIME", "ON THEIR WAY", "BOUND", "COINS"]);
    for AccountReport { account, balance } in &reports {
        table.add_row([
            account.to_string(),
            balance.address.to_string(),
            balance.spendable_time.clone(),
            balance.locked.to_string(),
            balance.bound_time.clone(),
            balance.utxo_count.to_string(),
        ]);
    }
    right(&mut table, &[0, 2, 3, 4, 5]);
    say(&table.to_string())?;
    Ok(say(&format!("Total {} TIME", sum(&reports, |report| report.balance.spendable)))?)
}

/// Aligns columns of numbers.
pub(super) fn right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// A coin as `utxos --json` prints it.
#[derive(Debug, Serialize)]
struct CoinReport {
    account: u32,
    address: Address,
    txid: TxId,
    vout: u32,
    /// Base units.
    value: Amount,
    value_time: String,
    /// The block that made it; absent when it is final but in no block yet.
    height: Option<Height>,
    /// 1 for a coin of the last block, 0 for one that is in no block yet.
    confirmations: u64,
    /// `spendable`, `locked` (a transaction on its way spends it) or `bound` (a masternode's collateral).
    state: &'static str,
}

/// What `utxos --json` prints.
#[derive(Debug, Serialize)]
struct CoinsReport {
    /// Height of the last block.
    height: Height,
    utxos: Vec<CoinReport>,
    spendable: Amount,
    spendable_time: String,
    locked: Amount,
    locked_time: String,
    bound: Amount,
    bound_time: String,
    total: Amount,
    total_time: String,
    /// Whether these are all; there are more than can be looked at otherwise.
    complete: bool,
}

const fn state(utxo: &AddressUtxo) -> &'static str {
    match (utxo.bound, utxo.spendable) {
        (true, _) => "bound",
        (false, true) => "spendable",
        (false, false) => "locked",
    }
}

impl CoinReport {
    fn of(account: &Account, utxo: &AddressUtxo, best: Height) -> Self {
        let confirmations = |height: Height| best.saturating_sub(height).saturating_add(1);
        Self {
            account: account.index,
            address: account.address,
            txid: utxo.txid,
            vout: utxo.vout,
            value: utxo.value,
            value_time: utxo.value.to_string(),
            height: utxo.height,
            confirmations: utxo.height.map_or(0, confirmations),
            state: state(utxo),
        }
    }
}

impl CoinsReport {
    fn of(height: Height, mut utxos: Vec<CoinReport>, complete: bool) -> Self {
        utxos.sort_by_key(|coin| (std::cmp::Reverse(coin.value), coin.txid, coin.vout));
        let of_state = |state: &str| {
            let values = utxos.iter().filter(|coin| coin.state == state).map(|coin| coin.value.units());
            Amount(values.fold(0, u64::saturating_add))
        };
        let (spendable, locked, bound) = (of_state("spendable"), of_state("locked"), of_state("bound"));
        let total = sum(&utxos, |coin| coin.value);
        Self {
            height,
            spendable,
            spendable_time: spendable.to_string(),
            locked,
            locked_time: locked.to_string(),
            bound,
            bound_time: bound.to_string(),
            total,
            total_time: total.to_string(),
            utxos,
            complete,
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["COIN", "TIME", "UNITS", "BLOCK", "BLOCKS OLD", "STATE", "ACCOUNT"]);
        for coin in &self.utxos {
            let words = match (coin.state, coin.height) {
                ("bound", _) => "bound as collateral",
                ("locked", _) => "being spent",
                (_, None) => "free, in no block yet",
                _ => "free",
            };
            table.add_row([
                format!("{}:{}", coin.txid, coin.vout),
                coin.value_time.clone(),
                coin.value.units().to_string(),
                coin.height.map_or_else(|| "-".to_owned(), |height| height.to_string()),
                coin.confirmations.to_string(),
                words.to_owned(),
                coin.account.to_string(),
            ]);
        }
        right(&mut table, &[1, 2, 3, 4, 6]);
        let mut lines = if self.utxos.is_empty() { Vec::new() } else { vec![table.to_string()] };
        lines.push(format!("Free         {}", time_and_units(self.spendable)));
        if self.locked != Amount::ZERO {
            lines.push(format!("Being spent  {}", time_and_units(self.locked)));
        }
        if self.bound != Amount::ZERO {
            lines.push(format!("Bound        {}", time_and_units(self.bound)));
        }
        if !self.complete {
            lines.push(format!(
                "These are not all: {WALLET_UTXOS_MAX} coins of an address are looked at. `timed wallet send --all` to an own address gathers small ones"
            ));
        }
        lines
    }
}

/// Runs `timed wallet utxos`: each coin, and the sums.
pub(super) async fn utxos(args: &CoinsArgs) -> Result<(), CliError> {
    let client = args.connection.client()?;
    let owners = args.owners.open(&client).await?;
    let chain: BlockchainInfo = client.call("getblockchaininfo", &[]).await?;
    let (mut coins, mut all) = (Vec::new(), true);
    for account in owners.accounts() {
        check_network(account.address, &chain)?;
        let Found { utxos, complete } = utxos_of(&client, account.address).await?;
        coins.extend(utxos.iter().map(|utxo| CoinReport::of(account, utxo, chain.blocks)));
        all &= complete;
    }
    let report = CoinsReport::of(chain.blocks, coins, all);
    if args.json {
        return Ok(say_json(&report)?);
    }
    Ok(report.lines().iter().try_for_each(|line| say(line))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{KeyHash, Network};

    #[test]
    fn each_coin_is_shown_with_its_age_and_counted_once_by_what_holds_it() {
        let address = Address::of_key_hash(Network::Devnet, KeyHash([5; 32]));
        let account = Account { index: 3, address, key: None };
        let utxo = |value, height, spendable, bound| AddressUtxo {
            txid: TxId([1; 32]),
            vout: 7,
            value: Amount(value),
            value_time: Amount(value).to_string(),
            height,
            spendable,
            bound,
        };
        let coins = [
            utxo(150_000_000, Some(8), true, false),
            utxo(20, None, true, false),
            utxo(300, Some(10), false, false),
            utxo(4_000, Some(0), false, true),
        ];
        let coins = coins.iter().map(|utxo| CoinReport::of(&account, utxo, 10)).collect();
        let report = CoinsReport::of(10, coins, true);
        let sums = (report.spendable.0, report.locked.0, report.bound.0, report.total.0);
        assert_eq!(sums, (150_000_020, 300, 4_000, 150_004_320));
        let ages: Vec<_> = report.utxos.iter().map(|coin| (coin.value.0, coin.confirmations)).collect();
        assert_eq!(ages, [(150_000_000, 3), (4_000, 11), (300, 1), (20, 0)], "the largest first");
        let text = report.lines().join("\n");
        for part in [
            "1.50000000 ",
            "being spent",
            "bound as collateral",
            "free, in no block yet",
            "Free         1.50000020 TIME (150000020 units)",
            "Being spent  0.00000300 TIME (300 units)",
            "Bound        0.00004000 TIME (4000 units)",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("not all"));
        assert!(CoinsReport::of(10, Vec::new(), false).lines().join("\n").contains("not all"));
    }
}
