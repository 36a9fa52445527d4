//! Memos as wallets show them, and the keys that they are encrypted to.

use serde_json::{Value, json};

use super::super::rpc_client::{RpcClient, RpcCommandError};
use crate::rpc::types::AddressHistory;
use crate::types::codec::decode;
use crate::types::{Address, Amount, ChainId, Lock, PublicKey, SecretKey, Transaction, TxId};
use crate::wallet::sealed_memo::{is_sealed, open};

/// Transactions of an address in one question for its key.
const HISTORY_LIMIT: u32 = 1_000;
/// Questions for the key of an address, at most.
const HISTORY_PAGES_MAX: usize = 20;

/// A memo, as far as a wallet can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Memo {
    /// All the world can read it.
    Open(Vec<u8>),
    /// It was encrypted to a key that is at hand; the text.
    Read(Vec<u8>),
    /// It is encrypted to a key that is not at hand.
    Sealed,
}

impl Memo {
    /// What these keys can read of a memo; `None` if there is none.
    pub(in crate::cli) fn of(memo: &[u8], keys: &[SecretKey], chain_id: &ChainId) -> Option<Self> {
        match (memo, is_sealed(memo)) {
            ([], _) => None,
            (plain, false) => Some(Self::Open(plain.to_vec())),
            (sealed, true) => {
                let opened = keys.iter().find_map(|key| open(sealed, key, chain_id));
                Some(opened.map_or(Self::Sealed, Self::Read))
            }
        }
    }

    /// For people.
    pub(in crate::cli) fn words(&self) -> String {
        match self {
            Self::Open(plain) => memo_words(plain),
            Self::Read(text) => format!("{} (encrypted)", memo_words(text)),
            Self::Sealed => "encrypted".to_owned(),
        }
    }

    /// What can be read of it.
    pub(in crate::cli) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Open(bytes) | Self::Read(bytes) => Some(bytes),
            Self::Sealed => None,
        }
    }

    pub(in crate::cli) const fn is_encrypted(&self) -> bool {
        !matches!(self, Self::Open(_))
    }
}

/// A transaction by its name; `None` where the node does not have it.
///
/// # Errors
/// When the node can't be reached.
pub(super) async fn transaction(
    client: &RpcClient,
    txid: TxId,
) -> Result<Option<Transaction>, RpcCommandError> {
    let digits = match client.call::<String>("getrawtransaction", &[json!(txid), json!(0)]).await {
        Ok(digits) => digits,
        Err(RpcCommandError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let transaction = hex::decode(digits).ok().and_then(|bytes| decode::<Transaction>(&bytes).ok());
    // A node that gives another one is not believed.
    Ok(transaction.filter(|transaction| transaction.txid() == txid))
}

/// The key of an address, of a transaction that spent of it; `None` if the node knows of none. The key can't be another
/// one: the address is its hash.
///
/// # Errors
/// When the node can't be reached or refuses.
pub(super) async fn key_of(
    client: &RpcClient,
    address: Address,
) -> Result<Option<PublicKey>, RpcCommandError> {
    let mut before = Value::Null;
    for _ in 0..HISTORY_PAGES_MAX {
        let params = [json!(address), json!(HISTORY_LIMIT), before];
        let page: AddressHistory = client.call("getaddresshistory", &params).await?;
        for entry in page.history.iter().filter(|entry| entry.sent != Amount::ZERO) {
            let witnesses = transaction(client, entry.txid).await?.map(|spent| spent.witnesses);
            let keys = witnesses.into_iter().flatten().map(|witness| witness.key);
            if let Some(key) = keys.into_iter().find(|key| Lock::KeyHash(key.key_hash()) == address.lock) {
                return Ok(Some(key));
            }
        }
        match page.next {
            Some(next) => before = Value::String(next),
            None => break,
        }
    }
    Ok(None)
}

/// A memo for people: as a text with everything unprintable escaped, or as hexadecimal digits.
pub(super) fn memo_words(memo: &[u8]) -> String {
    match std::str::from_utf8(memo) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("{} (hexadecimal)", hex::encode(memo)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::sealed_memo::seal;

    #[test]
    fn a_memo_is_shown_to_whom_can_read_it() {
        let (chain, owner, other) =
            (ChainId([7; 32]), SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let sealed = seal(b"order 7", &owner.public(), &chain).unwrap();
        let shown = |memo: &[u8], keys: &[SecretKey]| Memo::of(memo, keys, &chain);
        assert_eq!(shown(b"", &[]), None);
        let plain = shown(b"order 7", &[]).unwrap();
        assert_eq!((plain.words().as_str(), plain.is_encrypted()), ("\"order 7\"", false));
        let read = shown(&sealed, &[other.clone(), owner]).unwrap();
        assert_eq!((read.words().as_str(), read.bytes()), ("\"order 7\" (encrypted)", Some(&b"order 7"[..])));
        let unread = shown(&sealed, &[other]).unwrap();
        assert_eq!(
            (unread.words().as_str(), unread.bytes(), unread.is_encrypted()),
            ("encrypted", None, true)
        );
    }
}
