//! The UTXO manager: states of outputs in memory over the index.
