//! One rule of a list: what is enforced, and what the user wrote.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A rule. Small, since a host holds millions: what most rules lack is in a [`Note`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What is enforced: host bits masked, IPv4-mapped addresses as IPv4.
    pub net: IpNet,
    /// Which of [`RuleList::sources`](super::RuleList::sources) it comes from.
    pub source: u16,
    /// The line in that source; 0: it has no lines.
    pub line: u32,
    /// What few rules have in addition, if this one does.
    #[serde(with = "shared_note")]
    pub note: Option<Arc<Note>>,
}

const _: () = assert!(size_of::<Rule>() <= 32);

/// What few rules have.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Note {
    /// How it was written.
    pub spelling: Spelling,
    /// The rule's name.
    pub name: Option<Box<str>>,
    /// Description.
    pub comment: Option<Box<str>>,
    /// When the rule ends, in whole seconds; `None`: it has no end.
    pub expires: Option<Timestamp>,
}

/// How a rule was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Spelling {
    /// As [`canonical`] writes it.
    #[default]
    Canonical,
    /// A single address with its length, as in "10.0.0.1/32".
    WithLength,
    /// Otherwise.
    Text(Box<str>),
}

/// The note of rules whose only peculiarity is [`Spelling::WithLength`]. Whole lists
/// are written so; they share this one.
static WITH_LENGTH: LazyLock<Arc<Note>> = LazyLock::new(|| {
    Arc::new(Note {
        spelling: Spelling::WithLength,
        name: None,
        comment: None,
        expires: None,
    })
});

impl Note {
    /// The note with this content; `None` if there is nothing to note.
    #[must_use]
    pub fn share(self) -> Option<Arc<Self>> {
        match self {
            Self {
                spelling: Spelling::Canonical,
                name: None,
                comment: None,
                expires: None,
            } => None,
            Self {
                spelling: Spelling::WithLength,
                name: None,
                comment: None,
                expires: None,
            } => Some(Arc::clone(&WITH_LENGTH)),
            note => Some(Arc::new(note)),
        }
    }
}

impl Rule {
    /// The rule as the user wrote it.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self.note.as_deref().map(|note| &note.spelling) {
            None | Some(Spelling::Canonical) => Cow::Owned(canonical(&self.net)),
            Some(Spelling::WithLength) => Cow::Owned(self.net.to_string()),
            Some(Spelling::Text(text)) => Cow::Borrowed(text),
        }
    }

    /// The rule's name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.note.as_deref()?.name.as_deref()
    }

    /// The rule's comment.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.note.as_deref()?.comment.as_deref()
    }

    /// When the rule ends.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.note.as_deref()?.expires
    }

    /// This rule with the name and comment that `other` has, as far as it has any, and with its
    /// end, or without one if `other` has none; `None` if that changes nothing.
    #[must_use]
    pub(super) fn with_note_of(&self, other: &Self) -> Option<Self> {
        let own = self.note.as_deref().cloned().unwrap_or_default();
        let new = other.note.as_deref().cloned().unwrap_or_default();
        let note = Note {
            spelling: own.spelling.clone(),
            name: new.name.or_else(|| own.name.clone()),
            comment: new.comment.or_else(|| own.comment.clone()),
            expires: new.expires,
        };
        (note != own).then(|| Self {
            note: note.share(),
            ..self.clone()
        })
    }

    /// Whether both say the same in the same words, wherever they were written.
    #[must_use]
    pub fn same_words(&self, other: &Self) -> bool {
        self.net == other.net && self.note == other.note
    }
}

/// An end as rules have it, in whole seconds: the next one.
#[must_use]
pub fn whole_seconds(end: Timestamp) -> Timestamp {
    let seconds = end.as_second() + i64::from(end.subsec_nanosecond() > 0);
    Timestamp::from_second(seconds).unwrap_or(end)
}

/// A network as netpolicy writes it: a single address without its length.
#[must_use]
pub fn canonical(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

/// Keeps [`WITH_LENGTH`] shared when lists are read back.
mod shared_note {
    use super::{Arc, Deserialize, Deserializer, Note, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        note: &Option<Arc<Note>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        note.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<Note>>, D::Error> {
        Ok(Option::<Note>::deserialize(deserializer)?.and_then(Note::share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(net: &str, spelling: Spelling) -> Rule {
        let note = Note {
            spelling,
            ..Note::default()
        }
        .share();
        Rule {
            net: net.parse().unwrap(),
            source: 0,
            line: 1,
            note,
        }
    }

    #[test]
    fn rule_text_is_kept_as_written() {
        assert_eq!(rule("10.0.0.1/32", Spelling::Canonical).text(), "10.0.0.1");
        assert_eq!(
            rule("10.0.0.1/32", Spelling::WithLength).text(),
            "10.0.0.1/32"
        );
        assert_eq!(rule("10.0.0.0/8", Spelling::Canonical).text(), "10.0.0.0/8");
        assert_eq!(
            rule("10.0.0.0/8", Spelling::Text("10.1.1.1/8".into())).text(),
            "10.1.1.1/8"
        );
        assert_eq!(rule("::1/128", Spelling::Canonical).text(), "::1");
    }

    #[test]
    fn common_note_is_shared_after_deserialization() {
        let written = rule("10.0.0.1/32", Spelling::WithLength);
        let read: Rule = postcard::from_bytes(&postcard::to_stdvec(&written).unwrap()).unwrap();
        assert_eq!(read, written);
        assert!(Arc::ptr_eq(&read.note.unwrap(), &WITH_LENGTH));
        let plain = rule("::/8", Spelling::Canonical);
        let read: Rule = postcard::from_bytes(&postcard::to_stdvec(&plain).unwrap()).unwrap();
        assert_eq!(read, plain);
    }
}
