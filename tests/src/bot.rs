//! A Bot API of Telegram on loopback, as good or as bad as a test wants it.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// As Telegram does.
    Good,
    /// 429 with `retry_after` 1.
    TooMany,
    /// 502.
    Broken,
    /// Nothing for a minute.
    Silent,
    /// The connection is closed.
    Closed,
    /// Something that is not JSON.
    Garbage,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The path, which holds the token.
    pub path: String,
    /// The header lines.
    pub headers: Vec<String>,
    /// The body.
    pub body: Value,
    /// The body as it came.
    pub bytes: Vec<u8>,
}

/// The server. It ends with the test's process.
#[derive(Debug, Clone)]
pub struct Bot {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Bot {
    /// Answers the first requests like this, and all others well.
    ///
    /// # Panics
    /// Where no port can be had.
    #[must_use]
    pub fn start(answers: &[Answer]) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), answers)
    }

    /// The same on a port that was taken before.
    ///
    /// # Panics
    /// Where the port has no number.
    #[must_use]
    pub fn listen(listener: TcpListener, answers: &[Answer]) -> Self {
        let bot = Self {
            port: listener.local_addr().unwrap().port(),
            requests: Arc::default(),
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
        };
        let serving = bot.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let bot = serving.clone();
                thread::spawn(move || bot.serve(stream));
            }
        });
        bot
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it was asked so far, answered or not.
    ///
    /// # Panics
    /// Where a serving thread did.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let request = read(&mut reader)?;
            let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Good);
            self.requests.lock().unwrap().push(request);
            reply(&stream, answer)?;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        headers.push(line);
    }
    let length = headers.iter().find_map(|header| {
        header
            .to_lowercase()
            .strip_prefix("content-length:")?
            .trim()
            .parse()
            .ok()
    });
    let mut bytes = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut bytes).ok()?;
    Some(Request {
        path,
        headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
        bytes,
    })
}

fn reply(mut stream: &TcpStream, answer: Answer) -> Option<()> {
    let (status, body) = match answer {
        Answer::Good => ("200 OK", r#"{"ok":true,"result":{"message_id":1}}"#),
        Answer::TooMany => (
            "429 Too Many Requests",
            r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":1}}"#,
        ),
        Answer::Broken => ("502 Bad Gateway", "bad gateway"),
        Answer::Garbage => ("200 OK", "\u{1b}[31mnot json"),
        Answer::Silent => {
            thread::sleep(Duration::from_secs(60));
            return None;
        }
        Answer::Closed => return None,
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .ok()
}
