//! DROP lists of Spamhaus: a JSON object a line, the last of which says how many there are.

use netpolicy_policy::model::counted;
use serde::Deserialize;

use crate::collect::Collector;
use crate::error::Problem;
use crate::json::{Text, parse};
use crate::text::{Places, lines, place};

#[derive(Deserialize)]
struct Line<'t> {
    #[serde(borrow, default)]
    cidr: Option<Text<'t>>,
    #[serde(borrow, default)]
    sblid: Text<'t>,
    #[serde(borrow, default)]
    rir: Text<'t>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'t>>,
    #[serde(default)]
    records: Option<usize>,
}

/// <https://www.spamhaus.org/drop/drop_v4.json>
pub(crate) fn read(text: &str, into: &mut Collector<'_>) {
    let mut places = Places::new(text);
    let (mut found, mut has_metadata) = (0_usize, false);
    for (number, line) in lines(text) {
        if line.trim().is_empty() {
            continue;
        }
        let Some(read) = parse::<Line<'_>>(line, &mut places, into) else {
            if into.is_done() {
                return;
            }
            continue;
        };
        let at = place(number, line, line.trim());
        if read.kind.is_some_and(|kind| kind.as_ref() == "metadata") {
            has_metadata = true;
            if let Some(records) = read.records.filter(|records| *records != found) {
                let missing = format!(
                    "a part of its {}, of which {found} are there,",
                    counted(records, "record", "records")
                );
                into.error(Some(at), Problem::Truncated { missing });
            }
        } else if let Some(cidr) = read.cidr {
            found += 1;
            let comment = [read.sblid.as_ref(), read.rir.as_ref()].join(" ");
            into.add(
                cidr.as_ref(),
                places.of_part(cidr.as_ref()),
                Some(&comment),
                None,
            );
        } else {
            let why = "has no \"cidr\"; of the lists of Spamhaus those of networks are read \
                       (drop_v4.json, drop_v6.json), not that of AS numbers"
                .to_owned();
            into.refuse(at, Problem::Entry(why));
        }
        if into.is_done() {
            return;
        }
    }
    if !has_metadata {
        let missing = "the last line, with \"type\":\"metadata\",".to_owned();
        into.error(None, Problem::Truncated { missing });
    }
}
