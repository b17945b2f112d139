//! Box 0: whether the target was ratified by somebody other than who proposed it. Said at every start, and asked last at
//! the gate.

use machine_driver_state::canonical::digest_of;
use machine_driver_state::event::{DenialCode, ReceiptSeen};
use machine_driver_state::goal::{Contract, Goal};
use machine_driver_state::state::State;
use machine_driver_state::time::Timestamp;
use unicode_normalization::UnicodeNormalization;

/// What the name of a council begins with: `council: A, B`.
pub const COUNCIL: &str = "council:";

/// Why a contract is not ratified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unratified {
    /// There is no contract.
    Missing,
    /// It was revoked.
    Revoked,
    /// Nobody is named who proposed it.
    NoProposer,
    /// Nobody is named who ratified it.
    NoRatifier,
    /// A name in it says nothing.
    Blank,
    /// Both names are one.
    Same,
    /// Only a signed receipt counts, and there is none.
    NoReceipt,
    /// The receipt is about another contract: this one was changed since.
    Changed,
    /// The receipt names another person than `ratified_by`.
    OtherName,
    /// Nobody whom the operator trusts has signed the receipt, as far as it was looked at.
    Untrusted,
    /// A field that `immutable` freezes was changed since it was ratified.
    Thawed,
    /// It has expired.
    Expired,
}

impl Unratified {
    /// In a few words.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Missing => "there is none",
            Self::Revoked => "it was revoked",
            Self::NoProposer => "`proposed_by` is missing",
            Self::NoRatifier => "`ratified_by` is missing",
            Self::Blank => "a name in it is blank",
            Self::Same => "who proposed it has ratified it",
            Self::NoReceipt => "it asks for a signed receipt, and there is none",
            Self::Changed => "it was changed since its receipt was signed",
            Self::OtherName => "its receipt names somebody else than `ratified_by`",
            Self::Untrusted => "its receipt is signed by nobody whom the operator trusts",
            Self::Thawed => "a field that `immutable` freezes was changed since",
            Self::Expired => "it has expired",
        }
    }

    /// As the gate records it.
    #[must_use]
    pub const fn code(self) -> DenialCode {
        match self {
            Self::Revoked => DenialCode::Revoked,
            Self::Expired => DenialCode::Expired,
            _ => DenialCode::NotRatified,
        }
    }
}

/// What is known of a contract besides its text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// What was found of its receipt's signature.
    pub receipt: Option<&'a ReceiptSeen>,
    /// Frozen fields that were changed since it was ratified.
    pub thawed: &'a [String],
    /// Whether it was revoked by command, and not ratified by command since.
    pub revoked: bool,
}

impl<'a> Known<'a> {
    /// What the log knows.
    #[must_use]
    pub fn of(state: &'a State) -> Self {
        Self {
            receipt: state.receipt(),
            thawed: state.thawed(),
            revoked: state.revoked(),
        }
    }
}

/// Why the contract of `goal` does not count as ratified at `now`; `None` for one that does.
#[must_use]
pub fn not_ratified(goal: &Goal, known: Known<'_>, now: Timestamp) -> Option<Unratified> {
    let Some(contract) = &goal.contract else {
        return Some(Unratified::Missing);
    };
    let names = (
        contract.proposed_by.as_deref().map(plain),
        contract.ratified_by.as_deref().map(plain),
    );
    match names {
        _ if contract.revoked || known.revoked => Some(Unratified::Revoked),
        (None, _) => Some(Unratified::NoProposer),
        (_, None) => Some(Unratified::NoRatifier),
        (Some(one), Some(other)) if one.is_empty() || other.is_empty() => Some(Unratified::Blank),
        (Some(one), Some(other)) if one == other => Some(Unratified::Same),
        _ if contract.expires.is_some_and(|expires| expires <= now) => Some(Unratified::Expired),
        _ if !known.thawed.is_empty() => Some(Unratified::Thawed),
        _ => by_receipt(goal, contract, known),
    }
}

/// With a receipt in place, it has to be about this very contract; where none is asked for, names are enough.
fn by_receipt(goal: &Goal, contract: &Contract, known: Known<'_>) -> Option<Unratified> {
    let Some(receipt) = &contract.receipt else {
        return contract.require_receipt.then_some(Unratified::NoReceipt);
    };
    if receipt.digest != goal.contract_digest {
        return Some(Unratified::Changed);
    }
    if contract.ratified_by.as_deref().map(plain) != Some(plain(&receipt.by)) {
        return Some(Unratified::OtherName);
    }
    if contract.proposed_by.as_deref().map(plain) == Some(plain(receipt.signer.as_str())) {
        return Some(Unratified::Same); // Under whatever name: it is the proposer's key.
    }
    let seen = known
        .receipt
        .filter(|seen| digest_of(receipt).is_ok_and(|digest| digest == seen.sha256));
    match seen {
        Some(seen) if seen.why.is_none() => None,
        _ => Some(Unratified::Untrusted),
    }
}

/// Whether two names are one person's, for all that they are written differently.
#[must_use]
pub fn is_one_name(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

/// Whether a name begins with another, however it is written.
#[must_use]
pub fn begins_with(name: &str, start: &str) -> bool {
    plain(name).starts_with(&plain(start))
}

/// Whether a name says nothing.
#[must_use]
pub fn is_blank(name: &str) -> bool {
    plain(name).is_empty()
}

/// The fields that the contract `before` freezes and that `after` has otherwise, by name. What freezes them is frozen too.
#[must_use]
pub fn thawed(before: &Contract, after: Option<&Contract>) -> Vec<String> {
    let after_fields = after.map(|after| &after.fields);
    let differs =
        |field: &&String| before.fields.get(*field) != after_fields.and_then(|fields| fields.get(*field));
    let mut fields: Vec<String> = before.frozen.iter().filter(differs).cloned().collect();
    let is_frozen_still = |field: &String| after.is_some_and(|after| after.frozen.contains(field));
    let immutable = "immutable".to_owned();
    if !before.frozen.iter().all(is_frozen_still) && !fields.contains(&immutable) {
        fields.push(immutable);
    }
    fields
}

/// A name without what does not tell people apart: Unicode NFKC, case folded, white space and invisible characters out.
fn plain(name: &str) -> String {
    let folded = name.nfkc().collect::<String>().to_uppercase().to_lowercase();
    folded
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control() && !is_invisible(*c))
        .nfkc()
        .collect()
}

/// The characters that are not shown, or only say how others are. Of Unicode 16.0: the whole general category `Cf`
/// (DerivedGeneralCategory.txt; some of it is shown, and none of it tells people apart), `Default_Ignorable_Code_Point`
/// (DerivedCoreProperties.txt), and what is blank by its design: the Khitan filler, the Braille blank, the Egyptian blanks, the
/// null notehead, and the place of an object that is not there.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
        | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{13442}' | '\u{16fe4}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
#[path = "contract/tests.rs"]
mod tests;
