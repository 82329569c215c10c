//! What is written is read back, and what is not as written is refused.

use std::fs;

use netpolicy_common::{FAILSAFE_SCOPE, HOST_SCOPE};

use super::*;
use crate::compiler::{Prefix4, compile};
use crate::model::State;

const HOST: [u8; 32] = [7; 32];

/// An image of a ruleset with some lists.
fn image() -> (Ruleset, Vec<u8>) {
    let mut ruleset = compile(&State::empty());
    let mut ports = *ruleset.ports;
    ports[5432] = HOST_SCOPE;
    ports[22] = FAILSAFE_SCOPE;
    ruleset.ports = ports.into();
    let nets = (0..5000u32).map(|i| Prefix4 {
        addr: 0x0a00_0000 + i * 512,
        len: 24,
    });
    ruleset.scopes[0].block.v4 = nets.collect();
    ruleset.scopes[0].config.flags = ScopeFlags::OWN_LISTS.with(ScopeFlags::OWN_ENFORCE);
    let origin = ImageOrigin {
        revision: 9,
        host: HOST,
        written: 1_000,
    };
    let mut bytes = Vec::new();
    write_image(&ruleset, &origin, &mut bytes).unwrap();
    (ruleset, bytes)
}

fn read(bytes: &[u8], host: [u8; 32]) -> Result<ImageReader, ImageError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    fs::write(&path, bytes).unwrap();
    let mut image = ImageReader::open(&path, &host)?;
    image.check()?;
    Ok(image)
}

#[test]
fn image_reads_back_as_it_was_written() {
    let (ruleset, bytes) = image();
    let read = read(&bytes, HOST).unwrap();
    assert_eq!(read.head.digest, ruleset.digest());
    assert_eq!((read.head.origin.revision, read.head.entries), (9, 5000));
    assert_eq!(read.governance.scope_of_port, *ruleset.ports);
    let flags = read.governance.scopes[0].flags;
    assert_eq!(flags, ruleset.scopes[0].config.flags);
    assert!(read.head.is_of_this_program());
    assert!(read.pages > 1);
    // The same ruleset, the same bytes.
    assert_eq!(image().1, bytes);
}

#[test]
fn image_of_another_host_format_or_abi_is_refused_and_says_so() {
    let (_, bytes) = image();
    let said = |bytes: &[u8], host| read(bytes, host).unwrap_err().to_string();
    assert_eq!(said(&bytes, [8; 32]), "it was written on another host");
    let with = |at: usize, value: u32| {
        let mut bytes = bytes.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    assert!(said(&with(8, 99), HOST).starts_with("it has format 99"));
    assert!(said(&with(12, 99), HOST).starts_with("it is of ABI 99"));
    assert_eq!(said(b"[[policy]]\n", HOST), "it is not a snapshot");
    assert_eq!(said(b"", HOST), "it is not a snapshot");
}

#[test]
fn flipped_bit_anywhere_is_noticed() {
    let (_, bytes) = image();
    for at in (0..bytes.len()).step_by(997).chain([bytes.len() - 1]) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(read(&bytes, HOST).is_err(), "byte {at}");
    }
}

#[test]
fn image_that_is_cut_short_or_too_long_is_noticed() {
    let (_, mut bytes) = image();
    for len in (0..bytes.len()).step_by(10_007).chain([bytes.len() - 1]) {
        assert!(read(&bytes[..len], HOST).is_err(), "{len} bytes");
    }
    bytes.push(0);
    assert!(matches!(read(&bytes, HOST), Err(ImageError::Damaged)));
}
