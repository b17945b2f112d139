//! A server that nobody vouches for gets no alert.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::common::{alert, all_of};
use machine_driver_alert::{AlertError, Alerter, Webhook};

#[test]
fn a_certificate_that_is_its_own_witness_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some((mut child, port, mut output)) = serve(folder.path()) else {
        println!("SKIP: no openssl to serve TLS with");
        return;
    };
    let sink = Webhook::new(&format!("https://localhost:{port}/hush"), None).unwrap();
    let error = sink.send(&alert(1, "a text for nobody else")).unwrap_err();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(error, AlertError::Temporary { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(!all_of(&error).contains("hush"));
    let mut received = String::new();
    output.read_to_string(&mut received).unwrap();
    assert!(!received.contains("a text"), "{received}");
}

/// openssl as a server that prints what it receives.
fn serve(folder: &Path) -> Option<(Child, u16, BufReader<ChildStdout>)> {
    let make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
                -addext subjectAltName=DNS:localhost -days 2 -keyout key -out cert";
    let made = Command::new("openssl")
        .args(make.split_whitespace())
        .current_dir(folder)
        .output()
        .ok()?;
    assert!(made.status.success(), "{made:?}");
    let mut child = Command::new("openssl")
        .args(["s_server", "-accept", "0", "-key", "key", "-cert", "cert"])
        .current_dir(folder)
        .stdin(Stdio::piped()) // at its end the server ends
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut output = BufReader::new(child.stdout.take()?);
    let mut line = String::new();
    while !line.starts_with("ACCEPT") {
        line.clear();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "it says where it listens"
        );
    }
    let port = line
        .trim()
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    Some((child, port.unwrap(), output))
}
