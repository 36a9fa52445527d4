//! Keys of a wallet in an encrypted keystore, and building of transactions.
