//! Tells a format from the content of a file.

use netpolicy_policy::model::address::{self, AddressProblem};
use netpolicy_policy::model::error::Excerpt;

use crate::error::Unrecognised;
use crate::text::decode;
use crate::{Format, crowdsec, geo_csv, hba, mmdb, p2p};

/// Bytes at the beginning by which JSON and XML are told.
const HEAD: usize = 64 * 1024;
/// Lines that are looked at.
const LINES: usize = 50;

/// Tells the format of a file from its content.
///
/// # Errors
/// What the file seems to be, if that is no format that is read.
pub fn detect(bytes: &[u8]) -> Result<Format, Unrecognised> {
    if mmdb::is_one(bytes) {
        return Ok(Format::Mmdb);
    }
    let text = decode(bytes)?;
    let text = text.trim_start();
    match text.bytes().next() {
        None => Err(Unrecognised::Empty),
        Some(b'<') => xml(head(text)),
        Some(b'{' | b'[') => json(text),
        Some(_) if text.trim_end() == "null" => Ok(Format::CrowdsecJson),
        Some(_) => of_lines(text),
    }
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(HEAD);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn xml(head: &str) -> Result<Format, Unrecognised> {
    let lower = head.to_ascii_lowercase();
    if head.contains("<ipset") {
        Ok(Format::FirewalldXml)
    } else if lower.contains("<html") || lower.contains("<!doctype html") {
        Err(Unrecognised::Html)
    } else {
        Err(Unrecognised::Xml)
    }
}

/// By keys that no other format has.
fn json(text: &str) -> Result<Format, Unrecognised> {
    let start = head(text);
    let has = |key: &str| start.contains(key);
    let format = if has("\"nftables\"") {
        Format::NftJson
    } else if has("\"ip_prefix\"") || has("\"ipv6_prefix\"") || has("\"createDate\"") {
        Format::AwsRanges
    } else if has("\"ipv4Prefix\"") || has("\"ipv6Prefix\"") || has("\"creationTime\"") {
        Format::GcpRanges
    } else if has("\"addressPrefixes\"") || has("\"changeNumber\"") {
        Format::AzureTags
    } else if has("\"ipv4_cidrs\"") {
        Format::Cloudflare
    } else if has("\"verifiable_password_authentication\"") || has("\"hooks\"") && has("\"web\"") {
        Format::GithubMeta
    } else if has("\"sblid\"") || has("\"cidr\"") && text.starts_with('{') {
        Format::DropJson
    } else if has("\"decisions\"")
        || has("\"scope\"") && has("\"value\"")
        || has("\"new\"") && has("\"deleted\"")
        || is_empty_array(text)
    {
        Format::CrowdsecJson
    } else if start.starts_with("[{'") {
        Format::Fail2ban
    } else {
        return Err(Unrecognised::Json);
    };
    Ok(format)
}

/// What both `fail2ban-client banned` and CrowdSec say of nothing.
fn is_empty_array(text: &str) -> bool {
    let inner = text
        .trim()
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'));
    inner.is_some_and(|inner| inner.trim().is_empty())
}

fn of_lines(text: &str) -> Result<Format, Unrecognised> {
    let lines = || {
        let lines = text.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
    };
    let Some(first) = lines().next() else {
        return Err(Unrecognised::Empty);
    };
    let any = |is: &dyn Fn(&str) -> bool| lines().take(LINES).any(is);
    let word = |line: &str| {
        line.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let format = match word(first).as_str() {
        "create" | "add" if is_ipset_save(first) => Format::IpsetSave,
        "Name:" if any(&|line| line.starts_with("Type:")) => Format::IpsetList,
        "table" | "flush" | "define" | "add" if any(&is_nft) => Format::NftText,
        "ExitNode" => Format::TorExit,
        _ if first.starts_with('*') || first.starts_with("-A ") || first.starts_with("-P ") => {
            Format::IptablesSave
        }
        _ if crowdsec::is_header(first) => Format::CrowdsecCsv,
        _ if geo_csv::is_line(first) => Format::GeoCsv,
        _ if hba::is_line(first) => Format::PgHba,
        _ if p2p::is_line(first) => Format::P2p,
        _ if any(&is_plain) => Format::Plain,
        _ => return Err(unknown(first)),
    };
    Ok(format)
}

fn is_ipset_save(line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().take(3).collect();
    match words[..] {
        ["create", _, kind] => kind.contains(':'),
        ["add", _, element] => address::parse(element).is_ok() || element.contains([',', '.', ':']),
        _ => false,
    }
}

fn is_nft(line: &str) -> bool {
    const FAMILIES: [&str; 6] = ["ip", "ip6", "inet", "arp", "bridge", "netdev"];
    let mut words = line.split_whitespace().skip_while(|word| *word == "add");
    words.next() == Some("table")
        && words.next().is_some_and(|word| {
            // The family may be left out.
            FAMILIES.contains(&word) || line.ends_with('{')
        })
}

/// Whether a line may be one of an address list, with whatever errors.
fn is_plain(line: &str) -> bool {
    let content = line.split(['#', ';', ',']).next().unwrap_or_default();
    let column = content.split_whitespace().next().unwrap_or_default();
    if column == "Start" {
        return content.starts_with("Start\tEnd");
    }
    match address::parse(column) {
        Ok(_) => true,
        // "10.0.0.1-" of a range with blanks, and the like.
        Err(AddressProblem::HostName | AddressProblem::V6) => false,
        Err(_) => column.starts_with(|c: char| c.is_ascii_digit()),
    }
}

fn unknown(first: &str) -> Unrecognised {
    if first.starts_with('%') && first.starts_with("%PDF") {
        return Unrecognised::Binary;
    }
    Unrecognised::Unknown {
        first: Excerpt::new(first),
    }
}
