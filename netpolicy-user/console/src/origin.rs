//! Which hosts and origins are accepted: against pages of other origins, and names of other
//! hosts that were made to lead here (DNS rebinding).

use hyper::Method;
use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::request::Parts;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Names of loopback. The port may differ: `ssh -L` forwards from any.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Why a request is refused whoever sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Foreign {
    /// It names no host, several, or another one.
    #[error("the request names another host than this console's")]
    Host,
    /// It comes from a page of another origin, or does not say from which.
    #[error("the request comes from a page of another origin")]
    Origin,
    /// The browser says that it comes from another site.
    #[error("the browser says that the request comes from another site")]
    Site,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The page itself, which anyone may have: a link or a reload leads to it.
    Page,
    /// What only the page itself requests.
    Api,
}

/// Checks where a request comes from.
///
/// # Errors
/// [`Foreign`]
pub(crate) fn check(parts: &Parts, hosts: &[String], purpose: Purpose) -> Result<(), Foreign> {
    // A proxy's form of a target (RFC 9112, 3.2.2) names a host, too.
    if parts.uri.authority().is_some() {
        return Err(Foreign::Host);
    }
    let host = only(&parts.headers, &HOST).ok_or(Foreign::Host)?;
    let name = name_of(host);
    let is_named = |known: &str| known.eq_ignore_ascii_case(name);
    let is_proxied = hosts.iter().any(|known| is_named(known));
    if !is_proxied && !LOOPBACK.iter().any(|known| is_named(known)) {
        return Err(Foreign::Host);
    }
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if parts.headers.contains_key(ORIGIN) {
        let origin = only(&parts.headers, &ORIGIN).ok_or(Foreign::Origin)?;
        let here = |scheme: &str| {
            let rest = origin.strip_prefix(scheme);
            rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
        };
        if !here("http://") && !(is_proxied && here("https://")) {
            return Err(Foreign::Origin);
        }
    } else if !reads {
        // Browsers send it with everything but GET and HEAD.
        return Err(Foreign::Origin);
    }
    if purpose == Purpose::Api && parts.headers.contains_key(SEC_FETCH_SITE) {
        let site = only(&parts.headers, &SEC_FETCH_SITE);
        if site != Some("same-origin") {
            return Err(Foreign::Site);
        }
    }
    Ok(())
}

/// The value of a header that stands there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn asked(method: &str, headers: &[(&str, &str)], purpose: Purpose) -> Result<(), Foreign> {
        let mut request = Request::builder().method(method).uri("/v1/status");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts, &["db.example".to_owned()], purpose)
    }

    #[test]
    fn hosts_other_than_loopback_and_configured_ones_are_refused() {
        for host in [
            "localhost:7071",
            "LOCALHOST",
            "127.0.0.1:1",
            "[::1]:8000",
            "db.example",
        ] {
            assert_eq!(
                asked("GET", &[("host", host)], Purpose::Page),
                Ok(()),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "evil.example:7071",
            "localhost.evil.example",
            "127.0.0.1.evil.example:7071",
            "127.0.0.2",
            "localhost:7071:7071",
            "localhost@evil.example",
            "",
        ] {
            let refused = asked("GET", &[("host", host)], Purpose::Page);
            assert_eq!(refused, Err(Foreign::Host), "{host}");
        }
        assert_eq!(asked("GET", &[], Purpose::Page), Err(Foreign::Host));
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(asked("GET", &two, Purpose::Page), Err(Foreign::Host));
    }

    #[test]
    fn changes_require_the_origin_of_the_page_itself() {
        let from = |origin| [("host", "localhost:7071"), ("origin", origin)];
        assert_eq!(
            asked("POST", &from("http://localhost:7071"), Purpose::Api),
            Ok(())
        );
        for origin in [
            "http://localhost:7072",
            "http://localhost",
            "https://localhost:7071",
            "http://127.0.0.1:7071",
            "http://evil.example",
            "null",
            "",
        ] {
            for method in ["POST", "DELETE", "PUT", "GET"] {
                let refused = asked(method, &from(origin), Purpose::Api);
                assert_eq!(refused, Err(Foreign::Origin), "{method} {origin}");
            }
        }
        let none = [("host", "localhost:7071")];
        assert_eq!(asked("POST", &none, Purpose::Api), Err(Foreign::Origin));
        assert_eq!(asked("GET", &none, Purpose::Api), Ok(()));
        let proxied = [("host", "db.example"), ("origin", "https://db.example")];
        assert_eq!(asked("POST", &proxied, Purpose::Api), Ok(()));
    }

    #[test]
    fn other_sites_are_refused_what_only_the_page_requests() {
        for site in ["cross-site", "same-site", "none", "same-origin, none"] {
            let headers = [("host", "localhost"), ("sec-fetch-site", site)];
            assert_eq!(
                asked("GET", &headers, Purpose::Api),
                Err(Foreign::Site),
                "{site}"
            );
            // A reload after a link of another site says so still.
            assert_eq!(asked("GET", &headers, Purpose::Page), Ok(()), "{site}");
        }
    }
}
