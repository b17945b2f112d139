//! `aar sign`: what was left without a signature gets one, at the end of its subject's chain.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use machine_driver::Exit;
use machine_driver::aar::{Did, Ed25519Signer, Record, RecordFolder, SignError, Unsigned};
use serde_json::json;

use super::input::{not_a_record, of_folder};
use super::shown;
use crate::app::summary;
use crate::args::SignArgs;
use crate::error::Failure;
use crate::me::{Me, quoted};
use crate::narrate::counted;
use crate::out::Out;
use crate::style::{self, paint};

/// A record and where it lies.
struct Place {
    /// The folder, without links in its path.
    folder: PathBuf,
    /// The file's name in it.
    name: String,
    /// As it is shown.
    path: PathBuf,
    record: Record,
}

/// `aar sign`
pub(crate) fn sign(args: &SignArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let mut places = Vec::new();
    for path in &args.paths {
        places.extend(if path.is_dir() {
            all_in(path)?
        } else {
            vec![one(path)?]
        });
    }
    let (done, mut open): (Vec<Place>, Vec<Place>) =
        places.into_iter().partition(|place| place.record.is_signed());
    for place in &done {
        let path = place.path.to_string_lossy();
        out.say(format!(
            "{}  {} is signed already",
            paint(style::FAINT, "--  "),
            shown(&path)
        ));
        out.json(&json!({"type": "record", "file": path, "signed": false, "why": "it is signed already"}));
    }
    // Their order is that of what they tell of.
    open.sort_by_key(|place| place.record.text(&["issued"]).unwrap_or_default().to_owned());
    for place in &open {
        sign_one(place, args, out)?;
    }
    let fields = json!({"signed": open.len(), "signed_before": done.len()});
    out.json(&summary(Exit::Done, fields));
    if let Some(place) = open.first() {
        let folder = quoted(&place.path.parent().unwrap_or(&place.path).to_string_lossy());
        let verify = me.elsewhere(&format!("aar verify {folder}/ --did-json did.json"));
        out.hint(&format!("`{verify}`"));
    } else {
        out.note(format!(
            "nothing to sign: {} looked at",
            counted(done.len(), "record")
        ));
    }
    Ok(Exit::Done)
}

fn sign_one(place: &Place, args: &SignArgs, out: &Out) -> Result<(), Failure> {
    let path = place.path.to_string_lossy();
    let unsigned = Unsigned::of(place.record.clone()).map_err(|error| Failure::NotVerified {
        what: format!("{path} cannot be signed: {error}"),
        help: "Only a whole record is signed; see what it says with `machine-driver aar show`.".into(),
    })?;
    let principal: Did = args.did.clone().unwrap_or_else(|| unsigned.principal().clone());
    let signer = Ed25519Signer::load(&args.key, principal).map_err(|error| of_key(&error))?;
    let folder = RecordFolder::open(&place.folder).map_err(of_folder)?;
    let subject = Did::new(place.record.subject().unwrap_or_default()).ok();
    let prior = subject
        .map(|subject| folder.head(&subject))
        .transpose()
        .map_err(of_folder)?;
    let signed = unsigned
        .sign(&signer, prior.flatten())
        .map_err(|error| of_key(&error))?;
    folder.replace(&place.name, signed.record()).map_err(of_folder)?;
    let place_in_chain = match prior.flatten() {
        Some(prior) => format!("follows {prior}"),
        None => "the first of its chain".to_owned(),
    };
    out.say(format!(
        "{}  {} signed by {}, {place_in_chain}",
        paint(style::GOOD, "ok  "),
        shown(&path),
        unsigned.principal()
    ));
    out.json(
        &json!({"type": "record", "file": path, "signed": true, "sha256": signed.digest().to_string(),
                     "prior": prior.flatten().map(|prior| prior.to_string())}),
    );
    Ok(())
}

fn of_key(error: &SignError) -> Failure {
    let (what, help) = (format!("nothing was signed: {error}"), error.next_step());
    match error {
        SignError::Principal { .. } => Failure::Usage { what, help },
        _ => Failure::Outside { what, help },
    }
}

fn one(path: &Path) -> Result<Place, Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    let folder = fs::canonicalize(folder).map_err(Failure::io("find", folder))?;
    let name = path
        .file_name()
        .and_then(OsStr::to_str)
        .ok_or_else(|| Failure::Usage {
            what: format!("{} names no record", path.display()),
            help: "Name files like aar/t1.json, or the folder.".into(),
        })?;
    let bytes = super::input::file(path)?;
    let record = Record::read(&bytes).map_err(|error| not_a_record(path, &error))?;
    Ok(Place {
        folder,
        name: name.to_owned(),
        path: path.to_owned(),
        record,
    })
}

fn all_in(path: &Path) -> Result<Vec<Place>, Failure> {
    let folder = fs::canonicalize(path).map_err(Failure::io("find", path))?;
    let entries = RecordFolder::open(&folder).and_then(|folder| folder.entries());
    let entries = entries.map_err(of_folder)?;
    entries
        .into_iter()
        .map(|entry| {
            let path = path.join(&entry.name);
            let bytes = entry.bytes.map_err(of_folder)?;
            let record = Record::read(&bytes).map_err(|error| not_a_record(&path, &error))?;
            Ok(Place {
                folder: folder.clone(),
                name: entry.name,
                path,
                record,
            })
        })
        .collect()
}
