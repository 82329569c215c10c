//! The commands of fleets, which `netpolicy` describes and `netpolicy-net` carries out.

use std::collections::BTreeSet;

/// The command line describes what the other program does, so that completion, manual pages and
/// the reference have it: both have to have the same.
#[test]
fn both_programs_have_the_same_commands_and_options_for_fleets() {
    fn long_options(help: &str) -> BTreeSet<String> {
        let words = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        let long = words.filter_map(|word| word.strip_prefix("--"));
        long.filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }
    fn help(words: &[&str]) -> String {
        let mut command = std::process::Command::new(netpolicy_tests::binary::netpolicy_net());
        let output = command.args(words).arg("--help").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
    fn compare(command: &clap::Command, words: &[&str]) {
        let theirs = help(words);
        let names: BTreeSet<_> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        for inner in command.get_subcommands() {
            let name = inner.get_name();
            if ["leave", "help"].contains(&name) {
                continue;
            }
            let words: Vec<_> = words.iter().copied().chain([name]).collect();
            compare(inner, &words);
        }
        let listed = theirs
            .lines()
            .skip_while(|line| !line.starts_with("Commands:"));
        let listed = listed.skip(1).take_while(|line| line.starts_with("  "));
        let listed = listed.filter_map(|line| line.split_whitespace().next());
        for name in listed.filter(|name| *name != "help") {
            assert!(
                names.contains(name),
                "{words:?} {name} is not in netpolicy's"
            );
        }
        let own: BTreeSet<String> = command
            .get_arguments()
            .filter(|argument| !argument.is_global_set())
            .filter_map(|argument| Some(argument.get_long()?.to_owned()))
            .collect();
        let mut theirs = long_options(&theirs);
        // What every command has.
        let globals = ["help", "output", "socket", "config", "yes", "version"];
        theirs.retain(|option| !globals.contains(&option.as_str()));
        assert!(
            own.is_subset(&theirs) || words.len() < 2,
            "{words:?}: {own:?}, {theirs:?}"
        );
        assert!(theirs.is_subset(&own), "{words:?}: {theirs:?}, {own:?}");
    }
    let command = netpolicy_user::cli::command();
    let fleet = command.find_subcommand("fleet").unwrap();
    compare(fleet, &["fleet"]);
}
