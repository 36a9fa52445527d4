//! The finality layer's machine.
