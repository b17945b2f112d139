//! The webhook against a server of our own, and its signature against another program's.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::{Reply, Server, alert, all_of, answer, id};
use machine_driver_alert::{
    Alert, AlertError, Alerter, Settings, SetupError, Webhook, WebhookSettings, sinks,
};

const KEY: &str = "correct horse battery staple";

#[test]
fn an_alert_is_posted_and_signed() {
    let server = Server::start([answer(204, "")]);
    let sink = Webhook::new(&format!("{}/in?key=hush", server.url()), Some(KEY.as_bytes())).unwrap();
    let sent = alert(1, "it failed\nthree times");
    sink.send(&sent).unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.line, "POST /in?key=hush HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-machine-driver-alert"), Some(id(1).as_str()));
    assert_eq!(serde_json::from_slice::<Alert>(&request.body).unwrap(), sent);
    let stamp = request.header("x-machine-driver-timestamp").unwrap();
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - stamp.parse::<u64>().unwrap();
    assert!(age < 600, "{age}");
    let signature = request.header("x-machine-driver-signature").unwrap();
    match openssl(&[stamp.as_bytes(), b".", &request.body].concat()) {
        Some(theirs) => assert_eq!(signature, format!("sha256={theirs}")),
        None => println!("SKIP: no openssl to check the signature with"),
    }
}

/// The HMAC as another program computes it.
fn openssl(signed: &[u8]) -> Option<String> {
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", KEY])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(signed).unwrap();
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    output.trim().rsplit_once(' ').map(|(_, hex)| hex.to_owned())
}

#[test]
fn without_a_key_nothing_is_signed_and_userinfo_is_a_header() {
    let server = Server::start([answer(200, "ok")]);
    let url = server.url().replace("http://", "http://user:pass@");
    Webhook::new(&url, None).unwrap().send(&alert(1, "text")).unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.header("x-machine-driver-signature"), None);
    assert_eq!(request.header("authorization"), Some("Basic dXNlcjpwYXNz"));
    assert_eq!(request.line, "POST / HTTP/1.1");
}

/// One reply, and the error that it leads to: with nothing of the URL but scheme and host.
fn refused(reply: Reply) -> AlertError {
    let server = Server::start([reply]);
    let url = server.url().replace("http://", "http://user:hush@") + "/hush?key=hush";
    let sink = Webhook::new(&url, Some(b"hush")).unwrap();
    let error = sink.send(&alert(1, "text")).unwrap_err();
    let shown = format!("{} {sink:?}", all_of(&error));
    assert!(!shown.contains("hush"), "{shown}");
    assert!(error.to_string().contains(&server.url()), "{error}");
    error
}

#[test]
fn what_the_far_end_says_decides_when_to_come_back() {
    for status in [429, 503] {
        let error = refused(Reply::Answer(status, "Retry-After: 12\r\n".into(), String::new()));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(12)));
        let date = "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n".to_owned();
        let error = refused(Reply::Answer(status, date, String::new()));
        assert!(matches!(error, AlertError::Temporary { .. }), "{error:?}");
    }
    for temporary in [
        answer(500, "hush"),
        answer(408, ""),
        Reply::Close,
        Reply::Raw(b"garbage\r\n\r\n".to_vec()),
    ] {
        assert!(matches!(refused(temporary), AlertError::Temporary { .. }));
    }
    for status in [400, 401, 403, 404, 410] {
        assert!(matches!(
            refused(answer(status, "hush")),
            AlertError::Permanent { .. }
        ));
    }
    let elsewhere = Server::start([answer(200, "")]);
    for status in [301, 302, 303, 307, 308] {
        let to = format!("Location: {}/hush\r\n", elsewhere.url());
        let error = refused(Reply::Answer(status, to, String::new()));
        assert!(matches!(error, AlertError::Permanent { .. }), "{error:?}");
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn a_huge_answer_is_not_read() {
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 50_000_000]].concat();
    let server = Server::start([Reply::Raw(endless)]);
    Webhook::new(&server.url(), None)
        .unwrap()
        .send(&alert(1, "text"))
        .unwrap();
}

#[test]
fn a_hostile_text_arrives_escaped_and_cut() {
    let server = Server::start([answer(200, "")]);
    let sink = Webhook::new(&server.url(), None).unwrap();
    sink.send(&alert(1, &format!("\u{202e}\0{}", "\u{9b}x\n".repeat(300_000))))
        .unwrap();
    let request = &server.requests()[0];
    let sent: Alert = serde_json::from_slice(&request.body).unwrap();
    assert!(
        sent.text.starts_with("\\u{202e}\\u{0}\\u{9b}x\n"),
        "{:.60}",
        sent.text
    );
    assert!(sent.text.ends_with('…') && request.body.len() < 64 * 1024);
    assert!(sent.text.chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn settings() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, format!("{KEY}\n")).unwrap();
    let set_up = |url: &str| -> Result<Vec<Arc<dyn Alerter>>, SetupError> {
        let webhook = WebhookSettings {
            url: url.to_owned(),
            secret_file: Some(path.clone()),
        };
        assert!(!format!("{webhook:?}").contains("hush"));
        let settings = Settings {
            webhook: Some(webhook),
            ..Settings::default()
        };
        sinks(&settings, &|_| None)
    };
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = set_up("https://example.org/hush").unwrap_err();
    assert_eq!(error.next_step(), format!("chmod 600 {}", path.display()));
    assert!(
        error.to_string().contains("alerts.webhook.secret_file"),
        "{error}"
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let all = set_up("https://example.org/hush").unwrap();
    assert_eq!(all[0].name(), "webhook");
    let shown = format!("{all:?}");
    assert!(!shown.contains("hush") && !shown.contains("horse"), "{shown}");
    let error = set_up("file:///hush").unwrap_err();
    assert!(
        all_of(&error).contains("alerts.webhook.url") && !all_of(&error).contains("hush"),
        "{error:?}"
    );
}
