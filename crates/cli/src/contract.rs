//! What there is to say about box 0 at a start. Nothing is decided by it: the gate is not in this version.

use machine_driver_state::goal::Contract;
use machine_driver_state::time::Timestamp;
use unicode_normalization::UnicodeNormalization;

/// Why a contract is not ratified, by the words of `spec/goal.md`; `None` for one that is.
pub(crate) fn not_ratified(contract: &Contract, now: Timestamp) -> Option<&'static str> {
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
    let shown = folded
        .chars()
        .filter(|c| !c.is_whitespace() && crate::escape::line(&c.to_string()) == c.to_string());
    shown.nfkc().collect()
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
