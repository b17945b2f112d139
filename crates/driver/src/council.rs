//! Asking a council: a command that is run once for each head, one after the other, with a question of its own.
//!
//! Nothing of the goal's text becomes syntax: the command is what the operator typed, and everything else reaches it as standard
//! input, variables and files. What counts of an answer is said by [`governor::council`](machine_driver_governor::council).

mod room;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use machine_driver_governor::council::{NoVote, Question, Vote, can_sit, tally, vote};
use machine_driver_process::{Cancel, Capture, Captured, Ending, Stopped, capture, find_program};
use machine_driver_state::canonical::sha256;
use machine_driver_state::control::Switch;
use machine_driver_state::environment::{self, Variables};
use machine_driver_state::goal::file::GoalFile;
use machine_driver_state::id::Digest;
use machine_driver_state::store::Paths;
use machine_driver_state::time::Timestamp;
use serde_json::{Value, json};

use crate::contract::ByCouncil;
use crate::error::DriverError;
use crate::processes::end_leftovers;

use room::{Room, write_read_only};

/// The command that stands for [`ROUNDTABLE_COMMAND`].
pub const ROUNDTABLE: &str = "roundtable";

/// One head of roundtable, for one round: its exit code is 0 even where nobody answered, and its consensus can be one to
/// reject, so each head is asked by itself and only its ballot counts.
pub const ROUNDTABLE_COMMAND: &str =
    "exec roundtable ask -q \"$MACHINE_QUESTION\" --heads \"$MACHINE_HEAD\" --rounds 1";

/// Bytes of an answer that are read: more is no answer.
pub const ANSWER_MAX: usize = 1 << 20;

/// Bytes of an answer that go into the transcript; its digest is that of all of it.
const KEPT_MAX: usize = 64 << 10;

/// Bytes of a goal that go into the question; with the words around it the question fits into one variable.
const TEXT_MAX: usize = 96 << 10;

/// What the transcript says where a question has its head's own nonce.
const NONCE_MARK: &str = "<nonce>";

/// What it says where a question has the path of its head's own copy of the goal.
const FILE_MARK: &str = "<file>";

/// Whom to ask, and how.
#[derive(Debug, Clone)]
pub struct Council {
    /// For `sh -c`; [`ROUNDTABLE`] stands for that program.
    pub command: String,
    /// The heads' names.
    pub heads: Vec<String>,
    /// How many have to ratify.
    pub quorum: usize,
    /// How long one may take.
    pub wall: Duration,
}

/// What a council has said.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Who has ratified, as `ratified_by` names them, or why it is not ratified.
    pub ratified_by: Result<String, String>,
    /// What each head said.
    pub heads: Vec<Head>,
    /// What a ratification needs of this.
    pub by: ByCouncil,
    /// Where all of it is kept.
    pub transcript: PathBuf,
}

/// What a head said. Its texts are foreign.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// The nonce that it was given.
    pub nonce: String,
    /// How its command ended, in words. It decides nothing.
    pub ended: String,
    /// All that it answered.
    pub answer: Vec<u8>,
    /// Its vote.
    pub vote: Result<Vote, NoVote>,
}

/// Asks a council whether the goal's contract is ratified, and keeps what was said under `evidence/goal/`. Nothing else is
/// changed: that is for [`contract::ratify`](crate::contract::ratify). The heads are asked one after the
/// other, each at most once.
///
/// # Errors
/// [`DriverError::Ratification`] where these cannot be a council; [`DriverError::Cancelled`] where `switch` ended it;
/// [`DriverError`] where the disk fails. A head that fails is one that did not vote.
pub fn ask(
    file: &GoalFile,
    council: &Council,
    at: Timestamp,
    switch: &Switch,
) -> Result<Verdict, DriverError> {
    let contract = file.goal().contract.as_ref();
    let proposed_by = contract.and_then(|contract| contract.proposed_by.clone());
    let proposed_by = proposed_by.unwrap_or_default();
    can_sit(&council.heads, council.quorum, &proposed_by).map_err(|what| DriverError::Ratification {
        what: format!("this is no council: {what}"),
        help: "Name the heads with `--heads A,B,C`, and how many have to ratify with `--quorum N`.".into(),
    })?;
    let asked = Asked::new(file, council);
    let cancel = Cancel::new();
    let ended = cancel.clone();
    switch.on_cancel(move || ended.cancel(Duration::from_secs(1)));
    let heads = asked.all(&council.heads, &cancel)?;
    if let Some(cut) = switch.cancelled() {
        return Err(DriverError::Cancelled(cut));
    }
    let votes: Vec<(String, Result<Vote, NoVote>)> = heads
        .iter()
        .map(|head| (head.name.clone(), head.vote.clone()))
        .collect();
    let ratified_by = tally(&votes, council.quorum, &proposed_by);
    let text = asked.transcript(&heads, &ratified_by, at);
    let (transcript, sha256) = keep(&Paths::of(file.path()), &text)?;
    let by = ByCouncil {
        contract: file.goal().contract_digest,
        transcript: sha256,
    };
    Ok(Verdict {
        ratified_by,
        heads,
        by,
        transcript,
    })
}

