//! Tables of databases.

use super::document::TomlTable;
use super::read::{FileReader, Repeated};
use crate::model::error::{Noun, Place, Problem};
use crate::model::name::service_name;
use crate::model::{Database, DatabaseKind, DatabaseUser, Name};

/// A `[[database]]`, whose service is not looked up yet.
#[derive(Debug)]
pub(in crate::model) struct FileDatabase {
    /// The database, with its own name in place of its service's.
    pub(in crate::model) database: Database,
    /// The service as written.
    pub(in crate::model) service: String,
    pub(in crate::model) place: Place,
}

const KIND: &str =
    "\"postgresql\" or \"pgbouncer\"; for others `netpolicy db plan` prints statements";
const KINDS: &[(&str, DatabaseKind)] = &[
    ("postgresql", DatabaseKind::PostgreSql),
    ("pgbouncer", DatabaseKind::PgBouncer),
];

impl FileReader<'_, '_> {
    /// Reads all `[[database]]`.
    pub(super) fn databases(&mut self, root: &TomlTable<'_>) -> Vec<FileDatabase> {
        const KEYS: &[&str] = &[
            "name", "kind", "service", "socket", "hba_dir", "hba_conf", "comment",
        ];
        let mut seen = Repeated::new(Noun::Database);
        let mut databases = Vec::new();
        for table in root.tables("database", "[[database]]", self.report) {
            let table = table.with_keys(KEYS, self.report);
            let name = self.name(&table, "\"orders\"", service_name);
            let kind = table.choice("kind", KINDS, KIND, self.report);
            let service = table.required("service", "\"postgres\"", self.report);
            let mut path = |key| {
                let found = table.string(key, "an absolute path", self.report);
                found.map(|(path, _)| path.to_owned())
            };
            let (socket, hba_dir, hba_conf) = (path("socket"), path("hba_dir"), path("hba_conf"));
            let comment = self.comment(&table);
            let (Some((name, place)), Some((service, _))) = (name, service) else {
                continue;
            };
            if !seen.is_new(&name, &place, self.report) {
                continue;
            }
            databases.push(FileDatabase {
                database: Database {
                    service: name.clone(),
                    name,
                    kind: kind.unwrap_or_default(),
                    socket,
                    hba_dir,
                    hba_conf,
                    comment,
                    bypasses: Vec::new(),
                },
                service: service.to_owned(),
                place,
            });
        }
        databases
    }

    /// The user of a database that a binding names; `None`: it names none; `Some(None)`: what is
    /// wrong with it was reported.
    pub(super) fn database_user(
        &mut self,
        text: &str,
        offset: usize,
        databases: &[FileDatabase],
    ) -> Option<Option<DatabaseUser>> {
        let names = databases.iter().map(|one| &one.database.name);
        let kept = self.earlier.state.databases.iter().map(|one| &one.name);
        let found = DatabaseUser::parse(text, names.chain(kept))?;
        Some(match found {
            Ok(user) => Some(user),
            Err(problem) => {
                let place = self.document.place(offset);
                self.report.error_at(Some(place), Problem::from(problem));
                None
            }
        })
    }
}

/// The lines of a database in the file.
pub(super) fn lines(database: &Database, quoted: fn(&str) -> String) -> Vec<String> {
    let name = |name: &Name| quoted(&name.to_written_service());
    let mut lines = vec![
        String::new(),
        "[[database]]".to_owned(),
        format!("name = {}", name(&database.name)),
        format!("kind = \"{}\"", database.kind),
        format!("service = {}", name(&database.service)),
    ];
    let others = [
        ("socket", &database.socket),
        ("hba_dir", &database.hba_dir),
        ("hba_conf", &database.hba_conf),
        ("comment", &database.comment),
    ];
    for (key, value) in others {
        lines.extend(
            value
                .as_deref()
                .map(|text| format!("{key} = {}", quoted(text))),
        );
    }
    lines
}
