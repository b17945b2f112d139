//! The two streams: stdout has the product, stderr the commentary.
//!
//! A stream that nobody reads any more (`| head`, a closed terminal) is no reason to stop a run: what cannot be written is
//! dropped, and [`Out::is_gone`] tells those who write for stdout alone.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anstream::adapter::strip_str;
use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::escape;
use crate::style::{self, paint};

/// Where everything goes. Clones are one and the same.
#[derive(Clone)]
pub(crate) struct Out {
    shared: Arc<Shared>,
}

struct Shared {
    json: bool,
    quiet: bool,
    stdout: Mutex<Stream>,
    stderr: Mutex<Stream>,
    gone: AtomicBool,
    progress: bool,
    bar: Mutex<Option<ProgressBar>>,
    last_words: Mutex<Option<LastWords>>,
}

/// What is to be said when a command is over: with `--json` before its summary, which is the last line.
type LastWords = Box<dyn FnOnce(&Out) + Send>;

struct Stream {
    writer: Box<dyn Write + Send>,
    styles: bool,
}

impl Stream {
    /// With styles where the stream and the variables say so: terminals, `NO_COLOR`, `CLICOLOR_FORCE`, `TERM`.
    fn auto(writer: impl RawStream + Send + 'static) -> Self {
        let styles = AutoStream::choice(&writer) != ColorChoice::Never;
        Self {
            writer: Box::new(writer),
            styles,
        }
    }

    /// All at once: a stream that takes styles out as it writes makes a write of each piece between two of them.
    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.styles {
            self.writer.write_all(text.as_bytes())?;
        } else {
            self.writer.write_all(strip_str(text).to_string().as_bytes())?;
        }
        self.writer.flush()
    }
}

impl Out {
    /// The process's own streams.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let (stdout, stderr) = (Stream::auto(io::stdout()), Stream::auto(io::stderr()));
        let progress = !json && !quiet && io::stderr().is_terminal();
        Self::to(json, quiet, progress, stdout, stderr)
    }

    fn to(json: bool, quiet: bool, progress: bool, stdout: Stream, stderr: Stream) -> Self {
        let (stdout, stderr) = (Mutex::new(stdout), Mutex::new(stderr));
        let (gone, bar) = (AtomicBool::new(false), Mutex::new(None));
        Self {
            shared: Arc::new(Shared {
                json,
                quiet,
                stdout,
                stderr,
                gone,
                progress,
                bar,
                last_words: Mutex::new(None),
            }),
        }
    }

    /// Says this when the command is over.
    pub(crate) fn at_the_end(&self, words: impl FnOnce(&Self) + Send + 'static) {
        *lock(&self.shared.last_words) = Some(Box::new(words));
    }

    /// The command is over.
    pub(crate) fn end(&self) {
        let words = lock(&self.shared.last_words).take();
        if let Some(words) = words {
            words(self);
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.shared.json
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.shared.quiet
    }

    /// Whether a person sees stdout as it is written.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether nobody reads stdout any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::Relaxed)
    }

    /// A line of the product, for people.
    pub(crate) fn say(&self, text: impl Display) {
        if !self.is_json() {
            self.write_out(&format!("{text}\n"));
        }
    }

    /// The product as it is.
    pub(crate) fn raw(&self, text: &str) {
        self.write_out(text);
    }

    /// A line of the product, for programs. It has a `type`.
    pub(crate) fn json(&self, value: &Value) {
        if self.is_json() {
            if value.get("type").is_some_and(|kind| kind == "summary") {
                self.end();
            }
            self.write_out(&escape::json(&format!("{value}\n")));
        }
    }

    /// A line of commentary; `--quiet` and `--json` leave it out.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.is_json() && !self.is_quiet() {
            self.write_err(&format!("{text}\n"));
        }
    }

    /// Something that a person should know, however quiet it is to be.
    pub(crate) fn warn(&self, text: impl Display) {
        if self.is_json() {
            self.json(&serde_json::json!({"type": "warning", "message": text.to_string()}));
        } else {
            self.write_err(&format!("{} {text}\n", paint(style::WARN, "warning:")));
        }
    }

    /// What to type next.
    pub(crate) fn hint(&self, step: &str) {
        self.note(crate::error::next(step).trim_end());
    }

    /// Commentary that is never left out, as it is.
    pub(crate) fn write_err(&self, text: &str) {
        self.beside_the_bar(|| {
            let mut stderr = lock(&self.shared.stderr);
            // With stderr gone there is nobody left to tell.
            let _ = stderr.write(text);
        });
    }

    fn write_out(&self, text: &str) {
        if self.is_gone() {
            return;
        }
        self.beside_the_bar(|| {
            let mut stdout = lock(&self.shared.stdout);
            if stdout.write(text).is_err() {
                self.shared.gone.store(true, Ordering::Relaxed);
            }
        });
    }

    /// Shows what is under way, on a terminal, until [`Out::idle`].
    pub(crate) fn busy(&self, with: String) {
        if !self.shared.progress {
            return;
        }
        let mut bar = lock(&self.shared.bar);
        let bar = bar.get_or_insert_with(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.reset_elapsed();
        bar.set_message(with);
    }

    /// Nothing is under way any more.
    pub(crate) fn idle(&self) {
        if let Some(bar) = lock(&self.shared.bar).take() {
            bar.finish_and_clear();
        }
    }

    fn beside_the_bar(&self, write: impl FnOnce()) {
        match &*lock(&self.shared.bar) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// A panic elsewhere leaves a stream as good as it was.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod captured {
    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Runs something and returns what it wrote to stdout and stderr, without colours.
    pub(crate) fn capture<T>(json: bool, quiet: bool, run: impl FnOnce(&Out) -> T) -> (T, String, String) {
        let (stdout, stderr) = (Kept::default(), Kept::default());
        let plain = |kept: &Kept| Stream {
            writer: Box::new(kept.clone()),
            styles: false,
        };
        let result = run(&Out::to(json, quiet, false, plain(&stdout), plain(&stderr)));
        let text = |kept: Kept| String::from_utf8(lock(&kept.0).clone()).unwrap();
        (result, text(stdout), text(stderr))
    }

    #[test]
    fn a_reader_that_went_away_stops_nothing() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let closed = || Stream {
            writer: Box::new(Closed),
            styles: true,
        };
        let out = Out::to(false, false, false, closed(), closed());
        assert!(!out.is_gone());
        out.say("one");
        assert!(out.is_gone());
        out.say("two");
        out.warn("three");
    }
}
