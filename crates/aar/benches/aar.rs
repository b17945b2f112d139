//! How fast records are verified and written: `cargo bench -p machine-driver-aar --bench aar [records]`.
//!
//! Beside each number stands what cannot be avoided: Ed25519 and SHA-256 alone over the same bytes, and what the disk
//! takes for the same durable write without any of our code. The folder is below `target`, so on a real disk.

use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use machine_driver_aar::{
    Check, Did, DidDocument, Draft, Ed25519Signer, Evidence, KeyPair, Level, Outcome, Record, RecordFolder,
    SetOptions, Signed, Task, Verifier, WorkerEvidence,
};
use machine_driver_state::canonical::sha256;
use machine_driver_state::change::ObjectId;
use machine_driver_state::id::{Digest, TaskId};
use machine_driver_state::record::Head;
use machine_driver_state::time::Timestamp;
use machine_driver_state::usage::Usage;

type Outcomes<T> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 3;
const WRITES: usize = 500;

fn main() -> Outcomes<()> {
    let asked = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let count: usize = asked.unwrap_or(10_000);
    let issuer = Issuer::new()?;
    let records = issuer.chain(count)?;
    let texts: Vec<String> = records.iter().map(Signed::to_json).collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    let cores = std::thread::available_parallelism()?;
    say(&format!(
        "{count} records of {} bytes, {cores} cores",
        bytes / count.max(1)
    ));
    verifying(&issuer, &records, &texts)?;
    signing(&issuer, &records)?;
    writing(&issuer, &records)
}

fn verifying(issuer: &Issuer, records: &[Signed], texts: &[String]) -> Outcomes<()> {
    let count = records.len();
    let key = SigningKey::from_bytes(&[7; 32]);
    let messages = canonical(records)?;
    let signatures: Vec<_> = messages.iter().map(|message| key.sign(message)).collect();
    let public = key.verifying_key();
    rate("Ed25519 verify_strict alone, one core", count, || {
        let held = messages
            .iter()
            .zip(&signatures)
            .filter(|(message, signature)| public.verify_strict(message, signature).is_ok());
        Ok(held.count() == count)
    })?;
    rate("SHA-256 alone, one core", count, || {
        Ok(messages
            .iter()
            .map(|message| usize::from(sha256(message).as_bytes()[0]))
            .sum::<usize>()
            > 0)
    })?;
    rate("strict reading alone, one core", count, || {
        Ok(texts.iter().all(|text| Record::read(text.as_bytes()).is_ok()))
    })?;
    let verifier = &issuer.verifier;
    rate("verify a record, one core", count, || {
        Ok(texts
            .iter()
            .all(|text| verifier.check(text.as_bytes()).level == Some(Level::L2)))
    })?;
    let files: Vec<(String, &str)> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| (format!("t{at}.json"), text.as_str()))
        .collect();
    let options = SetOptions {
        heads: records.last().map(Signed::digest).into_iter().collect(),
        named_by_task: true,
    };
    rate("verify a chain in memory, all cores", count, || {
        let report = verifier.verify_set(&files, &options);
        Ok(report.level() == Some(Level::L3) && report.end_proven())
    })?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for (name, text) in &files {
        fs::write(folder.path().join(name), text)?;
    }
    rate("verify a folder, all cores", count, || {
        let entries = RecordFolder::open(folder.path())?.entries()?;
        let files: Vec<(String, Vec<u8>)> = entries
            .into_iter()
            .map(|entry| Ok((entry.name, entry.bytes?)))
            .collect::<Outcomes<_>>()?;
        Ok(verifier.verify_set(&files, &options).level() == Some(Level::L3))
    })
}

fn signing(issuer: &Issuer, records: &[Signed]) -> Outcomes<()> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let messages = canonical(records)?;
    rate("Ed25519 sign alone, one core", messages.len(), || {
        Ok(messages
            .iter()
            .map(|message| usize::from(key.sign(message).to_bytes()[0]))
            .sum::<usize>()
            > 0)
    })?;
    rate("build and sign a record, one core", records.len(), || {
        let last = issuer.chain(records.len())?;
        Ok(last.last().map(Signed::digest) == records.last().map(Signed::digest))
    })
}

fn writing(issuer: &Issuer, records: &[Signed]) -> Outcomes<()> {
    let text = records.first().map(Signed::to_json).unwrap_or_default();
    let raw = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    per_write("write, fsync, rename, fsync folder alone", |at| {
        durable_write(raw.path(), &format!("t{at}.json"), text.as_bytes())
    })?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let ours = RecordFolder::open(folder.path())?;
    let mut prior = None;
    per_write("build, sign and durably write a record", |at| {
        let signed = issuer.record(at, prior)?;
        prior = Some(signed.digest());
        ours.write(signed.record())?;
        Ok(())
    })
}

