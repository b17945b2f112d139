//! Telegram against a Bot API of our own.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::common::{Reply, Server, alert, all_of, answer, id};
use machine_driver_alert::{
    API_URL, Alert, AlertError, Alerter, Event, Outbox, Settings, SetupError, Telegram, TelegramSettings,
    sinks,
};

const KEY: &str = "ABC-DEF1234ghIkl-zyx57W2v1u123ew11";
const TOKEN: &str = "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11";
const OK: &str = r#"{"ok":true,"result":{"message_id":1}}"#;

fn sink(server: &Server, chats: &[&str]) -> Telegram {
    let chats: Vec<String> = chats.iter().map(|chat| (*chat).to_owned()).collect();
    Telegram::new(TOKEN, &chats, &server.url()).unwrap()
}

/// Sends, waiting out the pace.
fn send(sink: &dyn Alerter, alert: &Alert) -> Result<(), AlertError> {
    loop {
        match sink.send(alert) {
            Err(AlertError::Paced { after }) => std::thread::sleep(after),
            sent => return sent,
        }
    }
}

/// One reply, and the error that it leads to: with no token in it.
fn refused(reply: Reply) -> AlertError {
    let server = Server::start([reply]);
    let error = sink(&server, &["7"]).send(&alert(1, "text")).unwrap_err();
    let shown = all_of(&error);
    assert!(!shown.contains(KEY) && !shown.contains("bot123456"), "{shown}");
    error
}

