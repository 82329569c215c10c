//! The other network namespaces of this machine: containers.
//!
//! Finds them by the processes in them and by the files that keep them, and runs work in
//! one on a thread of its own, so that no other thread changes its namespace. Holds a
//! descriptor of one namespace at a time, however many there are.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use libc::{RTM_GETNSID, RTM_NEWNSID};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use nix::sched::{CloneFlags, setns};

use super::error::SocketsError;
use super::netlink::Netlink;
use super::rtnetlink::{RouteMessage, number};

/// Bytes of `struct rtgenmsg`, padded.
const HEADER: usize = 4;

/// Attributes of `linux/net_namespace.h`.
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

/// Where `ip netns` and Docker keep namespaces, also those without a process.
const KEPT: [&str; 2] = ["/run/netns", "/run/docker/netns"];

/// The network namespaces that were found, the calling thread's left out.
pub(super) struct Namespaces {
    all: Vec<Namespace>,
    /// The user namespace that owns the calling thread's network namespace; `None`: it is
    /// none of those that the caller may know.
    owner: Option<FileIdentity>,
    /// Why there may be more than were found.
    pub(super) hidden: Option<String>,
}

/// What tells a file from all others.
type FileIdentity = (u64, u64);

struct Namespace {
    is: FileIdentity,
    /// All files that stand for it; a process's goes with the process.
    paths: Vec<PathBuf>,
}

