//! The two migration trees, embedded; `migrations/README.md` has their rules.

use diesel::backend::Backend;
use diesel::migration::MigrationSource;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::OpenError;

/// For Postgres.
pub(super) const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
/// For SQLite.
pub(super) const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Brings a schema up to date; answers which migrations that took. Refuses one that knows
/// migrations which this binary does not.
pub(super) fn run<DB: Backend>(
    conn: &mut impl MigrationHarness<DB>,
    source: EmbeddedMigrations,
) -> Result<Vec<String>, OpenError>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let failed =
        |cause: Box<dyn std::error::Error + Send + Sync>| OpenError::Migration(cause.to_string());
    let known: Vec<String> = source
        .migrations()
        .map_err(failed)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied = conn.applied_migrations().map_err(failed)?;
    if let Some(unknown) = applied.iter().find(|v| !known.contains(&v.to_string())) {
        return Err(OpenError::Newer(unknown.to_string()));
    }
    let run = conn.run_pending_migrations(source).map_err(failed)?;
    Ok(run.iter().map(ToString::to_string).collect())
}
