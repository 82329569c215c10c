//! The sections `[[notify]]`.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::api::NoticeTopic;
use crate::model::error::closest;

/// Notices an hour, unless set.
const PER_HOUR: u32 = 20;

/// Time that one may take, unless set, and at the most.
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);

const TOPICS: [NoticeTopic; 4] = [
    NoticeTopic::Fault,
    NoticeTopic::Lockout,
    NoticeTopic::Detach,
    NoticeTopic::BanBurst,
];

/// A hook. Exactly one of [`Self::run`] and [`Self::url`] is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotifyHook {
    /// The notices that it is run for; each once.
    pub on: Vec<NoticeTopic>,
    /// The program, by its whole path, and its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Vec<String>>,
    /// Where notices are posted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Notices an hour at the most, of each topic and of each kind of fault.
    pub per_hour: u32,
    /// Time that one may take.
    #[serde(serialize_with = "super::effective::interval")]
    pub timeout: Duration,
}

/// The same as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileHook {
    #[serde(default)]
    on: Vec<Spanned<String>>,
    run: Option<Spanned<Vec<String>>>,
    url: Option<Spanned<String>>,
    per_hour: Option<u32>,
    timeout: Option<Spanned<String>>,
}

/// The hooks that can be read; and all that is wrong, with its place.
pub(super) fn read(hooks: Vec<Spanned<FileHook>>) -> (Vec<NotifyHook>, Vec<(usize, String)>) {
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for hook in hooks {
        let before = problems.len();
        let found = one(hook, &mut problems);
        if problems.len() == before {
            read.push(found);
        }
    }
    (read, problems)
}

fn one(hook: Spanned<FileHook>, problems: &mut Vec<(usize, String)>) -> NotifyHook {
    let start = hook.span().start;
    let hook = hook.into_inner();
    let mut on = Vec::new();
    for text in hook.on {
        let found = TOPICS
            .into_iter()
            .find(|known| known.as_str() == text.get_ref());
        match found {
            Some(topic) if on.contains(&topic) => {}
            Some(topic) => on.push(topic),
            None => problems.push((text.span().start, unknown_topic(text.get_ref()))),
        }
    }
    if on.is_empty() && problems.is_empty() {
        let message = "a [[notify]] without `on` would never be run: expected \
                       on = [\"fault\", …]";
        problems.push((start, message.to_owned()));
    }
    let wrong = match (&hook.run, &hook.url) {
        (Some(run), None) => program_problem(run.get_ref()).map(|why| (run.span().start, why)),
        (None, Some(url)) => url_problem(url.get_ref()).map(|why| (url.span().start, why)),
        (None, None) => Some((start, "a [[notify]] has neither `run` nor `url`".to_owned())),
        (Some(_), Some(url)) => Some((
            url.span().start,
            "a [[notify]] has `run` or `url`, not both: make two of it".to_owned(),
        )),
    };
    problems.extend(wrong);
    let timeout = hook.timeout.map(|text| {
        let read = humantime::parse_duration(text.get_ref());
        let fits = |time: &Duration| (Duration::from_secs(1)..=LONGEST).contains(time);
        read.ok().filter(fits).ok_or_else(|| {
            let found = text.get_ref().escape_debug();
            let why = format!("'timeout' is \"{found}\": expected \"1s\" to \"5m\"");
            (text.span().start, why)
        })
    });
    let timeout = timeout.unwrap_or(Ok(TIMEOUT)).unwrap_or_else(|problem| {
        problems.push(problem);
        TIMEOUT
    });
    NotifyHook {
        on,
        run: hook.run.map(Spanned::into_inner),
        url: hook.url.map(Spanned::into_inner),
        per_hour: hook.per_hour.unwrap_or(PER_HOUR),
        timeout,
    }
}

fn unknown_topic(text: &str) -> String {
    let known = TOPICS.map(NoticeTopic::as_str);
    let tip = closest(text, known).map_or_else(
        || "expected \"fault\", \"lockout\", \"detach\" or \"ban-burst\"".to_owned(),
        |near| format!("did you mean \"{near}\"?"),
    );
    format!("'on' has \"{}\"; {tip}", text.escape_debug())
}

