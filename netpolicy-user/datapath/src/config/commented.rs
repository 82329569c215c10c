//! The default configuration file: every key, commented out.

use super::DEFAULT_TEXT;

/// The default configuration with each key behind a `#`, so that a default of a later version
/// holds where nothing was changed. Explanations begin with `# `, keys with `#` alone.
#[must_use]
pub fn commented_default() -> String {
    let mut out = String::new();
    for line in DEFAULT_TEXT.lines() {
        if !line.is_empty() && !line.starts_with('#') {
            out.push('#');
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    #[test]
    fn commented_keys_are_those_of_the_default_file() {
        let text = commented_default();
        let uncommented: Vec<_> = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(key) if !key.is_empty() && !key.starts_with(' ') => key,
                _ => line,
            })
            .collect();
        assert_eq!(uncommented.join("\n") + "\n", DEFAULT_TEXT);
        let keys = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(keys.count(), 0);
    }

    #[test]
    fn commented_file_is_the_default_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, commented_default()).unwrap();
        let overrides = Overrides {
            file: Some(path),
            ..Overrides::default()
        };
        assert_eq!(
            Config::load(&overrides, |_| None).unwrap(),
            Config::default()
        );
    }
}
