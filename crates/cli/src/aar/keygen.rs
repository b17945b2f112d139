//! `aar keygen`: a key, and the document that publishes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use machine_driver::Exit;
use machine_driver::aar::{Did, DidError, KeyPair, KeygenError};
use serde_json::{Value, json};

use crate::app::summary;
use crate::args::KeygenArgs;
use crate::error::Failure;
use crate::escape;
use crate::me::{Me, quoted};
use crate::out::Out;
use crate::style::{self, paint};

/// `aar keygen`
pub(crate) fn keygen(args: &KeygenArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let url = match args.did.web_url() {
        Ok(url) => Some(url),
        Err(DidError::NotWeb) => None,
        Err(error) => return Err(no_place(&args.did, &error)),
    };
    let (key, document) = (absolute(&args.out_priv)?, absolute(&args.out_did)?);
    if key == document {
        let what = format!("{} cannot hold both, the key and the document", key.display());
        let help = "Name two files: the private key is for nobody, the document for everyone.".into();
        return Err(Failure::Usage { what, help });
    }
    let pair = write(&args.did, &key, &document)?;
    let made = Made {
        did: &args.did,
        key: &key,
        document: &document,
        url,
    };
    made.tell(me, out);
    out.json(&summary(
        Exit::Done,
        json!({
            "did": args.did,
            "priv": key.to_string_lossy(),
            "did_json": document.to_string_lossy(),
            "publish_at": made.url,
            "public_key": pair.public_key().to_base64url(),
            "goal": made.goal(),
        }),
    ));
    Ok(Exit::Done)
}

/// Makes a pair and writes both files, or neither.
pub(crate) fn write(did: &Did, key: &Path, document: &Path) -> Result<KeyPair, Failure> {
    let pair = KeyPair::generate().map_err(of_keygen)?;
    // The document first: it is of no use without the key, and no harm. A key that stayed behind would be both.
    write_document(document, &pair.did_document(did))?;
    if let Err(error) = pair.write_private(key) {
        // It is ours: it was made just now, as a new file.
        let _ = fs::remove_file(document);
        return Err(of_keygen(error));
    }
    Ok(pair)
}

fn write_document(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Failure::Usage {
                what: format!("{} is there already, and is not overwritten", path.display()),
                help: "Name another file, or move that one away. docs/proof.md says how a key is exchanged for a new one."
                    .into(),
            });
        }
        opened => opened.map_err(Failure::io("create", path))?,
    };
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let folder = path.parent().unwrap_or(path);
    let written = written.and_then(|()| File::open(folder)?.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written.map_err(Failure::io("write", path))
}

fn of_keygen(error: KeygenError) -> Failure {
    let (what, help) = (error.to_string(), error.next_step());
    match error {
        KeygenError::Exists { .. } => Failure::Usage { what, help },
        KeygenError::Write {
            operation,
            path,
            source,
        } => Failure::Io {
            operation,
            path,
            source,
        },
        _ => Failure::Outside { what, help },
    }
}

fn no_place(did: &Did, error: &DidError) -> Failure {
    Failure::Usage {
        what: format!("{did} has no place on the web: {error}"),
        help: "Name a host, for example did:web:example.org, or one with a path: did:web:example.org:team."
            .into(),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(Failure::io("find", path))
}

/// What was made.
struct Made<'a> {
    did: &'a Did,
    key: &'a Path,
    document: &'a Path,
    /// Where the document belongs; none for a DID that is not of the web.
    url: Option<String>,
}

impl Made<'_> {
    /// What belongs into goal.json.
    fn goal(&self) -> Value {
        json!({
            "aar_priv": self.key.to_string_lossy(),
            "principal": self.did,
            "subject": format!("{}:machine-driver", self.did),
        })
    }

    fn tell(&self, me: &Me, out: &Out) {
        let path = |path: &Path| escape::line(&path.to_string_lossy());
        out.say(format!(
            "{}  private key, for you alone (mode 0600): {}",
            paint(style::GOOD, "made"),
            path(self.key)
        ));
        out.say(format!(
            "{}  DID document, for everyone: {}",
            paint(style::GOOD, "made"),
            path(self.document)
        ));
        out.say("");
        match &self.url {
            Some(url) => out.say(format!("Publish the document at\n  {url}")),
            None => out.say(format!(
                "{} is not of the web: hand the document out yourself.",
                self.did
            )),
        }
        out.say("\nTo sign records of runs, put into goal.json");
        if let Value::Object(goal) = self.goal() {
            let lines: Vec<String> = goal
                .iter()
                .map(|(key, value)| format!("  \"{key}\": {value}"))
                .collect();
            out.say(escape::json(&lines.join(",\n")));
        }
        out.say(
            "\nTo ratify contracts, put the document into your trust folder (~/.config/machine-driver/trust/), and name the key with \
             `contract ratify --key` alone: use another key than the one that signs runs.",
        );
        out.say("\nKeep the key where no worker looks, and a copy of it offline: nothing can make it again.");
        out.hint(&format!(
            "`{}`, then `{}`",
            me.elsewhere("check"),
            me.elsewhere(&format!(
                "aar verify aar/ --did-json {}",
                quoted(&self.document.to_string_lossy())
            ))
        ));
    }
}