fn program_problem(run: &[String]) -> Option<String> {
    let Some(program) = run.first() else {
        return Some("'run' is empty: expected a program, as in [\"/usr/local/bin/page\"]".into());
    };
    let is_absolute = Path::new(program).is_absolute();
    (!is_absolute).then(|| {
        format!(
            "'run' begins with \"{}\": expected the program's whole path, as in \
             [\"/usr/local/bin/page\"]",
            program.escape_debug()
        )
    })
}

/// A notice names sources and users, so it leaves the host by HTTPS alone.
fn url_problem(url: &str) -> Option<String> {
    let is_plain = url.bytes().all(|b| (b'!'..=b'~').contains(&b));
    let host = url.strip_prefix("http://").map(|rest| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    });
    let is_here = host.is_some_and(|host| {
        let here = ["localhost", "127.0.0.1", "[::1]"];
        here.into_iter().any(|name| {
            let port = host.strip_prefix(name);
            // A user's name may look like a host's.
            port.is_some_and(|port| port.is_empty() || port.starts_with(':') && !port.contains('@'))
        })
    });
    let has_host = url
        .strip_prefix("https://")
        .is_some_and(|rest| !rest.is_empty());
    (!is_plain || !has_host && !is_here).then(|| {
        format!(
            "'url' is \"{}\": expected https://, or http:// to this host",
            url.escape_debug()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Sections {
        notify: Vec<Spanned<FileHook>>,
    }

    fn problems(text: &str) -> Vec<String> {
        let text = format!("[[notify]]\n{text}\n");
        let sections: Sections = toml::from_str(&text).unwrap();
        let (_, problems) = read(sections.notify);
        problems.into_iter().map(|(_, message)| message).collect()
    }

    #[test]
    fn hook_that_cannot_be_meant_is_refused_with_what_was_expected() {
        const RUN: &str = "run = [\"/a\"]";
        for (text, expected) in [
            (RUN.to_owned(), "would never be run"),
            (
                format!("on = [\"faults\"]\n{RUN}"),
                "did you mean \"fault\"?",
            ),
            (
                format!("on = [\"xyzzy\"]\n{RUN}"),
                "expected \"fault\", \"lockout\"",
            ),
            ("on = [\"fault\"]".to_owned(), "neither `run` nor `url`"),
            (
                format!("on = [\"fault\"]\n{RUN}\nurl = \"https://a/\""),
                "not both",
            ),
            ("on = [\"fault\"]\nrun = []".to_owned(), "'run' is empty"),
            (
                "on = [\"fault\"]\nrun = [\"mail\"]".to_owned(),
                "whole path",
            ),
            (
                format!("on = [\"fault\"]\n{RUN}\ntimeout = \"0s\""),
                "\"1s\" to \"5m\"",
            ),
            (
                "on = [\"fault\"]\nurl = \"http://a.example/\"".to_owned(),
                "expected https://",
            ),
            (
                "on = [\"fault\"]\nurl = \"http://localhost.example/\"".to_owned(),
                "expected https://",
            ),
            (
                "on = [\"fault\"]\nurl = \"http://127.0.0.1@evil.example/\"".to_owned(),
                "expected https://",
            ),
            (
                "on = [\"fault\"]\nurl = \"http://127.0.0.1:1@evil.example/\"".to_owned(),
                "expected https://",
            ),
            (
                "on = [\"fault\"]\nurl = \"https://\"".to_owned(),
                "expected https://",
            ),
            (
                "on = [\"fault\"]\nurl = \"https://a/\\u001b\"".to_owned(),
                "expected https://",
            ),
        ] {
            let found = problems(&text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].contains(expected), "{text}: {found:?}");
        }
    }

    #[test]
    fn hooks_to_this_host_need_no_https() {
        for url in [
            "https://a",
            "http://localhost:9/x",
            "http://[::1]/",
            "http://127.0.0.1?x",
        ] {
            let text = format!("on = [\"detach\", \"detach\"]\nurl = \"{url}\"");
            assert_eq!(problems(&text), [""; 0], "{url}");
        }
    }
}