#[test]
fn a_message_as_the_bot_api_wants_it() {
    let server = Server::start([answer(200, OK)]);
    let sink = sink(&server, &["-100200", "@ops"]);
    sink.send(&alert(1, "it *failed* _three_ times <b>\u{202e}\u{1b}[2J\0"))
        .unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for (request, chat) in requests.iter().zip(["-100200", "@ops"]) {
        assert_eq!(request.line, format!("POST /bot{TOKEN}/sendMessage HTTP/1.1"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        let text = "[quarantine] shop / t1\nit *failed* _three_ times <b>\\u{202e}\\u{1b}[2J\\u{0}\n\
                    id 00000000000000000000000000000001, 2026-11-22T10:00:00.123Z";
        let expected = serde_json::json!({
            "chat_id": chat, "text": text, "link_preview_options": {"is_disabled": true},
        });
        assert_eq!(request.json(), expected);
        let elsewhere = format!("{:?}{}", request.headers, String::from_utf8_lossy(&request.body));
        assert!(!elsewhere.contains(KEY), "the token is in the path only");
    }
    assert!(!format!("{sink:?}{sink:#?}").contains(KEY));
}

#[test]
fn a_long_text_is_cut_and_its_id_kept() {
    let server = Server::start([answer(200, OK)]);
    let sink = sink(&server, &["7"]);
    sink.send(&alert(5, &"😀".repeat(250_000))).unwrap();
    let text = server.requests()[0].json()["text"].as_str().unwrap().to_owned();
    let units = text.encode_utf16().count();
    assert!((3990..=4000).contains(&units), "{units}");
    assert!(text.contains('…') && text.contains(id(5).as_str()));
}

#[test]
fn what_the_far_end_says_decides_when_to_come_back() {
    let wait =
        r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":17}}"#;
    assert_eq!(
        refused(answer(429, wait)).retry_after(),
        Some(Duration::from_secs(17))
    );
    let header = Reply::Answer(429, "Retry-After: 9\r\n".into(), "nginx".into());
    assert_eq!(refused(header).retry_after(), Some(Duration::from_secs(9)));

    let huge = format!(r#"{{"ok":true,"x":"{}"}}"#, "x".repeat(10_000_000));
    for temporary in [
        answer(500, "oops"),
        answer(502, ""),
        answer(429, "later"),
        answer(200, "<html>a captive portal</html>"),
        answer(200, r#"{"ok":false}"#),
        answer(200, r#"{"ok":"true"}"#),
        answer(200, ""),
        answer(200, &huge),
        Reply::Raw(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"ok\":true".to_vec()),
        Reply::Raw([b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 1_000_000]].concat()),
        Reply::Raw(Vec::new()),
        Reply::Close,
    ] {
        let told = format!("{temporary:.80?}");
        let error = refused(temporary);
        assert!(matches!(error, AlertError::Temporary { .. }), "{told}: {error:?}");
    }
    for status in [400, 401, 403, 404, 413] {
        let body = format!(r#"{{"ok":false,"error_code":{status},"description":"Not\u001b[2J so"}}"#);
        let error = refused(answer(status, &body));
        assert!(matches!(error, AlertError::Permanent { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains(&status.to_string()) && text.contains("Not\\u{1b}[2J so"),
            "{text}"
        );
        assert!(text.contains("chat 7"), "{text}");
    }
}

#[test]
fn a_far_end_that_repeats_the_token_does_not_get_it_into_the_error() {
    let body = format!(r#"{{"ok":false,"description":"no route /bot{TOKEN}/sendMessage"}}"#);
    let error = refused(answer(400, &body));
    assert!(
        error.to_string().contains("no route /bot<token>/sendMessage"),
        "{error}"
    );
    let moved = r#"{"ok":false,"description":"upgraded","parameters":{"migrate_to_chat_id":-1005}}"#;
    assert!(
        refused(answer(400, moved))
            .to_string()
            .contains("chat id is -1005 now")
    );
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Server::start([answer(200, OK)]);
    for status in [301, 302, 303, 307, 308] {
        let to = format!("Location: {}/hush\r\n", elsewhere.url());
        let error = refused(Reply::Answer(status, to, OK.to_owned()));
        assert!(matches!(error, AlertError::Permanent { .. }), "{error:?}");
        assert!(!all_of(&error).contains("hush"));
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn silence_and_a_drip_end_in_time() {
    // Both wait for the limit of a whole call, 15 s, at the same time.
    let drip = std::thread::spawn(|| (refused(Reply::Drip), Instant::now()));
    let begun = Instant::now();
    let silence = refused(Reply::Silence);
    let (drip, ended) = drip.join().unwrap();
    assert!(ended - begun < Duration::from_secs(60) && begun.elapsed() < Duration::from_secs(60));
    for error in [silence, drip] {
        assert!(error.to_string().ends_with("no answer in time"), "{error}");
        assert!(matches!(error, AlertError::Temporary { .. }));
    }
}

#[test]
fn nobody_listens() {
    let url = Server::start([Reply::Close]).url(); // and is gone
    let sink = Telegram::new(TOKEN, &["7".to_owned()], &url).unwrap();
    let error = sink.send(&alert(1, "text")).unwrap_err();
    assert!(matches!(error, AlertError::Temporary { .. }), "{error:?}");
    assert!(error.to_string().contains(&url), "{error}");
}

#[test]
fn who_has_it_does_not_get_it_twice() {
    // To three chats: the second is refused once.
    let wait = r#"{"ok":false,"parameters":{"retry_after":1}}"#;
    let server = Server::start([answer(200, OK), answer(429, wait), answer(200, OK)]);
    let sink = sink(&server, &["1", "2", "3", "2"]);
    assert!(sink.send(&alert(1, "text")).unwrap_err().retry_after().is_some());
    send(&sink, &alert(1, "text")).unwrap();
    let chats: Vec<String> = server
        .requests()
        .iter()
        .map(|r| r.json()["chat_id"].as_str().unwrap().into())
        .collect();
    assert_eq!(chats, ["1", "2", "3", "2"]);
    // Once all have it, nothing is remembered: it would be sent again.
    send(&sink, &alert(1, "text")).unwrap();
    assert_eq!(server.requests().len(), 7);
}

#[test]
fn a_chat_gets_one_message_a_second_and_nothing_is_slept_through() {
    let server = Server::start([answer(200, OK)]);
    let sink = sink(&server, &["7"]);
    sink.send(&alert(1, "text")).unwrap();
    let error = sink.send(&alert(2, "text")).unwrap_err();
    assert!(
        matches!(error, AlertError::Paced { after } if after <= Duration::from_secs(1)),
        "{error:?}"
    );
    assert_eq!(server.requests().len(), 1);
    send(&sink, &alert(2, "text")).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn the_outbox_sends_all_in_order_with_the_same_id() {
    let wait = r#"{"ok":false,"parameters":{"retry_after":1}}"#;
    let server = Server::start([answer(500, ""), answer(429, wait), Reply::Close, answer(200, OK)]);
    let (told, events) = mpsc::channel();
    let outbox = Outbox::start(vec![Arc::new(sink(&server, &["7"]))], move |event| {
        let _ = told.send(event);
    });
    let outbox = outbox.unwrap();
    for number in 1..4 {
        outbox.submit(alert(number, "text"), &outbox.names());
    }
    assert_eq!(outbox.drain(Duration::from_secs(120)), 0);
    let texts = server
        .requests()
        .into_iter()
        .map(|r| r.json()["text"].to_string());
    let ids: Vec<u32> = texts
        .map(|text| (1..4).find(|n| text.contains(id(*n).as_str())).unwrap())
        .collect();
    assert_eq!(ids, [1, 1, 1, 2, 3]); // and one that was closed unread
    let events: Vec<Event> = events.try_iter().collect();
    let delivered = events
        .iter()
        .filter(|event| matches!(event, Event::Delivered { .. }))
        .count();
    assert_eq!((events.len(), delivered), (6, 3), "{events:?}");
    assert!(matches!(&events[3], Event::Delivered { id: first, tries: 4, .. } if *first == id(1)));
    assert!(!format!("{events:?}").contains(KEY));
}

#[test]
fn a_silent_far_end_holds_up_neither_submit_nor_drop() {
    let server = Server::start([Reply::Silence]);
    let outbox = Outbox::start(vec![Arc::new(sink(&server, &["7"]))], |_| {}).unwrap();
    let begun = Instant::now();
    for number in 0..1000 {
        outbox.submit(alert(number, "text"), &outbox.names());
    }
    while server.requests().is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the first is on its way"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(outbox);
    assert!(
        begun.elapsed() < Duration::from_secs(12),
        "well before the call's own limit of 15 s"
    );
}

type Variables = Vec<(&'static str, String)>;

fn set_up(settings: &Settings, variables: &Variables) -> Result<Vec<Arc<dyn Alerter>>, SetupError> {
    sinks(settings, &|name| {
        let mut variables = variables.iter();
        variables
            .find(|(known, _)| *known == name)
            .map(|(_, value)| OsString::from(value))
    })
}

fn from_env(variables: &Variables) -> Result<Vec<Arc<dyn Alerter>>, SetupError> {
    set_up(&Settings::default(), variables)
}

#[test]
fn the_environment_alone_is_enough() {
    let server = Server::start([answer(200, OK)]);
    let all = from_env(&vec![
        ("TELEGRAM_BOT_TOKEN", TOKEN.into()),
        ("TELEGRAM_CHAT_ID", "7, -8".into()),
        ("TELEGRAM_API_URL", format!("{}/", server.url())),
    ]);
    let all = all.unwrap();
    assert_eq!(
        all.iter().map(|sink| sink.name()).collect::<Vec<_>>(),
        ["telegram"]
    );
    all[0].send(&alert(1, "text")).unwrap();
    assert_eq!(server.requests().len(), 2);
    assert_eq!(
        server.requests()[1].line,
        format!("POST /bot{TOKEN}/sendMessage HTTP/1.1")
    );
    assert!(from_env(&vec![]).unwrap().is_empty());
    assert!(
        from_env(&vec![("TELEGRAM_BOT_TOKEN", String::new())])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn files_hold_what_the_settings_or_the_environment_name() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let server = Server::start([answer(200, OK)]);
    let token = write("token", &format!("{TOKEN}\n"), 0o600);
    let chat = write("chat", "7\n", 0o644);
    let all = from_env(&vec![
        ("TELEGRAM_BOT_TOKEN_FILE", token.to_str().unwrap().into()),
        ("TELEGRAM_CHAT_ID_FILE", chat.to_str().unwrap().into()),
        ("TELEGRAM_API_URL", server.url()),
    ]);
    all.unwrap()[0].send(&alert(1, "text")).unwrap();

    // The settings win over the environment.
    let settings = Settings {
        telegram: Some(TelegramSettings {
            chat_ids: vec!["9".into()],
            token_file: Some(token.clone()),
        }),
        ..Settings::default()
    };
    let other = vec![
        ("TELEGRAM_BOT_TOKEN", "9:99999999999999999999".to_owned()),
        ("TELEGRAM_CHAT_ID", "8".into()),
        ("TELEGRAM_API_URL", server.url()),
    ];
    set_up(&settings, &other).unwrap()[0]
        .send(&alert(1, "text"))
        .unwrap();
    let last = server.requests().pop().unwrap();
    assert_eq!(last.json()["chat_id"], "9");
    assert!(last.line.contains(TOKEN));

    let exposed = write("exposed", TOKEN, 0o644);
    let error = from_env(&vec![
        ("TELEGRAM_BOT_TOKEN_FILE", exposed.to_str().unwrap().into()),
        ("TELEGRAM_CHAT_ID", "7".into()),
    ]);
    let error = error.unwrap_err();
    assert_eq!(error.next_step(), format!("chmod 600 {}", exposed.display()));
    assert!(error.to_string().contains("TELEGRAM_BOT_TOKEN_FILE"), "{error}");
}

#[test]
fn what_is_asked_for_and_cannot_be_had_is_an_error() {
    let token = ("TELEGRAM_BOT_TOKEN", TOKEN.to_owned());
    let chat = ("TELEGRAM_CHAT_ID", "7".to_owned());
    let check = |variables: Variables, expected: &str| {
        let error = from_env(&variables).unwrap_err();
        let shown = format!("{} {}", all_of(&error), error.next_step());
        assert!(shown.contains(expected), "{shown}");
        assert!(!shown.contains(KEY) && !shown.contains("hush"), "{shown}");
    };
    check(vec![token.clone()], "TELEGRAM_CHAT_ID");
    check(vec![chat.clone()], "TELEGRAM_BOT_TOKEN");
    check(
        vec![("TELEGRAM_BOT_TOKEN", "hush".into()), chat.clone()],
        "TELEGRAM_BOT_TOKEN: it is not a bot token",
    );
    check(
        vec![("TELEGRAM_BOT_TOKEN", format!("{TOKEN}\n")), chat.clone()],
        "not a bot token",
    );
    check(
        vec![token.clone(), ("TELEGRAM_CHAT_ID", "7,".into())],
        "TELEGRAM_CHAT_ID: a chat is",
    );
    check(
        vec![
            token.clone(),
            ("TELEGRAM_BOT_TOKEN_FILE", "/x".into()),
            chat.clone(),
        ],
        "both set",
    );
    check(
        vec![("TELEGRAM_BOT_TOKEN_FILE", "/nowhere/x".into()), chat.clone()],
        "/nowhere/x",
    );
    for bad in [
        "http://example.org",
        "https://hush@example.org",
        "https://example.org/?x=hush",
        "hush",
    ] {
        check(
            vec![token.clone(), chat.clone(), ("TELEGRAM_API_URL", bad.into())],
            "TELEGRAM_API_URL",
        );
    }
    let settings = Settings {
        telegram: Some(TelegramSettings::default()),
        ..Settings::default()
    };
    assert!(matches!(set_up(&settings, &vec![]), Err(SetupError::NoToken)));
    assert!(matches!(set_up(&settings, &vec![token]), Err(SetupError::NoChat)));
    let many: Vec<String> = (0..21).map(|chat| chat.to_string()).collect();
    assert!(Telegram::new(TOKEN, &many, API_URL).is_err());
    assert!(Telegram::new(TOKEN, &many[..20], API_URL).is_ok());
}
