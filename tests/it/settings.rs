//! Settings on several nodes: two of them share a database, and tell each other by hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use madang::config::Config;
use madang::db::{Db, OpenOptions, SettingsRecord};
use madang::ids::UserId;
use madang::limits::Rates;
use madang::protocol::{Durability, ErrorCode};
use madang::settings::{Answers, Change, Peers, Refusal, Settings};

use crate::support::{Backend, Postgres, in_a_runtime};

/// A database that nodes share.
struct Stage {
    db: Db,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn set(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match backend {
            Backend::Sqlite => format!("sqlite://{}", folder.path().join("madang.db").display()),
            Backend::Postgres | Backend::Redis => Postgres::shared().await.database().await,
        };
        let open = move || Db::open(&url, &OpenOptions::default()).unwrap();
        let db = tokio::task::spawn_blocking(open).await.unwrap();
        let _folder = folder;
        Self { db, _folder }
    }

    fn node(&self, values: &[(&str, &str)]) -> Arc<Settings> {
        let config = Arc::new(Config::with(values.iter().copied()).unwrap());
        let rates = Arc::new(Rates::new(&config.at_start.limits));
        Settings::new(config, self.db.clone(), rates)
    }

    /// What a newer program would have written.
    async fn write(&self, version: i64, values: &[(&str, &str)]) {
        let record = SettingsRecord {
            version,
            changed_by: UserId::random(),
            at: 1,
            values: owned(values),
        };
        let saving = self.db.run(move |store| store.save_settings(&record));
        assert!(saving.await.unwrap());
    }
}

fn owned(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    values.iter().map(pair).collect()
}

fn change(key: &str, value: Option<&str>) -> Change {
    Change {
        version: None,
        values: BTreeMap::from([(key.to_owned(), value.map(str::to_owned))]),
    }
}

/// Hands announcements to another node, and remembers them.
struct ByHand {
    other: Arc<Settings>,
    /// Refuses these versions whatever they say.
    refuses: fn(i64) -> bool,
    heard: Arc<Mutex<Vec<i64>>>,
}

impl Peers for ByHand {
    fn announce(&self, version: i64) -> Answers {
        self.heard.lock().unwrap().push(version);
        let (other, refuses) = (self.other.clone(), (self.refuses)(version));
        Box::pin(async move {
            let reason = match refuses {
                true => Some("not with me".to_owned()),
                false => other.take(version).await.err().map(|error| error.message),
            };
            let node = "other".to_owned();
            reason
                .map(|reason| Refusal { node, reason })
                .into_iter()
                .collect()
        })
    }
}

fn on_both(scenario: impl AsyncFn(Stage)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}");
        in_a_runtime(async || scenario(Stage::set(backend).await).await);
    }
}

#[test]
fn all_nodes_take_a_change_and_keep_their_own_sources_below_it() {
    on_both(async |stage| {
        let one = stage.node(&[]);
        let two = stage.node(&[("MADANG_GUESTS", "true")]);
        let heard = Arc::default();
        one.join(Arc::new(ByHand {
            other: two.clone(),
            refuses: |_| false,
            heard: Arc::clone(&heard),
        }));
        let ann = UserId::random();
        one.change(ann, change("MADANG_ACK", Some("db")))
            .await
            .unwrap();
        for node in [&one, &two] {
            assert_eq!((node.version(), node.now().live.ack), (1, Durability::Db));
        }
        assert!(two.now().live.guests && !one.now().live.guests);
        assert_eq!(*heard.lock().unwrap(), [1]);
        // Who was not told hears of it by comparing versions.
        let late = stage.node(&[]);
        assert_eq!((late.version(), late.reload().await), (0, Ok(1)));
        assert_eq!(late.now().live.ack, Durability::Db);
    });
}

#[test]
fn a_change_that_a_node_refuses_is_taken_back_everywhere() {
    on_both(async |stage| {
        let (one, two) = (stage.node(&[]), stage.node(&[]));
        let heard = Arc::default();
        one.join(Arc::new(ByHand {
            other: two.clone(),
            refuses: |version| version == 2,
            heard: Arc::clone(&heard),
        }));
        let ann = UserId::random();
        one.change(ann, change("MADANG_NOTICE", Some("before")))
            .await
            .unwrap();
        let wanted = one.change(ann, change("MADANG_NOTICE", Some("after")));
        let error = wanted.await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Conflict);
        assert!(error.message.contains("other (not with me)"), "{error}");
        assert_eq!(error.detail.unwrap()["refused_by"][0]["node"], "other");
        for node in [&one, &two] {
            assert_eq!(node.version(), 3);
            assert_eq!(node.now().live.notice.as_deref(), Some("before"));
        }
        assert_eq!(*heard.lock().unwrap(), [1, 2, 3]);
    });
}

#[test]
fn what_a_newer_program_has_written_is_left_out_and_kept() {
    on_both(async |stage| {
        let stored = [("MADANG_FROM_THE_FUTURE", "7"), ("MADANG_ACK", "db")];
        stage.write(1, &stored).await;
        let node = stage.node(&[]);
        // Told to take it, it says no and stays as it is; by itself it makes the best of it.
        assert_eq!(node.take(1).await.unwrap_err().code, ErrorCode::BadField);
        assert_eq!((node.version(), node.now().live.ack), (0, Durability::Log));
        assert_eq!(node.reload().await, Ok(1));
        assert_eq!(node.now().live.ack, Durability::Db);
        // It can still change what it does understand, and takes nothing from the others.
        let ann = UserId::random();
        node.change(ann, change("MADANG_ACK", None)).await.unwrap();
        assert_eq!((node.version(), node.now().live.ack), (2, Durability::Log));
        let newest = node.versions(1).await.unwrap().pop().unwrap();
        assert_eq!(newest.values, owned(&stored[..1]));
    });
}

#[test]
fn nobody_goes_back_to_an_older_version() {
    on_both(async |stage| {
        let (one, two) = (stage.node(&[]), stage.node(&[]));
        let ann = UserId::random();
        one.change(ann, change("MADANG_NOTICE", Some("one")))
            .await
            .unwrap();
        two.change(ann, change("MADANG_NOTICE", Some("two")))
            .await
            .unwrap();
        // An announcement that comes late, of a version that is not the newest.
        one.take(1).await.unwrap();
        assert_eq!(one.version(), 2);
        assert_eq!(one.now().live.notice.as_deref(), Some("two"));
        assert_eq!(two.take(3).await.unwrap_err().code, ErrorCode::Unavailable);
        assert_eq!(two.version(), 2);
    });
}
