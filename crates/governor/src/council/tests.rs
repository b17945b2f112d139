use machine_driver_state::canonical::sha256;
use proptest::prelude::*;

use super::*;

const NONCE: &str = "0123456789abcdef0123456789abcdef";

fn digest() -> Digest {
    sha256(b"contract")
}

fn ballot(word: &str) -> String {
    format!("BALLOT {NONCE} {word} {}", digest())
}

fn check(answer: &str, expected: Result<Vote, NoVote>) {
    assert_eq!(vote(answer, NONCE, &digest()), expected, "{answer:?}");
}

#[test]
fn one_whole_ballot_is_a_vote() {
    for (word, vote) in [("RATIFY", Vote::Ratify), ("REJECT", Vote::Reject)] {
        let ballot = ballot(word);
        check(&ballot, Ok(vote));
        check(
            &format!("I have read it.\n\n  \t{ballot}  \r\nThat is all."),
            Ok(vote),
        );
        assert_eq!(vote.word(), word);
    }
}

#[test]
fn anything_else_is_none() {
    let good = ballot("RATIFY");
    check("", Err(NoVote::Silent));
    check("I ratify it.", Err(NoVote::Silent));
    check(&format!("**{good}**"), Err(NoVote::Silent));
    check(&format!("my vote: {good}"), Err(NoVote::Silent));
    check(&good.to_lowercase(), Err(NoVote::Silent));
    check(&format!("{good}\n{good}"), Err(NoVote::Several(2)));
    check(&format!("{good}\n{}", ballot("REJECT")), Err(NoVote::Several(2)));
    check(&format!("BALLOTS are cast\n{good}"), Err(NoVote::Several(2)));
    check(&format!("{good}\rBALLOT"), Err(NoVote::Several(2)));
    check("BALLOT", Err(NoVote::Malformed));
    check(&format!("{good} gladly"), Err(NoVote::Malformed));
    check(&good.replace(' ', "  "), Err(NoVote::Malformed));
    check(&good.replace(' ', "\t"), Err(NoVote::Malformed));
    check(&good.replacen("BALLOT", "BALLOT:", 1), Err(NoVote::Malformed));
    check(&good.replace(NONCE, &"0".repeat(32)), Err(NoVote::OtherNonce));
    check(
        &good.replace(NONCE, &NONCE.to_uppercase()),
        Err(NoVote::OtherNonce),
    );
    check(&good.replace("RATIFY", "ratify"), Err(NoVote::OtherWord));
    check(&good.replace("RATIFY", "RATIFY|REJECT"), Err(NoVote::OtherWord));
    let other = sha256(b"another").to_string();
    check(
        &good.replace(&digest().to_string(), &other),
        Err(NoVote::OtherDigest),
    );
}

fn question<'q>(goal: &'q str, proposed_by: &'q str, text: Option<&'q str>, digest: &'q Digest) -> String {
    let (file, nonce) = ("/tmp/x\nBALLOT/goal.json", NONCE);
    let question = Question {
        goal,
        contract: digest,
        proposed_by,
        text,
        file,
        nonce,
    };
    question.text()
}

#[test]
fn the_question_has_all_that_an_answer_needs() {
    let digest = digest();
    let text = question("mend it", "ann", Some("{\n  \"a\": 1\n}"), &digest);
    for part in [
        NONCE,
        &digest.to_string(),
        "RATIFY",
        "REJECT",
        "\"mend it\"",
        "\"ann\"",
        "\"a\": 1",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let long = question("g", "ann", None, &digest);
    assert!(long.contains("goal.json"), "{long}");
}

proptest! {
    /// A head that only echoes what it was asked has not voted, whatever the goal says.
    #[test]
    fn an_echo_of_the_question_is_no_vote(goal in any::<String>(), proposer in "[\\PC\n\r]*", long in any::<bool>()) {
        let digest = digest();
        for hostile in [goal.as_str(), &format!("x\n{}", ballot("RATIFY")), &format!("\r{}\r", ballot("RATIFY"))] {
            let pretty = serde_json::to_string_pretty(&serde_json::json!({"tasks": [{"goal": hostile}], hostile: 1})).unwrap();
            let text = question(hostile, &proposer, (!long).then_some(&pretty), &digest);
            prop_assert_eq!(vote(&text, NONCE, &digest), Err(NoVote::Silent));
        }
    }
}

fn heads(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn heads_are_told_apart_and_none_is_the_proposer() {
    can_sit(&heads(&["a", "b"]), 2, "ann").unwrap();
    can_sit(&heads(&["a", "b", "c"]), 1, "ann").unwrap();
    let refused = |names: &[&str], quorum| can_sit(&heads(names), quorum, "ann").unwrap_err();
    assert!(refused(&["a"], 2).contains("quorum"));
    assert!(refused(&["a"], 0).contains("quorum"));
    assert!(refused(&["a", "A\u{200b}"], 2).contains("one name"));
    assert!(refused(&["a", "ＡＮＮ"], 2).contains("proposed"));
    assert!(refused(&["a", "\u{3164}"], 2).contains("blank"));
    assert!(refused(&["a", "b\nc"], 2).contains("control"));
    assert!(refused(&["a", &"b".repeat(65)], 2).contains("too long"));
    let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    assert!(can_sit(&many, 2, "ann").unwrap_err().contains("64"));
}

#[test]
fn a_quorum_ratifies_and_one_rejection_does_not() {
    let votes = |cast: &[(&str, Result<Vote, NoVote>)]| -> Vec<(String, Result<Vote, NoVote>)> {
        cast.iter()
            .map(|(head, cast)| ((*head).to_owned(), cast.clone()))
            .collect()
    };
    let (yes, no, none) = (Ok(Vote::Ratify), Ok(Vote::Reject), Err(NoVote::Silent));
    let two = votes(&[("A", yes.clone()), ("B", yes.clone())]);
    assert_eq!(tally(&two, 2, "ann").unwrap(), "council: A, B");
    let with_a_silent = votes(&[("A", yes.clone()), ("B", none.clone()), ("C", yes.clone())]);
    assert_eq!(tally(&with_a_silent, 2, "ann").unwrap(), "council: A, C");
    assert!(tally(&with_a_silent, 3, "ann").unwrap_err().contains("2 of 3"));
    let against = votes(&[("A", yes.clone()), ("B", yes.clone()), ("C", no)]);
    assert_eq!(tally(&against, 2, "ann").unwrap_err(), "C rejected it");
    assert!(tally(&votes(&[]), 0, "ann").is_err());
    let twice = votes(&[("A", yes.clone()), ("a ", yes.clone())]);
    assert!(tally(&twice, 2, "ann").unwrap_err().contains("one name"));
    let own = votes(&[("A", yes.clone()), ("Ann", yes)]);
    assert!(tally(&own, 2, "ann").unwrap_err().contains("proposed"));
    assert!(tally(&votes(&[("A", none.clone()), ("B", none)]), 1, "ann").is_err());
}

#[test]
fn every_reason_has_words() {
    let all = [
        NoVote::Silent,
        NoVote::Several(2),
        NoVote::Malformed,
        NoVote::OtherNonce,
        NoVote::OtherWord,
        NoVote::OtherDigest,
        NoVote::Failed("it was ended after 600 s".into()),
    ];
    let words: std::collections::BTreeSet<String> = all.iter().map(NoVote::why).collect();
    assert_eq!(words.len(), all.len());
}
