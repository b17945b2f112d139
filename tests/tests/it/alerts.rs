//! A person is told when something needs them: at least once, with the same id, and never at the loop's expense.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use machine_driver_tests::{Answer, Bot, Ended, Place, Running, TIME_MAX, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

const TOKEN: &str = "123456:AAnotasecretbutshapedlikeone_abcdefgh";

/// One task that never passes; the worker tells what it knows of the token.
fn place() -> Place {
    Place::new(&json!({
        "worker_cmd": "env | grep -i telegram; true", "verify_cmd": "false", "max_attempts": 1,
        "tasks": [{ "id": "never", "goal": "x" }],
    }))
}

fn with_bot(place: &Place, arguments: &[&str], url: &str) -> Command {
    let mut command = place.command(arguments);
    command
        .env("TELEGRAM_BOT_TOKEN", TOKEN)
        .env("TELEGRAM_CHAT_ID", "42")
        .env("TELEGRAM_API_URL", url);
    command
}

#[track_caller]
fn run_with(place: &Place, bot: &Bot) -> Ended {
    Running::start(with_bot(place, &["run"], &bot.url())).wait(TIME_MAX)
}

/// The ids of the alerts that were raised, and of those that were delivered.
fn ids(place: &Place) -> (Vec<Value>, Vec<Value>) {
    let history = place.history();
    let of = |event: &str| history.of(event).map(|record| record["id"].clone()).collect();
    (of("alert_raised"), of("alert_delivered"))
}

#[test]
fn a_quarantine_is_told_through_telegram() {
    let (place, bot) = (place(), Bot::start(&[]));
    let ended = run_with(&place, &bot);
    ended.exits(3);
    let requests = bot.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].path, format!("/bot{TOKEN}/sendMessage"));
    assert_eq!(requests[0].body["chat_id"], "42");
    let text = requests[0].body["text"].as_str().unwrap();
    assert!(
        text.contains("QUARANTINED never") && text.contains("exit 1"),
        "{text}"
    );
    let (raised, delivered) = ids(&place);
    assert_eq!((raised.len(), &raised), (1, &delivered));
    assert!(
        text.contains(raised[0].as_str().unwrap()),
        "the id goes with it: {text}"
    );
    assert_eq!(place.history().names().last(), Some(&"goal_complete"));
    // The token is nowhere: not in what is printed, logged or given to a worker.
    let secret = &TOKEN[7..];
    assert!(!ended.text().contains(secret));
    let grep = Command::new("grep")
        .args(["-r", secret])
        .arg(place.folder())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "");
    place.holds();
}

#[test]
fn a_dead_network_loses_no_alert() {
    let place = place();
    // A port that nobody listens on.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let ended = Running::start(with_bot(&place, &["run"], &url)).wait(TIME_MAX);
    ended.exits(3).says(&["telegram"]);
    assert!(!ended.text().contains(&TOKEN[7..]));
    let (raised, delivered) = ids(&place);
    assert_eq!((raised.len(), delivered.len()), (1, 0));
    place.holds();
    place.run(["status"]).exits(0).says(&["1 waiting"]);
    // The network is back.
    let bot = Bot::start(&[]);
    run_with(&place, &bot).exits(3);
    assert_eq!(ids(&place), (raised.clone(), raised.clone()));
    let text = bot.requests()[0].body["text"].as_str().unwrap().to_owned();
    assert!(text.contains(raised[0].as_str().unwrap()));
    run_with(&place, &bot).exits(3);
    assert_eq!(bot.requests().len(), 1, "told once");
    place.holds();
}

#[test]
fn a_bot_that_is_busy_broken_or_babbling_gets_it_in_the_end() {
    let answers = [Answer::TooMany, Answer::Garbage, Answer::Closed];
    for answer in answers {
        let (place, bot) = (place(), Bot::start(&[answer]));
        run_with(&place, &bot).exits(3);
        let requests = bot.requests();
        assert!(requests.len() >= 2, "{answer:?}");
        assert_eq!(requests[0].body["text"], requests[1].body["text"], "{answer:?}");
        let (raised, delivered) = ids(&place);
        assert_eq!(raised, delivered, "{answer:?}");
        place.holds();
    }
}

#[test]
fn a_killed_driver_sends_it_again_with_the_same_id() {
    let (place, bot) = (place(), Bot::start(&[Answer::Silent]));
    let run = Running::start(with_bot(&place, &["run"], &bot.url()));
    wait_until("the request", Duration::from_secs(30), || {
        bot.requests().len() == 1
    });
    run.kill();
    let (raised, delivered) = ids(&place);
    assert_eq!((raised.len(), delivered.len()), (1, 0));
    let ended = (0..10)
        .map(|_| run_with(&place, &bot))
        .find(|ended| ended.code != 11);
    ended.unwrap().exits(3);
    assert_eq!(ids(&place), (raised.clone(), raised));
    let texts: Vec<Value> = bot
        .requests()
        .iter()
        .map(|request| request.body["text"].clone())
        .collect();
    assert_eq!(texts.len(), 2);
    assert_eq!(texts[0], texts[1]);
    place.holds();
}

