//! From a URL to a store: what is refused, what is waited for, and who may come in.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use madang::db::{Db, OpenError, OpenOptions, RoomKind, StoreError, migrate};

use super::{Stage, message, on_both, people, trusted};
use crate::support::{Postgres, eventually, free_port, seconds};

fn impatient() -> OpenOptions {
    OpenOptions {
        wait: Duration::ZERO,
        ..OpenOptions::default()
    }
}

fn refusal(url: &str) -> OpenError {
    match Db::open(url, &impatient()) {
        Err(error) => error,
        Ok(_) => panic!("{url} was opened"),
    }
}

#[test]
fn a_url_that_is_none_is_explained_without_its_password() {
    for url in [
        "",
        "madang.db",
        "sqlite://",
        "sqlite://:memory:",
        "sqlite://a.db?mode=ro",
        "mysql://ann:secret@host/db?password=secret",
    ] {
        let error = refusal(url);
        assert!(matches!(error, OpenError::BadUrl { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn what_cannot_be_reached_says_where_and_why() {
    let nowhere = format!("postgres://ann:secret@127.0.0.1:{}/db?x", free_port());
    for url in ["sqlite:///no/such/folder/madang.db", &nowhere] {
        let error = refusal(url);
        assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_second_node_is_kept_out_until_the_first_is_gone() {
    for stage in [Stage::sqlite(), Stage::postgres().await] {
        let error = refusal(&stage.url);
        assert!(matches!(error, OpenError::Locked { .. }), "{error}");
        if stage.is_sqlite() {
            let holder = format!("process {}", std::process::id());
            assert!(error.to_string().contains(&holder), "{error}");
        }
        let Stage {
            url,
            db,
            store,
            _folder,
        } = stage;
        drop((db, store));
        eventually("the next node is let in", seconds(5), async || {
            Db::open(&url, &impatient()).ok()
        })
        .await;
    }
}

#[test]
fn the_file_is_for_its_owner_only() {
    let stage = Stage::sqlite();
    let path = stage.url.trim_start_matches("sqlite://");
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')";
    on_both(|stage| {
        match stage.url.strip_prefix("sqlite://") {
            Some(path) => SqliteConnection::establish(path)
                .unwrap()
                .batch_execute(newer),
            None => PgConnection::establish(&stage.url)
                .unwrap()
                .batch_execute(newer),
        }
        .unwrap();
        let error = migrate(&stage.url).unwrap_err();
        assert!(
            matches!(&error, OpenError::Newer(version) if version == "99990101000000"),
            "{error}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_node_that_hangs_in_a_migration_is_not_waited_for_without_end() {
    let url = Postgres::shared().await.database().await;
    let mut other = PgConnection::establish(&url).unwrap();
    let turn = "SELECT pg_advisory_lock(hashtext('madang migrate'), hashtext(current_schema()))";
    other.batch_execute(turn).unwrap();
    let error = refusal(&url);
    assert!(matches!(error, OpenError::Migrating), "{error}");
    drop(other);
    eventually("its turn comes", seconds(5), async || {
        Db::open(&url, &impatient()).ok()
    })
    .await;
}

#[tokio::test]
async fn migrating_twice_does_nothing_the_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}", folder.path().join("db").display());
    for url in [sqlite, Postgres::shared().await.database().await] {
        assert!(!migrate(&url).unwrap().is_empty());
        assert_eq!(migrate(&url).unwrap(), [""; 0]);
    }
}

#[tokio::test]
async fn a_node_waits_for_its_database() {
    let mut server = Postgres::start().await;
    let url = server.database().await;
    server.kill();
    let patient = OpenOptions {
        wait: Duration::from_secs(180),
        ..OpenOptions::default()
    };
    let opening = tokio::task::spawn_blocking(move || Db::open(&url, &patient));
    server.restart().await;
    assert!(opening.await.unwrap().is_ok());
}

#[tokio::test]
async fn nothing_is_written_while_the_lock_is_lost() {
    let server = Postgres::start().await;
    let stage = Stage::at(server.database().await, None);
    let [ann] = people();
    let room = stage.room(RoomKind::Open, &[ann]);
    let append = || {
        let batch = [trusted(room, vec![message(ann, "m")])];
        stage.store.append(&batch, 1_000)
    };

    // The lock's own connection is cut, and somebody else is quicker.
    let mut rival = PgConnection::establish(&stage.url).unwrap();
    rival
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'; \
             SELECT pg_advisory_lock(1835099233, hashtext(current_schema()))",
        )
        .unwrap();
    let refused = eventually("the loss is noticed", seconds(5), async || append().err()).await;
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    drop(rival);
    eventually("the lock is regained", seconds(5), async || append().ok()).await;
}