/// A council's question, ready to be put to each head.
struct Asked<'a> {
    file: &'a GoalFile,
    council: &'a Council,
    proposed_by: &'a str,
    /// The goal without its progress.
    text: String,
}

impl<'a> Asked<'a> {
    fn new(file: &'a GoalFile, council: &'a Council) -> Self {
        let document: Value = serde_json::from_slice(&file.snapshot()).unwrap_or_default();
        let contract = file.goal().contract.as_ref();
        Self {
            file,
            council,
            proposed_by: contract
                .and_then(|contract| contract.proposed_by.as_deref())
                .unwrap_or_default(),
            text: format!("{document:#}\n"),
        }
    }

    fn question(&self, nonce: &str, file: &str) -> String {
        let goal = self.file.goal();
        let question = Question {
            goal: &goal.name,
            contract: &goal.contract_digest,
            proposed_by: self.proposed_by,
            text: Some(self.text.as_str()).filter(|text| text.len() <= TEXT_MAX),
            file,
            nonce,
        };
        question.text()
    }

    /// Asks one after the other: what a head has started is dead before the next one gets its nonce, so none can find or say
    /// what is another's.
    fn all(&self, names: &[String], cancel: &Cancel) -> Result<Vec<Head>, DriverError> {
        let mut heads: Vec<Head> = Vec::with_capacity(names.len());
        let mut survivors = None;
        for name in names {
            if let Some(why) = &survivors {
                heads.push(Head::failed(name, "", format!("it was not asked: {why}")));
                continue;
            }
            let room = Room::new(&self.text)?;
            let head = self.one(&room, name, cancel)?;
            survivors = end_leftovers(room.session.as_str(), None)
                .err()
                .map(|error| crate::outcome::chain(&error));
            heads.push(match &survivors {
                Some(why) => Head::failed(name, &room.nonce, why.clone()),
                None if room.holds(&self.text) => head,
                None => Head::failed(
                    name,
                    &room.nonce,
                    "it changed the goal that it was given to read".into(),
                ),
            });
        }
        Ok(heads)
    }

    fn one(&self, room: &Room, name: &str, cancel: &Cancel) -> Result<Head, DriverError> {
        let nonce = &room.nonce;
        let question = self.question(nonce, &room.goal.to_string_lossy());
        write_read_only(&room.question, &question).map_err(failed("write", &room.question))?;
        let Some(sh) = find_program("sh".as_ref()) else {
            return Ok(Head::failed(name, nonce, "there is no sh on PATH".into()));
        };
        let command = if self.council.command.trim() == ROUNDTABLE {
            ROUNDTABLE_COMMAND
        } else {
            &self.council.command
        };
        let capturing = Capture {
            argv: vec![sh.into(), "-c".into(), command.into()],
            env: self.environment(name, room, &question),
            cwd: room.work.clone(),
            stdin: question.into_bytes(),
            wall: self.council.wall,
            stdout_max: ANSWER_MAX,
            stderr_max: 0,
        };
        let contract = &self.file.goal().contract_digest;
        Ok(match capture(&capturing, cancel) {
            Ok(captured) => Head::of(name, nonce, captured, contract, self.council.wall),
            Err(error) => Head::failed(name, nonce, crate::outcome::chain(&error)),
        })
    }

