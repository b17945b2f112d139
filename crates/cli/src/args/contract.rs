//! What can be typed behind `contract`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::GoalArgs;

/// `contract`
#[derive(Debug, Subcommand)]
pub(crate) enum ContractCommand {
    /// Say whether it is ratified, by whom, for how long, and what it allows
    Show(ShowArgs),
    /// Print its digest: what is ratified is everything that decides what is done and what counts as done
    Digest(GoalArgs),
    /// Ratify it, as somebody else than who proposed it, or by a council
    Ratify(RatifyArgs),
    /// Take the ratification back: nothing is committed any more until it is ratified again
    Revoke(RevokeArgs),
}

/// Whose signatures count.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrustArgs {
    /// The folder with the DID documents of those whose receipt counts [default: machine-driver/trust in your config folder]
    #[arg(long = "trust", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

/// `contract show`
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `contract ratify`
#[derive(Debug, Args)]
#[command(
    after_help = "Exits 5 if a council does not ratify. docs/governance.md says what a council's command gets and how it votes."
)]
pub(crate) struct RatifyArgs {
    /// Who ratifies; not who proposed it
    #[arg(
        long = "as",
        value_name = "WHO",
        required_unless_present = "council",
        conflicts_with_all = ["council", "quorum", "heads", "council_timeout"]
    )]
    pub(crate) by: Option<String>,
    /// Their private key (JWK): a signed receipt is written, and any later change of the contract makes it unratified
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// Ask a council: a command that is run by sh once for each head, or `roundtable`
    #[arg(long, value_name = "CMD")]
    pub(crate) council: Option<String>,
    /// How many heads have to ratify; one that rejects is enough to stop it
    #[arg(long, value_name = "N", default_value_t = 2, requires = "council",
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) quorum: u32,
    /// The names of the heads [default: 1 to N]
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', requires = "council")]
    pub(crate) heads: Vec<String>,
    /// How long a head may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "council",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) council_timeout: u64,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `contract revoke`
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Who revokes it
    #[arg(long = "as", value_name = "WHO")]
    pub(crate) by: String,
    /// Why
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}
