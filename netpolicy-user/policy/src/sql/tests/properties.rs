//! Whatever the text: no panic, errors within it, and what is read prints and reads
//! back as the same.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

/// A statement as people write it, and its canonical form, made apart from the printer.
fn statement() -> impl Strategy<Value = (Dialect, String, String)> {
    let dialect = prop_oneof![Just(Dialect::Snowflake), Just(Dialect::Lakehouse)];
    let addresses = || option::of(vec("[0-9a-fx.:/]{0,12}|it's", 0..4));
    let clauses = (
        dialect,
        "[a-zA-Z_][a-z0-9_]{2,8}",
        addresses(),
        addresses(),
        option::of("[ -~]{0,12}|;\n--x|/\\*"),
        any::<[bool; 4]>(),
    );
    // There, IF can only begin IF NOT EXISTS; a policy of this name is written in quotes.
    let policy_name = "[a-z]{1,5}".prop_filter("a name", |name| name != "if");
    prop_oneof![
        clauses.prop_map(|(dialect, name, allowed, blocked, comment, [a, b, c, d])| {
            let quote = |text: &String| {
                let text = text.replace('\'', "''");
                match dialect {
                    Dialect::Snowflake => format!("'{}'", text.replace('\\', "\\\\")),
                    _ => format!("'{text}'"),
                }
            };
            let list = |list: &Vec<String>, comma: &str| {
                list.iter().map(quote).collect::<Vec<_>>().join(comma)
            };
            let space = if a { " " } else { "\n/* ' */\t" };
            let mut messy = vec![format!("create{space}network policy{space}{name}")];
            let mut canonical = format!("CREATE NETWORK POLICY {name}");
            if let Some(l) = &allowed {
                messy.push(format!("allowed_IP_list={space}({})", list(l, ",")));
                canonical += &format!("\n  ALLOWED_IP_LIST = ({})", list(l, ", "));
            }
            if let Some(l) = &blocked {
                messy.push(format!("BLOCKED_IP_LIST = ( {} )", list(l, " ,--'\n")));
                canonical += &format!("\n  BLOCKED_IP_LIST = ({})", list(l, ", "));
            }
            if let Some(text) = &comment {
                let (sign, canonical_sign) = match dialect {
                    Dialect::Lakehouse if a => (" ", ""),
                    Dialect::Lakehouse => ("=", ""),
                    _ => ("=", "= "),
                };
                messy.push(format!("comment{sign}{}", quote(text)));
                canonical += &format!("\n  COMMENT {canonical_sign}{}", quote(text));
            }
            if b {
                messy[1..].reverse();
            }
            if c {
                messy.push(";".to_owned());
            }
            let space = if d { "\r\n" } else { " " };
            (dialect, messy.join(space), canonical)
        }),
        (policy_name, vec(("[a-z_]{1,4}x", "[0-9.:/']{0,9}"), 0..4), any::<bool>()).prop_map(
            |(name, rules, equals)| {
                let equals = if equals { "=" } else { " " };
                let mut messy = format!("CREATE network POLICY {name}(rules{equals}(");
                let mut canonical = format!("CREATE NETWORK POLICY {name} (RULES (");
                for (index, (rule, address)) in rules.iter().enumerate() {
                    let address = address.replace('\'', "''");
                    let comma = if index == 0 { "" } else { "," };
                    messy += &format!(
                        "{comma}{rule}(address{equals}'{address}',Action{equals}'ALLOW',direction='Ingress')"
                    );
                    canonical += &format!(
                        "{comma}\n  {rule} (ACTION = 'allow', DIRECTION = 'ingress', ADDRESS = '{address}')"
                    );
                }
                (Dialect::Materialize, messy + "))", canonical + "))")
            }
        ),
    ]
}

/// Reads a text in every way; whatever comes, it is in order.
fn survives(text: &str) -> Result<(), TestCaseError> {
    for dialect in [
        None,
        Some(Dialect::Snowflake),
        Some(Dialect::Materialize),
        Some(Dialect::Lakehouse),
    ] {
        let statements = match Statements::new(text, dialect) {
            Ok(statements) => statements,
            Err(error) => {
                within(text, &error)?;
                continue;
            }
        };
        for statement in statements {
            match statement {
                Ok(statement) => {
                    let printed = statement.to_string();
                    let again: Vec<_> = Statements::new(&printed, Some(statement.dialect))
                        .and_then(Iterator::collect)
                        .map_err(|error| TestCaseError::fail(format!("{printed}: {error}")))?;
                    prop_assert_eq!(again.len(), 1);
                    prop_assert_eq!(again[0].to_string(), printed);
                }
                Err(error) => within(text, &error)?,
            }
        }
    }
    Ok(())
}

fn within(text: &str, error: &SqlError) -> Result<(), TestCaseError> {
    let line = text
        .split('\n')
        .nth(usize::try_from(error.line).unwrap() - 1);
    let length = line.map(|line| line.chars().count());
    let column = usize::try_from(error.column).unwrap();
    prop_assert!(column >= 1);
    prop_assert!(
        length.is_some_and(|length| column <= length + 1),
        "{}: {:?}",
        error,
        text
    );
    Ok(())
}

proptest! {
    #[test]
    fn what_is_read_prints_and_reads_back((dialect, messy, canonical) in statement()) {
        let read = all(dialect, &messy);
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(read[0].to_string(), canonical.clone());
        prop_assert_eq!(all(dialect, &canonical)[0].to_string(), canonical);
    }

    #[test]
    fn no_text_is_a_panic(text in "\\PC{0,60}|[a-zA-Z'\"(),;=\\\\$ \n\t\0\u{feff}‘é/*-]{0,80}") {
        survives(&text)?;
    }

    #[test]
    fn no_mutation_is_a_panic(
        (_, text, _) in statement(),
        (_, other, _) in statement(),
        edits in vec((any::<prop::sample::Index>(), 0..6_usize, "[\\PC\0']{0,3}"), 1..4),
    ) {
        let mut chars: Vec<char> = format!("{text};{other}").chars().collect();
        for (index, remove, insert) in edits {
            let at = index.index(chars.len().max(1)).min(chars.len());
            let end = (at + remove).min(chars.len());
            chars.splice(at..end, insert.chars());
        }
        survives(&chars.into_iter().collect::<String>())?;
    }
}
