//! The outbox with sinks of our own, and what is always there.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::common::{alert, id};
use machine_driver_alert::{Alert, AlertError, AlertId, Alerter, Event, Outbox, Printed, Settings, sinks};

type Answer = Box<dyn Fn(&Alert) -> Result<(), AlertError> + Send + Sync>;

/// Notes what it is given and answers as it is told.
struct Fake {
    name: &'static str,
    seen: Mutex<Vec<AlertId>>,
    answer: Answer,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Alerter for Fake {
    fn name(&self) -> &str {
        self.name
    }

    fn send(&self, alert: &Alert) -> Result<(), AlertError> {
        self.seen.lock().unwrap().push(alert.id.clone());
        (self.answer)(alert)
    }
}

fn fake(
    name: &'static str,
    answer: impl Fn(&Alert) -> Result<(), AlertError> + Send + Sync + 'static,
) -> Arc<Fake> {
    Arc::new(Fake {
        name,
        seen: Mutex::default(),
        answer: Box::new(answer),
    })
}

fn start(fakes: &[Arc<Fake>]) -> (Outbox, mpsc::Receiver<Event>) {
    let sinks = fakes
        .iter()
        .map(|fake| Arc::clone(fake) as Arc<dyn Alerter>)
        .collect();
    let (told, events) = mpsc::channel();
    let outbox = Outbox::start(sinks, move |event| {
        let _ = told.send(event);
    });
    (outbox.unwrap(), events)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn next(events: &mpsc::Receiver<Event>) -> Event {
    events.recv_timeout(Duration::from_secs(60)).unwrap()
}

fn delivered(number: u32, sink: &str, tries: u32) -> Event {
    let (id, sink) = (id(number), sink.to_owned());
    Event::Delivered { id, sink, tries }
}

#[test]
fn each_sink_gets_what_is_meant_for_it_in_order() {
    let (a, b) = (fake("a", |_| Ok(())), fake("b", |_| Ok(())));
    let (outbox, _) = start(&[Arc::clone(&a), Arc::clone(&b)]);
    assert_eq!(outbox.names(), ["a", "b"]);
    for number in 0..200 {
        outbox.submit(alert(number, "text"), &names(&["a", "b", "a"]));
    }
    outbox.submit(alert(900, "text"), &names(&["b"]));
    outbox.submit(alert(901, "text"), &[]);
    assert_eq!(outbox.drain(Duration::from_secs(60)), 0);
    let all: Vec<AlertId> = (0..200).map(id).collect();
    assert_eq!(*a.seen.lock().unwrap(), all);
    assert_eq!(*b.seen.lock().unwrap(), [all, vec![id(900)]].concat());
}

#[test]
fn a_sink_that_is_gone_is_stood_in_for_under_its_name() {
    let (a, b) = (fake("a", |_| Ok(())), fake("b", |_| Ok(())));
    let (outbox, events) = start(&[Arc::clone(&a), Arc::clone(&b)]);
    outbox.submit(alert(1, "text"), &names(&["gone"]));
    assert_eq!(next(&events), delivered(1, "gone", 1));
    outbox.submit(alert(2, "text"), &names(&["gone", "a", "lost"]));
    for name in ["gone", "a", "lost"] {
        assert_eq!(next(&events), delivered(2, name, 1));
    }
    assert_eq!(*a.seen.lock().unwrap(), [id(1), id(2)], "once each");
    assert!(b.seen.lock().unwrap().is_empty());
}

#[test]
fn a_failure_is_told_and_tried_again_with_the_same_id() {
    let left = Mutex::new(2);
    let sink = fake("a", move |_| {
        let mut left = left.lock().unwrap();
        *left -= 1;
        match *left {
            1 => Err(AlertError::temporary("no network")),
            0 => Err(AlertError::Paced {
                after: Duration::from_millis(20),
            }),
            _ => Ok(()),
        }
    });
    let (outbox, events) = start(&[Arc::clone(&sink)]);
    outbox.submit(alert(1, "text"), &outbox.names());
    let Event::Failing {
        tries,
        error,
        next_in,
        ..
    } = next(&events)
    else {
        panic!("a failure first")
    };
    assert_eq!(
        (tries, &*error, next_in),
        (1, "no network", Duration::from_secs(1))
    );
    assert_eq!(next(&events), delivered(1, "a", 2), "being held back is no try");
    assert_eq!(*sink.seen.lock().unwrap(), [id(1), id(1), id(1)]);
    assert_eq!(outbox.drain(Duration::ZERO), 0);
}

#[test]
fn the_whole_cause_is_told() {
    let sink = fake("a", |_| {
        Err(AlertError::Permanent {
            reason: "could not start it".to_owned(),
            source: Some(io::Error::from(io::ErrorKind::NotFound)),
        })
    });
    let (outbox, events) = start(&[sink]);
    outbox.submit(alert(1, "text"), &outbox.names());
    let Event::Failing { error, next_in, .. } = next(&events) else {
        panic!("it cannot work")
    };
    assert_eq!(error, "could not start it: entity not found");
    assert_eq!(next_in, Duration::from_secs(1800));
}

#[test]
fn a_panic_is_a_failure_and_no_end() {
    let first = AtomicBool::new(true);
    let sink = fake("a", move |_| {
        assert!(!first.swap(false, Ordering::SeqCst), "hush: panics once");
        Ok(())
    });
    let (outbox, events) = start(&[sink]);
    outbox.submit(alert(1, "text"), &outbox.names());
    let told = next(&events);
    assert!(
        matches!(&told, Event::Failing { error, .. } if error == "the sink panicked"),
        "{told:?}"
    );
    assert_eq!(next(&events), delivered(1, "a", 2));
}

#[test]
fn who_is_told_cannot_end_the_sending() {
    let sink = fake("a", |_| Ok(()));
    let outbox = Outbox::start(vec![Arc::clone(&sink) as Arc<dyn Alerter>], |_| panic!("told"));
    let outbox = outbox.unwrap();
    outbox.submit(alert(1, "text"), &outbox.names());
    outbox.submit(alert(2, "text"), &outbox.names());
    assert_eq!(outbox.drain(Duration::from_secs(60)), 0);
    assert_eq!(*sink.seen.lock().unwrap(), [id(1), id(2)]);
}

/// A sink that is stuck until it is let go.
fn stuck(name: &'static str) -> (Arc<Fake>, impl Fn()) {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let theirs = Arc::clone(&gate);
    let sink = fake(name, move |_| {
        let open = theirs.0.lock().unwrap();
        drop(theirs.1.wait_while(open, |open| !*open).unwrap());
        Ok(())
    });
    let let_go = move || {
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
    };
    (sink, let_go)
}

#[test]
fn a_stuck_sink_delays_no_other_and_holds_up_neither_submit_nor_drop() {
    let (slow, let_go) = stuck("slow");
    let quick = fake("quick", |_| Ok(()));
    let (outbox, events) = start(&[Arc::clone(&slow), quick]);
    for number in 0..50 {
        outbox.submit(alert(number, "text"), &outbox.names());
    }
    for number in 0..50 {
        assert_eq!(next(&events), delivered(number, "quick", 1));
    }
    assert_eq!(outbox.drain(Duration::from_millis(10)), 50);
    let begun = Instant::now();
    drop(outbox);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it does not wait for the stuck one"
    );
    let_go();
    // What was on its way is still told; nothing else is begun; the thread ends and lets go of the channel.
    assert_eq!(next(&events), delivered(0, "slow", 1));
    assert_eq!(
        events.recv_timeout(Duration::from_secs(60)),
        Err(mpsc::RecvTimeoutError::Disconnected)
    );
    assert_eq!(slow.seen.lock().unwrap().len(), 1);
}

#[test]
fn a_waiting_thread_ends_with_the_outbox() {
    let sink = fake("a", |_| {
        Err(AlertError::Wait {
            after: Duration::from_secs(3000),
            reason: "429".to_owned(),
        })
    });
    let (outbox, events) = start(&[sink]);
    outbox.submit(alert(1, "text"), &outbox.names());
    assert!(matches!(next(&events), Event::Failing { next_in, .. } if next_in == Duration::from_secs(3000)));
    drop(outbox);
    assert_eq!(
        events.recv_timeout(Duration::from_secs(60)),
        Err(mpsc::RecvTimeoutError::Disconnected)
    );
}

#[test]
fn a_hundred_thousand_are_held_and_what_finds_no_room_is_told() {
    let (sink, let_go) = stuck("a");
    let (outbox, events) = start(&[Arc::clone(&sink)]);
    let names = outbox.names();
    for number in 0..100_003 {
        outbox.submit(alert(number, "text"), &names);
    }
    let_go();
    assert_eq!(outbox.drain(Duration::from_secs(120)), 0);
    let (mut sent, mut refused) = (0, 0);
    for event in events.try_iter() {
        match event {
            Event::Delivered { .. } => sent += 1,
            Event::Full { refused: more, .. } => refused += more,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((sent, refused), (100_000, 3));
}

#[test]
fn two_sinks_with_one_name_are_refused() {
    let twins: Vec<Arc<dyn Alerter>> = vec![fake("a", |_| Ok(())), fake("a", |_| Ok(()))];
    let error = Outbox::start(twins, |_| {}).unwrap_err();
    assert!(error.to_string().contains("`a`"), "{error}");
}

#[test]
fn without_settings_there_is_no_sink() {
    assert!(sinks(&Settings::default(), &|_| None).unwrap().is_empty());
    let (outbox, _) = start(&[]);
    outbox.submit(alert(1, "text"), &names(&["telegram"]));
    assert_eq!(
        (outbox.names().len(), outbox.drain(Duration::from_secs(60))),
        (0, 0)
    );
}

#[cfg(not(any(feature = "telegram", feature = "webhook", feature = "command")))]
#[test]
fn a_sink_that_is_not_built_is_an_error() {
    use machine_driver_alert::{SetupError, TelegramSettings, WebhookSettings};
    let none = Settings::default;
    let telegram = Some(TelegramSettings::default());
    let command = Some(vec!["true".to_owned()]);
    let (url, secret_file) = ("https://example.org".to_owned(), None);
    let webhook = Some(WebhookSettings { url, secret_file });
    for settings in [
        Settings { telegram, ..none() },
        Settings { webhook, ..none() },
        Settings { command, ..none() },
    ] {
        let error = sinks(&settings, &|_| None).unwrap_err();
        assert!(matches!(error, SetupError::NotBuilt { .. }), "{error:?}");
    }
    let error = sinks(&none(), &|name| {
        (name == "TELEGRAM_BOT_TOKEN_FILE").then(|| "/x".into())
    });
    assert!(matches!(error, Err(SetupError::NotBuilt { sink: "telegram" })));
}

/// A writer that fails once.
struct Pen(Arc<Mutex<Vec<u8>>>, bool);

impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.1) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn printed_is_plain_text() {
    let paper = Arc::new(Mutex::new(Vec::new()));
    let sink = Printed::to(Pen(Arc::clone(&paper), true));
    let sent = alert(1, "it failed\u{1b}[2J\nthree times");
    assert!(matches!(sink.send(&sent), Err(AlertError::Temporary { .. })));
    sink.send(&sent).unwrap();
    let expected = "[quarantine] shop / t1\nit failed\\u{1b}[2J\nthree times\n\
                    id 00000000000000000000000000000001, 2026-11-22T10:00:00.123Z\n";
    assert_eq!(
        String::from_utf8(paper.lock().unwrap().clone()).unwrap(),
        expected
    );
    assert_eq!(
        (sink.name(), format!("{sink:?}")),
        ("printed", "Printed".to_owned())
    );
}
