//! The governor's limits: which one is reached, and when the clock will reach one.
//!
//! Amounts come from the log, so they survive restarts. What a worker did not report is unknown, and unknown is not zero:
//! with a limit on it the run halts.

use std::time::Duration;

use machine_driver_state::event::BudgetHalt;
use machine_driver_state::goal::Budget;
use machine_driver_state::state::{Run, Spent, State};
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;

/// The limit that is reached at `now`, if one is.
#[must_use]
pub fn breach(budget: &Budget, state: &State, now: Timestamp) -> Option<BudgetHalt> {
    first_over(budget, state, now, |used, max| used >= max)
}

/// The limit that was gone beyond at `now`, if one was. Asked at the gate: the last run that a budget pays for may still
/// be committed, and what is unknown may not.
#[must_use]
pub fn exceeded(budget: &Budget, state: &State, now: Timestamp) -> Option<BudgetHalt> {
    first_over(budget, state, now, |used, max| used > max)
}

/// Time that is used up is used up; whether the amounts are over is for `is_over` to say.
fn first_over(
    budget: &Budget,
    state: &State,
    now: Timestamp,
    is_over: impl Fn(u64, u64) -> bool,
) -> Option<BudgetHalt> {
    let spent = state.spent();
    let amount = |limit, used, max: Option<u64>, show: fn(u64) -> String| {
        let max = max.filter(|max| is_over(used, *max))?;
        Some(halt(limit, &show(used), &show(max)))
    };
    amount("max_worker_runs", spent.worker_runs, budget.worker_runs_max, runs)
        .or_else(|| wall_breach(budget, state, now))
        .or_else(|| amount("max_tokens", spent.tokens, budget.tokens_max, tokens))
        .or_else(|| amount("max_usd", spent.usd_micros, budget.usd_micros_max, dollars))
        .or_else(|| {
            let (used, max) = (spent.output_bytes, budget.output_bytes_max);
            amount("max_output_bytes", used, max, bytes)
        })
        .or_else(|| unknown(budget, spent))
}

/// Whether the time is used up at `now`. Asked alone before a verify, which costs time and nothing else.
#[must_use]
pub fn wall_breach(budget: &Budget, state: &State, now: Timestamp) -> Option<BudgetHalt> {
    let used = wall_at(state, now);
    let max = budget.wall_max.filter(|max| used >= *max)?;
    Some(halt("max_wall_seconds", &seconds(used), &seconds(max)))
}

/// The moment at which the wall clock alone reaches a limit.
#[must_use]
pub fn wall_deadline(budget: &Budget, state: &State) -> Option<Timestamp> {
    let left = budget.wall_max?.saturating_sub(state.spent().wall);
    (state.run() == Run::Up).then(|| state.last_at().after(left))
}

/// How many bytes the next worker may write before it reaches a limit.
#[must_use]
pub fn output_left(budget: &Budget, spent: &Spent) -> Option<u64> {
    Some(budget.output_bytes_max?.saturating_sub(spent.output_bytes))
}

/// Whether a worker that has used this much up to now has to be stopped.
#[must_use]
pub fn breached_by(budget: &Budget, spent: &Spent, used: Usage) -> bool {
    let reached = |used: Option<u64>, spent: u64, max: Option<u64>| {
        used.zip(max)
            .is_some_and(|(used, max)| spent.saturating_add(used) >= max)
    };
    reached(used.tokens, spent.tokens, budget.tokens_max)
        || reached(used.usd_micros, spent.usd_micros, budget.usd_micros_max)
}

/// The time used at `now`: up to the last record, and since then if a driver is up.
#[must_use]
pub fn wall_at(state: &State, now: Timestamp) -> Duration {
    let since = if state.run() == Run::Up {
        now.since(state.last_at())
    } else {
        Duration::ZERO
    };
    state.spent().wall.saturating_add(since)
}

fn halt(limit: &'static str, used: &str, max: &str) -> BudgetHalt {
    BudgetHalt {
        limit: limit.into(),
        used: used.into(),
        max: max.into(),
        reason: format!("{limit} reached: {used} used, {max} allowed"),
    }
}

fn unknown(budget: &Budget, spent: &Spent) -> Option<BudgetHalt> {
    let money = budget.usd_micros_max.filter(|_| spent.runs_without_usd > 0);
    let words = budget.tokens_max.filter(|_| spent.runs_without_tokens > 0);
    let (limit, runs, what, max) = match (money, words) {
        (Some(max), _) => ("max_usd", spent.runs_without_usd, "its cost", dollars(max)),
        (None, Some(max)) => ("max_tokens", spent.runs_without_tokens, "its tokens", tokens(max)),
        (None, None) => return None,
    };
    let used = format!(
        "unknown for {runs} worker run{}",
        if runs == 1 { "" } else { "s" }
    );
    let reason = format!(
        "{limit} cannot be held: a worker did not report {what} (unknown is not 0). \
         Let it write $MACHINE_USAGE_FILE, or change the budget"
    );
    Some(BudgetHalt {
        limit: limit.into(),
        used,
        max,
        reason,
    })
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03} s", time.as_secs(), time.subsec_millis())
}

fn runs(count: u64) -> String {
    format!("{count} worker runs")
}

fn tokens(count: u64) -> String {
    format!("{count} tokens")
}

fn bytes(count: u64) -> String {
    format!("{count} bytes")
}

fn dollars(micros: u64) -> String {
    format!("{}.{:06} USD", micros / 1_000_000, micros % 1_000_000)
}
