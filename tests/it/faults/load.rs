//! Many people in many rooms, spread over the nodes, who write, read and come back elsewhere; and
//! the judgement of what they were told.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::ledger;
use super::trial::is_long;
use crate::support::{
    Answer, Claims, Doors, Goals, History, Plan, Published, Publisher, Rest, WsClient,
    assert_all_told, eventually, judge, read_history, seconds, sign,
};

/// Requests of the preparations at the same time.
const AT_ONCE: usize = 24;

/// How many people, how many rooms, how fast.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub rooms: usize,
    pub people: usize,
    /// Between two messages of one person.
    pub pace: Duration,
}

impl Size {
    /// What an everyday run can afford, or with `FAULTS=long` what a cluster has to bear.
    pub fn of_this_run() -> Self {
        if is_long() {
            return Self {
                rooms: 200,
                people: 1000,
                pace: Duration::from_millis(1000),
            };
        }
        Self {
            rooms: 12,
            people: 24,
            pace: Duration::from_millis(150),
        }
    }

    /// The rooms of a person: two, each with others in it than the other.
    fn rooms_of(&self, person: usize) -> [usize; 2] {
        let first = person % self.rooms;
        let step = 1 + (person / self.rooms) % (self.rooms - 1);
        [first, (first + step) % self.rooms]
    }
}

/// People at work.
pub struct Load {
    doors: Doors,
    rooms: Vec<String>,
    pub people: Vec<Publisher>,
}

impl Load {
    /// Makes rooms and people and has them begin.
    pub async fn start(doors: Doors, size: Size, random: &mut StdRng) -> Self {
        let rooms = make_rooms(&doors, size.rooms).await;
        let memberships = (0..size.people)
            .flat_map(|person| size.rooms_of(person).map(|room| (person, room)))
            .map(|(person, room)| join(&doors, person, &rooms[room]));
        stream::iter(memberships)
            .buffer_unordered(AT_ONCE)
            .collect::<()>()
            .await;
        let people = (0..size.people).map(|person| {
            let coming = Publisher::follow(Plan {
                sub: name(person),
                rooms: size.rooms_of(person).map(|room| rooms[room].clone()).into(),
                reads: true,
                pace: size.pace,
                doors: doors.clone(),
                first_door: random.random_range(0..1000),
                random: StdRng::seed_from_u64(random.random()),
            });
            async {
                let person = coming.await;
                person.be_quiet();
                person
            }
        });
        let people: Vec<_> = people.collect();
        let people: Vec<Publisher> = stream::iter(people).buffered(AT_ONCE).collect().await;
        // Nobody writes much before all are there: what is prepared for a load is not for arrivals.
        people.iter().for_each(Publisher::speak_up);
        Self {
            doors,
            rooms,
            people,
        }
    }

    /// How many messages have been acknowledged so far.
    pub fn count(&self) -> u64 {
        self.people.iter().map(Publisher::count).sum()
    }

    /// Waits until so many more messages have been acknowledged.
    pub async fn after_acks(&self, more: u64) {
        let goal = self.count() + more;
        eventually("messages are acknowledged", seconds(60), async || {
            (self.count() >= goal).then_some(())
        })
        .await;
    }

    /// How often this error has said "not now" to anybody.
    pub fn refused_with(&self, name: &str) -> u64 {
        let counts = self.people.iter().map(Publisher::refusals);
        counts.filter_map(|counts| counts.get(name).copied()).sum()
    }

    /// Waits until somebody is refused with this, again.
    pub async fn until_refused_with(&self, name: &str) {
        let before = self.refused_with(name);
        eventually("somebody is refused", seconds(60), async || {
            (self.refused_with(name) > before).then_some(())
        })
        .await;
    }

    /// The people who are not at this node.
    pub fn not_at(&self, node: usize) -> Vec<usize> {
        let people = self.people.iter().enumerate();
        let elsewhere = people.filter(|(_, person)| person.door() != Some(node));
        elsewhere.map(|(number, _)| number).collect()
    }

    /// Waits until everybody has a connection, and none of them to this node.
    pub async fn all_elsewhere(&self, than: usize, within: Duration) {
        eventually("everybody has come back elsewhere", within, async || {
            let elsewhere = |person: &Publisher| person.door().is_some_and(|door| door != than);
            self.people.iter().all(elsewhere).then_some(())
        })
        .await;
    }

    /// Waits until everybody has a connection.
    pub async fn all_connected(&self, within: Duration) {
        eventually("everybody has come back", within, async || {
            let mut doors = self.people.iter().map(Publisher::door);
            doors.all(|door| door.is_some()).then_some(())
        })
        .await;
    }

