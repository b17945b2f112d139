//! The strict reader: never panics, and what it takes it writes and takes again, with the same bytes to sign.
#![no_main]

use libfuzzer_sys::fuzz_target;
use machine_driver_aar::Record;

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = Record::read(bytes) else { return };
    let again = record.to_json();
    // Indentation may take a record over the largest size.
    if again.len() > machine_driver_aar::SIZE_MAX {
        return;
    }
    let read = Record::read(again.as_bytes()).expect("what was written can be read");
    assert_eq!(read, record);
    let signed = record.signed_bytes().expect("a record has a canonical form");
    assert_eq!(read.signed_bytes().expect("a record has a canonical form"), signed);
    // The canonical form is its own canonical form.
    let canonical = Record::read(signed.as_bytes()).expect("a canonical form can be read");
    assert_eq!(canonical.signed_bytes().expect("a record has a canonical form"), signed);
});
