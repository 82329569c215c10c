//! What clouds publish of their own networks: AWS, Google, Azure, GitHub, Cloudflare.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;

use crate::collect::Collector;
use crate::error::Problem;
use crate::json::{RawValue, Text, each, parse};
use crate::text::Places;

/// What could be selected, if nothing is.
const NAMED: usize = 20;

/// Services and regions that were seen, for messages.
#[derive(Debug, Default)]
struct Seen {
    names: BTreeSet<String>,
    selected: usize,
}

impl Seen {
    fn one(&mut self, service: &str, region: &str, is_wanted: bool) {
        self.selected += usize::from(is_wanted);
        // More are not shown.
        if self.names.len() < 4 * NAMED {
            for name in [service, region] {
                if !name.is_empty() && !self.names.contains(name) {
                    self.names.insert(name.to_owned());
                }
            }
        }
    }

    /// Refuses a filter that selects nothing: an empty list is a likely mistake.
    fn finish(self, into: &mut Collector<'_>) {
        let filter = into.filter;
        if self.selected > 0 || filter.service.is_empty() && filter.region.is_empty() {
            return;
        }
        let given = |option: &str, names: &[String]| match names {
            [] => String::new(),
            names => format!("{option} {}", names.join(&format!(" {option} "))),
        };
        let what = [
            given("--service", &filter.service),
            given("--region", &filter.region),
        ];
        let what = what.join(" ").trim().to_owned();
        let mut known: Vec<_> = self.names.into_iter().collect();
        let more = known.len() > NAMED;
        known.truncate(NAMED);
        let mut known = known.join(", ");
        if more {
            known.push_str(" and others");
        }
        into.error(None, Problem::NoneSelected { what, known });
    }
}

#[derive(Deserialize)]
struct Aws<'t> {
    #[serde(borrow)]
    prefixes: &'t RawValue,
    #[serde(borrow)]
    ipv6_prefixes: &'t RawValue,
}

#[derive(Deserialize)]
struct AwsPrefix<'t> {
    #[serde(borrow, alias = "ipv6_prefix")]
    ip_prefix: Text<'t>,
    #[serde(borrow)]
    region: Text<'t>,
    #[serde(borrow)]
    service: Text<'t>,
}

/// <https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-syntax.html>
pub(crate) fn read_aws(text: &str, into: &mut Collector<'_>) {
    let mut places = Places::new(text);
    let Some(aws) = parse::<Aws<'_>>(text, &mut places, into) else {
        return;
    };
    let mut seen = Seen::default();
    for part in [aws.prefixes, aws.ipv6_prefixes] {
        each(
            part.get(),
            &mut places,
            into,
            |prefix: AwsPrefix<'_>, places, into| {
                let (service, region) = (prefix.service.as_ref(), prefix.region.as_ref());
                let is_wanted = into.filter.wants_cloud(&[service], region);
                seen.one(service, region, is_wanted);
                if is_wanted {
                    let at = places.of_part(prefix.ip_prefix.as_ref());
                    let comment = format!("AWS {service} {region}");
                    into.add(prefix.ip_prefix.as_ref(), at, Some(&comment), None);
                }
            },
        );
    }
    seen.finish(into);
}

#[derive(Deserialize)]
struct Gcp<'t> {
    #[serde(borrow)]
    prefixes: &'t RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GcpPrefix<'t> {
    #[serde(borrow, default, alias = "ipv6Prefix")]
    ipv4_prefix: Option<Text<'t>>,
    #[serde(borrow, default)]
    service: Text<'t>,
    #[serde(borrow, default)]
    scope: Text<'t>,
}

/// <https://www.gstatic.com/ipranges/cloud.json>, and `goog.json`, which has no services.
pub(crate) fn read_gcp(text: &str, into: &mut Collector<'_>) {
    let mut places = Places::new(text);
    let Some(gcp) = parse::<Gcp<'_>>(text, &mut places, into) else {
        return;
    };
    let mut seen = Seen::default();
    each(
        gcp.prefixes.get(),
        &mut places,
        into,
        |prefix: GcpPrefix<'_>, places, into| {
            let (service, region) = (prefix.service.as_ref(), prefix.scope.as_ref());
            let is_wanted = into.filter.wants_cloud(&[service], region);
            seen.one(service, region, is_wanted);
            match &prefix.ipv4_prefix {
                Some(net) if is_wanted => {
                    let comment = format!("{service} {region}");
                    into.add(
                        net.as_ref(),
                        places.of_part(net.as_ref()),
                        Some(&comment),
                        None,
                    );
                }
                Some(_) => {}
                None => into.error(
                    None,
                    Problem::Syntax {
                        syntax: "JSON",
                        why: "a prefix has neither ipv4Prefix nor ipv6Prefix".to_owned(),
                    },
                ),
            }
        },
    );
    seen.finish(into);
}