impl Namespaces {
    pub(super) fn find() -> Result<Self, SocketsError> {
        const OWN: &str = "/proc/thread-self/ns/net";
        let failed = |source| SocketsError::System {
            what: "look at the own network namespace",
            source,
        };
        let own = File::open(OWN).map_err(failed)?;
        let owner = owner(&own).map_err(failed)?;
        let own = identity(&own.metadata().map_err(failed)?);
        let mut found = Self {
            all: Vec::new(),
            owner,
            hidden: None,
        };
        let mut places = HashMap::new();
        for path in candidates()? {
            match fs::metadata(&path).map(|metadata| identity(&metadata)) {
                // All namespaces are in one file system, other files are not.
                Ok(is) if is.0 == own.0 && is != own => {
                    let place = *places.entry(is).or_insert(found.all.len());
                    match found.all.get_mut(place) {
                        Some(known) => known.paths.push(path),
                        None => found.all.push(Namespace {
                            is,
                            paths: vec![path],
                        }),
                    }
                }
                Ok(_) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => found.hidden = Some(cause("look at a network namespace", error)),
            }
        }
        Ok(found)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Opens one of them, by its place; `Ok(None)`: it is gone.
    pub(super) fn open(&self, at: usize) -> Result<Option<OpenNamespace>, SocketsError> {
        let Some(Namespace { is, paths }) = self.all.get(at) else {
            return Ok(None);
        };
        let mut failure = None;
        for path in paths {
            let opened = File::open(path).and_then(|file| Ok((identity(&file.metadata()?), file)));
            match opened {
                Ok((found, file)) if found == *is => return Ok(Some(OpenNamespace(file))),
                // The process has another namespace now, or the name stands for another.
                Ok(_) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(source) => Err(SocketsError::System {
                what: "open a network namespace",
                source,
            }),
            None => Ok(None),
        }
    }

    /// Whether the user namespace that owns the caller's network namespace owns this one,
    /// too. Otherwise any local user may have made it (`user_namespaces(7)`).
    pub(super) fn has_same_owner(&self, opened: &OpenNamespace) -> Result<bool, SocketsError> {
        let owner = owner(&opened.0).map_err(|source| SocketsError::System {
            what: "ask who owns a network namespace",
            source,
        })?;
        Ok(owner.is_some() && owner == self.owner)
    }
}

/// A network namespace.
pub(super) struct OpenNamespace(File);

impl OpenNamespace {
    /// The number that the calling thread's namespace has for it, as `IFLA_LINK_NETNSID`
    /// says it; `None`: it has none, so no interface has its other end there.
    pub(super) fn number(&self, netlink: &mut Netlink) -> Result<Option<i32>, SocketsError> {
        let refused = |source| SocketsError::Refused {
            what: "number a network namespace",
            source,
        };
        let fd = self.0.as_raw_fd().to_ne_bytes();
        let request = RouteMessage::new(RTM_GETNSID, &[0; HEADER], &[(NETNSA_FD, &fd)]);
        let mut id = None;
        let answer = netlink.ask(
            NLM_F_REQUEST | NLM_F_ACK,
            request,
            |message: RouteMessage| {
                if message.kind == RTM_NEWNSID {
                    let mut attributes = message.attributes(HEADER);
                    let found = attributes.find(|(name, _)| *name == NETNSA_NSID);
                    let found = found.and_then(|(_, value)| number(value));
                    // One that has none is -1.
                    id = found.map(u32::cast_signed).filter(|id| *id >= 0);
                }
            },
        )?;
        answer.errno.map_or(Ok(id), |errno| Err(refused(errno)))
    }

    /// Runs work in it.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, SocketsError> {
        let inside = || setns(&self.0, CloneFlags::CLONE_NEWNET).map(|()| work());
        let result = on_a_thread(thread::Builder::new(), inside)?;
        result.map_err(|errno| SocketsError::System {
            what: "enter a network namespace",
            source: errno.into(),
        })
    }
}

/// Runs work on a thread of its own, which begins in the caller's namespaces.
fn on_a_thread<T: Send>(
    thread: thread::Builder,
    work: impl FnOnce() -> T + Send,
) -> Result<T, SocketsError> {
    thread::scope(|scope| {
        let thread = thread.spawn_scoped(scope, work);
        let result = thread.map_err(SocketsError::no_thread)?.join();
        Ok(result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn identity(metadata: &Metadata) -> FileIdentity {
    (metadata.dev(), metadata.ino())
}

/// The user namespace that owns a network namespace; `None`: it is neither the caller's nor
/// one below it.
fn owner(namespace: &File) -> io::Result<Option<FileIdentity>> {
    /// `linux/nsfs.h`.
    const NS_GET_USERNS: u32 = 0xb701;
    // SAFETY: the descriptor is open during the call, and the request has no argument.
    let fd = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS.into()) };
    if fd < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            ErrorKind::PermissionDenied => Ok(None),
            _ => Err(error),
        };
    }
    // SAFETY: the kernel has just made this descriptor for the caller alone.
    let owner = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(Some(identity(&File::from(owner).metadata()?)))
}

/// What the processes have, and what is kept. A process that ends meanwhile is no hindrance.
fn candidates() -> Result<Vec<PathBuf>, SocketsError> {
    let failed = |what| move |source| SocketsError::System { what, source };
    let mut found = Vec::new();
    for name in names(Path::new("/proc")).map_err(failed("list the processes"))? {
        if name.file_name().is_some_and(|name| {
            let name = name.as_encoded_bytes();
            name.iter().all(u8::is_ascii_digit)
        }) {
            found.push(name.join("ns/net"));
        }
    }
    for directory in KEPT {
        match names(Path::new(directory)) {
            Ok(names) => found.extend(names),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed("list the named network namespaces")(error)),
        }
    }
    Ok(found)
}

fn names(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Whether a file, or the process that it belongs to, is not there any more.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn cause(what: &'static str, source: io::Error) -> String {
    SocketsError::System { what, source }.in_full()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_that_cannot_start_is_an_error() {
        let too_large = thread::Builder::new().stack_size(usize::MAX / 4);
        let error = on_a_thread(too_large, || ()).unwrap_err();
        assert!(error.in_full().starts_with("cannot start a thread: "));
        assert_eq!(on_a_thread(thread::Builder::new(), || 7).unwrap(), 7);
    }

    #[test]
    fn file_of_an_ended_process_is_skipped_for_another_of_the_same_namespace() {
        let own = PathBuf::from("/proc/thread-self/ns/net");
        let is = identity(&fs::metadata(&own).unwrap());
        let namespaces = |paths| Namespaces {
            all: vec![Namespace { is, paths }],
            owner: None,
            hidden: None,
        };
        let gone = PathBuf::from("/proc/0/ns/net");
        let other = PathBuf::from("/proc/thread-self/ns/user");
        let found = namespaces(vec![gone.clone(), other.clone(), own]);
        assert!(found.open(0).unwrap().is_some());
        assert!(namespaces(vec![gone, other]).open(0).unwrap().is_none());
    }
}
