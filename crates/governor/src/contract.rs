//! Box 0: whether the target was ratified by somebody other than who proposed it. In this version it is said at every
//! start and decides nothing, since nothing is committed.

use machine_driver_state::goal::Contract;
use machine_driver_state::time::Timestamp;
use unicode_normalization::UnicodeNormalization;

/// Why a contract is not ratified, in a few words; `None` for one that is.
#[must_use]
pub fn not_ratified(contract: &Contract, now: Timestamp) -> Option<&'static str> {
    let names = (
        contract.proposed_by.as_deref().map(plain),
        contract.ratified_by.as_deref().map(plain),
    );
    match names {
        _ if contract.revoked => Some("it was revoked"),
        (None, _) => Some("`proposed_by` is missing"),
        (_, None) => Some("`ratified_by` is missing"),
        (Some(one), Some(other)) if one.is_empty() || other.is_empty() => Some("a name in it is blank"),
        (Some(one), Some(other)) if one == other => Some("who proposed it has ratified it"),
        _ if contract.expires.is_some_and(|expires| expires <= now) => Some("it has expired"),
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

    fn check(proposed: Option<&str>, ratified: Option<&str>) -> Option<&'static str> {
        let (proposed_by, ratified_by) = (proposed.map(str::to_owned), ratified.map(str::to_owned));
        not_ratified(
            &Contract {
                proposed_by,
                ratified_by,
                ..Contract::default()
            },
            Timestamp::from_millis(1000),
        )
    }

    #[test]
    fn two_different_people_ratify() {
        assert_eq!(check(Some("ann"), Some("bob")), None);
        assert_eq!(check(Some("ann"), None), Some("`ratified_by` is missing"));
        assert_eq!(check(None, Some("bob")), Some("`proposed_by` is missing"));
        assert_eq!(
            check(Some(" \u{200b}"), Some("bob")),
            Some("a name in it is blank")
        );
        for same in ["ann", "Ann ", "a\u{200b}nn", "ＡＮＮ", "a nn"] {
            assert_eq!(
                check(Some("ann"), Some(same)),
                Some("who proposed it has ratified it"),
                "{same}"
            );
        }
        assert_eq!(
            check(Some("Straße"), Some("STRASSE")),
            Some("who proposed it has ratified it")
        );
    }

    #[test]
    fn revoked_and_expired_contracts_do_not_count() {
        let names = Contract {
            proposed_by: Some("ann".into()),
            ratified_by: Some("bob".into()),
            expires: Some(Timestamp::from_millis(1000)),
            ..Contract::default()
        };
        assert_eq!(not_ratified(&names, Timestamp::from_millis(999)), None);
        assert_eq!(
            not_ratified(&names, Timestamp::from_millis(1000)),
            Some("it has expired")
        );
        let revoked = Contract {
            revoked: true,
            ..names
        };
        assert_eq!(
            not_ratified(&revoked, Timestamp::from_millis(0)),
            Some("it was revoked")
        );
    }
}