    fn environment(&self, name: &str, room: &Room, question: &str) -> Variables {
        let mut all = environment::passed(std::env::vars_os(), &self.file.goal().env_pass);
        let digest = self.file.goal().contract_digest.to_string();
        let ours: [(&str, OsString); 7] = [
            ("MACHINE_QUESTION", question.into()),
            ("MACHINE_QUESTION_FILE", room.question.clone().into()),
            ("MACHINE_CONTRACT_FILE", room.goal.clone().into()),
            ("MACHINE_HEAD", name.into()),
            ("MACHINE_NONCE", room.nonce.as_str().into()),
            ("MACHINE_SESSION", room.session.as_str().into()),
            ("MACHINE_DIGEST", digest.into()),
        ];
        for (name, value) in ours {
            let fits = value.len() <= environment::TEXT_MAX && !value.as_encoded_bytes().contains(&0);
            if fits {
                environment::set(&mut all, name, value);
            }
        }
        all
    }

    fn transcript(&self, heads: &[Head], ratified_by: &Result<String, String>, at: Timestamp) -> Vec<u8> {
        let goal = self.file.goal();
        let said = |head: &Head| {
            let answer =
                String::from_utf8_lossy(head.answer.get(..KEPT_MAX).unwrap_or(&head.answer)).into_owned();
            json!({
                "name": head.name,
                "nonce": head.nonce,
                "ended": head.ended,
                "answer_bytes": head.answer.len(),
                "answer_sha256": sha256(&head.answer),
                "answer": answer,
                "vote": head.vote.as_ref().ok().map(|vote| vote.word()),
                "no_vote": head.vote.as_ref().err().map(NoVote::why),
            })
        };
        let transcript = json!({
            "kind": "machine-driver-council-1",
            "goal": goal.name,
            "goal_sha256": goal.digest,
            "contract": goal.contract_digest,
            "proposed_by": self.proposed_by,
            "command": self.council.command,
            "quorum": self.council.quorum,
            "asked_at": at.to_string(),
            "question": self.question(NONCE_MARK, FILE_MARK),
            "heads": heads.iter().map(said).collect::<Vec<Value>>(),
            "ratified_by": ratified_by.as_ref().ok(),
            "why_not": ratified_by.as_ref().err(),
        });
        format!("{transcript:#}\n").into_bytes()
    }
}

impl Head {
    fn failed(name: &str, nonce: &str, why: String) -> Self {
        Self {
            name: name.to_owned(),
            nonce: nonce.to_owned(),
            ended: why.clone(),
            answer: Vec::new(),
            vote: Err(NoVote::Failed(why)),
        }
    }

    /// What was said before a head was stopped, or ended by a signal, is not all that it would have said. Its exit code says
    /// nothing.
    fn of(name: &str, nonce: &str, captured: Captured, contract: &Digest, wall: Duration) -> Self {
        let cut_off = match (captured.stopped, &captured.ending) {
            (Some(Stopped::Wall), _) => Some(format!("it did not end within {} s", wall.as_secs())),
            (Some(Stopped::Output), _) => Some(format!("it wrote more than {ANSWER_MAX} bytes")),
            (Some(_), _) => Some("it was stopped".to_owned()),
            (None, Ending::Signaled(signal)) => Some(format!("it was ended by signal {signal}")),
            (None, Ending::CouldNotStart(why)) => Some(format!("it could not be started: {why}")),
            (None, Ending::Exited(_)) => None,
        };
        let ended = match (&cut_off, &captured.ending) {
            (None, Ending::Exited(code)) => format!("exit {code}"),
            (Some(why), _) => why.clone(),
            (None, _) => "ended".to_owned(),
        };
        let vote = match cut_off {
            Some(why) => Err(NoVote::Failed(why)),
            None => vote(&String::from_utf8_lossy(&captured.stdout), nonce, contract),
        };
        Self {
            name: name.to_owned(),
            nonce: nonce.to_owned(),
            ended,
            answer: captured.stdout,
            vote,
        }
    }
}

/// Keeps a transcript under the name of its digest, durably. One that is there already is the same.
fn keep(paths: &Paths, text: &[u8]) -> Result<(PathBuf, Digest), DriverError> {
    let digest = sha256(text);
    let folder = paths.snapshots();
    fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
    let path = folder.join(format!("{digest}.council.json"));
    let written = OpenOptions::new().write(true).create_new(true).open(&path);
    let written = written.and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()?;
        File::open(&folder)?.sync_all()
    });
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        written => {
            if written.is_err() {
                // Part of a transcript must not stand under the name of all of it.
                drop(fs::remove_file(&path));
            }
            written.map_err(failed("write", &path))?;
        }
    }
    Ok((path, digest))
}

fn failed(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> DriverError {
    let path = path.into();
    move |source| DriverError::Io {
        operation,
        path,
        source,
    }
}
