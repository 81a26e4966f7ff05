//! People and rooms to look at, made the way people would make them.

use std::collections::HashMap;

use madang::actors::Services;
use madang::actors::room::{Asker, Command, Outgoing, RoomChange};
use madang::clock::now_ms;
use madang::db::{NewRoom, Role, RoomKind, UserRole};
use madang::error::{Error, Result};
use madang::ids::{RoomId, UserId};
use madang::protocol::ClientId;
use serde_json::json;

/// What everybody here signs in with.
const PASSWORD: &str = "open sesame";

/// Username and name of everybody.
const PEOPLE: [(&str, &str); 6] = [
    ("hana", "김하나"),
    ("minsu", "박민수"),
    ("ann", "Ann Lee"),
    ("bob", "Bob"),
    ("layla", "ليلى"),
    ("zoe", "Zoë 🌿"),
];

/// A room and what was said in it. The first to speak has made it.
struct Scene {
    kind: RoomKind,
    name: &'static str,
    topic: &'static str,
    talk: &'static [(&'static str, &'static str)],
}

const SCENES: [Scene; 4] = [
    Scene {
        kind: RoomKind::Open,
        name: "마당",
        topic: "누구나 들어와 이야기하는 곳 · the yard, for everybody",
        talk: &[
            ("hana", "어서 오세요! 편하게 이야기 나눠요 😊"),
            ("ann", "Hello! What does 마당 mean?"),
            (
                "minsu",
                "집 앞의 뜰이에요. It is the yard in front of a house, where people gather.",
            ),
            ("layla", "مرحبا بالجميع"),
            ("zoe", "Lovely to be here 👩‍👩‍👧‍👦"),
            ("ann", "What a good name for a place to talk."),
        ],
    },
    Scene {
        kind: RoomKind::Open,
        name: "Tea house",
        topic: "Leaves, water, patience",
        talk: &[
            ("bob", "First flush arrived this morning."),
            ("zoe", "Which garden?"),
            ("bob", "Boseong, from the slope that looks at the sea."),
            ("hana", "보성 녹차! 70도 물에 2분이면 돼요."),
            ("bob", "Two minutes at 70 °C, noted. Thank you!"),
        ],
    },
    Scene {
        kind: RoomKind::Broadcast,
        name: "News",
        topic: "What is new here; only the house writes",
        talk: &[
            (
                "minsu",
                "Welcome. Everything you see is kept in one small database file.",
            ),
            (
                "minsu",
                "Stop the node in the middle of a sentence and start it again: it is still here.",
            ),
        ],
    },
    Scene {
        kind: RoomKind::Group,
        name: "Picnic on Sunday",
        topic: "Who brings what",
        talk: &[
            ("ann", "Shall we say noon, by the big tree?"),
            ("hana", "좋아요! 김밥은 제가 가져갈게요."),
            ("bob", "Tea is on me, obviously."),
        ],
    },
];

/// Fills an empty database; one that has rooms already is left alone.
pub(crate) async fn fill(services: &Services) -> Result<()> {
    let rooms = services
        .db
        .run(|store| store.open_rooms("", None, 1))
        .await?;
    if !rooms.is_empty() {
        return Ok(());
    }
    let mut people = HashMap::new();
    for (username, name) in PEOPLE {
        let (identities, password) = (&services.identities, PASSWORD.to_owned());
        let pass = identities.sign_up(username.to_owned(), password, Some(name), "demo");
        people.insert(username, pass.await?.user.id);
    }
    for scene in &SCENES {
        play(services, scene, &people).await?;
    }
    log::info!("demo: sign in as hana, ann or bob with the password {PASSWORD:?}");
    Ok(())
}

async fn play(services: &Services, scene: &Scene, people: &HashMap<&str, UserId>) -> Result<()> {
    let talk = scene
        .talk
        .iter()
        .filter_map(|(who, text)| Some((*people.get(who)?, *text)));
    let talk: Vec<(UserId, &str)> = talk.collect();
    let Some((owner, _)) = talk.first().copied() else {
        return Ok(());
    };
    let mut members = vec![(owner, Role::Owner)];
    for (user, _) in &talk {
        if members.iter().all(|(member, _)| member != user) {
            members.push((*user, Role::Member));
        }
    }
    let new = NewRoom {
        id: RoomId::random(),
        kind: scene.kind,
        pair: None,
        created_at: now_ms(),
    };
    let change = RoomChange {
        kind: Some(scene.kind),
        name: Some(scene.name.to_owned()),
        topic: Some(scene.topic.to_owned()),
        ..RoomChange::default()
    };
    let room = services.found(new, owner, change, members).await?;
    for (user, text) in talk {
        say(services, room, user, text).await?;
    }
    Ok(())
}

async fn say(services: &Services, room: RoomId, user: UserId, text: &str) -> Result<()> {
    let asker = Asker {
        user,
        role: UserRole::User,
    };
    let body = serde_json::to_string(&json!({ "text": text })).map_err(|_| Error::internal())?;
    let message = Outgoing {
        client_id: ClientId::generate(),
        body: body.into(),
        reply_to: None,
        thread: None,
        mentions: Vec::new(),
    };
    let publish = |reply_to| Command::Publish {
        asker,
        message,
        reply_to,
    };
    services.room(room).ask(publish).await.map(drop)
}
