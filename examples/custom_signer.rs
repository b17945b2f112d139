//! A signer of one's own, as for an HSM or a KMS: the key stays where it is, bytes go in and a signature comes out.
//!
//! `cargo run -p machine-driver-examples --example custom_signer -- goal.json DID` signs for the goal's `principal`.
use std::error::Error;
use std::sync::atomic::{AtomicI32, Ordering};

use machine_driver::Driver;
use machine_driver::aar::{CanonicalBytes, Did, KeyPair, PublicKey, SignError, Signature, Signer};

/// Stands in for the service: a key that nobody gets to see, and so many signatures that it still gives.
#[derive(Debug)]
struct Vault(Did, KeyPair, AtomicI32);

impl Signer for Vault {
    fn principal(&self) -> &Did {
        &self.0
    }

    fn sign(&self, bytes: &CanonicalBytes) -> Result<Signature, SignError> {
        if self.2.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Err(SignError::refused("no more signatures today")); // the record is kept, and waits
        }
        self.1.signer(self.0.clone()).sign(bytes) // here: a call of the service
    }

    fn public_key(&self) -> Option<PublicKey> {
        Some(self.1.public_key()) // so that what comes back is checked before a record takes it
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (goal, did) = words
        .next()
        .zip(words.next())
        .ok_or("name a goal.json and a DID")?;
    let vault = Vault(Did::new(&did)?, KeyPair::generate()?, AtomicI32::new(100));
    Driver::builder(goal).signer(vault).build()?.run()?;
    Ok(())
}

#[test]
fn what_the_vault_signed_holds_and_what_it_did_not_is_kept() -> Result<(), Box<dyn Error>> {
    use machine_driver::aar::{DidDocument, Level, RecordFolder, Verifier};
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("desk"))?;
    let goal = folder.path().join("goal.json");
    let text = r#"{"repo": "desk", "worker_cmd": "true", "verify_cmd": "true", "tick_seconds": 0,
        "principal": "did:web:example.org", "subject": "did:web:example.org:machine-driver",
        "tasks": [{"id": "a", "goal": "write"}, {"id": "b", "goal": "read"}]}"#;
    std::fs::write(&goal, text)?;
    let (did, key) = (Did::new("did:web:example.org")?, KeyPair::generate()?);
    let verifier = Verifier::new(vec![DidDocument::read(key.did_document(&did).as_bytes())?]);
    let vault = Vault(did, key, AtomicI32::new(1));
    assert_eq!(Driver::builder(&goal).signer(vault).build()?.run()?.done, 2);
    let records = RecordFolder::open(&folder.path().join("aar"))?;
    let levels = [records.read("a.json")?, records.read("b.json")?].map(|r| verifier.check_record(r).level);
    assert_eq!(levels, [Some(Level::L2), None]);
    Ok(())
}
