//! Well-known services: the ports of databases and of what stands next to them, as data.

use std::sync::LazyLock;

use serde::Serialize;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::error::closest;

/// A row for each service.
const TABLE: &str = include_str!("known/services.txt");

/// A well-known service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct KnownService {
    /// Its name.
    pub name: &'static str,
    /// Other names.
    pub aliases: Vec<&'static str>,
    /// Its TCP ports and ranges.
    pub ports: Vec<&'static str>,
    /// What it is, and what the ports are for.
    pub description: &'static str,
    /// Where the ports are documented.
    pub source: &'static str,
}

/// All of them, by name.
#[must_use]
pub fn services() -> &'static [KnownService] {
    static ALL: LazyLock<Vec<KnownService>> = LazyLock::new(|| {
        let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
        rows.filter_map(row).collect()
    });
    &ALL
}

/// The service of this name or alias, whatever its case.
#[must_use]
pub fn find(name: &str) -> Option<&'static KnownService> {
    let is_meant = |service: &&KnownService| names(service).any(|n| n.eq_ignore_ascii_case(name));
    services().iter().find(is_meant)
}

/// The known name that `name` is most likely a typo of.
#[must_use]
pub fn similar(name: &str) -> Option<&'static str> {
    closest(name, services().iter().flat_map(names))
}

fn names(service: &KnownService) -> impl Iterator<Item = &'static str> + use<'_> {
    [service.name]
        .into_iter()
        .chain(service.aliases.iter().copied())
}

fn row(line: &'static str) -> Option<KnownService> {
    let list = |text: &'static str| {
        let items = text.split(',').map(str::trim);
        items.filter(|item| !item.is_empty()).collect()
    };
    let mut columns = line.split('|').map(str::trim);
    Some(KnownService {
        name: columns.next()?,
        aliases: list(columns.next()?),
        ports: list(columns.next()?),
        description: columns.next()?,
        source: columns.next()?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::{Change, ChangeContext, Limits, PortSet, State};

    #[test]
    fn every_row_is_a_service_with_valid_ports_a_description_and_a_source() {
        let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(rows.count(), services().len(), "a row has five columns");
        for service in services() {
            let ports = PortSet::parse(&service.ports).unwrap();
            assert!(!ports.is_empty(), "{service:?}");
            assert_eq!(
                ports.to_string(),
                service.ports.join(","),
                "sorted and merged"
            );
            assert!(!service.description.is_empty(), "{service:?}");
            assert!(!service.source.is_empty(), "{service:?}");
        }
        assert!(services().is_sorted_by_key(|service| service.name));
    }

    #[test]
    fn every_name_and_alias_is_unique_and_can_be_a_service() {
        let mut seen = BTreeSet::new();
        for name in services().iter().flat_map(names) {
            assert!(seen.insert(name), "{name} is there twice");
            let change = Change::AddService {
                name: name.to_owned(),
                ports: vec!["5432".to_owned()],
                combine: Default::default(),
                mode: Default::default(),
                on_deny: Default::default(),
                comment: None,
            };
            let cx = ChangeContext {
                now: jiff::Timestamp::UNIX_EPOCH,
                actor: "root",
                limits: Limits::default(),
                force: false,
            };
            State::empty().apply(&change, &cx).unwrap();
        }
    }

    #[test]
    fn service_is_found_by_name_and_alias_and_a_typo_suggests_one() {
        for name in ["postgresql", "postgres", "PgSQL"] {
            assert_eq!(find(name).unwrap().ports, ["5432"], "{name}");
        }
        assert_eq!(find("postgre"), None);
        assert_eq!(similar("postgre"), Some("postgres"));
        assert_eq!(similar("mongdb"), Some("mongodb"));
        assert_eq!(similar("billing"), None);
        let named = [
            "postgresql",
            "mysql",
            "mariadb",
            "redis",
            "valkey",
            "mongodb",
            "clickhouse",
            "cassandra",
            "scylla",
            "elasticsearch",
            "opensearch",
            "mssql",
            "oracle",
            "cockroachdb",
            "etcd",
            "patroni",
            "pgbouncer",
            "pgpool",
            "memcached",
            "influxdb",
            "neo4j",
            "couchdb",
            "rabbitmq",
            "kafka",
            "zookeeper",
        ];
        for name in named {
            assert!(find(name).is_some(), "{name}");
        }
    }
}
