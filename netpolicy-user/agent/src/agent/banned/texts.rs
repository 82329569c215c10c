//! Texts that many bans share: each is held once, for as long as a ban has it.

use std::collections::HashMap;
use std::sync::Arc;

/// The number of a text; 0: none.
pub(in crate::agent) type TextId = u32;

/// Whose bans are meant.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) struct OriginFilter<'a> {
    /// The origin.
    pub(in crate::agent) name: &'a str,
    /// Also those that go on with a slash, such as fail2ban/sshd for fail2ban.
    pub(in crate::agent) with_parts: bool,
}

impl OriginFilter<'_> {
    /// Whether it lets an origin through.
    pub(in crate::agent) fn matches(self, text: &str) -> bool {
        let rest = text.strip_prefix(self.name);
        rest.is_some_and(|rest| rest.is_empty() || self.with_parts && rest.starts_with('/'))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::agent) struct Texts {
    numbers: HashMap<Arc<str>, TextId>,
    /// By number minus one, with how many have it.
    texts: Vec<Option<(Arc<str>, u32)>>,
    free: Vec<TextId>,
    /// Two numbers that were taken last, and which of them was last found again: most lines of a
    /// request have the same texts, and need no look at all of them.
    recent: [TextId; 2],
    found: usize,
}

impl Texts {
    /// The number of a text, which one more has now.
    pub(in crate::agent) fn take(&mut self, text: Option<&str>) -> TextId {
        let Some(text) = text else { return 0 };
        let is_text = |number: &TextId| self.get(*number) == Some(text);
        if let Some(found) = self.recent.iter().position(is_text) {
            self.found = found;
            let number = self.recent[found];
            self.keep(number);
            return number;
        }
        let number = self.take_known_or_new(text);
        self.recent[1 - self.found] = number;
        number
    }

    fn take_known_or_new(&mut self, text: &str) -> TextId {
        if let Some(number) = self.numbers.get(text).copied() {
            self.keep(number);
            return number;
        }
        let text: Arc<str> = text.into();
        let number = if let Some(number) = self.free.pop() {
            number
        } else {
            self.texts.push(None);
            TextId::try_from(self.texts.len()).unwrap_or(TextId::MAX)
        };
        if let Some(place) = self.place(number) {
            *place = Some((text.clone(), 1));
        }
        self.numbers.insert(text, number);
        number
    }

    /// One more has it.
    pub(in crate::agent) fn keep(&mut self, number: TextId) {
        if let Some(Some((_, count))) = self.place(number) {
            *count += 1;
        }
    }

    /// One less has it.
    pub(in crate::agent) fn release(&mut self, number: TextId) {
        let Some(place) = self.place(number) else {
            return;
        };
        if let Some((_, count)) = place
            && *count > 1
        {
            *count -= 1;
            return;
        }
        if let Some((text, _)) = place.take() {
            self.numbers.remove(&text);
            self.free.push(number);
        }
    }

    /// The text of a number.
    pub(in crate::agent) fn get(&self, number: TextId) -> Option<&str> {
        let at = number.checked_sub(1)? as usize;
        let (text, _) = self.texts.get(at)?.as_ref()?;
        Some(text)
    }

    /// The number of a text, if any ban has it.
    pub(in crate::agent) fn find(&self, text: &str) -> Option<TextId> {
        self.numbers.get(text).copied()
    }

    /// The numbers of origins.
    pub(in crate::agent) fn of_origin(&self, origin: OriginFilter<'_>) -> Vec<TextId> {
        if !origin.with_parts {
            return self.find(origin.name).into_iter().collect();
        }
        let found = self.numbers.iter().filter(|(text, _)| origin.matches(text));
        found.map(|(_, number)| *number).collect()
    }

    fn place(&mut self, number: TextId) -> Option<&mut Option<(Arc<str>, u32)>> {
        self.texts.get_mut(number.checked_sub(1)? as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_held_as_long_as_any_has_them() {
        let mut texts = Texts::default();
        assert_eq!(texts.take(None), 0);
        let first = texts.take(Some("fail2ban"));
        assert_eq!(texts.take(Some("fail2ban")), first);
        let second = texts.take(Some("crowdsec"));
        assert_ne!(first, second);
        texts.release(first);
        assert_eq!(texts.get(first), Some("fail2ban"));
        texts.release(first);
        assert_eq!((texts.get(first), texts.find("fail2ban")), (None, None));
        assert_eq!(texts.take(Some("by hand")), first, "its number is free");
        assert_eq!(texts.get(second), Some("crowdsec"));
        texts.release(0);
    }

    #[test]
    fn texts_that_were_taken_last_are_counted_as_all_are() {
        let mut texts = Texts::default();
        let by = texts.take(Some("crowdsec"));
        for at in 0..5 {
            let reason = format!("reason {at}");
            let number = texts.take(Some(&reason));
            assert_eq!(texts.take(Some("crowdsec")), by);
            texts.release(number);
            assert_eq!(texts.find(&reason), None);
            assert_ne!(texts.take(Some(&reason)), by);
        }
        for _ in 0..6 {
            assert_eq!(texts.find("crowdsec"), Some(by));
            texts.release(by);
        }
        assert_eq!(texts.find("crowdsec"), None);
        assert_ne!(texts.take(Some("other")), 0);
    }

    #[test]
    fn origin_includes_those_below_it() {
        let mut texts = Texts::default();
        let jails = [
            texts.take(Some("fail2ban")),
            texts.take(Some("fail2ban/sshd")),
        ];
        texts.take(Some("fail2ban2"));
        texts.take(Some("crowdsec"));
        let of = |name| OriginFilter {
            name,
            with_parts: true,
        };
        let mut found = texts.of_origin(of("fail2ban"));
        found.sort_unstable();
        assert_eq!(found, jails);
        assert_eq!(texts.of_origin(of("fail2ban/sshd")), [jails[1]]);
        assert!(texts.of_origin(of("fail2ban/ssh")).is_empty());
        let alone = OriginFilter {
            with_parts: false,
            ..of("fail2ban")
        };
        assert_eq!(texts.of_origin(alone), [jails[0]]);
    }
}
