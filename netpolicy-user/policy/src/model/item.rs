//! Single addresses of lists that other modules take apart, such as SQL's.

use ipnet::IpNet;

use super::address::{self, Written};
use super::error::{Excerpt, Problem};
use super::reader::spelling;
use super::rule::{Note, Spelling};

/// One address or CIDR, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Masked, IPv4-mapped addresses as IPv4.
    pub net: IpNet,
    /// Whether host bits were set.
    pub masked: bool,
    /// Whether it came with a length.
    pub with_length: bool,
    spelling: Spelling,
}

impl Item {
    /// Reads one address or CIDR; blanks around it do not count.
    ///
    /// # Errors
    /// [`Problem::Address`] or [`Problem::Range`].
    #[inline]
    pub fn read(text: &str) -> Result<Self, Problem> {
        let text = text.trim();
        match address::parse(text) {
            Ok(Written::Net(written)) => Ok(Self {
                net: written.net,
                masked: written.masked,
                with_length: written.with_length,
                spelling: spelling(written, text),
            }),
            Ok(Written::Range(..)) => Err(Problem::Range {
                text: Excerpt::new(text),
            }),
            Err(why) => Err(Problem::Address {
                text: Excerpt::new(text),
                why,
            }),
        }
    }

    /// What there is to note of a rule that says this, under a name.
    #[must_use]
    pub fn into_note(self, name: Option<Box<str>>) -> Note {
        Note {
            spelling: self.spelling,
            name,
            ..Note::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_is_masked_and_keeps_its_text() {
        let item = Item::read(" 1.2.3.4/28 ").unwrap();
        assert_eq!(item.net.to_string(), "1.2.3.0/28");
        assert!(item.masked && item.with_length);
        let note = item.into_note(None);
        assert_eq!(note.spelling, Spelling::Text("1.2.3.4/28".into()));
        let item = Item::read("10.0.0.1").unwrap();
        assert!(!item.masked && !item.with_length);
        assert!(matches!(
            Item::read("10.0.0.1-10.0.0.2"),
            Err(Problem::Range { .. })
        ));
        assert!(matches!(
            Item::read("10.0.0.0/33"),
            Err(Problem::Address { .. })
        ));
    }
}
