use machine_driver_state::change::Change;
use machine_driver_state::id::{Digest, TaskId};
use machine_driver_state::time::Timestamp;

use super::*;

fn id(digit: &str) -> ObjectId {
    ObjectId::new(&digit.repeat(40)).unwrap()
}

fn order() -> CommitOrder {
    CommitOrder {
        task: TaskId::new("t").unwrap(),
        idempotency_key: Digest::from_bytes([1; 32]),
        contract: Digest::from_bytes([2; 32]),
        record: Digest::from_bytes([3; 32]),
        at: Timestamp::from_millis(1_999),
        change: Change {
            reference: RefName::new("refs/heads/main").unwrap(),
            parent: Some(id("a")),
            tree: id("b"),
            paths: 1,
        },
        left_over: vec![TaskId::new("gone").unwrap()],
    }
}

fn listed(id: &ObjectId, tree: &ObjectId, parent: &str, message: &str) -> String {
    format!("{id}\0{tree}\0{parent}\0{message}\0\n")
}

#[test]
fn only_the_very_order_is_found_again() {
    let order = order();
    let parent = id("a").to_string();
    let other = listed(&id("1"), &id("b"), &parent, "fix\n\nMachine-Driver-Key: x\n");
    let right = listed(&id("2"), &id("b"), &parent, &order.message());
    assert_eq!(find(format!("{other}{right}").as_bytes(), &order), Some(id("2")));

    let mut later = order.clone();
    later.record = Digest::from_bytes([4; 32]);
    let mentioned = format!("{}\nI read all that.\n", order.message());
    for (tree, parent, message) in [
        (id("c"), parent.as_str(), order.message()),
        (id("b"), "", order.message()),
        (id("b"), parent.as_str(), later.message()),
        (id("b"), parent.as_str(), mentioned),
    ] {
        assert_eq!(
            find(listed(&id("2"), &tree, parent, &message).as_bytes(), &order),
            None,
            "{message}"
        );
    }
    assert_eq!(find(b"", &order), None);
}
