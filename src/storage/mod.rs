//! The only folder that touches the disk for chain data: block log, vote journal, index.
