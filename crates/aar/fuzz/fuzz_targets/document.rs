//! DID documents: never panics, and every key that is taken is a sound one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_driver_aar::{DidDocument, PublicKey};

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = DidDocument::read(bytes) else { return };
    let _ = document.id().web_url();
    for key in document.keys() {
        assert_eq!(PublicKey::from_bytes(&key.to_bytes()), Ok(*key));
        assert_eq!(PublicKey::from_base64url(&key.to_base64url()), Ok(*key));
    }
});