/// The least that a new durable file takes.
fn durable_write(folder: &Path, name: &str, bytes: &[u8]) -> Outcomes<()> {
    let temporary = folder.join(".tmp");
    let mut file = File::create_new(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    Ok(File::open(folder)?.sync_all()?)
}

/// Who makes records, and who checks them.
struct Issuer {
    signer: Ed25519Signer,
    verifier: Verifier,
    principal: Did,
    subject: Did,
    judge: Did,
    object: ObjectId,
}

impl Issuer {
    fn new() -> Outcomes<Self> {
        let principal = Did::new("did:web:example.org")?;
        let key = KeyPair::generate()?;
        let document = DidDocument::read(key.did_document(&principal).as_bytes())?;
        Ok(Self {
            signer: key.signer(principal.clone()),
            verifier: Verifier::new(vec![document]),
            subject: Did::new("did:web:example.org:machine-driver")?,
            judge: Did::new("did:web:example.org:verifier")?,
            object: ObjectId::new("3f786850e387550fdab836ed7e6dc881de23001b")?,
            principal,
        })
    }

    fn chain(&self, count: usize) -> Outcomes<Vec<Signed>> {
        let mut records: Vec<Signed> = Vec::with_capacity(count);
        for at in 0..count {
            let prior = records.last().map(Signed::digest);
            records.push(self.record(at, prior)?);
        }
        Ok(records)
    }

    /// A record with everything that the driver writes.
    fn record(&self, at: usize, prior: Option<Digest>) -> Outcomes<Signed> {
        let issued = Timestamp::from_millis(1_795_341_600_000 + i64::try_from(at)? * 137);
        let digest = || Some(sha256(&at.to_le_bytes()));
        let output = "running 41 tests\n.........................................\ntest result: ok. 41 passed; 0 failed\n";
        let draft = Draft {
            subject: self.subject.clone(),
            principal: self.principal.clone(),
            verifier: self.judge.clone(),
            task: Task {
                id: TaskId::new(&format!("t{at}"))?,
                claim: "The parser takes an empty input and says so".to_owned(),
            },
            outcome: Outcome::Verified {
                head: Some(self.object.clone()),
            },
            checks: vec![Check::of(
                "/srv/repos/parser",
                "cargo test --quiet",
                issued,
                sha256(output.as_bytes()),
                output,
            )],
            issued,
            evidence: Some(Evidence {
                base_commit: Some(self.object.clone()),
                tree: Some(self.object.clone()),
                patch_sha256: digest(),
                contract_sha256: digest(),
                verify_cmd_sha256: digest(),
                worker: Some(WorkerEvidence {
                    cmd_sha256: digest(),
                    session: None,
                    attempts: 1,
                }),
                usage: Some(Usage {
                    tokens: Some(12_345),
                    usd_micros: Some(67_890),
                }),
                log_head: digest().map(|hash| Head { seq: at as u64, hash }),
            }),
        };
        Ok(draft.build()?.sign(&self.signer, prior)?)
    }
}

fn canonical(records: &[Signed]) -> Outcomes<Vec<Vec<u8>>> {
    records
        .iter()
        .map(|signed| Ok(signed.record().signed_bytes()?.as_bytes().to_vec()))
        .collect()
}

/// The best of a few rounds, per second. The work says whether it came out as it should.
fn rate(what: &str, count: usize, mut work: impl FnMut() -> Outcomes<bool>) -> Outcomes<()> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let good = black_box(work()?);
        best = best.min(start.elapsed());
        if !good {
            return Err(format!("{what}: not what it should be").into());
        }
    }
    let seconds = best.as_secs_f64();
    say(&format!(
        "{what:<44} {:>9.0} /s  {:>8.1} us each",
        count as f64 / seconds,
        seconds * 1e6 / count as f64
    ));
    Ok(())
}

/// Median and the slowest hundredth of durable writes.
fn per_write(what: &str, mut work: impl FnMut(usize) -> Outcomes<()>) -> Outcomes<()> {
    let mut times = Vec::with_capacity(WRITES);
    for at in 0..WRITES {
        let start = Instant::now();
        work(at)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |part: usize| {
        times
            .get(WRITES * part / 100)
            .copied()
            .unwrap_or_default()
            .as_secs_f64()
            * 1e3
    };
    say(&format!(
        "{what:<44} {:>9.3} ms median, {:.3} ms at 99 %",
        at(50),
        at(99)
    ));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench tells its result")]
fn say(line: &str) {
    println!("{line}");
}
