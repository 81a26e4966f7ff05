//! What both databases promise to the rest of the program: the same cases on each.

mod folds;
mod lives;
mod log;
mod model;
mod opening;
mod people;
mod random;
mod rooms;
mod settings;
mod shared;
mod trouble;
mod write_back;

use std::sync::Arc;
use std::time::{Duration, Instant};

use madang::db::{
    Append, Appended, Basis, Db, Fate, LoadedRoom, NewRoom, OpenOptions, RoomKind, Store,
    StoreError,
};
use madang::ids::{RoomId, Seq, UserId};
use madang::protocol::{ClientId, Draft, EventKind, MemberChange, Place};
use tempfile::TempDir;

use crate::support::Postgres;

/// An empty database and the store on it.
pub struct Stage {
    pub url: String,
    pub db: Db,
    pub store: Arc<dyn Store>,
    /// Where an SQLite database lives.
    _folder: Option<TempDir>,
}

impl Stage {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("madang.db").display());
        Self::at(url, Some(folder))
    }

    pub async fn postgres() -> Self {
        Self::at(Postgres::shared().await.database().await, None)
    }

    fn at(url: String, folder: Option<TempDir>) -> Self {
        let db = Db::open(&url, &OpenOptions::default()).unwrap();
        Self {
            url,
            store: db.store(),
            db,
            _folder: folder,
        }
    }

    pub fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite")
    }

    /// A room of this kind with these members.
    pub fn room(&self, kind: RoomKind, members: &[UserId]) -> RoomId {
        let room = RoomId::random();
        self.store.create_room(&new_room(room, kind)).unwrap();
        for member in members {
            let joined = self.append(room, vec![join(*member)]);
            assert!(matches!(joined[..], [Fate::New(_)]), "{joined:?}");
        }
        room
    }

    /// Appends as a room that knows everything does.
    pub fn append(&self, room: RoomId, drafts: Vec<Draft>) -> Vec<Fate> {
        let mut answers = self.store.append(&[trusted(room, drafts)], 1_000).unwrap();
        match answers.pop() {
            Some(Appended::Done(fates)) => fates,
            other => panic!("not appended: {other:?}"),
        }
    }

    /// All of a room.
    pub fn load(&self, room: RoomId) -> LoadedRoom {
        self.store.load_room(room, 10_000).unwrap().unwrap()
    }
}

/// Runs a case on an empty SQLite database and on an empty Postgres database.
pub async fn on_both(case: impl Fn(&Stage)) {
    for stage in [Stage::sqlite(), Stage::postgres().await] {
        println!("on {}", stage.url);
        case(&stage);
    }
}

/// Asks again while the answer is "not now": where many write at once, a slow machine may keep
/// somebody waiting for longer than a question may take.
pub fn patiently<T>(mut ask: impl FnMut() -> Result<T, StoreError>) -> T {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        match ask() {
            Err(StoreError::Unavailable(_)) if Instant::now() < end => {}
            answer => return answer.unwrap(),
        }
    }
}

pub fn new_room(id: RoomId, kind: RoomKind) -> NewRoom {
    NewRoom {
        id,
        kind,
        pair: None,
        created_at: 500,
    }
}

/// An append that no newer right makes stale.
pub fn trusted(room: RoomId, drafts: Vec<Draft>) -> Append {
    let basis = Basis {
        head: Seq(i64::MAX),
        rights: Seq(i64::MAX),
        membership: Seq(i64::MAX),
    };
    Append {
        room,
        basis,
        drafts,
    }
}

pub fn draft(kind: EventKind, from: UserId, body: &str) -> Draft {
    Draft {
        kind,
        from,
        client_id: ClientId::generate(),
        target: None,
        reply_to: None,
        thread: None,
        mentions: vec![],
        body: body.into(),
    }
}

pub fn message(from: UserId, text: &str) -> Draft {
    let body = serde_json::json!({ "text": text }).to_string();
    draft(EventKind::Message, from, &body)
}

pub fn join(user: UserId) -> Draft {
    change(EventKind::Join, user, user, None)
}

/// What `from` does to `user`.
pub fn change(kind: EventKind, from: UserId, user: UserId, role: Option<&str>) -> Draft {
    let change = MemberChange {
        user,
        role: role.map(str::to_owned),
        until: None,
    };
    Draft::system(kind, from, &change).unwrap()
}

/// The places of drafts that were all new.
pub fn places(fates: &[Fate]) -> Vec<Place> {
    let place = |fate: &Fate| match fate {
        Fate::New(place) => *place,
        other => panic!("not new: {other:?}"),
    };
    fates.iter().map(place).collect()
}

pub fn people<const N: usize>() -> [UserId; N] {
    std::array::from_fn(|_| UserId::random())
}
