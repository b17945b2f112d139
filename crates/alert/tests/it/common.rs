//! A server on this machine that answers as it is told, and alerts to send.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use machine_driver_alert::{Alert, AlertId, AlertKind};
use machine_driver_state::time::Timestamp;

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status, more headers (each ends with CRLF), a body.
    Answer(u16, String, String),
    /// These bytes and the end.
    Raw(Vec<u8>),
    /// Nothing, and the connection stays.
    Silence,
    /// One byte of an answer in a while, without end.
    Drip,
    /// The end, without having read the request.
    Close,
}

/// An answer without more headers.
pub(crate) fn answer(status: u16, body: &str) -> Reply {
    Reply::Answer(status, String::new(), body.to_owned())
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Gives its replies one after the other, and the last one from then on.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let end = Arc::new(AtomicBool::new(false));
        let (seen, ended) = (Arc::clone(&requests), Arc::clone(&end));
        let mut replies: VecDeque<Reply> = replies.into_iter().collect();
        let thread = thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let reply = replies.pop_front().unwrap();
                if replies.is_empty() {
                    replies.push_back(reply.clone());
                }
                open.extend(serve(stream.unwrap(), reply, &seen, &ended));
            }
        });
        let thread = Some(thread);
        Self {
            address,
            requests,
            end,
            thread,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || thread::panicking());
    }
}

/// Gives the connection back where it has to stay open.
fn serve(
    mut stream: TcpStream,
    reply: Reply,
    seen: &Mutex<Vec<Request>>,
    ended: &Arc<AtomicBool>,
) -> Option<TcpStream> {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    if matches!(reply, Reply::Close) {
        return None;
    }
    let request = read(&mut stream);
    seen.lock().unwrap().push(request);
    match reply {
        Reply::Close => None,
        Reply::Silence => Some(stream),
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes);
            None
        }
        Reply::Drip => {
            let ended = Arc::clone(ended);
            thread::spawn(move || {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n");
                while !ended.load(Ordering::SeqCst) && stream.write_all(b"{").is_ok() {
                    thread::sleep(Duration::from_millis(100));
                }
            });
            None
        }
        Reply::Answer(status, headers, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} So\r\n{headers}Content-Length: {length}\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(body.as_bytes());
            None
        }
    }
}

fn read(stream: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    let mut byte = 0;
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_eq!(
            stream.read(std::slice::from_mut(&mut byte)).unwrap(),
            1,
            "a whole head"
        );
        bytes.push(byte);
    }
    let head = String::from_utf8(bytes).unwrap();
    let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
    let line = lines.next().unwrap();
    let header = |line: String| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.trim().to_owned())
    };
    let mut request = Request {
        line,
        headers: lines.map(header).collect(),
        body: Vec::new(),
    };
    let length = request.header("content-length").unwrap_or("0").parse().unwrap();
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).unwrap();
    request
}

pub(crate) fn id(number: u32) -> AlertId {
    AlertId::new(&format!("{number:032x}")).unwrap()
}

pub(crate) fn alert(number: u32, text: &str) -> Alert {
    Alert {
        id: id(number),
        kind: AlertKind::Quarantine,
        goal: "shop".to_owned(),
        task: Some("t1".to_owned().try_into().unwrap()),
        text: text.to_owned(),
        at: Timestamp::from_millis(1_795_341_600_123),
    }
}

/// An error with all that it could show.
pub(crate) fn all_of(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    text
}
