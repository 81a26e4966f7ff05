//! A room in front of a log that answers as the test wants.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::System;
use madang::actors::directory::Directory;
use madang::actors::hub::{Hub, Lanes};
use madang::actors::persistence::{Limits, Persistence};
use madang::actors::registry::redis::{Lease, NodeName};
use madang::actors::registry::{Broker, Head, LocalBroker, PageOf, Registry};
use madang::actors::room::{Acked, Asker, Command, Outgoing, RoomChange};
use madang::actors::{Pending, Services, Worker, Workers};
use madang::config::Config;
use madang::db::{Append, Appended, Db, NewRoom, OpenOptions, Role, RoomKind, UserRole};
use madang::error::{Error, Result};
use madang::identity::{Identities, Tokens};
use madang::ids::{Epoch, RoomId, Seq, UserId};
use madang::limits::Rates;
use madang::protocol::doorbell::Ephemeral;
use madang::protocol::{ClientId, Draft, ErrorCode, Event, EventKind, MemberChange};
use madang::settings::Settings;
use tokio::sync::mpsc;

use crate::support::{SECRET, eventually, seconds};

/// The log of a node that is alone, with other nodes made up.
struct Elsewhere {
    log: LocalBroker,
    db: Db,
    /// Happens on another node just before the next append.
    first: Mutex<Vec<Draft>>,
    /// How many of the events that an asker has not seen does a refusal bring?
    brings: usize,
    /// Can the log be read?
    readable: AtomicBool,
    /// So many readings fail.
    failing: AtomicUsize,
    /// Appends that were asked for.
    asked: AtomicUsize,
}

impl Broker for Elsewhere {
    fn append(&self, append: Append) -> Pending<Appended> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let drafts = std::mem::take(&mut *self.first.lock().unwrap());
        for draft in drafts {
            let basis = madang::db::Basis {
                head: Seq::ZERO,
                rights: Seq(i64::MAX),
                membership: Seq(i64::MAX),
            };
            let append = Append {
                room: append.room,
                basis,
                drafts: vec![draft],
            };
            self.db.store().append(&[append], 1).unwrap();
        }
        let (asking, brings) = (self.log.append(append), self.brings);
        Box::pin(async move {
            let mut appended = asking.await?;
            if let Appended::Stale { newer, .. } = &mut appended {
                newer.truncate(brings);
            }
            Ok(appended)
        })
    }

    fn read(&self, room: RoomId, after: Seq, limit: usize) -> Pending<Vec<Event>> {
        if !self.readable.load(Ordering::Relaxed) {
            return Box::pin(async { Ok(Vec::new()) });
        }
        let fails = |left: usize| left.checked_sub(1);
        let order = Ordering::Relaxed;
        if self.failing.fetch_update(order, order, fails).is_ok() {
            return Box::pin(async { Err(Error::unavailable()) });
        }
        self.log.read(room, after, limit)
    }

    fn page(&self, page: PageOf) -> Pending<Vec<Event>> {
        self.log.page(page)
    }

    fn heads(&self, rooms: Vec<RoomId>) -> Pending<Vec<Head>> {
        self.log.heads(rooms)
    }

    fn may_have_missed(&self) -> bool {
        false
    }

    fn subscribe(&self, room: RoomId) -> Pending<()> {
        self.log.subscribe(room)
    }

    fn unsubscribe(&self, room: RoomId) {
        self.log.unsubscribe(room);
    }

    fn when_flushed(&self, room: RoomId, seq: Seq) -> Pending<()> {
        self.log.when_flushed(room, seq)
    }

    fn pass(&self, _: RoomId, _: &Epoch, _: &Ephemeral) {}
}

/// Everything that a room needs, and the log behind it.
struct Stage {
    services: Arc<Services>,
    log: Arc<Elsewhere>,
    room: RoomId,
    _folder: tempfile::TempDir,
}

const HELLO: &str = r#"{"text":"hello"}"#;
const ANN: UserId = UserId::from_raw(1);
const BOB: UserId = UserId::from_raw(2);

