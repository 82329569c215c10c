//! One line of the file.

use ipnet::IpNet;
use netpolicy_policy::model::address::{self, Written};
use netpolicy_policy::model::error::Excerpt;

use super::not_a_line;
use crate::error::Problem;

const EXPECTED: &str = "`local DATABASE USER METHOD`, `host DATABASE USER ADDRESS METHOD`, with \
                        hostssl, hostnossl, hostgssenc or hostnogssenc in place of host, or an include";

/// Methods of PostgreSQL 18, and what each asks a client for.
const METHODS: [(&str, &str); 15] = [
    (
        "trust",
        "without any check: anyone there is whoever they say",
    ),
    ("reject", "rejected"),
    ("scram-sha-256", "by password (SCRAM)"),
    ("md5", "by password (MD5 or SCRAM)"),
    ("password", "by password in clear text"),
    ("gss", "by Kerberos (GSSAPI)"),
    ("sspi", "by SSPI of Windows"),
    ("ident", "by what the client's ident server says"),
    ("peer", "by the operating system's user"),
    ("ldap", "by password, checked by LDAP"),
    ("radius", "by password, checked by RADIUS"),
    ("cert", "by TLS client certificate"),
    ("pam", "by PAM"),
    ("bsd", "by BSD authentication"),
    ("oauth", "by OAuth token"),
];

/// A line that has to do with connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HbaLine {
    /// From 1.
    pub number: u32,
    /// As written, with single blanks.
    pub text: String,
    /// What it admits or rejects.
    pub admission: Admission,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Connections by unix socket, which pass no NIC.
    Local,
    /// Another file or directory.
    Include,
    /// Connections by TCP.
    Host {
        /// From where.
        address: Address,
        /// Whether it is for every database, every user and every connection, encrypted or
        /// not.
        is_whole: bool,
        /// `scram-sha-256`.
        method: String,
    },
}

/// Where connections come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Anywhere.
    All,
    /// The server's own addresses.
    SameHost,
    /// The networks that the server is in.
    SameNet,
    /// A network.
    Net(IpNet),
    /// A mask with gaps, as written.
    Gaps(String),
    /// A host's name.
    Host(String),
}

impl HbaLine {
    /// What a method asks a client for.
    pub(crate) fn explained(method: &str) -> &'static str {
        let known = METHODS.iter().find(|(name, _)| *name == method);
        known.map_or("by a method that is not known here", |(_, meaning)| meaning)
    }
}

/// A word; in quotes it is no keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text == keyword
    }
}

/// Reads a line; `None` if there is nothing on it.
pub(super) fn read(number: u32, line: &str) -> Result<Option<HbaLine>, Problem> {
    let fields = fields(line);
    let Some(first) = fields.first() else {
        return Ok(None);
    };
    let [kind] = &first[..] else {
        return Err(not_a_line(line.trim(), EXPECTED));
    };
    let admission = match kind.text.as_str() {
        "local" if fields.len() >= 4 => Admission::Local,
        "include" | "include_if_exists" | "include_dir" if fields.len() == 2 => Admission::Include,
        "host" | "hostssl" | "hostnossl" | "hostgssenc" | "hostnogssenc" => {
            host(kind.text == "host", &fields)?
        }
        _ => return Err(not_a_line(line.trim(), EXPECTED)),
    };
    let words = fields.iter().map(|field| {
        let words = field.iter().map(|word| match word.quoted {
            true => format!("\"{}\"", word.text),
            false => word.text.clone(),
        });
        words.collect::<Vec<_>>().join(",")
    });
    Ok(Some(HbaLine {
        number,
        text: words.collect::<Vec<_>>().join(" "),
        admission,
    }))
}

