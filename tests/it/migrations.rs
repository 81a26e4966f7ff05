//! Both migration trees go up, down, and up again; and both make the same tables.

use std::collections::BTreeSet;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};

use crate::support::Postgres;

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

const SQLITE_COLUMNS: &str = "SELECT m.name || '.' || c.name AS name \
    FROM sqlite_master m JOIN pragma_table_info(m.name) c \
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\'";
const POSTGRES_COLUMNS: &str = "SELECT table_name || '.' || column_name AS name \
    FROM information_schema.columns \
    WHERE table_schema = 'public' AND table_name NOT LIKE '\\_\\_%'";

#[test]
fn sqlite_goes_up_down_and_up() {
    let mut database = SqliteConnection::establish(":memory:").unwrap();
    up_down_up(&mut database, "sqlite", SQLITE_COLUMNS);
}

#[tokio::test]
async fn postgres_goes_up_down_and_up() {
    let url = Postgres::shared().await.database().await;
    let mut database = PgConnection::establish(&url).unwrap();
    up_down_up(&mut database, "postgres", POSTGRES_COLUMNS);
}

#[tokio::test]
async fn both_trees_make_the_same_columns() {
    let url = Postgres::shared().await.database().await;
    let mut postgres = PgConnection::establish(&url).unwrap();
    let mut sqlite = SqliteConnection::establish(":memory:").unwrap();
    postgres.run_pending_migrations(tree("postgres")).unwrap();
    sqlite.run_pending_migrations(tree("sqlite")).unwrap();
    let left: BTreeSet<_> = names(sql_query(POSTGRES_COLUMNS).load(&mut postgres).unwrap());
    let right: BTreeSet<_> = names(sql_query(SQLITE_COLUMNS).load(&mut sqlite).unwrap());
    assert_eq!(left, right);
}

fn tree(backend: &str) -> FileBasedMigrations {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("migrations")
        .join(backend);
    FileBasedMigrations::from_path(folder).unwrap()
}

/// A database in which everything was taken back must be as empty as a new one.
fn up_down_up<C>(database: &mut C, backend: &str, columns: &str)
where
    C: Connection + SimpleConnection + MigrationHarness<C::Backend>,
    C::Backend: diesel::backend::Backend + 'static,
    FileBasedMigrations: MigrationSource<C::Backend>,
    for<'a> diesel::query_builder::SqlQuery: diesel::query_dsl::LoadQuery<'a, C, Column>,
{
    let count = MigrationSource::<C::Backend>::migrations(&tree(backend))
        .unwrap()
        .len();
    assert!(count > 0, "no migrations for {backend}");
    for _ in 0..2 {
        assert_eq!(
            database
                .run_pending_migrations(tree(backend))
                .unwrap()
                .len(),
            count
        );
        let made = names(sql_query(columns).load(database).unwrap());
        assert!(!made.is_empty());
        database.revert_all_migrations(tree(backend)).unwrap();
        let left = names(sql_query(columns).load(database).unwrap());
        assert_eq!(left, BTreeSet::new(), "left behind");
    }
    database.run_pending_migrations(tree(backend)).unwrap();
}

fn names(columns: Vec<Column>) -> BTreeSet<String> {
    columns.into_iter().map(|column| column.name).collect()
}
