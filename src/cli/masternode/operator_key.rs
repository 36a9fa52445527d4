//! The operator key that a command names: read from its file, or made.

use std::path::{Path, PathBuf};

use super::super::{CliError, output};
use crate::rpc::types::MasternodeInfo;
use crate::runtime::key_file::{create_key_file, generate_key, read_key_file};
use crate::types::{PublicKey, SecretKey};

/// An operator key, and where it is or is going to be.
pub(super) struct OperatorKey {
    pub(super) secret: SecretKey,
    path: PathBuf,
    is_new: bool,
}

impl OperatorKey {
    /// Reads the key of the file, or makes one where there is no file. A new one is on disk only after [`Self::keep`].
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let is_new = !path.exists();
        let secret = if is_new { generate_key()? } else { read_key_file(path)? };
        Ok(Self { secret, path: path.to_owned(), is_new })
    }

    pub(super) fn public(&self) -> PublicKey {
        self.secret.public()
    }

    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a new key to its file: before anything is sent that names it.
    pub(super) fn keep(&self) -> Result<(), CliError> {
        if self.is_new {
            create_key_file(&self.path, &self.secret)?;
            output::notice(format_args!(
                "made the operator key {} in {}; back it up, and never run two nodes with it",
                self.public(),
                self.path.display()
            ));
        }
        Ok(())
    }
}

/// The masternode that votes with a key, or will from the next epoch on: no other one can have it.
pub(super) fn holder_of<'a>(
    masternodes: &'a [MasternodeInfo],
    key: &PublicKey,
) -> Option<&'a MasternodeInfo> {
    masternodes.iter().find(|masternode| {
        let pending = masternode.pending.as_ref().and_then(|pending| pending.operator_key);
        masternode.operator_key == *key || pending == Some(*key)
    })
}
