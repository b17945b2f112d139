//! Who signs.

use std::fmt;
use std::io;
use std::path::PathBuf;

use machine_driver_state::canonical::CanonicalError;

use crate::bytes::CanonicalBytes;
use crate::did::Did;
use crate::key::{PublicKey, Signature};

/// Signs records for a principal: with a key in a file, a tool, a hardware module, a service.
///
/// ```
/// use machine_driver_aar::{CanonicalBytes, Did, PublicKey, SignError, Signature, Signer};
///
/// /// A module that signs what it is sent.
/// #[derive(Debug)]
/// struct Module { principal: Did, key: PublicKey }
///
/// impl Module {
///     fn ask(&self, _message: &[u8]) -> std::io::Result<[u8; 64]> {
///         Err(std::io::Error::other("not plugged in"))
///     }
/// }
///
/// impl Signer for Module {
///     fn principal(&self) -> &Did {
///         &self.principal
///     }
///
///     fn sign(&self, bytes: &CanonicalBytes) -> Result<Signature, SignError> {
///         let answer = self.ask(bytes.as_bytes());
///         answer.map(Signature::from_bytes).map_err(|error| SignError::refused(error.to_string()))
///     }
///
///     fn public_key(&self) -> Option<PublicKey> {
///         Some(self.key)
///     }
/// }
/// ```
pub trait Signer: fmt::Debug + Send + Sync {
    /// For whom it signs: the record's `principal`, and `sig.by`.
    fn principal(&self) -> &Did;

    /// Signs with Ed25519 (RFC 8032, not prehashed).
    ///
    /// # Errors
    /// [`SignError`] says why not, without a word of any secret: it goes into alerts and the log.
    fn sign(&self, bytes: &CanonicalBytes) -> Result<Signature, SignError>;

    /// The key that its signatures hold for, where it is known: a signature is then checked before a record takes it.
    fn public_key(&self) -> Option<PublicKey> {
        None
    }
}

/// Why nothing was signed. The work goes on, the record stays unsigned, and a human hears of it.
///
/// It goes into alerts and the log, and never holds any part of a key. Paths and what a tool wrote are foreign text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key, or the tool, is not there.
    #[error("missing {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Others than its owner may read or write the key.
    #[error("{} is open to others than its owner (mode {mode:04o})", path.display())]
    Permissions {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system does not let us read the key.
    #[error("could not {operation} {}: {source}", path.display())]
    Unreadable {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not a key, or not a plain file.
    #[error("{} {why}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as a clause.
        why: String,
    },
    /// The external signer did not do what it is for.
    #[error("{} {why}", tool.display())]
    ToolFailed {
        /// The tool.
        tool: PathBuf,
        /// What it did, as a clause.
        why: String,
    },
    /// A signer of another kind did not sign.
    #[error("{why}")]
    Refused {
        /// What it says.
        why: String,
    },
    /// The signer signs for another principal than the record names.
    #[error("the record's principal is {record}, the key is for {signer}")]
    Principal {
        /// For whom the signer signs.
        signer: Did,
        /// Whom the record names.
        record: Did,
    },
    /// What the signer returned is not its key's signature.
    #[error("the signature that came back does not hold for the key of {signer}")]
    DoesNotHold {
        /// For whom the signer signs.
        signer: Did,
    },
    /// There is nothing to sign.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl SignError {
    /// A signer did not sign; `why` goes into alerts and the log.
    #[must_use]
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }

    pub(crate) fn bad(path: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        let (path, why) = (path.into(), why.into());
        Self::Bad { path, why }
    }

    pub(crate) fn unreadable(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let path = path.into();
            if source.kind() == io::ErrorKind::NotFound {
                Self::Missing { path }
            } else {
                Self::Unreadable {
                    operation,
                    path,
                    source,
                }
            }
        }
    }

    /// Whether something is not there, rather than wrong: `AAR sign SKIPPED`, not `AAR sign FAILED`.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// What to do about it, as sentences. The record is signed later with `aar sign`.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self {
            Self::Missing { path } => {
                format!(
                    "Put the file at {}, or make a key with `machine-driver aar keygen`.",
                    path.display()
                )
            }
            Self::Permissions { path, .. } => format!("chmod 600 {}", path.display()),
            Self::Unreadable { path, .. } => {
                format!("Let the driver's user, and no one else, read {}.", path.display())
            }
            Self::Bad { path, .. } => format!(
                "Make {} a JWK with `kty` OKP, `crv` Ed25519, `d` and `x`, or a new key with `machine-driver aar keygen`.",
                path.display()
            ),
            Self::ToolFailed { .. } => {
                "Run the tool by hand on a copy of the record, or leave `aar_tool` out to sign without it."
                    .into()
            }
            Self::Refused { .. } | Self::Canonical(_) => "See what the signer says.".into(),
            Self::Principal { record, .. } => format!("Name the key of {record}, or set `principal`."),
            Self::DoesNotHold { .. } => "See that the signer uses the key that it names.".into(),
        }
    }
}
