//! `timed wallet new`, `restore`, `export`, `watch` and `address`: where keys come from, and where they go.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::super::confirm::{OffTerminal, confirm};
use super::super::password::prompt;
use super::super::{CliError, output};
use super::owner::{KeystoreArgs, OwnerArgs};
use crate::app::networks::DEVNET_MNEMONIC;
use crate::runtime::key_file::read_secret_file;
use crate::types::{Address, Network};
use crate::wallet::{ACCOUNTS_MAX, Wallet, WatchOnly};

/// Flags of `timed wallet new`.
#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    /// Which network it is for.
    #[arg(long)]
    network: Network,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

/// Flags of `timed wallet restore`.
#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// Which network it is for.
    #[arg(long)]
    network: Network,
    /// Read the words from a file that only its owner can read, instead of asking for them.
    #[arg(long, value_name = "FILE", conflicts_with = "devnet_accounts")]
    words_file: Option<PathBuf>,
    /// Use the public words of the devnet's funded accounts.
    #[arg(long)]
    devnet_accounts: bool,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

/// Flags of `timed wallet address`.
#[derive(Debug, clap::Args)]
pub(super) struct AddressArgs {
    #[command(flatten)]
    owner: OwnerArgs,
}

/// Runs `timed wallet address`.
pub(super) fn address(args: &AddressArgs) -> Result<(), CliError> {
    output::line(args.owner.address()?)
}

/// Flags of `timed wallet export`.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// Write the addresses alone to a new file: a wallet that only watches.
    #[arg(long, requires = "out")]
    public: bool,
    /// How many accounts to write.
    #[arg(long, value_name = "N", default_value_t = 20, requires = "public", value_parser = clap::value_parser!(u32).range(1..=i64::from(ACCOUNTS_MAX)))]
    accounts: u32,
    /// Where to write them.
    #[arg(long, value_name = "FILE", requires = "public")]
    out: Option<PathBuf>,
    /// Don't ask before the words are shown.
    #[arg(long, conflicts_with = "public")]
    yes: bool,
    #[command(flatten)]
    keystore: KeystoreArgs,
}

/// Flags of `timed wallet watch`.
#[derive(Debug, clap::Args)]
pub(super) struct WatchArgs {
    /// What to watch; they are the accounts 0, 1 and so on.
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<Address>,
    /// The new file.
    #[arg(long, value_name = "FILE", default_value = "watch.json")]
    out: PathBuf,
}

/// Runs `timed wallet watch`.
pub(super) fn watch(args: &WatchArgs) -> Result<(), CliError> {
    let watched =
        WatchOnly::new(args.addresses.clone()).map_err(|error| CliError::Usage(error.to_string()))?;
    save_watched(&watched, &args.out)
}

fn save_watched(watched: &WatchOnly, path: &Path) -> Result<(), CliError> {
    watched.save(path)?;
    output::line(format_args!(
        "wrote {} with {} addresses and no keys; --wallet {} watches them",
        path.display(),
        watched.addresses().len(),
        path.display()
    ))
}

/// Runs `timed wallet export`.
pub(super) fn export(args: &ExportArgs) -> Result<(), CliError> {
    let wallet = args.keystore.open()?;
    if let Some(path) = &args.out {
        let addresses = (0..args.accounts).map(|account| wallet.address(account));
        return save_watched(&WatchOnly::new(addresses.collect::<Result<_, _>>()?)?, path);
    }
    output::notice(
        "WARNING: whoever sees these words owns the coins of all accounts, for ever. Be alone, and",
    );
    output::notice(
        "write them on paper: no photograph, no mail, no cloud. Nobody of any support needs them.",
    );
    confirm("show the words", args.yes, OffTerminal::WantsYes)?;
    show_words(&wallet)
}

/// Words in rows, each with its number, so that none is lost and their order is clear.
const WORDS_IN_ROW: usize = 4;
/// Letters of the longest word of BIP 39.
const WORD_LETTERS_MAX: usize = 8;

fn show_words(wallet: &Wallet) -> Result<(), CliError> {
    for row in grid(&wallet.words()) {
        output::line(row.as_str())?;
    }
    Ok(())
}

fn grid(words: &str) -> Vec<Zeroizing<String>> {
    let words: Vec<&str> = words.split(' ').collect();
    let row = |(place, row): (usize, &[&str])| {
        // Reserved at once: a growing text would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(WORDS_IN_ROW * (WORD_LETTERS_MAX + 8)));
        for (number, word) in (place * WORDS_IN_ROW + 1..).zip(row) {
            for part in [&format!("{number:>4}. "), *word] {
                text.push_str(part);
            }
            let padding = WORD_LETTERS_MAX.saturating_sub(word.len());
            text.extend(std::iter::repeat_n(' ', padding));
        }
        let length = text.trim_end().len();
        text.truncate(length);
        text
    };
    words.chunks(WORDS_IN_ROW).enumerate().map(row).collect()
}

/// Runs `timed wallet new`.
pub(super) fn new(args: &NewArgs) -> Result<(), CliError> {
    args.keystore.refuse_existing()?;
    let wallet = Wallet::generate(args.network)?;
    args.keystore.save_new(&wallet)?;
    output::notice("Write these words down and keep them secret; who knows them owns the coins:");
    show_words(&wallet)?;
    output::notice("The address of account 0:");
    output::line(wallet.address(0)?)
}

/// Runs `timed wallet restore`.
pub(super) fn restore(args: &RestoreArgs) -> Result<(), CliError> {
    args.keystore.refuse_existing()?;
    let words = match (&args.words_file, args.devnet_accounts, args.network) {
        (Some(path), ..) => words_of_file(path)?,
        (None, true, Network::Devnet) => {
            output::notice("WARNING: everybody knows these words; they are for the devnet only");
            Zeroizing::new(DEVNET_MNEMONIC.to_owned())
        }
        (None, true, network) => {
            return Err(CliError::Usage(format!("--devnet-accounts is for the devnet, not for {network}")));
        }
        (None, false, _) => prompt("The words: ")?,
    };
    let wallet = Wallet::restore(args.network, &words)?;
    args.keystore.save_new(&wallet)?;
    output::line(wallet.address(0)?)
}

fn words_of_file(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let bytes = read_secret_file(path)?;
    let text = std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned()));
    text.map_err(|_| CliError::Usage(format!("{} does not hold UTF-8 text", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_has_each_word_once_in_order_with_its_number() {
        let words: Vec<String> = (1..=24).map(|number| format!("word{number}")).collect();
        let rows = grid(&words.join(" "));
        assert_eq!(rows.len(), 6);
        assert_eq!(rows[0].as_str(), "   1. word1      2. word2      3. word3      4. word4");
        let shown: Vec<String> = rows
            .iter()
            .flat_map(|row| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let expected: Vec<String> =
            (1..=24).flat_map(|number| [format!("{number}."), format!("word{number}")]).collect();
        assert_eq!(shown, expected);
        let longest = grid("abcdefgh abcdefgh abcdefgh abcdefgh");
        assert!(
            longest[0].len() <= WORDS_IN_ROW * (WORD_LETTERS_MAX + 8),
            "nothing is left behind by growing"
        );
        assert!(longest[0].contains("abcdefgh   2. "), "{}", longest[0].as_str());
    }
}