fn host(is_any: bool, fields: &[Vec<Word>]) -> Result<Admission, Problem> {
    let missing = |what: &str| Problem::Entry(format!("the line ends before its {what}"));
    let (Some(databases), Some(users)) = (fields.get(1), fields.get(2)) else {
        return Err(missing("database and user"));
    };
    let Some([word]) = fields.get(3).map(|field| &field[..]) else {
        return Err(missing("address"));
    };
    let (address, rest) = address(word, &fields[4..])?;
    let Some([method]) = rest.first().map(|field| &field[..]) else {
        return Err(missing("method, as in scram-sha-256 or reject"));
    };
    if !METHODS.iter().any(|(name, _)| *name == method.text) {
        let found = Excerpt::new(&method.text);
        let known = METHODS.map(|(name, _)| name).join(", ");
        return Err(Problem::Entry(format!(
            "unknown method {found}; expected one of {known}"
        )));
    }
    let is_all = |field: &[Word]| field.iter().any(|word| word.is("all"));
    Ok(Admission::Host {
        address,
        is_whole: is_any && is_all(databases) && is_all(users),
        method: method.text.clone(),
    })
}

/// Reads an address, with the mask that may stand in the next field.
fn address<'f>(word: &Word, rest: &'f [Vec<Word>]) -> Result<(Address, &'f [Vec<Word>]), Problem> {
    for (keyword, address) in [
        ("all", Address::All),
        ("samehost", Address::SameHost),
        ("samenet", Address::SameNet),
    ] {
        if word.is(keyword) {
            return Ok((address, rest));
        }
    }
    let text = &word.text;
    let wrong = |why| Problem::Address {
        text: Excerpt::new(text),
        why,
    };
    if text.contains('/') {
        return match address::parse(text) {
            Ok(Written::Net(written)) => Ok((Address::Net(written.net), rest)),
            Ok(Written::Range(..)) => Err(Problem::Entry(format!("'{text}' is no network"))),
            Err(why) => Err(wrong(why)),
        };
    }
    match address::parse(text) {
        Ok(Written::Net(written)) => {
            let mask = rest.first().and_then(|field| field.first());
            let Some(mask) = mask.and_then(|mask| mask.text.parse::<std::net::IpAddr>().ok())
            else {
                let why = format!(
                    "the address {text} has no length and no mask, which PostgreSQL does not read; write {text}/{}",
                    written.net.max_prefix_len()
                );
                return Err(Problem::Entry(why));
            };
            let address = match ipnet::ip_mask_to_prefix(mask) {
                Ok(length) => IpNet::new(written.net.addr(), length)
                    .map(|net| Address::Net(net.trunc()))
                    .map_err(|_| {
                        Problem::Entry(format!(
                            "address {text} and mask {mask} are of two families"
                        ))
                    })?,
                Err(_) => Address::Gaps(format!("{text} {mask}")),
            };
            Ok((address, &rest[1..]))
        }
        Ok(Written::Range(..)) => Err(Problem::Entry(format!(
            "PostgreSQL reads the range '{text}' as a host's name, which no client has; write networks"
        ))),
        // PostgreSQL takes what is no address for a name. Digits alone are a mistake.
        Err(why)
            if text.starts_with(|c: char| c.is_ascii_digit())
                && !text.contains(|c: char| c.is_ascii_alphabetic()) =>
        {
            Err(wrong(why))
        }
        Err(_) => Ok((Address::Host(text.clone()), rest)),
    }
}

/// Fields of words: blanks separate fields, commas the words of one.
fn fields(line: &str) -> Vec<Vec<Word>> {
    let mut fields: Vec<Vec<Word>> = Vec::new();
    let mut characters = line.chars().peekable();
    let mut joins = false;
    loop {
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        match characters.peek() {
            None | Some('#') => return fields,
            Some(',') => {
                // A comma after blanks goes on with the field before.
                characters.next();
                joins = !fields.is_empty();
                continue;
            }
            Some(_) => {}
        }
        let mut word = Word {
            text: String::new(),
            quoted: false,
        };
        let mut in_quotes = false;
        while let Some(c) = characters.peek().copied() {
            match c {
                '"' => {
                    in_quotes = !in_quotes;
                    word.quoted = true;
                }
                c if !in_quotes && (c.is_whitespace() || matches!(c, ',' | '#')) => break,
                c => word.text.push(c),
            }
            characters.next();
        }
        match fields.last_mut() {
            Some(field) if joins => field.push(word),
            _ => fields.push(vec![word]),
        }
        joins = characters.next_if_eq(&',').is_some();
    }
}
