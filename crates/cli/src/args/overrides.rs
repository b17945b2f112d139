//! What an operator can type while a driver runs, or between two runs.

use std::time::Duration;

use clap::Args;
use machine_driver_state::id::TaskId;

use super::{GoalArgs, ModeWord, task_id};

/// Who says it.
#[derive(Debug, Clone, Args)]
pub(crate) struct WhoArgs {
    /// Who says it [default: your login name]
    #[arg(long = "as", value_name = "WHO")]
    pub(crate) by: Option<String>,
}

/// Who says it, and why, where that may go without saying.
#[derive(Debug, Clone, Args)]
pub(crate) struct BecauseArgs {
    /// Why; it goes into the log
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

/// `halt`, `resume`
#[derive(Debug, Args)]
pub(crate) struct HaltArgs {
    /// Why; it goes into the log
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `dial`
#[derive(Debug, Args)]
pub(crate) struct DialArgs {
    /// What to do with verified work
    #[arg(value_name = "MODE", value_enum)]
    pub(crate) mode: ModeWord,
    #[command(flatten)]
    pub(crate) because: BecauseArgs,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `approve`
#[derive(Debug, Args)]
#[command(
    after_help = "It counts once, for this text of the task and this contract, and only where the contract's ceiling alone \
                  stands in the way."
)]
pub(crate) struct ApproveArgs {
    /// The task's id
    #[arg(value_name = "TASK", value_parser = task_id)]
    pub(crate) task: TaskId,
    /// How long it stands, at most 7d: 30m, 8h, 2d
    #[arg(long = "for", value_name = "TIME", value_parser = time, default_value = "24h")]
    pub(crate) time: Duration,
    #[command(flatten)]
    pub(crate) because: BecauseArgs,
    #[command(flatten)]
    pub(crate) goal: GoalArgs,
}

/// `30s`, `30m`, `8h`, `2d`
fn time(text: &str) -> Result<Duration, String> {
    let expected = || "expected a time like 30m, 8h or 2d".to_owned();
    let unit = text.chars().next_back().ok_or_else(expected)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let count = text
        .strip_suffix(unit)
        .and_then(|count| count.parse::<u64>().ok());
    let time = count
        .and_then(|count| count.checked_mul(seconds))
        .filter(|time| *time > 0);
    time.map(Duration::from_secs).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_unit() {
        let seconds = |text: &str| time(text).map(|time| time.as_secs());
        assert_eq!(seconds("30m"), Ok(1800));
        assert_eq!(seconds("8h"), Ok(28_800));
        assert_eq!(seconds("2d"), Ok(172_800));
        for wrong in [
            "",
            "m",
            "0m",
            "-1h",
            "1.5h",
            "8",
            "2w",
            "99999999999999999999d",
            "1é",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
