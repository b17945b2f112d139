//! Box 0: whether the target was ratified by somebody other than who proposed it. Said at every start, and asked last at
//! the gate.

use machine_driver_state::event::DenialCode;
use machine_driver_state::goal::Contract;
use machine_driver_state::time::Timestamp;
use unicode_normalization::UnicodeNormalization;

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

/// Why a contract does not count as ratified at `now`; `None` for one that does.
#[must_use]
pub fn not_ratified(contract: Option<&Contract>, now: Timestamp) -> Option<Unratified> {
    let Some(contract) = contract else {
        return Some(Unratified::Missing);
    };
    let names = (
        contract.proposed_by.as_deref().map(plain),
        contract.ratified_by.as_deref().map(plain),
    );
    match names {
        _ if contract.revoked => Some(Unratified::Revoked),
        (None, _) => Some(Unratified::NoProposer),
        (_, None) => Some(Unratified::NoRatifier),
        (Some(one), Some(other)) if one.is_empty() || other.is_empty() => Some(Unratified::Blank),
        (Some(one), Some(other)) if one == other => Some(Unratified::Same),
        _ if contract.expires.is_some_and(|expires| expires <= now) => Some(Unratified::Expired),
        _ => None,
    }
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

/// The characters that are not shown: `Default_Ignorable_Code_Point` of Unicode 16 (DerivedCoreProperties.txt), the
/// interlinear marks, and the blank Braille pattern.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(proposed: Option<&str>, ratified: Option<&str>) -> Option<Unratified> {
        let (proposed_by, ratified_by) = (proposed.map(str::to_owned), ratified.map(str::to_owned));
        let contract = Contract {
            proposed_by,
            ratified_by,
            ..Contract::default()
        };
        not_ratified(Some(&contract), Timestamp::from_millis(1000))
    }

    #[test]
    fn two_different_people_ratify() {
        assert_eq!(check(Some("ann"), Some("bob")), None);
        assert_eq!(check(Some("ann"), None), Some(Unratified::NoRatifier));
        assert_eq!(check(None, Some("bob")), Some(Unratified::NoProposer));
        assert_eq!(check(Some(" \u{200b}"), Some("bob")), Some(Unratified::Blank));
        for same in ["ann", "Ann ", "a\u{200b}nn", "ＡＮＮ", "a nn"] {
            assert_eq!(check(Some("ann"), Some(same)), Some(Unratified::Same), "{same}");
        }
        assert_eq!(check(Some("Straße"), Some("STRASSE")), Some(Unratified::Same));
    }

    #[test]
    fn revoked_and_expired_contracts_do_not_count() {
        let names = Contract {
            proposed_by: Some("ann".into()),
            ratified_by: Some("bob".into()),
            expires: Some(Timestamp::from_millis(1000)),
            ..Contract::default()
        };
        assert_eq!(not_ratified(Some(&names), Timestamp::from_millis(999)), None);
        assert_eq!(
            not_ratified(Some(&names), Timestamp::from_millis(1000)),
            Some(Unratified::Expired)
        );
        let revoked = Contract {
            revoked: true,
            ..names
        };
        assert_eq!(
            not_ratified(Some(&revoked), Timestamp::from_millis(0)),
            Some(Unratified::Revoked)
        );
    }
}