impl Stage {
    /// A room of Ann's with Bob in it.
    async fn set(brings: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("log.db").display());
        let settings = [("MADANG_JWT_SECRET", SECRET), ("DATABASE_URL", &url)];
        let config = Arc::new(Config::with(settings).unwrap());
        let db = Db::open(&url, &OpenOptions::default()).unwrap();
        let limits = Limits {
            batch_rows: 500,
            backlog_rows: 10_000,
            deadline: Duration::from_secs(60),
        };
        let persistence = Persistence::start_here(db.store(), limits);
        let mut log = None;
        let registry = Registry::start_alone(|rings| {
            let elsewhere = Arc::new(Elsewhere {
                log: LocalBroker::new(persistence.clone(), db.clone(), rings),
                db: db.clone(),
                first: Mutex::default(),
                brings,
                readable: AtomicBool::new(true),
                failing: AtomicUsize::new(0),
                asked: AtomicUsize::new(0),
            });
            log = Some(elsewhere.clone());
            elsewhere
        });
        let rates = Arc::new(Rates::new(&config.at_start.limits));
        let tokens = Tokens::new(&config.signing_secret().unwrap());
        let services = Arc::new(Services {
            itself: Lease::new(NodeName::new("n"), String::new()),
            orders: mpsc::channel(1).0,
            identities: Arc::new(Identities::new(db.clone(), tokens, false)),
            settings: Settings::new(config.clone(), db.clone(), rates.clone()),
            rates,
            registry,
            persistence,
            workers: Workers::new(1),
            cluster: None,
            draining: AtomicBool::new(false),
            config,
            db,
        });
        let worker = Worker {
            hub: Hub::start_here(0, Lanes::default(), services.clone()),
            directory: Directory::start_here(services.clone()),
        };
        services.workers.set(0, worker);
        let new = NewRoom {
            id: RoomId::random(),
            kind: RoomKind::Open,
            pair: None,
            created_at: 0,
        };
        let members = vec![(ANN, Role::Owner), (BOB, Role::Member)];
        let founding = services.found(new, ANN, RoomChange::default(), members);
        let room = founding.await.unwrap();
        let log = log.unwrap();
        Self {
            services,
            log,
            room,
            _folder: folder,
        }
    }

    /// Bob writes, after this has happened on another node.
    async fn bob_writes_after(&self, elsewhere: Vec<Draft>) -> Result<Acked> {
        self.bob_writes(ClientId::generate(), elsewhere).await
    }

    async fn bob_writes(&self, client_id: ClientId, elsewhere: Vec<Draft>) -> Result<Acked> {
        *self.log.first.lock().unwrap() = elsewhere;
        let publish = |reply_to| Command::Publish {
            asker: Asker {
                user: BOB,
                role: UserRole::User,
            },
            message: Outgoing {
                client_id,
                body: HELLO.into(),
                reply_to: None,
                thread: None,
                mentions: Vec::new(),
            },
            reply_to,
        };
        self.services.room(self.room).ask(publish).await
    }

    /// How far the room is, as it knows itself.
    async fn head(&self) -> Seq {
        let asker = Asker {
            user: BOB,
            role: UserRole::User,
        };
        let describe = |reply_to| Command::Describe { asker, reply_to };
        let described = self.services.room(self.room).ask(describe).await;
        described.unwrap().record.head
    }

    fn appends(&self) -> usize {
        self.log.asked.load(Ordering::Relaxed)
    }
}

fn bob(kind: EventKind) -> Draft {
    let change = MemberChange {
        user: BOB,
        role: (kind == EventKind::Join).then(|| "member".into()),
        until: None,
    };
    Draft::system(kind, ANN, &change).unwrap()
}

#[test]
fn who_was_removed_and_came_back_is_not_refused_by_half_of_the_log() {
    for brings in 0..=3 {
        System::new().block_on(async {
            let stage = Stage::set(brings).await;
            let elsewhere = vec![bob(EventKind::Kick), bob(EventKind::Join)];
            let acked = stage.bob_writes_after(elsewhere).await;
            assert_eq!(acked.unwrap().place.seq, Seq(6), "{brings} were brought");
            // The founding, the refused one, and the one that was decided on everything.
            assert_eq!(stage.appends(), 3, "{brings} were brought");
        });
    }
}

#[test]
fn who_was_removed_is_refused_however_little_the_log_brings() {
    for brings in 0..=1 {
        System::new().block_on(async {
            let stage = Stage::set(brings).await;
            let refused = stage.bob_writes_after(vec![bob(EventKind::Kick)]).await;
            assert_eq!(refused.unwrap_err().code, ErrorCode::NotAMember);
            assert_eq!(stage.appends(), 2, "{brings} were brought");
        });
    }
}

#[test]
fn a_head_that_cannot_be_reached_is_no_answer_and_no_endless_try() {
    System::new().block_on(async {
        let stage = Stage::set(0).await;
        stage.log.readable.store(false, Ordering::Relaxed);
        let elsewhere = vec![bob(EventKind::Kick), bob(EventKind::Join)];
        let refused = stage.bob_writes_after(elsewhere).await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::Unavailable);
        assert_eq!(stage.appends(), 2);
    });
}

#[test]
fn what_was_written_though_its_answer_was_lost_is_shown_however_often_reading_fails() {
    System::new().block_on(async {
        let stage = Stage::set(0).await;
        stage.log.failing.store(3, Ordering::Relaxed);
        let client_id = ClientId::generate();
        let written = Draft {
            kind: EventKind::Message,
            from: BOB,
            client_id: client_id.clone(),
            target: None,
            reply_to: None,
            thread: None,
            mentions: Vec::new(),
            body: HELLO.into(),
        };
        let acked = stage.bob_writes(client_id, vec![written]).await.unwrap();
        assert!(acked.duplicate);
        eventually("the room has read it", seconds(5), async || {
            (stage.head().await == acked.place.seq).then_some(())
        })
        .await;
        assert_eq!(stage.log.failing.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn what_somebody_may_only_as_a_member_waits_for_their_join() {
    for elsewhere in [vec![], vec![bob(EventKind::Kick)]] {
        System::new().block_on(async {
            let stage = Stage::set(0).await;
            // With this, the first try of the join is refused as stale.
            *stage.log.first.lock().unwrap() = elsewhere;
            let asker = Asker {
                user: UserId::from_raw(3),
                role: UserRole::User,
            };
            let room = stage.services.room(stage.room);
            let joined = room.ask(|reply_to| Command::Join { asker, reply_to });
            let seq = Seq(1);
            let read = room.ask(|reply_to| Command::Read {
                asker,
                seq,
                reply_to,
            });
            read.await.unwrap();
            assert!(!joined.await.unwrap().already);
        });
    }
}
