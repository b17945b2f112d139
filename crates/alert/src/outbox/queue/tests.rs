use super::*;
use machine_driver_state::alert::AlertKind;
use machine_driver_state::time::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

fn id(number: u32) -> AlertId {
    AlertId::new(&format!("{number:032x}")).unwrap()
}

fn entry(number: u32) -> Entry {
    Entry {
        alert: Arc::new(Alert {
            id: id(number),
            kind: AlertKind::Tampering,
            goal: "goal".to_owned(),
            task: None,
            text: "text".to_owned(),
            at: Timestamp::from_millis(0),
        }),
        names: Box::new([Arc::from("sink")]),
        tries: 0,
    }
}

fn queue(numbers: impl IntoIterator<Item = u32>, now: Instant) -> Queue {
    let mut queue = Queue::default();
    for number in numbers {
        assert!(queue.push(entry(number), now));
    }
    queue
}

/// Runs the queue for so long against a far end; gives the alerts that were delivered, in order, and all attempts.
fn run(
    queue: &mut Queue,
    now: &mut Instant,
    lasting: Duration,
    far_end: &mut dyn FnMut(&AlertId) -> Result<(), AlertError>,
) -> (Vec<AlertId>, Vec<AlertId>) {
    let end = *now + lasting;
    let (mut delivered, mut tried) = (Vec::new(), Vec::new());
    while *now < end {
        match queue.next(*now) {
            Next::Idle => break,
            Next::Wait(wait) => {
                assert!(wait > Duration::ZERO, "a wait of nothing spins");
                *now += wait;
            }
            Next::Send(attempt) => {
                let id = attempt.entry.alert.id.clone();
                let sent = far_end(&id);
                tried.push(id.clone());
                if queue.settle(attempt, &sent, *now) == Outcome::Delivered {
                    delivered.push(id);
                }
            }
        }
    }
    *now = end;
    (delivered, tried)
}

fn down(_: &AlertId) -> Result<(), AlertError> {
    Err(AlertError::temporary("no network"))
}

