//! An index that git has just written for the driver (gitformat-index(5), version 2): names and modes.

use crate::repository::Format;

/// Bytes before the id: times, device, inode, mode, owner, size.
const STAT_BYTES: usize = 40;
const MODE_AT: usize = 24;
const HEADER_BYTES: usize = 12;
const MODE_REPOSITORY: u32 = 0o160_000;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// As git writes it in trees: `100644`, `120000` and so on, octal.
    pub(crate) mode: u32,
    /// The object, as bytes.
    pub(crate) id: &'a [u8],
    /// From the root of the tree.
    pub(crate) path: &'a [u8],
}

impl Entry<'_> {
    /// Whether it is another repository (a submodule).
    pub(crate) const fn is_repository(&self) -> bool {
        self.mode == MODE_REPOSITORY
    }
}

/// All entries; none where the bytes are no index of version 2.
pub(crate) fn parse(bytes: &[u8], format: Format) -> Option<Vec<Entry<'_>>> {
    if bytes.get(..8)? != b"DIRC\0\0\0\x02" {
        return None;
    }
    let count = number(bytes.get(8..HEADER_BYTES)?)?;
    let (mut rest, mut all) = (bytes.get(HEADER_BYTES..)?, Vec::new());
    for _ in 0..count {
        let mode = number(rest.get(MODE_AT..MODE_AT + 4)?)?;
        // After the id come two bytes of flags, the path, and one to eight NULs up to a multiple of eight.
        let start = STAT_BYTES + format.id_bytes() + 2;
        let path = rest.get(start..)?;
        let path = path.get(..path.iter().position(|&byte| byte == 0)?)?;
        all.push(Entry {
            mode,
            id: rest.get(STAT_BYTES..start - 2)?,
            path,
        });
        rest = rest.get((start + path.len() + 8) & !7..)?;
    }
    Some(all)
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(format: Format, paths: &[&str]) -> Vec<u8> {
        let mut bytes = b"DIRC\0\0\0\x02".to_vec();
        bytes.extend((paths.len() as u32).to_be_bytes());
        for path in paths {
            let mode: u32 = if path.starts_with("sub") {
                0o160_000
            } else {
                0o100_644
            };
            let mut entry = vec![1; STAT_BYTES + format.id_bytes() + 2];
            entry[MODE_AT..MODE_AT + 4].copy_from_slice(&mode.to_be_bytes());
            entry.extend(path.as_bytes());
            let padded = (entry.len() + 8) & !7;
            entry.resize(padded, 0);
            bytes.extend(entry);
        }
        bytes.extend([9; 20]);
        bytes
    }

    #[test]
    fn names_of_every_length_are_found_in_both_formats() {
        let names: Vec<String> = (1..40).map(|n| "x".repeat(n)).chain(["sub/m".into()]).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for format in [Format::Sha1, Format::Sha256] {
            let bytes = index(format, &names);
            let all = parse(&bytes, format).unwrap();
            assert!(all.iter().map(|e| e.path).eq(names.iter().map(|n| n.as_bytes())));
            assert_eq!(all.iter().filter(|e| e.is_repository()).count(), 1);
            assert!(all.iter().all(|e| e.id == vec![1; format.id_bytes()]));
            assert!(parse(&bytes[..bytes.len() / 2], format).is_none());
        }
        assert!(parse(b"DIRC\0\0\0\x04\0\0\0\0", Format::Sha1).is_none());
        assert_eq!(parse(&index(Format::Sha1, &[]), Format::Sha1), Some(Vec::new()));
    }
}
