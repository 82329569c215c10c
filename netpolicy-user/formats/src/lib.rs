//! Address lists in the formats of other programs, to netpolicy's entries.
//!
//! Pure: takes bytes and gives entries, with every error and its place; no I/O, no process, no
//! clock. Addresses are read by netpolicy's own reader, so that leading zeros, host bits,
//! mapped addresses and ranges mean here what they mean in a list file.
//!
//! [`detect`] tells the format from the content, [`read`] reads it. [`hba`] makes a policy of
//! `pg_hba.conf`, [`mod@write`] writes a reading as a list file or as a part of a policy file.

mod cloud;
mod collect;
mod crowdsec;
mod detect;
mod drop_json;
mod duration;
mod entry;
pub mod error;
mod fail2ban;
mod filter;
mod firewalld;
mod format;
mod geo_csv;
pub mod hba;
mod ipset;
mod iptables;
mod json;
mod mmdb;
mod nft;
mod p2p;
mod plain;
mod source_rule;
mod subtract;
mod text;
mod tor;
pub mod write;

pub use detect::detect;
pub use entry::{Entry, Place, Reading, Skipped, Span};
pub use error::{Error, Problem, Unrecognised};
pub use filter::{Filter, Options};
pub use format::{Format, Selector, UnknownFormat};
pub use plain::is_plain_list;

use collect::Collector;

/// Reads a file; without a format it is told from the content.
///
/// # Errors
/// All that is wrong with it, the first errors with their places.
pub fn read(format: Option<Format>, bytes: &[u8], filter: &Filter) -> Result<Reading, Vec<Error>> {
    read_with(format, bytes, filter, Options::default())
}

/// As [`read`], with other bounds.
///
/// # Errors
/// As [`read`].
pub fn read_with(
    format: Option<Format>,
    bytes: &[u8],
    filter: &Filter,
    options: Options,
) -> Result<Reading, Vec<Error>> {
    let seems = detect(bytes);
    let format = match (format, &seems) {
        (Some(format), _) => format,
        (None, Ok(seems)) => *seems,
        (None, Err(unrecognised)) => return Err(vec![unrecognised.clone().into()]),
    };
    read_as(format, bytes, filter, options).map_err(|errors| match seems {
        // Its lines are wrong since it is something else.
        Ok(seems) if seems != format => vec![Problem::OtherFormat { format, seems }.into()],
        _ => errors,
    })
}

fn read_as(
    format: Format,
    bytes: &[u8],
    filter: &Filter,
    options: Options,
) -> Result<Reading, Vec<Error>> {
    let one = |error: Error| vec![error];
    filter.check(format).map_err(one)?;
    let mut into = Collector::new(format, filter, options);
    if format == Format::Mmdb {
        mmdb::read(bytes, &mut into);
        return into.finish();
    }
    let text = text::decode(bytes).map_err(|why| vec![why.into()])?;
    match format {
        Format::Plain => plain::read(text, &mut into),
        Format::IpsetSave => ipset::read_save(text, &mut into),
        Format::IpsetList => ipset::read_list(text, &mut into),
        Format::NftText => nft::read_text(text, &mut into),
        Format::NftJson => nft::read_json(text, &mut into),
        Format::IptablesSave => iptables::read(text, &mut into),
        Format::FirewalldXml => firewalld::read(text, &mut into),
        Format::DropJson => drop_json::read(text, &mut into),
        Format::AwsRanges => cloud::read_aws(text, &mut into),
        Format::GcpRanges => cloud::read_gcp(text, &mut into),
        Format::AzureTags => cloud::read_azure(text, &mut into),
        Format::GithubMeta => cloud::read_github(text, &mut into),
        Format::Cloudflare => cloud::read_cloudflare(text, &mut into),
        Format::CrowdsecJson => crowdsec::read_json(text, &mut into),
        Format::CrowdsecCsv => crowdsec::read_csv(text, &mut into),
        Format::Fail2ban => fail2ban::read(text, &mut into),
        Format::TorExit => tor::read(text, &mut into),
        Format::P2p => p2p::read(text, &mut into),
        Format::GeoCsv => geo_csv::read(text, &mut into),
        Format::Mmdb => {}
        Format::PgHba => into.error(None, Problem::NoList),
    }
    into.finish()
}