#[test]
fn order_is_kept() {
    let mut now = Instant::now();
    let mut queue = queue(0..5, now);
    let (delivered, _) = run(&mut queue, &mut now, SECOND, &mut |_| Ok(()));
    assert_eq!(delivered, (0..5).map(id).collect::<Vec<_>>());
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_day_without_network_loses_nothing_and_keeps_the_order() {
    let mut now = Instant::now();
    let mut queue = queue(0..5, now);
    let (delivered, tried) = run(&mut queue, &mut now, 86_400 * SECOND, &mut down);
    assert!(delivered.is_empty());
    // One attempt in four to five minutes, and a dozen at first.
    assert!((280..400).contains(&tried.len()), "{}", tried.len());
    assert_eq!(queue.len(), 5);
    let (delivered, _) = run(&mut queue, &mut now, 301 * SECOND, &mut |_| Ok(()));
    let mut sorted = delivered.clone();
    sorted.sort();
    assert_eq!(sorted, (0..5).map(id).collect::<Vec<_>>());
    // Only a probe can get ahead of the head, and only one.
    let inversions = delivered.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!(inversions <= 1, "{delivered:?}");
}

#[test]
fn a_short_outage_changes_no_order() {
    let mut now = Instant::now();
    let mut queue = queue(0..5, now);
    let mut left = 4;
    let (delivered, tried) = run(&mut queue, &mut now, 60 * SECOND, &mut |_| {
        left -= 1;
        if left >= 0 {
            Err(AlertError::temporary("500"))
        } else {
            Ok(())
        }
    });
    assert_eq!(delivered, (0..5).map(id).collect::<Vec<_>>());
    assert_eq!(tried.len(), 9);
}

#[test]
fn an_alert_that_cannot_be_sent_does_not_block_the_others_and_is_tried_rarely() {
    let mut now = Instant::now();
    let mut queue = queue(0..5, now);
    let mut refuse = |number: &AlertId| match number == &id(0) {
        true => Err(AlertError::permanent("403")),
        false => Ok(()),
    };
    let (delivered, tried) = run(&mut queue, &mut now, 60 * SECOND, &mut refuse);
    assert_eq!(delivered, (1..5).map(id).collect::<Vec<_>>());
    assert_eq!(tried.len(), 5);
    let (_, tried) = run(&mut queue, &mut now, 6 * 3600 * SECOND, &mut refuse);
    assert!((10..14).contains(&tried.len()), "{}", tried.len());
    let (delivered, _) = run(&mut queue, &mut now, 3600 * SECOND, &mut |_| Ok(()));
    assert_eq!(delivered, [id(0)]);
}

#[test]
fn a_poisonous_alert_is_told_from_a_far_end_that_is_down() {
    let mut now = Instant::now();
    let mut queue = queue(0..5, now);
    let mut poison = |number: &AlertId| match number == &id(0) || number == &id(1) {
        true => Err(AlertError::temporary("500")),
        false => Ok(()),
    };
    let (delivered, _) = run(&mut queue, &mut now, 600 * SECOND, &mut poison);
    assert_eq!(delivered.len(), 3, "{queue:?}");
    // One that comes later does not wait for the poisonous ones either.
    assert!(queue.push(entry(9), now));
    let (delivered, _) = run(&mut queue, &mut now, 30 * SECOND, &mut poison);
    assert_eq!(delivered, [id(9)]);
    let (delivered, _) = run(&mut queue, &mut now, 7200 * SECOND, &mut |_| Ok(()));
    assert_eq!(delivered.len(), 2);
}

#[test]
fn a_new_alert_does_not_sit_out_the_pause_of_a_stubborn_one() {
    let mut now = Instant::now();
    let mut queue = queue([0], now);
    let mut poison = |number: &AlertId| match number == &id(0) {
        true => down(number),
        false => Ok(()),
    };
    run(&mut queue, &mut now, 7200 * SECOND, &mut poison);
    assert!(queue.push(entry(1), now));
    let (delivered, _) = run(&mut queue, &mut now, 11 * SECOND, &mut poison);
    assert_eq!(delivered, [id(1)]);
}

#[test]
fn a_wrong_token_is_not_hammered() {
    let mut now = Instant::now();
    let mut queue = queue(0..1000, now);
    let (_, tried) = run(&mut queue, &mut now, 3600 * SECOND, &mut |_| {
        Err(AlertError::permanent("401"))
    });
    assert!(tried.len() <= 3600 / 8 + 10, "{}", tried.len());
    assert_eq!(queue.len(), 1000);
}

#[test]
fn a_far_end_is_given_the_time_it_asks_for_up_to_an_hour() {
    let start = Instant::now();
    for (asked, kept) in [(7, 7), (0, 1), (1_000_000, 3600)] {
        let mut queue = queue(0..2, start);
        let Next::Send(attempt) = queue.next(start) else {
            panic!("nothing to send")
        };
        let (after, reason) = (asked * SECOND, "429".to_owned());
        let outcome = queue.settle(attempt, &Err(AlertError::Wait { after, reason }), start);
        let next_in = kept * SECOND;
        assert_eq!(outcome, Outcome::Failing { next_in });
        assert!(queue.push(entry(2), start), "nothing new cuts it short");
        assert!(matches!(queue.next(start), Next::Wait(wait) if wait == next_in));
    }
}

#[test]
fn pace_is_no_attempt() {
    let now = Instant::now();
    let mut queue = queue([0], now);
    let Next::Send(attempt) = queue.next(now) else {
        panic!("nothing to send")
    };
    let after = SECOND;
    assert_eq!(
        queue.settle(attempt, &Err(AlertError::Paced { after }), now),
        Outcome::Paced
    );
    assert!(matches!(queue.next(now), Next::Wait(wait) if wait == SECOND));
    assert!(matches!(queue.next(now + SECOND), Next::Send(attempt) if attempt.entry.tries == 0));
}

#[test]
fn no_more_than_it_may_hold() {
    let now = Instant::now();
    let mut queue = queue(0..u32::try_from(HELD_MAX).unwrap(), now);
    assert!(!queue.push(entry(7), now));
    let Next::Send(attempt) = queue.next(now) else {
        panic!("nothing to send")
    };
    assert!(!queue.push(entry(7), now), "the one on its way still counts");
    assert_eq!(queue.settle(attempt, &Ok(()), now), Outcome::Delivered);
    assert!(queue.push(entry(7), now));
}

#[test]
fn backoff_grows_from_a_second_to_five_minutes() {
    let mut others = std::collections::BTreeSet::new();
    for number in 0..50 {
        let mut full = 1.0_f64;
        for failures in 1..30 {
            let pause = backoff(&id(number), failures).as_secs_f64();
            assert!(
                pause >= (full * 0.8).max(1.0) && pause <= full,
                "{failures}: {pause}"
            );
            full = (full * 2.0).min(300.0);
        }
        others.insert(backoff(&id(number), 12));
        assert_eq!(backoff(&id(number), u32::MAX), backoff(&id(number), u32::MAX));
    }
    assert!(others.len() > 30, "alerts come back at different times");
}
