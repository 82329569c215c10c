//! What became of each line of a request, and how the answer says it.

use std::io::Write as _;

use ipnet::IpNet;
use jiff::Timestamp;

#[cfg(test)]
use crate::api::BanOutcome;
use crate::api::BanResult;

/// Lines of an answer that another thread is worth.
const MANY: usize = 8_192;

/// What became of a line.
#[derive(Clone, Debug)]
pub struct JudgedBan {
    /// The network; the text as it was sent of a line that is refused.
    pub(in crate::agent) source: Result<IpNet, String>,
    pub(in crate::agent) result: BanResult,
    /// When the ban ends by the wall clock; `None`: never, or there is none.
    pub(in crate::agent) until: Option<Timestamp>,
    pub(in crate::agent) detail: Option<String>,
}

/// Of a line that is not judged yet.
impl Default for JudgedBan {
    fn default() -> Self {
        Self {
            source: Err(String::new()),
            result: BanResult::Refused,
            until: None,
            detail: None,
        }
    }
}

#[cfg(test)]
impl From<&JudgedBan> for BanOutcome {
    fn from(judged: &JudgedBan) -> Self {
        Self {
            source: match &judged.source {
                Ok(net) => net.to_string(),
                Err(text) => text.clone(),
            },
            result: judged.result,
            until: judged.until,
            detail: judged.detail.clone(),
        }
    }
}

/// A [`BanOutcome`](crate::api::BanOutcome) a line, as JSON; of many on two processors.
///
/// # Errors
/// Text cannot be written as JSON.
pub fn written(judged: &[JudgedBan]) -> serde_json::Result<Vec<u8>> {
    if judged.len() < MANY {
        return written_alone(judged);
    }
    let (first, second) = judged.split_at(judged.len() / 2);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| written_alone(second));
        let mut text = written_alone(first)?;
        match second.join() {
            Ok(more) => text.extend_from_slice(&more?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(text)
    })
}

/// As `serde_json` writes outcomes, which takes three times as long: most lines are about an
/// IPv4 host, and most have the same end.
fn written_alone(judged: &[JudgedBan]) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(judged.len() * 96);
    let mut end: Option<(Timestamp, String)> = None;
    for one in judged {
        text.extend_from_slice(br#"{"source":"#);
        match &one.source {
            Ok(net) => put_net(&mut text, net),
            Err(sent) => serde_json::to_writer(&mut text, sent)?,
        }
        text.extend_from_slice(br#","result":""#);
        text.extend_from_slice(one.result.name().as_bytes());
        text.push(b'"');
        if let Some(until) = one.until {
            let (_, shown) = match end.take().filter(|(known, _)| *known == until) {
                Some(known) => end.insert(known),
                None => end.insert((until, until.to_string())),
            };
            text.extend_from_slice(br#","until":""#);
            text.extend_from_slice(shown.as_bytes());
            text.push(b'"');
        }
        if let Some(detail) = &one.detail {
            text.extend_from_slice(br#","detail":"#);
            serde_json::to_writer(&mut text, detail)?;
        }
        text.extend_from_slice(b"}\n");
    }
    Ok(text)
}

fn put_net(text: &mut Vec<u8>, net: &IpNet) {
    text.push(b'"');
    match net {
        IpNet::V4(net) => {
            let mut between = None;
            for octet in net.addr().octets() {
                text.extend(between.replace(b'.'));
                put_byte(text, octet);
            }
            text.push(b'/');
            put_byte(text, net.prefix_len());
        }
        IpNet::V6(net) => {
            // Writing to memory does not fail.
            let _ = write!(text, "{net}");
        }
    }
    text.push(b'"');
}

fn put_byte(text: &mut Vec<u8>, byte: u8) {
    if byte >= 100 {
        text.push(b'0' + byte / 100);
    }
    if byte >= 10 {
        text.push(b'0' + byte / 10 % 10);
    }
    text.push(b'0' + byte % 10);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(source: Result<&str, &str>, until: Option<i64>, detail: Option<&str>) -> JudgedBan {
        JudgedBan {
            source: source
                .map(|net| net.parse().unwrap())
                .map_err(str::to_owned),
            result: match source {
                Ok(_) => BanResult::Banned,
                Err(_) => BanResult::Refused,
            },
            until: until.map(|ms| Timestamp::from_millisecond(ms).unwrap()),
            detail: detail.map(str::to_owned),
        }
    }

    #[test]
    fn answers_are_what_serde_writes() {
        let end = Some(1_900_000_000_123);
        let mut all = vec![
            judged(Ok("203.0.113.9/32"), end, None),
            judged(Ok("10.0.0.0/8"), end, None),
            judged(Ok("0.0.0.0/0"), Some(1_900_000_000_000), None),
            judged(Ok("100.20.3.255/32"), None, Some("it is \"banned\" by x")),
            judged(Ok("2001:db8::/48"), end, None),
            judged(Err("10.0.0.256 \u{7}"), None, Some("not\nan address")),
        ];
        for result in [
            BanResult::Extended,
            BanResult::Unchanged,
            BanResult::Unbanned,
            BanResult::Absent,
        ] {
            let one = judged(Ok("198.51.100.1/32"), None, None);
            all.push(JudgedBan { result, ..one });
        }
        let expected = |judged: &[JudgedBan]| {
            let lines = judged.iter().map(|one| {
                let outcome = BanOutcome::from(one);
                serde_json::to_string(&outcome).unwrap() + "\n"
            });
            lines.collect::<String>()
        };
        let text = String::from_utf8(written(&all).unwrap()).unwrap();
        assert_eq!(text, expected(&all));
        let many: Vec<_> = all.iter().cycle().take(MANY + 7).cloned().collect();
        let text = String::from_utf8(written(&many).unwrap()).unwrap();
        assert_eq!(text, expected(&many));
    }
}
