//! What any broker has to keep (`madang::actors::registry::Broker`), tried on each of them.

mod below;
mod weight;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use madang::actors::persistence::write_back::{self, Backlog, Landed, WriteBack};
use madang::actors::persistence::{Limits, Persistence};
use madang::actors::registry::redis::{self, NodeName, RedisBroker, Subscribers};
use madang::actors::registry::{
    Broker, EphemeralReceived, EpochEnded, ForgetRooms, FromNode, LocalBroker, Ring,
};
use madang::db::{Append, Appended, Basis, Db, Fate, NewRoom, OpenOptions, RoomKind};
use madang::ids::{RoomId, Seq, UserId};
use madang::protocol::{ClientId, Draft, Event, EventKind, MemberChange};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{Backend, Postgres, Redis, eventually};

/// A broker with what it stands on.
struct Stage {
    broker: Arc<dyn Broker>,
    db: Db,
    /// Everything that rang, in the order it came.
    heard: Arc<Mutex<Vec<Event>>>,
    _folder: tempfile::TempDir,
    _redis: Option<Redis>,
}

/// Stands where the registry would: writes down what rings.
struct Ear(Arc<Mutex<Vec<Event>>>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Ring> for Ear {
    type Result = ();

    fn handle(&mut self, ring: Ring, _: &mut Context<Self>) {
        self.0.lock().unwrap().extend(ring.events);
    }
}

/// What else a cluster's broker tells; nobody listens here.
macro_rules! deaf {
    ($($message:ty),*) => {$(
        impl Handler<$message> for Ear {
            type Result = ();

            fn handle(&mut self, _: $message, _: &mut Context<Self>) {}
        }
    )*};
}
deaf!(EpochEnded, EphemeralReceived, FromNode, ForgetRooms, Landed);

impl Stage {
    async fn set(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match backend {
            Backend::Sqlite => format!("sqlite://{}", folder.path().join("log.db").display()),
            Backend::Postgres | Backend::Redis => Postgres::shared().await.database().await,
        };
        let options = OpenOptions {
            shared: backend == Backend::Redis,
            ..OpenOptions::default()
        };
        let open = move || Db::open(&url, &options).unwrap();
        let db = tokio::task::spawn_blocking(open).await.unwrap();
        if backend == Backend::Redis {
            return Self::with_redis(db, folder).await;
        }
        let limits = Limits {
            batch_rows: 500,
            backlog_rows: 10_000,
            deadline: Duration::from_secs(60),
        };
        let persistence = Persistence::start_here(db.store(), limits);
        let heard = Arc::default();
        let ear = Ear(Arc::clone(&heard)).start().recipient();
        let broker = Arc::new(LocalBroker::new(persistence, db.clone(), ear));
        Self {
            broker,
            db,
            heard,
            _folder: folder,
            _redis: None,
        }
    }

    async fn with_redis(db: Db, folder: tempfile::TempDir) -> Self {
        Self::with_backlog(db, folder, Backlog::new(10_000)).await
    }

    async fn with_backlog(db: Db, folder: tempfile::TempDir, backlog: Arc<Backlog>) -> Self {
        let server = Redis::start().await;
        let client = redis::open(&server.url()).await.unwrap();
        let broker = RedisBroker::new(client, NodeName::new("n"), db.clone(), backlog.clone());
        let heard = Arc::default();
        let ear = Ear(Arc::clone(&heard)).start();
        let hot = Arc::new(broker.clone());
        let landed = ear.clone().recipient();
        let limits = write_back::Limits::default();
        let write_back = WriteBack::start_here(db.store(), hot, backlog, landed, limits);
        broker.begin(write_back, Subscribers::all(&ear));
        let ready = async || broker.is_ready().then_some(());
        eventually("Redis lives", Duration::from_secs(10), ready).await;
        Self {
            broker: Arc::new(broker),
            db,
            heard,
            _folder: folder,
            _redis: Some(server),
        }
    }

    async fn room(&self) -> RoomId {
        let id = RoomId::random();
        let room = NewRoom {
            id,
            kind: RoomKind::Open,
            pair: None,
            created_at: 0,
        };
        self.db
            .run(move |store| store.create_room(&room))
            .await
            .unwrap();
        self.broker.subscribe(id).await.unwrap();
        id
    }

    async fn append(&self, room: RoomId, basis: Basis, drafts: Vec<Draft>) -> Appended {
        self.broker
            .append(Append {
                room,
                basis,
                drafts,
            })
            .await
            .unwrap()
    }

    /// Appends as a room that has applied everything would.
    async fn append_freely(&self, room: RoomId, drafts: Vec<Draft>) -> Vec<Fate> {
        match self.append(room, KNOWS_ALL, drafts).await {
            Appended::Done(fates) => fates,
            other => panic!("not appended: {other:?}"),
        }
    }

    async fn log(&self, room: RoomId) -> Vec<Event> {
        let mut log: Vec<Event> = Vec::new();
        loop {
            let after = log.last().map_or(Seq::ZERO, Event::seq);
            let page = self.broker.read(room, after, 200).await.unwrap();
            if page.is_empty() {
                return log;
            }
            log.extend(page);
        }
    }
}

/// The basis of a room that is not behind.
const KNOWS_ALL: Basis = Basis {
    head: Seq::ZERO,
    rights: Seq(i64::MAX),
    membership: Seq(i64::MAX),
};

fn user(number: i64) -> UserId {
    UserId::from_raw(number)
}

fn message(from: UserId, text: &str) -> Draft {
    Draft {
        kind: EventKind::Message,
        from,
        client_id: ClientId::generate(),
        target: None,
        reply_to: None,
        thread: None,
        mentions: Vec::new(),
        body: serde_json::json!({ "text": text }).to_string().into(),
    }
}

fn change(kind: EventKind, who: UserId) -> Draft {
    Draft::system(
        kind,
        who,
        &MemberChange {
            user: who,
            role: None,
            until: None,
        },
    )
    .unwrap()
}

fn place(fate: Fate) -> Seq {
    match fate {
        Fate::New(place) | Fate::Duplicate(place) => place.seq,
        Fate::Conflict | Fate::Poison | Fate::Unknown => panic!("has no place: {fate:?}"),
    }
}

/// Runs a case on every broker there is.
fn on_every_broker(case: impl AsyncFn(Stage)) {
    for backend in [Backend::Sqlite, Backend::Postgres, Backend::Redis] {
        println!("on {backend:?}");
        actix::System::new().block_on(async {
            case(Stage::set(backend).await).await;
        });
    }
}

#[test]
fn places_are_dense_and_the_log_reads_as_it_was_appended() {
    on_every_broker(async |stage| {
        let room = stage.room().await;
        let drafts: Vec<_> = (0..10).map(|i| message(user(1), &i.to_string())).collect();
        let fates = stage.append_freely(room, drafts.clone()).await;
        let places: Vec<_> = fates.into_iter().map(place).collect();
        assert_eq!(places, (1..=10).map(Seq).collect::<Vec<_>>());
        let log = stage.log(room).await;
        assert_eq!(
            log.iter()
                .map(|event| event.draft.clone())
                .collect::<Vec<_>>(),
            drafts
        );
        let heads = stage.broker.heads(vec![room]).await.unwrap();
        let heads: Vec<_> = heads.iter().map(|head| (head.room, head.head)).collect();
        assert_eq!(heads, [(room, Seq(10))]);
    });
}

#[test]
fn a_repeat_gets_the_first_place_and_another_body_is_a_conflict() {
    on_every_broker(async |stage| {
        let room = stage.room().await;
        let draft = message(user(1), "once");
        let first = stage.append_freely(room, vec![draft.clone()]).await;
        stage
            .append_freely(room, vec![message(user(2), "between")])
            .await;
        let again = vec![draft.clone(), draft.clone(), message(user(1), "new")];
        let fates = stage.append_freely(room, again).await;
        assert!(matches!(fates[0], Fate::Duplicate(_)) && matches!(fates[1], Fate::Duplicate(_)));
        assert_eq!(place(fates[0]), place(first[0]));
        assert_eq!(place(fates[2]), Seq(3));
        let other = Draft {
            body: r#"{"text":"twice"}"#.into(),
            ..draft.clone()
        };
        assert_eq!(
            stage.append_freely(room, vec![other]).await,
            [Fate::Conflict]
        );
        let namesake = Draft {
            from: user(2),
            ..draft
        };
        assert_eq!(
            place(stage.append_freely(room, vec![namesake]).await[0]),
            Seq(4)
        );
    });
}

#[test]
fn a_decision_on_older_rights_is_refused_with_what_it_had_not_seen() {
    on_every_broker(async |stage| {
        let room = stage.room().await;
        stage
            .append_freely(room, vec![change(EventKind::Join, user(1))])
            .await;
        let joined = Basis {
            head: Seq(1),
            rights: Seq::ZERO,
            membership: Seq(1),
        };
        stage
            .append_freely(room, vec![change(EventKind::Kick, user(1))])
            .await;
        let late = message(user(1), "after the kick");
        match stage.append(room, joined, vec![late.clone()]).await {
            Appended::Stale { newer, head } => {
                assert_eq!(newer.iter().map(Event::seq).collect::<Vec<_>>(), [Seq(2)]);
                assert_eq!(head, Seq(2));
            }
            other => panic!("a removed member slipped in: {other:?}"),
        }
        assert_eq!(stage.log(room).await.len(), 2, "nothing was appended");
        let informed = Basis {
            head: Seq(2),
            rights: Seq(2),
            membership: Seq(1),
        };
        let message = stage.append(room, informed, vec![late]).await;
        assert!(
            matches!(message, Appended::Done(_)),
            "messages do not look at who joined"
        );
        let join = stage
            .append(room, informed, vec![change(EventKind::Join, user(2))])
            .await;
        assert!(matches!(join, Appended::Stale { .. }), "joins do: {join:?}");
    });
}

#[test]
fn rings_come_in_order_for_wanted_rooms_only() {
    on_every_broker(async |stage| {
        let (wanted, unwanted) = (stage.room().await, stage.room().await);
        stage.broker.unsubscribe(unwanted);
        for i in 0..20 {
            stage
                .append_freely(wanted, vec![message(user(1), &i.to_string())])
                .await;
            stage
                .append_freely(unwanted, vec![message(user(1), "unheard")])
                .await;
        }
        let log = stage.log(wanted).await;
        eventually("the rings come", Duration::from_secs(10), async || {
            (stage.heard.lock().unwrap().len() >= 20).then_some(())
        })
        .await;
        assert_eq!(
            *stage.heard.lock().unwrap(),
            log,
            "each once, in order, as in the log"
        );
    });
}

/// The places of an append that was done, in one piece.
fn note_places(
    places: &mut BTreeMap<RoomId, Vec<Seq>>,
    room: RoomId,
    appended: madang::error::Result<Appended>,
) {
    let Appended::Done(fates) = appended.unwrap() else {
        panic!("refused")
    };
    let own: Vec<_> = fates.into_iter().map(place).collect();
    assert!(
        own.windows(2).all(|pair| pair[1] == pair[0].next()),
        "an append is one piece"
    );
    places.entry(room).or_default().extend(own);
}

#[test]
fn appends_to_many_rooms_at_once_never_mix_or_lose() {
    on_every_broker(async |stage| {
        let seed = rand::rng().random();
        println!("SEED={seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let rooms: Vec<_> = [stage.room().await, stage.room().await, stage.room().await].into();
        let mut waiting = VecDeque::new();
        let mut places: BTreeMap<RoomId, Vec<Seq>> = BTreeMap::new();
        let mut written: BTreeMap<RoomId, BTreeSet<String>> = BTreeMap::new();
        for i in 0..300 {
            let room = rooms[random.random_range(0..rooms.len())];
            let count = random.random_range(1..=8);
            let drafts: Vec<_> = (0..count)
                .map(|j| message(user(j), &format!("{i}.{j}")))
                .collect();
            let ids = drafts.iter().map(|draft| draft.client_id.to_string());
            written.entry(room).or_default().extend(ids);
            let append = Append {
                room,
                basis: KNOWS_ALL,
                drafts,
            };
            waiting.push_back((room, actix::spawn(stage.broker.append(append))));
            // More at once than a room ever asks for, and no more than a slow machine can do in time.
            if waiting.len() == 60 {
                let (room, append) = waiting.pop_front().unwrap();
                note_places(&mut places, room, append.await.unwrap());
            }
        }
        for (room, append) in waiting {
            note_places(&mut places, room, append.await.unwrap());
        }
        for room in rooms {
            let log = stage.log(room).await;
            let mut given = places.remove(&room).unwrap_or_default();
            given.sort();
            assert_eq!(log.iter().map(Event::seq).collect::<Vec<_>>(), given);
            assert!(
                given.iter().zip(1..).all(|(seq, number)| seq.0 == number),
                "no holes"
            );
            let found: BTreeSet<_> = log
                .iter()
                .map(|event| event.draft.client_id.to_string())
                .collect();
            assert_eq!(found, written.remove(&room).unwrap_or_default());
        }
    });
}
