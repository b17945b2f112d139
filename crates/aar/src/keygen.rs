//! New keys, and the document that publishes them.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use serde_json::json;
use zeroize::Zeroizing;

use crate::did::Did;
use crate::ed25519::Ed25519Signer;
use crate::key::PublicKey;
use crate::text::base64url;

/// A private key and its public key. The private one is wiped when it is dropped, and shows in no output.
pub struct KeyPair(Box<SigningKey>);

/// A key was not made, or not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeygenError {
    /// The system gave no random bytes.
    #[error("could not get random bytes from the system: {reason}")]
    Random {
        /// What it says.
        reason: String,
    },
    /// There is a file already.
    #[error("{} is there already, and a key is never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others could replace the key in its folder.
    #[error("{} can be written to by others (mode {mode:04o})", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system did not let us write.
    #[error("could not {operation} {}: {source}", path.display())]
    Write {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl KeygenError {
    /// What to do about it, as a sentence.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Random { .. } => "Try again when the system has started fully.".into(),
            Self::Exists { path } => format!("Name another file, or move {} away.", path.display()),
            Self::Folder { path, .. } => format!("chmod 700 {}", path.display()),
            Self::Write { path, .. } => {
                format!("Check the rights and the space for {}.", path.display())
            }
        }
    }

    fn write(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

impl KeyPair {
    /// A new key from the system's random bytes.
    ///
    /// # Errors
    /// [`KeygenError::Random`] where the system has none.
    pub fn generate() -> Result<Self, KeygenError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|error| KeygenError::Random {
            reason: error.to_string(),
        })?;
        Ok(Self::of_seed(&seed))
    }

    /// The key with this seed (RFC 8032 §5.1.5).
    pub(crate) fn of_seed(seed: &[u8; 32]) -> Self {
        Self(Box::new(SigningKey::from_bytes(seed)))
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::of(&self.0)
    }

    /// A signer with this key, as in a demonstration whose key is never written.
    #[must_use]
    pub fn signer(&self, principal: Did) -> Ed25519Signer {
        Ed25519Signer::new(self.0.clone(), principal)
    }

    /// Writes the private key as a JWK to a new file with mode 0600, durably. Folders that are missing are made with mode
    /// 0700.
    ///
    /// # Errors
    /// [`KeygenError`] where there is a file already, where others can write to the folder, or where the system refuses.
    pub fn write_private(&self, path: &Path) -> Result<(), KeygenError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        make_private_folder(folder)?;
        let mut file = match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
        {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let path = path.to_owned();
                return Err(KeygenError::Exists { path });
            }
            opened => opened.map_err(KeygenError::write("create", path))?,
        };
        let written = file
            .write_all(self.private_jwk().as_bytes())
            .and_then(|()| file.sync_all());
        if written.is_err() {
            // Part of a key is of no use; the file is ours, we made it.
            let _ = fs::remove_file(path);
        }
        written.map_err(KeygenError::write("write", path))?;
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(KeygenError::write("sync", folder))
    }

    /// The document that publishes the public key for `did`: the file to put at [`Did::web_url`].
    #[must_use]
    pub fn did_document(&self, did: &Did) -> String {
        let method = format!("{did}#key-1");
        let document = json!({
            "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"],
            "id": did,
            "verificationMethod": [{
                "id": method,
                "type": "JsonWebKey2020",
                "controller": did,
                "publicKeyJwk": {"crv": "Ed25519", "x": self.public_key().to_base64url(), "kty": "OKP"},
            }],
            "assertionMethod": [method],
        });
        format!("{document:#}\n")
    }

    /// In the order in which Node's `crypto` exports it.
    fn private_jwk(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(base64url(self.0.as_bytes()));
        let public = self.public_key().to_base64url();
        let mut text = Zeroizing::new(String::with_capacity(256));
        for part in [
            "{\n  \"crv\": \"Ed25519\",\n  \"d\": \"",
            &secret,
            "\",\n  \"x\": \"",
            &public,
            "\",\n  \"kty\": \"OKP\"\n}\n",
        ] {
            text.push_str(part);
        }
        text
    }
}

fn make_private_folder(folder: &Path) -> Result<(), KeygenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(KeygenError::write("create", folder))?;
    let metadata = fs::metadata(folder).map_err(KeygenError::write("look at", folder))?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 == 0 {
        Ok(())
    } else {
        let path = folder.to_owned();
        Err(KeygenError::Folder { path, mode })
    }
}

/// The public key alone.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyPair").field(&self.public_key()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_key_is_private_and_never_overwritten() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("secrets/deeper/key.json");
        let key = KeyPair::generate().unwrap();
        key.write_private(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(mode(path.parent().unwrap().parent().unwrap()), 0o700);
        let before = fs::read(&path).unwrap();
        assert_eq!(before.len(), key.private_jwk().len());
        let error = KeyPair::generate().unwrap().write_private(&path).unwrap_err();
        assert!(matches!(error, KeygenError::Exists { .. }));
        assert_eq!(fs::read(&path).unwrap(), before);
        // A link that leads nowhere is a file that is there already.
        let link = folder.path().join("secrets/link");
        std::os::unix::fs::symlink("elsewhere", &link).unwrap();
        assert!(matches!(
            key.write_private(&link),
            Err(KeygenError::Exists { .. })
        ));
    }

    #[test]
    fn a_folder_that_others_write_to_is_refused() {
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o770)).unwrap();
        let path = folder.path().join("key.json");
        let error = KeyPair::generate().unwrap().write_private(&path).unwrap_err();
        assert!(matches!(error, KeygenError::Folder { mode: 0o770, .. }));
        assert!(!path.exists());
    }

    #[test]
    fn keys_differ_and_show_no_secret() {
        let (one, two) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        assert_ne!(one.public_key(), two.public_key());
        assert!(!format!("{one:?}").contains(&base64url(one.0.as_bytes())));
    }

    /// As `aar.mjs keygen` writes it.
    #[test]
    fn the_document_has_the_shape_of_the_reference_tool() {
        let key = KeyPair::of_seed(&[7; 32]);
        let expected = format!(
            r##"{{
  "@context": [
    "https://www.w3.org/ns/did/v1",
    "https://w3id.org/security/suites/jws-2020/v1"
  ],
  "id": "did:web:example.org",
  "verificationMethod": [
    {{
      "id": "did:web:example.org#key-1",
      "type": "JsonWebKey2020",
      "controller": "did:web:example.org",
      "publicKeyJwk": {{
        "crv": "Ed25519",
        "x": "{}",
        "kty": "OKP"
      }}
    }}
  ],
  "assertionMethod": [
    "did:web:example.org#key-1"
  ]
}}
"##,
            key.public_key().to_base64url()
        );
        assert_eq!(
            key.did_document(&Did::new("did:web:example.org").unwrap()),
            expected
        );
    }
}
