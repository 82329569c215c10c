//! The headline figures: what can be measured in a minute or two.

use std::time::{Duration, Instant};

use netpolicy_user::config::EngineChoice;

use crate::{
    apply,
    choice::{Choice, available},
    frame::Packets,
    lists::Family,
    matrix::{BLOCKLIST, NETPOLICY, PEERS},
    rate::{self, Scenario},
    report::Report,
};

/// The benchmarks that have headline figures.
pub(crate) const NAMES: [&str; 6] = ["apply", "rate", "passing", "bans", "start", "seeing"];

/// What the quick run takes at most.
const BUDGET: Duration = Duration::from_secs(45);

/// Rules that are applied.
const APPLIED: usize = 100_000;

/// Single changes to measure.
const CHANGES: usize = 20;

/// How long a scenario is measured, apart from what it takes to set it up.
const TIME: Duration = Duration::from_secs(2);

/// A rate to measure.
struct Headline {
    scenario: Scenario,
    choices: &'static [Choice],
    time: Duration,
    /// What it may take, all in all, as a multiple of what the longest took that had neither
    /// other filters nor a long list: with less time left it is not begun. `None` for what is
    /// measured whatever the time.
    needs: Option<f64>,
}

/// The rates, most telling first.
fn headlines() -> [Headline; 7] {
    let always = |entries, choices, time| Headline {
        scenario: Scenario {
            entries,
            ..BLOCKLIST
        },
        choices,
        time,
        needs: None,
    };
    let if_there_is_time = |scenario, choices, needs| Headline {
        scenario,
        choices,
        time: TIME,
        needs: Some(needs),
    };
    let ipv6 = |entries| Scenario {
        family: Family::V6,
        entries,
        ..BLOCKLIST
    };
    [
        always(1_000, &NETPOLICY, TIME),
        always(100_000, &NETPOLICY, TIME),
        always(1_000_000, &PEERS, TIME * 3 / 2),
        if_there_is_time(ipv6(100_000), &NETPOLICY, 1.2),
        if_there_is_time(
            Scenario {
                entries: 100_000,
                packets: Packets::Established,
                ..BLOCKLIST
            },
            &NETPOLICY,
            1.2,
        ),
        if_there_is_time(
            Scenario {
                entries: 4_000_000,
                ..BLOCKLIST
            },
            &[Choice::Flat],
            1.6,
        ),
        if_there_is_time(ipv6(1_000_000), &[Choice::Flat], 1.4),
    ]
}

/// The filters that lists of at most so many entries are measured with.
pub(crate) fn choices(largest: usize) -> Vec<Choice> {
    let headlines = headlines().into_iter();
    headlines
        .filter(|headline| headline.scenario.entries <= largest)
        .flat_map(|headline| headline.choices)
        .copied()
        .collect()
}

/// Measures what is wanted of it with lists of at most so many entries; of the rates those
/// behind the third only while there is time since `begin`.
pub(crate) fn run(
    report: &mut Report,
    wants: impl Fn(&str) -> bool,
    largest: usize,
    begin: Instant,
) {
    if wants("apply") && APPLIED <= largest {
        apply::run(report, EngineChoice::Flat, APPLIED, CHANGES);
    }
    if !wants("rate") {
        return;
    }
    rate::check_machine();
    let mut longest = Duration::ZERO;
    for headline in headlines() {
        if headline.scenario.entries > largest {
            continue;
        }
        let needs = headline.needs.map(|times| longest.mul_f64(times));
        if needs.is_some_and(|needs| begin.elapsed() + needs > BUDGET) {
            let skipped = headline.scenario.describe();
            report.progress(&format!("no time is left for {skipped}"));
            continue;
        }
        let choices = available(report, headline.choices);
        let started = Instant::now();
        rate::measure(report, &headline.scenario, &choices, headline.time);
        if headline.choices == NETPOLICY {
            longest = longest.max(started.elapsed());
        }
    }
}
