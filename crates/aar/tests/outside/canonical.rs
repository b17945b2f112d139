//! RFC 8785: its own examples, the published pairs, and a million numbers beside a second implementation.

use machine_driver_state::canonical::{canonical_json, sha256};
use serde_json::Value;

use crate::support::{Random, bytes_of_hex, node, say, vectors};

/// Input and canonical form: RFC 8785 §3.2.2, §3.2.3 and the pairs of its author's test data (arrays, french, structures,
/// unicode, values, weird).
const PAIRS: [(&str, &str); 8] = [
    (
        r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#,
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#,
    ),
    (
        r#"{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
            "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"}"#,
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\
         \"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
    ),
    (
        r#"[56, {"d": true, "10": null, "1": []}]"#,
        r#"[56,{"1":[],"10":null,"d":true}]"#,
    ),
    (
        r#"{"peach": "This sorting order", "péché": "is wrong according to French",
            "pêche": "but canonicalization MUST", "sin": "ignore locale"}"#,
        r#"{"peach":"This sorting order","péché":"is wrong according to French","pêche":"but canonicalization MUST","sin":"ignore locale"}"#,
    ),
    (
        r#"{"1": {"f": {"f": "hi", "F": 5}, "\n": 56.0}, "10": {}, "": "empty", "a": {},
            "111": [{"e": "yes", "E": "no"}], "A": {}}"#,
        r#"{"":"empty","1":{"\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{"E":"no","e":"yes"}],"A":{},"a":{}}"#,
    ),
    (
        "{\"Unnormalized Unicode\":\"A\u{30a}\"}",
        "{\"Unnormalized Unicode\":\"A\u{30a}\"}",
    ),
    (
        r#"{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\u000a": "Newline", "1": "One", "\u0080": "Control\u007f",
            "\ud83d\ude02": "Smiley", "\u00f6": "Latin Small Letter O With Diaeresis",
            "\ufb33": "Hebrew Letter Dalet With Dagesh", "</script>": "Browser Challenge"}"#,
        "{\"\\n\":\"Newline\",\"\\r\":\"Carriage Return\",\"1\":\"One\",\"</script>\":\"Browser Challenge\",\
         \"\u{80}\":\"Control\u{7f}\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😂\":\"Smiley\",\
         \"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
    ),
    (
        r#"{"a": "\u0000\u0001\b\t\n\u000b\f\r\u001f \u007f\"\\\/"}"#,
        "{\"a\":\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f \u{7f}\\\"\\\\/\"}",
    ),
];

#[test]
fn the_pairs_of_rfc_8785() {
    for (input, expected) in PAIRS {
        let value: Value = serde_json::from_str(input).unwrap();
        assert_eq!(
            String::from_utf8(canonical_json(&value).unwrap()).unwrap(),
            expected
        );
    }
    say(&format!("aar: {} RFC 8785 pairs", PAIRS.len()));
}

#[test]
fn the_numbers_of_rfc_8785_appendix_b() {
    let vectors = vectors();
    let samples = vectors["rfc8785_numbers"].as_array().unwrap();
    for sample in samples {
        let bits = bytes_of_hex(sample["bits"].as_str().unwrap());
        let number = f64::from_be_bytes(bits.try_into().unwrap());
        assert_eq!(
            String::from_utf8(canonical_json(&number).unwrap()).unwrap(),
            sample["text"].as_str().unwrap(),
            "{}",
            sample["bits"]
        );
    }
    assert_eq!(samples.len(), 24);
    say(&format!("aar: {} numbers of RFC 8785 appendix B", samples.len()));
}

const NUMBERS: usize = 1_000_000;

/// The same draws as `number` in numbers.mjs.
fn number(at: usize, random: &mut Random) -> f64 {
    let bits = random.next();
    match at % 5 {
        0 => Some(f64::from_bits(bits))
            .filter(|number| number.is_finite())
            .unwrap_or(0.0),
        1 => ((bits.cast_signed() << 10) >> 10) as f64,
        2 => (bits >> 40) as f64 / 1000.0,
        3 => f64::from_bits(((bits % 2047) << 52) + (bits >> 62)),
        _ => format!("{}e{}", bits >> 54, ((bits & 1023) % 600).cast_signed() - 300)
            .parse()
            .unwrap(),
    }
}

#[test]
fn a_million_numbers_as_node_writes_them() {
    let Some(expected) = node("numbers.mjs", &[&NUMBERS.to_string()]) else {
        return;
    };
    let mut random = Random(8785);
    let mut block = Vec::new();
    let mut expected = expected.lines();
    for at in 1..=NUMBERS {
        block.extend(canonical_json(&number(at, &mut random)).unwrap());
        block.push(b'\n');
        if at % 1000 == 0 {
            let said = expected.next().expect("one hash for every thousand");
            let lines = String::from_utf8_lossy(&block);
            assert_eq!(
                sha256(&block).to_string(),
                said,
                "the thousand up to {at}:\n{lines}"
            );
            block.clear();
        }
    }
    assert_eq!(expected.next(), None);
    say(&format!("aar: {NUMBERS} numbers as Node writes them"));
}
