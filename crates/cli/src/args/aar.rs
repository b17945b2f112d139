//! What can be typed behind `aar`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use machine_driver::aar::{Did, Level};
use machine_driver_state::id::Digest;

/// `aar`
#[derive(Debug, Subcommand)]
pub(crate) enum AarCommand {
    /// Make a key, and the DID document that publishes it
    Keygen(KeygenArgs),
    /// Sign records that were left without a signature
    Sign(SignArgs),
    /// Check records offline: each by itself, a folder also as a chain
    Verify(VerifyArgs),
    /// Print a record for people; nothing is checked
    Show(ShowArgs),
}

/// `aar keygen`
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is ever overwritten. The private key has mode 0600, folders made for it 0700."
)]
pub(crate) struct KeygenArgs {
    /// Whose key it is: `principal` in goal.json, for example did:web:example.org
    #[arg(long, value_name = "DID", value_parser = did)]
    pub(crate) did: Did,
    /// The new file for the private key (JWK)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out_priv: PathBuf,
    /// The new file for the DID document, which is for everyone
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out_did: PathBuf,
}

/// `aar sign`
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// Records, or folders of them; those that have a signature are left as they are
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    /// The private key (JWK), readable by you alone
    #[arg(long = "priv", value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(crate) key: PathBuf,
    /// Whose key it is [default: the record's principal]
    #[arg(long, value_name = "DID", value_parser = did)]
    pub(crate) did: Option<Did>,
}

/// `aar verify`
#[derive(Debug, Args)]
#[command(
    after_help = "Exits 0 if everything holds, 5 if not. docs/proof.md lists the steps, levels and reason codes."
)]
pub(crate) struct VerifyArgs {
    /// Records, folders of them, or `-` for standard input; a folder is also checked as a chain
    #[arg(value_name = "FILE|DIR|-", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) dids: DidArgs,
    /// The level that every record has to reach; without it L0 and no fault in a chain
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(crate) require: Option<LevelWord>,
    /// The folder with what was kept: recomputes what the records commit to
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) evidence: Option<PathBuf>,
    /// The SHA-256 of a record that is known to be the last of a chain; may be given again
    #[arg(long, value_name = "HASH", value_parser = digest)]
    pub(crate) head: Vec<Digest>,
    /// The run's log, whose last `record_signed` says where the chain ends
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) log: Option<PathBuf>,
}

/// `aar show`
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The record, or `-` for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) path: PathBuf,
}

/// Whose keys are known.
#[derive(Debug, Clone, Args)]
pub(crate) struct DidArgs {
    /// A DID document of a signer (did.json); may be given again
    #[arg(long = "did-json", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// A folder with DID documents (*.json)
    #[arg(long = "did-dir", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

impl DidArgs {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.dir.is_none()
    }
}

/// A level as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LevelWord {
    /// Whole, and signed by who may sign it
    #[value(name = "L0")]
    L0,
    /// Says what reality answered, and commits to the answer
    #[value(name = "L1")]
    L1,
    /// Someone other than the worker verified
    #[value(name = "L2")]
    L2,
    /// Its place in the chain holds
    #[value(name = "L3")]
    L3,
}

impl From<LevelWord> for Level {
    fn from(word: LevelWord) -> Self {
        match word {
            LevelWord::L0 => Self::L0,
            LevelWord::L1 => Self::L1,
            LevelWord::L2 => Self::L2,
            LevelWord::L3 => Self::L3,
        }
    }
}

fn did(text: &str) -> Result<Did, String> {
    Did::new(text).map_err(|error| error.to_string())
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::new(text).map_err(|error| error.to_string())
}