#[test]
fn a_silent_bot_holds_up_neither_the_loop_nor_a_signal() {
    let place = Place::new(&json!({
        "worker_cmd": "date +%s%N >> times.txt; test $MACHINE_TASK_ID != last || sleep 60", "verify_cmd": "test $MACHINE_TASK_ID != never",
        "max_attempts": 1, "tasks": [{ "id": "never", "goal": "x" }, { "id": "b", "goal": "x" }, { "id": "last", "goal": "x" }],
    }));
    let bot = Bot::start(&[Answer::Silent; 9]);
    let run = Running::start(with_bot(&place, &["run"], &bot.url()));
    wait_until("the last worker", Duration::from_secs(20), || {
        place.text("repo/times.txt").lines().count() == 3
    });
    assert_eq!(place.status("b"), "done", "the loop goes on");
    let asked = Instant::now();
    run.signal(Signal::INT);
    run.wait(TIME_MAX).exits(130);
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    place.holds();
}

#[test]
fn a_command_gets_the_alert_as_json() {
    let place = place();
    let script = "cat > alert.json; echo \"$1\" > argument.txt";
    let mut goal = place.json();
    goal["alerts"] = json!({ "command": ["sh", "-c", script, "sh", "a b; touch evil"] });
    place.write(&goal);
    place.run(["run"]).exits(3);
    let find = |name: &str| {
        let (here, there) = (place.text(name), place.text(&format!("repo/{name}")));
        if here.is_empty() { there } else { here }
    };
    let alert: Value = serde_json::from_str(&find("alert.json")).unwrap();
    assert_eq!(
        (&alert["kind"], &alert["task"], &alert["goal"]),
        (&json!("quarantine"), &json!("never"), &json!("g"))
    );
    assert_eq!(find("argument.txt"), "a b; touch evil\n");
    assert!(!place.path("evil").exists() && !place.path("repo/evil").exists());
    let (raised, delivered) = ids(&place);
    assert_eq!((json!([alert["id"]]), &raised), (json!(raised), &delivered));
    place.holds();
}

#[test]
fn a_webhook_gets_the_alert_signed() {
    let (place, bot) = (place(), Bot::start(&[Answer::Broken]));
    let key = place.path("secret");
    fs::write(&key, "a secret\n").unwrap();
    let mut goal = place.json();
    goal["alerts"] =
        json!({ "webhook": { "url": format!("{}/hook?x=1", bot.url()), "secret_file": "secret" } });
    place.write(&goal);
    // A key that others can read is no key.
    place.run(["run"]).exits(10).says(&["chmod 600"]);
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    place.run(["run"]).exits(3);
    let requests = bot.requests();
    assert_eq!(requests.len(), 2);
    let header = |name: &str| {
        let found = requests[1].headers.iter().find_map(|header| {
            let (key, value) = header.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        });
        found.unwrap_or_else(|| panic!("no {name}: {:?}", requests[1].headers))
    };
    assert_eq!(requests[1].path, "/hook?x=1");
    assert_eq!(json!(header("X-Machine-Driver-Alert")), requests[1].body["id"]);
    assert!(header("X-Machine-Driver-Signature").starts_with("sha256="));
    assert!(header("X-Machine-Driver-Timestamp").parse::<u64>().is_ok());
    place.holds();
}

#[test]
fn what_is_named_and_cannot_be_set_up_is_refused() {
    let place = place();
    let mut goal = place.json();
    goal["alerts"] = json!({ "telegram": { "chat_ids": [7], "token_file": "nowhere" } });
    place.write(&goal);
    place.run(["run"]).exits(10).says(&["nowhere"]);
    assert!(!place.path("driver-log.jsonl").exists() || place.history().0.is_empty());
}

#[test]
fn an_alert_is_told_again_only_after_the_task_was_put_back() {
    let place = place();
    place.run(["run"]).exits(3);
    place.run(["run"]).exits(3);
    assert_eq!(place.history().count("alert_raised"), 1);
    assert_eq!(
        place.history().of("alert_raised").next().unwrap()["sinks"],
        json!(["printed"])
    );
    place.run(["retry", "never"]).exits(0);
    place.run(["run"]).exits(3);
    let history = place.history();
    assert_eq!(
        (history.count("alert_resolved"), history.count("alert_raised")),
        (1, 2)
    );
    place.holds();
}
