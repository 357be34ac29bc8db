//! The node's key: made once, kept in the data directory, readable by its owner alone.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::Path,
};

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use shared::{NodeId, wire};
use thiserror::Error;

/// An Ed25519 key pair; its public half is the [`NodeId`].
pub struct Identity {
    key: SigningKey,
}

/// Why a key could not be had.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The key file cannot be read or written.
    #[error("cannot keep this node's key in {path}: {source}")]
    Io {
        /// The key file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The key file is not 32 bytes long.
    #[error("{0} is not a key file; move it away and a new key is made (the node gets a new name)")]
    Malformed(String),
    /// The system has no randomness.
    #[error("the system gives no random bytes: {0}")]
    Randomness(String),
}

impl Identity {
    /// Loads the key from `path`, making it when it is not there.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        let failed = |source| IdentityError::Io { path: path.display().to_string(), source };
        match fs::read(path) {
            Ok(bytes) => {
                let seed: [u8; 32] =
                    bytes.try_into().map_err(|_| IdentityError::Malformed(path.display().to_string()))?;
                Ok(Self { key: SigningKey::from_bytes(&seed) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = Self::generate()?;
                identity.save(path).map_err(failed)?;
                Ok(identity)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// A key that is not kept.
    pub fn generate() -> Result<Self, IdentityError> {
        Ok(Self { key: SigningKey::from_bytes(&random_bytes()?) })
    }

    fn save(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder)?;
        // A temporary file is created readable by its owner alone.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&self.key.to_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// The public name.
    pub fn node_id(&self) -> NodeId {
        NodeId(self.key.verifying_key().to_bytes())
    }

    /// Signs a handshake transcript.
    pub fn sign(&self, transcript: &[u8]) -> wire::Signature {
        let bytes = self.key.sign(transcript).to_bytes();
        let mut halves = [[0; 32]; 2];
        halves[0].copy_from_slice(&bytes[..32]);
        halves[1].copy_from_slice(&bytes[32..]);
        wire::Signature(halves)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.node_id()).finish()
    }
}

/// Whether `signature` is `node`'s over `transcript`.
pub fn is_signed_by(node: &NodeId, transcript: &[u8], signature: &wire::Signature) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(node.as_bytes()) else {
        return false;
    };
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&signature.0[0]);
    bytes[32..].copy_from_slice(&signature.0[1]);
    key.verify_strict(transcript, &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok()
}

/// Fresh bytes from the system.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], IdentityError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| IdentityError::Randomness(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/key");
        let made = Identity::load_or_create(&path).unwrap();
        assert_eq!(Identity::load_or_create(&path).unwrap().node_id(), made.node_id());
    }

    #[test]
    fn a_damaged_key_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, b"short").unwrap();
        assert!(matches!(Identity::load_or_create(&path), Err(IdentityError::Malformed(_))));
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }

    #[test]
    fn a_signature_holds_for_its_text_and_key_alone() {
        let (one, two) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let signature = one.sign(b"text");
        assert!(is_signed_by(&one.node_id(), b"text", &signature));
        assert!(!is_signed_by(&one.node_id(), b"texT", &signature));
        assert!(!is_signed_by(&two.node_id(), b"text", &signature));
    }
}