#[derive(Deserialize)]
struct Azure<'t> {
    #[serde(borrow)]
    values: &'t RawValue,
}

#[derive(Deserialize)]
struct AzureTag<'t> {
    #[serde(borrow)]
    name: Text<'t>,
    #[serde(borrow)]
    properties: AzureProperties<'t>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AzureProperties<'t> {
    #[serde(borrow, default)]
    region: Text<'t>,
    #[serde(borrow, default)]
    system_service: Text<'t>,
    #[serde(borrow)]
    address_prefixes: &'t RawValue,
}

/// `ServiceTags_Public_*.json`. A tag "Storage.WestEurope" is of service "Storage".
pub(crate) fn read_azure(text: &str, into: &mut Collector<'_>) {
    let mut places = Places::new(text);
    let Some(azure) = parse::<Azure<'_>>(text, &mut places, into) else {
        return;
    };
    let mut seen = Seen::default();
    each(
        azure.values.get(),
        &mut places,
        into,
        |tag: AzureTag<'_>, places, into| {
            let (name, of) = (tag.name.as_ref(), &tag.properties);
            let base = name.split('.').next().unwrap_or(name);
            let services = [name, base, of.system_service.as_ref()];
            let is_wanted = into.filter.wants_cloud(&services, of.region.as_ref());
            seen.one(base, of.region.as_ref(), is_wanted);
            if is_wanted {
                let comment = format!("Azure {name}");
                each(
                    of.address_prefixes.get(),
                    places,
                    into,
                    |net: Text<'_>, places, into| {
                        into.add(
                            net.as_ref(),
                            places.of_part(net.as_ref()),
                            Some(&comment),
                            None,
                        );
                    },
                );
            }
        },
    );
    seen.finish(into);
}

/// <https://api.github.com/meta>: networks by their use, with keys and domains.
pub(crate) fn read_github(text: &str, into: &mut Collector<'_>) {
    let mut places = Places::new(text);
    let Some(meta) = parse::<BTreeMap<String, &RawValue>>(text, &mut places, into) else {
        return;
    };
    let mut seen = Seen::default();
    for (service, part) in meta {
        // Arrays of strings of which the first is a network; the others are keys and names.
        let first = part
            .get()
            .strip_prefix('[')
            .unwrap_or_default()
            .trim_start();
        let first = first.trim_start_matches('"').split('"').next();
        let is_network = first.is_some_and(|first| {
            first.contains('/') && first.contains(['.', ':']) && !first.contains(' ')
        });
        if !is_network {
            continue;
        }
        let is_wanted = into.filter.wants_cloud(&[&service], "");
        seen.one(&service, "", is_wanted);
        if is_wanted {
            let comment = format!("GitHub {service}");
            each(
                part.get(),
                &mut places,
                into,
                |net: Text<'_>, places, into| {
                    into.add(
                        net.as_ref(),
                        places.of_part(net.as_ref()),
                        Some(&comment),
                        None,
                    );
                },
            );
        }
    }
    seen.finish(into);
}

#[derive(Deserialize)]
struct Cloudflare<'t> {
    success: bool,
    #[serde(borrow)]
    result: Option<CloudflareResult<'t>>,
}

#[derive(Deserialize)]
struct CloudflareResult<'t> {
    #[serde(borrow)]
    ipv4_cidrs: &'t RawValue,
    #[serde(borrow)]
    ipv6_cidrs: &'t RawValue,
}

/// <https://api.cloudflare.com/client/v4/ips>
pub(crate) fn read_cloudflare(text: &str, into: &mut Collector<'_>) {
    let mut places = Places::new(text);
    let Some(answer) = parse::<Cloudflare<'_>>(text, &mut places, into) else {
        return;
    };
    let Some(result) = answer.result.filter(|_| answer.success) else {
        let why = "the answer says that it failed (\"success\" is not true)".to_owned();
        into.error(
            None,
            Problem::Syntax {
                syntax: "JSON",
                why,
            },
        );
        return;
    };
    for part in [result.ipv4_cidrs, result.ipv6_cidrs] {
        each(
            part.get(),
            &mut places,
            into,
            |net: Text<'_>, places, into| {
                into.add(
                    net.as_ref(),
                    places.of_part(net.as_ref()),
                    Some("Cloudflare"),
                    None,
                );
            },
        );
    }
}
