//! Ports as stored states have them.

use crate::model::PortSet;

/// Ports as [`ports`] reads them: "5432", "7000-7010".
pub(super) fn items(ports: &PortSet) -> Vec<String> {
    let text = ports.to_string();
    text.split(',')
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Ports from items as [`items`] makes them.
///
/// # Errors
/// All that is wrong with them, in a line.
pub(super) fn ports(items: &[String]) -> Result<PortSet, String> {
    PortSet::parse(items).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        problems.join("; ")
    })
}
