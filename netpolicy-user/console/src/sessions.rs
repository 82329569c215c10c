//! Tokens that are good once, and the secrets of sessions.
//!
//! A token stands in the URL's fragment, which browsers send to no server. The page exchanges it
//! for a secret, which it keeps for its tab and sends in a header: a cookie would go to every
//! port of the host. Only digests are kept here, and comparing them takes the same time whatever
//! differs.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use blake3::Hash;

/// The most tokens, and the most sessions of one person, that are good at a time: older ones end.
const MOST: usize = 16;

/// The most sessions of all.
const MOST_SESSIONS: usize = 1024;

/// Tokens and sessions of one console.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    tokens: VecDeque<Hash>,
    sessions: VecDeque<Session>,
}

#[derive(Debug)]
struct Session {
    secret: Hash,
    person: Option<String>,
}

/// The system has no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers: {0}")]
pub struct NoRandom(#[from] getrandom::Error);

impl Sessions {
    /// A new token: 256 random bits as 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`NoRandom`]
    pub(crate) fn offer(&self) -> Result<String, NoRandom> {
        let token = random()?;
        let mut known = self.known();
        if known.tokens.len() >= MOST {
            known.tokens.pop_front();
        }
        known.tokens.push_back(digest(&token));
        Ok(token)
    }

    /// Exchanges a token for the secret of a session; `None`: it is not good, or no longer.
    ///
    /// # Errors
    /// [`NoRandom`]
    pub(crate) fn exchange(&self, token: &str) -> Result<Option<String>, NoRandom> {
        let digest = digest(token);
        let mut known = self.known();
        let Some(at) = known.tokens.iter().position(|good| *good == digest) else {
            return Ok(None);
        };
        known.tokens.remove(at);
        drop(known);
        self.begin(None).map(Some)
    }

    /// Begins a session; `person`: who a reverse proxy says it is.
    ///
    /// # Errors
    /// [`NoRandom`]
    pub(crate) fn begin(&self, person: Option<String>) -> Result<String, NoRandom> {
        let secret = random()?;
        let session = Session {
            secret: digest(&secret),
            person,
        };
        let mut known = self.known();
        let sessions = &mut known.sessions;
        let is_own = |kept: &Session| kept.person == session.person;
        let oldest = match sessions.iter().filter(|kept| is_own(kept)).count() < MOST {
            true if sessions.len() < MOST_SESSIONS => None,
            true => Some(0),
            false => sessions.iter().position(is_own),
        };
        if let Some(oldest) = oldest {
            sessions.remove(oldest);
        }
        sessions.push_back(session);
        Ok(secret)
    }

    /// Whether a secret is that of a session of this person.
    pub(crate) fn knows(&self, secret: &str, person: Option<&str>) -> bool {
        let digest = digest(secret);
        let known = self.known();
        let mut sessions = known.sessions.iter();
        sessions.any(|session| session.secret == digest && session.person.as_deref() == person)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(text: &str) -> Hash {
    blake3::hash(text.as_bytes())
}

fn random() -> Result<String, NoRandom> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_good_once_and_its_session_stays() {
        let sessions = Sessions::default();
        let token = sessions.offer().unwrap();
        assert_eq!(token.len(), 64);
        assert!(sessions.exchange("").unwrap().is_none());
        assert!(sessions.exchange(&token[1..]).unwrap().is_none());
        let secret = sessions.exchange(&token).unwrap().unwrap();
        assert_ne!(secret, token);
        assert!(sessions.exchange(&token).unwrap().is_none());
        assert!(sessions.knows(&secret, None));
        assert!(!sessions.knows(&token, None));
        assert!(!sessions.knows("", None));
    }

    #[test]
    fn session_of_one_person_is_not_that_of_another() {
        let sessions = Sessions::default();
        let secret = sessions.begin(Some("alice".to_owned())).unwrap();
        assert!(sessions.knows(&secret, Some("alice")));
        assert!(!sessions.knows(&secret, Some("bob")));
        assert!(!sessions.knows(&secret, None));
    }

    #[test]
    fn oldest_tokens_and_sessions_end() {
        let sessions = Sessions::default();
        let first = sessions.offer().unwrap();
        let secret = sessions.begin(None).unwrap();
        for _ in 0..MOST {
            sessions.offer().unwrap();
            sessions.begin(None).unwrap();
        }
        assert!(sessions.exchange(&first).unwrap().is_none());
        assert!(!sessions.knows(&secret, None));
    }

    #[test]
    fn sessions_of_one_person_do_not_end_those_of_another() {
        let sessions = Sessions::default();
        let person = |name: &str| sessions.begin(Some(name.to_owned())).unwrap();
        let (alice, first) = (person("alice"), person("bob"));
        for _ in 0..MOST {
            person("bob");
        }
        assert!(sessions.knows(&alice, Some("alice")));
        assert!(!sessions.knows(&first, Some("bob")));
        for at in 0..MOST_SESSIONS {
            person(&format!("person-{at}"));
        }
        assert!(!sessions.knows(&alice, Some("alice")));
    }
}
