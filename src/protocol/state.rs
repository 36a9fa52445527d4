//! The chain's state beside the UTXO set.
