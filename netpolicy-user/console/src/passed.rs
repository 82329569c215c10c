//! Which requests are passed on to the agent: those that the page makes, and no others.
//!
//! The kill switch, the store, leaving a fleet and what only programs send (content of feeds, whole
//! sets of bans) stay with the command line.

use hyper::Method;

/// What a request that is passed on does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// Reads.
    Reads,
    /// Changes something, unless its query says that it is a dry run.
    Tries,
    /// Changes something, whatever its query says.
    Changes,
}

impl Passed {
    /// Whether a request of this kind, with this query, may change something.
    pub(crate) fn changes(self, query: Option<&str>) -> bool {
        match self {
            Self::Reads => false,
            Self::Tries => !is_trial(query),
            Self::Changes => true,
        }
    }
}

use Passed::{Changes, Reads, Tries};

/// Paths below `/v1/`; `*` stands for one segment.
const ROWS: &[(&str, &str, Passed)] = &[
    ("GET", "audit", Reads),
    ("GET", "bans", Reads),
    ("POST", "bans", Changes),
    ("DELETE", "bans", Changes),
    ("GET", "bypasses", Reads),
    ("POST", "bypasses", Changes),
    ("DELETE", "bypasses", Changes),
    ("GET", "caller", Reads),
    ("POST", "changes", Tries),
    ("GET", "clients", Reads),
    ("POST", "confirm", Changes),
    ("GET", "counters", Reads),
    ("GET", "diff", Reads),
    ("POST", "diff", Reads),
    ("GET", "evaluate", Reads),
    ("POST", "evaluate", Reads),
    ("GET", "events", Reads),
    ("GET", "explain", Reads),
    ("GET", "explain/network", Reads),
    ("GET", "export", Reads),
    ("GET", "feeds", Reads),
    ("POST", "feeds/*/refresh", Changes),
    ("GET", "find", Reads),
    ("GET", "fleet", Reads),
    ("GET", "grants", Reads),
    ("POST", "grants", Changes),
    ("DELETE", "grants", Changes),
    ("GET", "hits", Reads),
    ("GET", "host", Reads),
    ("GET", "lint", Reads),
    ("POST", "lint", Reads),
    ("GET", "lists", Reads),
    ("GET", "lists/*", Reads),
    ("GET", "lists/*/entries", Reads),
    ("GET", "policies", Reads),
    ("GET", "policies/*", Reads),
    ("GET", "policies/*/rules", Reads),
    ("GET", "progress", Reads),
    ("GET", "rates", Reads),
    ("GET", "recommend", Reads),
    ("GET", "revisions", Reads),
    ("POST", "rollback/*", Tries),
    ("GET", "services", Reads),
    ("GET", "services/known", Reads),
    ("GET", "sources", Reads),
    ("POST", "sql", Tries),
    ("GET", "status", Reads),
    ("GET", "tests", Reads),
    ("POST", "verify", Changes),
];

/// Whether and as what a request is passed on.
pub(crate) fn find(method: &Method, path: &str) -> Option<Passed> {
    let path = path.strip_prefix("/v1/")?;
    if !path.split('/').all(is_plain) {
        return None;
    }
    let row = ROWS
        .iter()
        .find(|(known, pattern, _)| *known == method.as_str() && is_like(path, pattern))?;
    Some(row.2)
}

/// Whether a query says that nothing is to be changed. The agent refuses a parameter that is
/// there twice, however it is encoded.
fn is_trial(query: Option<&str>) -> bool {
    let mut parameters = query.unwrap_or_default().split('&');
    parameters.any(|parameter| parameter == "dry_run=true")
}

fn is_like(path: &str, pattern: &str) -> bool {
    let mut segments = path.split('/');
    let is_like = pattern.split('/').all(|wanted| {
        segments
            .next()
            .is_some_and(|segment| wanted == "*" || wanted == segment)
    });
    is_like && segments.next().is_none()
}

/// Whether a segment names something: not empty, not relative in any encoding, and without
/// characters that a URL does not have.
fn is_plain(segment: &str) -> bool {
    let Some(decoded) = decode(segment) else {
        return false;
    };
    let is_named = !matches!(decoded.as_slice(), b"" | b"." | b"..");
    is_named && !decoded.contains(&0)
}

/// A segment without its percent-encoding; `None`: it is malformed.
fn decode(segment: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'\\' | b'?' | b'#' => return None,
            byte if byte.is_ascii_graphic() => byte,
            _ => return None,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_requests_is_passed_on() {
        for (method, path, passed) in [
            (Method::GET, "/v1/status", Reads),
            (Method::GET, "/v1/policies/office", Reads),
            (Method::GET, "/v1/policies/Head%20Office%2F1/rules", Reads),
            (Method::POST, "/v1/changes", Tries),
            (Method::POST, "/v1/rollback/41", Tries),
            (Method::DELETE, "/v1/grants", Changes),
            (Method::POST, "/v1/verify", Changes),
        ] {
            assert_eq!(find(&method, path), Some(passed), "{method} {path}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        for (method, path) in [
            (Method::POST, "/v1/detach"),
            (Method::POST, "/v1/attach"),
            (Method::GET, "/v1/backup"),
            (Method::POST, "/v1/store/acknowledge"),
            (Method::PUT, "/v1/bans"),
            (Method::PUT, "/v1/feeds/x/content"),
            (Method::GET, "/v1/openapi.json"),
            (Method::GET, "/metrics"),
            (Method::DELETE, "/v1/fleet"),
            (Method::PUT, "/v1/fleet/revision"),
            (Method::GET, "/v1"),
            (Method::GET, "/v1/"),
            (Method::GET, "/v1//status"),
            (Method::GET, "/v1/status/"),
            (Method::GET, "/v1/../status"),
            (Method::GET, "/v1/policies/.."),
            (Method::GET, "/v1/policies/%2e%2E"),
            (Method::GET, "/v1/policies/%2e/rules"),
            (Method::GET, "/v1/policies/%00"),
            (Method::GET, "/v1/policies/a%"),
            (Method::GET, "/v1/policies/a%4"),
            (Method::GET, "/v1/policies/a%zz"),
            (Method::GET, "/v1/policies/a\\b"),
            (Method::GET, "/v1/policies/a/b/rules"),
            (Method::GET, "/V1/status"),
            (Method::POST, "/v1/status"),
            (Method::PATCH, "/v1/changes"),
        ] {
            assert_eq!(find(&method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn request_without_a_dry_run_changes_whatever_its_query_says() {
        for (method, pattern, passed) in ROWS {
            let has_dry_run = matches!(*pattern, "changes" | "sql" | "rollback/*");
            let reads = *method == "GET" || matches!(*pattern, "diff" | "evaluate" | "lint");
            assert_eq!(
                passed.changes(Some("dry_run=true")),
                !reads && !has_dry_run,
                "{method} {pattern}"
            );
            assert_eq!(passed.changes(None), !reads, "{method} {pattern}");
        }
    }

    #[test]
    fn dry_runs_are_those_that_say_so() {
        assert!(is_trial(Some("dry_run=true")));
        assert!(is_trial(Some("from=192.0.2.1&dry_run=true")));
        for query in [
            None,
            Some(""),
            Some("dry_run"),
            Some("dry_run=false"),
            Some("xdry_run=true"),
        ] {
            assert!(!is_trial(query), "{query:?}");
        }
    }
}
