//! The signer that runs a tool: `node TOOL sign FILE --priv KEY`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use machine_driver_process::{Cancel, Capture, Captured, Ending, Stopped, capture, find_program};

use crate::bytes::CanonicalBytes;
use crate::did::Did;
use crate::dir::{open_plain, read_bounded};
use crate::ed25519;
use crate::key::{PublicKey, Signature};
use crate::record::{Record, SIZE_MAX};
use crate::signer::{SignError, Signer};
use crate::structure;
use crate::text::one_line;

/// How long a tool may take.
const WALL: Duration = Duration::from_secs(30);

/// How much of what a tool writes is read.
const OUTPUT_MAX: usize = 64 << 10;

/// Signs with an external tool. The tool gets a copy of the record in a private folder; what it leaves there must be the
/// same record with a signature that holds.
#[derive(Clone)]
pub struct CommandSigner {
    node: PathBuf,
    tool: PathBuf,
    key: PathBuf,
    principal: Did,
    public: PublicKey,
    wall: Duration,
}

impl CommandSigner {
    /// A signer that runs `node TOOL sign FILE --priv KEY`, with the first `node` of this process's `PATH`. The public key
    /// that its signatures must hold for is read from the key file, under the rules of
    /// [`Ed25519Signer::load`](crate::Ed25519Signer::load).
    ///
    /// # Errors
    /// [`SignError`] where the tool, the key or `node` is missing, or the key is not as it should be.
    pub fn load(tool: &Path, key: &Path, principal: Did) -> Result<Self, SignError> {
        let public = PublicKey::of(&*ed25519::load(key)?);
        Self::with_key(tool, key, principal, public)
    }

    /// The same with a key file that the tool alone understands: its public key is known from elsewhere, such as the
    /// principal's DID document.
    ///
    /// # Errors
    /// [`SignError`] where the tool, the key or `node` is missing, or the key is open to others than its owner.
    pub fn with_key(tool: &Path, key: &Path, principal: Did, public: PublicKey) -> Result<Self, SignError> {
        let look = |path: &Path| fs::metadata(path).map_err(SignError::unreadable("look at", path));
        look(tool)?;
        let mode = look(key)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            let path = key.to_owned();
            return Err(SignError::Permissions { path, mode });
        }
        let node = find_program(OsStr::new("node")).ok_or_else(|| SignError::Missing {
            path: PathBuf::from("node"),
        })?;
        // The tool runs in another folder.
        let absolute = |path: &Path| std::path::absolute(path).map_err(SignError::unreadable("find", path));
        Ok(Self {
            node,
            tool: absolute(tool)?,
            key: absolute(key)?,
            principal,
            public,
            wall: WALL,
        })
    }

    /// Gives the tool so long instead of 30 seconds.
    #[must_use]
    pub const fn wall(mut self, wall: Duration) -> Self {
        self.wall = wall;
        self
    }

    fn run(&self, folder: &Path, file: &Path) -> Result<Captured, SignError> {
        let argv: Vec<OsString> = vec![
            self.node.clone().into(),
            self.tool.clone().into(),
            "sign".into(),
            file.into(),
            "--priv".into(),
            self.key.clone().into(),
        ];
        let env = vec![
            ("PATH".into(), std::env::var_os("PATH").unwrap_or_default()),
            ("HOME".into(), folder.into()),
            ("TMPDIR".into(), folder.into()),
            ("LC_ALL".into(), "C".into()),
        ];
        let command = Capture {
            argv,
            env,
            cwd: folder.to_owned(),
            stdin: Vec::new(),
            wall: self.wall,
            stdout_max: OUTPUT_MAX,
            stderr_max: OUTPUT_MAX,
        };
        capture(&command, &Cancel::new()).map_err(|error| self.failed(error.to_string()))
    }

    fn failed(&self, why: impl Into<String>) -> SignError {
        SignError::ToolFailed {
            tool: self.tool.clone(),
            why: why.into(),
        }
    }

    /// The signature in what the tool left, if it is a signature of ours over `bytes`.
    fn signature(&self, left: &[u8], bytes: &CanonicalBytes) -> Result<Signature, SignError> {
        let record = Record::read(left)
            .map_err(|error| self.failed(format!("left something that is not a record: {error}")))?;
        if record.signed_bytes()? != *bytes || !record.annotations.is_empty() {
            return Err(self.failed("changed the record"));
        }
        let wrong = |(_, text): structure::Failure| self.failed(format!("left a bad signature: {text}"));
        let sig = structure::sig(&record).map_err(wrong)?;
        structure::algorithm(sig).map_err(wrong)?;
        if sig.by != self.principal.as_str() {
            return Err(self.failed("signed for someone else than the principal"));
        }
        let signature = structure::encoding(sig).map_err(wrong)?;
        if self.public.verifies(bytes.as_bytes(), &signature) {
            Ok(signature)
        } else {
            Err(self.failed("left a signature that does not hold for the key"))
        }
    }
}

impl Signer for CommandSigner {
    fn principal(&self) -> &Did {
        &self.principal
    }

    /// Only a record can be signed: the tool reads a JSON object with a `principal`.
    fn sign(&self, bytes: &CanonicalBytes) -> Result<Signature, SignError> {
        let private = tempfile::Builder::new()
            .prefix("machine-driver-aar-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|error| self.failed(format!("got no private folder: {error}")))?;
        let folder = private.path();
        let file = folder.join("record.json");
        fs::write(&file, bytes.as_bytes())
            .map_err(|error| self.failed(format!("got no copy of the record: {error}")))?;
        let captured = self.run(folder, &file)?;
        if !captured.succeeded() {
            return Err(self.failed(complaint(&captured, self.wall)));
        }
        let left = open_plain(&file)
            .and_then(|file| read_bounded(&file, SIZE_MAX))
            .map_err(|error: io::Error| self.failed(format!("left nothing that can be read: {error}")))?;
        self.signature(&left, bytes)
    }

    fn public_key(&self) -> Option<PublicKey> {
        Some(self.public)
    }
}

impl fmt::Debug for CommandSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandSigner")
            .field("tool", &self.tool)
            .field("key", &self.key)
            .field("principal", &self.principal)
            .field("public_key", &self.public)
            .finish_non_exhaustive()
    }
}

/// How a tool failed. What it wrote is not passed on whole: it had the key.
fn complaint(captured: &Captured, wall: Duration) -> String {
    match (&captured.stopped, &captured.ending) {
        (Some(Stopped::Wall), _) => format!("did not end within {} s", wall.as_secs_f64()),
        (Some(Stopped::Output), _) => format!("wrote more than {OUTPUT_MAX} bytes"),
        (_, Ending::Exited(status)) => format!("ended with status {status}"),
        (_, Ending::Signaled(signal)) => format!("was ended by signal {signal}"),
        (_, Ending::CouldNotStart(why)) => format!("could not be started: {}", one_line(why)),
    }
}

#[cfg(test)]
#[path = "command/tests.rs"]
mod tests;
