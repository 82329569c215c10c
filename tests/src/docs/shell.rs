//! Commands in documents, as a shell would split them.

/// The commands named `program` in a block of shell input: what stands before it (`$`, `sudo`,
/// variables) is left out, and so is what stands behind a pipe, a redirection or a comment.
#[must_use]
pub fn commands(text: &str, program: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        let line = line.trim();
        let line = line
            .strip_prefix("$ ")
            .or(line.strip_prefix("# "))
            .unwrap_or(line);
        let words = split(line);
        let is_before = |word: &&String| {
            matches!(word.as_str(), "sudo" | "ssh" | "exec" | "time") || word.contains('=')
        };
        let start = words.iter().take_while(is_before).count();
        if words.get(start).is_some_and(|word| word == program) {
            found.push(words[start..].to_vec());
        }
    }
    found
}

/// The words of a command line, up to what ends the command.
#[must_use]
pub fn split(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                word.extend(chars.by_ref().take_while(|inner| *inner != c));
            }
            '|' | '>' | '<' | ';' | '&' => break,
            '#' if word.is_none() => break,
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn commands_are_found_behind_prompts_and_sudo_and_end_where_the_shell_ends_them() {
        let text = "$ sudo netpolicy sql -e 'a b; c' # why\nother\nNETPOLICY_LOG=debug netpolicy agent \\\n  --interface eth0 > log\nnetpolicy status | head\n";
        assert_eq!(
            commands(text, "netpolicy"),
            [
                vec!["netpolicy", "sql", "-e", "a b; c"],
                vec!["netpolicy", "agent", "--interface", "eth0"],
                vec!["netpolicy", "status"],
            ]
        );
    }
}
