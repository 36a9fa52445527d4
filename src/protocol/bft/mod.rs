//! The block layer's Tendermint machine.
