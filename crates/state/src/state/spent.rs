//! What was used of the budget.

use std::time::Duration;

use crate::usage::Usage;

/// Amounts used over the whole life of a goal. They come from the log, so no crash earns a fresh budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Workers dispatched.
    pub worker_runs: u64,
    /// Time with a driver up.
    pub wall: Duration,
    /// Tokens reported.
    pub tokens: u64,
    /// Millionths of a US dollar reported.
    pub usd_micros: u64,
    /// Bytes that workers wrote.
    pub output_bytes: u64,
    /// Attempts that did not report their tokens, since the budget was last changed.
    pub runs_without_tokens: u64,
    /// Attempts that did not report their cost, since the budget was last changed.
    pub runs_without_usd: u64,
}

impl Spent {
    /// Counts what one attempt reported. What it did not report is counted as unknown, never as zero.
    pub(super) const fn add(&mut self, usage: Usage, output_bytes: u64) {
        self.output_bytes = self.output_bytes.saturating_add(output_bytes);
        match usage.tokens {
            Some(tokens) => self.tokens = self.tokens.saturating_add(tokens),
            None => self.runs_without_tokens += 1,
        }
        match usage.usd_micros {
            Some(micros) => self.usd_micros = self.usd_micros.saturating_add(micros),
            None => self.runs_without_usd += 1,
        }
    }
}