    /// Has everybody come to an end, and judges what they were told. The write-back must have
    /// put all of it into the database, if there is one that can be asked.
    pub async fn judge(self, database: Option<&str>) -> Judged {
        self.people.iter().for_each(Publisher::be_quiet);
        eventually("everything is acknowledged", seconds(60), async || {
            let waiting: usize = self.people.iter().map(Publisher::waiting).sum();
            (waiting == 0).then_some(())
        })
        .await;
        let histories = join_all(self.rooms.iter().map(|room| self.history(room))).await;
        let histories: HashMap<_, _> = self.rooms.iter().cloned().zip(histories).collect();
        let goals: Goals = histories.iter().map(goal).collect();
        let people = self.people.into_iter();
        let outcomes = join_all(people.map(|person| person.leave_at(goals.clone()))).await;
        let judged = Judged {
            histories,
            promised: outcomes.iter().flat_map(|(sent, _)| sent.clone()).collect(),
            readers: outcomes.into_iter().map(|(_, client)| client).collect(),
        };
        judged.assert_clean();
        if let Some(database) = database {
            ledger::settled(database, &judged.histories).await;
            ledger::assert_equal(database, &judged.histories);
        }
        println!(
            "{} messages in {} rooms are where they were promised",
            judged.promised.len(),
            judged.histories.len()
        );
        judged
    }

    /// The log of a room as its owner reads it, at a node that serves.
    async fn history(&self, room: &str) -> History {
        let rest = reach(&self.doors, &owner()).await;
        read_history(&rest, room).await
    }
}

/// What stood in the end, and what everybody was told before.
pub struct Judged {
    pub histories: HashMap<String, History>,
    pub promised: Vec<Published>,
    pub readers: Vec<WsClient>,
}

impl Judged {
    fn assert_clean(&self) {
        let mut wrong = Vec::new();
        for (room, history) in &self.histories {
            let promised = self.promised.iter().filter(|sent| sent.room == *room);
            let views = self
                .readers
                .iter()
                .filter_map(|reader| reader.rooms.get(room));
            let views: Vec<_> = views.collect();
            let found = judge(history, &promised.cloned().collect::<Vec<_>>(), &views);
            wrong.extend(found.into_iter().map(|what| format!("{room}: {what}")));
            for view in views {
                assert_all_told(view, history);
            }
        }
        assert!(wrong.is_empty(), "not clean:\n{}", wrong.join("\n"));
        assert!(!self.promised.is_empty(), "nobody was promised anything");
    }

    /// How many events of this kind there are in all rooms.
    pub fn events_of(&self, kind: &str) -> usize {
        let all = self.histories.values().flat_map(|history| &history.events);
        all.filter(|event| event.kind == kind).count()
    }

    /// How many readers were told of gaps for this reason.
    pub fn gaps_for(&self, reason: &str) -> usize {
        let views = self.readers.iter().flat_map(|reader| reader.rooms.values());
        let told = views.filter(|view| view.gaps.iter().any(|gap| gap.reason == reason));
        told.count()
    }
}

fn goal((room, history): (&String, &History)) -> (String, (String, u64)) {
    let end = history.events.last().map_or(0, |event| event.seq);
    (room.clone(), (history.epoch.clone(), end))
}

fn name(person: usize) -> String {
    format!("person{person}")
}

fn owner() -> String {
    "owner".to_owned()
}

/// REST as this person at the first node that answers.
pub async fn reach(doors: &Doors, sub: &str) -> Rest {
    let mut turn = 0;
    eventually("a node answers", seconds(20), async || {
        let (_, address) = doors.get(turn);
        turn += 1;
        let rest = Rest::new(&format!("http://{address}"), Some(sign(&Claims::of(sub))));
        let answer = rest.attempt("GET", "me", None).await.ok()?;
        (answer.status == 200).then_some(rest)
    })
    .await
}

async fn make_rooms(doors: &Doors, count: usize) -> Vec<String> {
    let owner = reach(doors, &owner()).await;
    let make = |number: usize| {
        let (owner, description) = (
            &owner,
            json!({"name": format!("room {number}"), "kind": "open"}),
        );
        async move {
            let made: Answer = owner.post("rooms", description).await;
            made.good()["room"].as_str().expect("an id").to_owned()
        }
    };
    stream::iter((0..count).map(make))
        .buffered(AT_ONCE)
        .collect()
        .await
}

async fn join(doors: &Doors, person: usize, room: &str) {
    let (_, address) = doors.get(person);
    let token = sign(&Claims::of(&name(person)));
    let rest = Rest::new(&format!("http://{address}"), Some(token));
    let path = format!("rooms/{room}/join");
    eventually("somebody is let in", seconds(20), async || {
        let answer = rest.post(&path, json!({})).await;
        // Everybody comes at once: a node may say "not now".
        (answer.status < 500).then(|| answer.good())
    })
    .await;
}
