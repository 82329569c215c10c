//! The bans in force, in a file next to the snapshot: to be in force again at boot, as far as they
//! have not ended by the wall clock then.
//!
//! ```text
//! magic 8, format 4, host 32,
//! each ban: scope 2, prefix length 1, family (4 or 6) 1, end in milliseconds since 1970 8 (0: none),
//! address 4 or 16;
//! BLAKE3 of all before 32
//! ```
//!
//! Numbers are little-endian, addresses in network order. What cannot be read is not used: the
//! agent that starts later reads its store.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ipnet::IpNet;
use netpolicy_common::ScopeId;

use super::this_host;
use crate::datapath::BanLists;

const FILE: &str = "early.bans";
const DRAFT: &str = "early.bans.new";
const MAGIC: [u8; 8] = *b"netpolBN";
const FORMAT: u32 = 2;
const DIGEST: usize = 32;

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;

/// The largest file that is read: four times what the most bans take.
const LARGEST: u64 = 128 << 20;

/// A ban as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptBan {
    /// The host's scope, or a service's.
    pub scope: ScopeId,
    /// Who is banned.
    pub source: IpNet,
    /// When it ends by the wall clock, milliseconds since 1970; `None`: never.
    pub until: Option<i64>,
}

/// Writes the file, whole or not at all.
///
/// # Errors
/// It cannot be written. The former one is as it was.
pub fn write(state_dir: &Path, bans: impl IntoIterator<Item = KeptBan>) -> io::Result<()> {
    let draft = state_dir.join(DRAFT);
    let done = write_draft(&draft, bans).and_then(|()| {
        fs::rename(&draft, state_dir.join(FILE))?;
        File::open(state_dir)?.sync_all()
    });
    if done.is_err() {
        // On a full disk it would be in the store's way.
        let _ = fs::remove_file(&draft);
    }
    done
}

fn write_draft(draft: &Path, bans: impl IntoIterator<Item = KeptBan>) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = options.open(draft)?;
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::with_capacity(BUFFER + 64);
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(this_host());
    for ban in bans {
        bytes.extend(ban.scope.to_le_bytes());
        bytes.push(ban.source.prefix_len());
        bytes.push(if ban.source.addr().is_ipv4() { 4 } else { 6 });
        bytes.extend(ban.until.unwrap_or(0).to_le_bytes());
        match ban.source.addr() {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
        if bytes.len() >= BUFFER {
            hasher.update(&bytes);
            out.write_all(&bytes)?;
            bytes.clear();
        }
    }
    hasher.update(&bytes);
    bytes.extend(hasher.finalize().as_bytes());
    out.write_all(&bytes)?;
    out.sync_all()
}

/// The bans of the file that have not ended at `now`, milliseconds since 1970 by the wall clock.
/// `None`: there is no file, or none that can be used.
#[must_use]
pub fn read(state_dir: &Path, now: i64) -> Option<BanLists> {
    let path = state_dir.join(FILE);
    if fs::metadata(&path).ok()?.len() > LARGEST {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let (content, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
    if blake3::hash(content).as_bytes() != digest {
        return None;
    }
    let mut rest = content.strip_prefix(&MAGIC)?;
    if u32::from_le_bytes(take(&mut rest)?) != FORMAT || take::<32>(&mut rest)? != this_host() {
        return None;
    }
    let mut bans = Vec::new();
    while !rest.is_empty() {
        let scope = ScopeId::from_le_bytes(take(&mut rest)?);
        let [len, family] = take(&mut rest)?;
        let until = i64::from_le_bytes(take(&mut rest)?);
        let address = match family {
            4 => IpAddr::V4(Ipv4Addr::from(take::<4>(&mut rest)?)),
            _ => IpAddr::V6(Ipv6Addr::from(take::<16>(&mut rest)?)),
        };
        if until == 0 || until > now {
            bans.push((scope, IpNet::new(address, len).ok()?));
        }
    }
    Some(BanLists::of(bans))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, others) = rest.split_first_chunk()?;
    *rest = others;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(scope: ScopeId, source: &str, until: Option<i64>) -> KeptBan {
        KeptBan {
            scope,
            source: source.parse().unwrap(),
            until,
        }
    }

    #[test]
    fn bans_that_have_not_ended_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let bans = [
            ban(0, "203.0.113.9/32", Some(1_000)),
            ban(0, "203.0.113.10/32", Some(2_000)),
            ban(3, "2001:db8::/48", None),
        ];
        assert!(read(dir.path(), 0).is_none(), "there is none");
        write(dir.path(), bans).unwrap();
        let entries = |now| read(dir.path(), now).unwrap().entries();
        assert_eq!([entries(0), entries(1_000), entries(5_000)], [3, 2, 1]);
    }

    #[test]
    fn damaged_file_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), [ban(0, "203.0.113.9/32", None)]).unwrap();
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(read(dir.path(), 0).is_none(), "{at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(read(dir.path(), 0).is_none(), "cut at {at}");
        }
    }
}
