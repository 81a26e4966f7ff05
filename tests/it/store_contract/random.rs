//! Random appends, on the store and on the naive model: the same answers, the same state.

use madang::db::{Append, Appended, Fate, Mark, Placed, Role, RoomKind, Written};
use madang::ids::{RoomId, Seq, UserId};
use madang::protocol::{ClientId, Draft, Event, EventKind, MemberChange};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::model::{Model, Room};
use super::write_back::{LIFE, alive};
use super::{Stage, draft, new_room};
use crate::support::rounds;

/// One draft, by numbers.
#[derive(Debug, Clone)]
struct Step {
    kind: EventKind,
    from: usize,
    about: usize,
    role: Option<Role>,
    /// An id and a text used before, by anybody, if this is below their number.
    repeats: usize,
    /// With the same id, other words.
    differs: bool,
    mentions: Vec<usize>,
}

/// One append, by numbers: which room, how old its knowledge, what.
type Ask = (usize, i64, Vec<Step>);

const ROOMS: usize = 3;
const PEOPLE: usize = 4;

fn kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        8 => Just(EventKind::Message),
        1 => Just(EventKind::React),
        4 => Just(EventKind::Join),
        1 => Just(EventKind::Leave),
        1 => Just(EventKind::Kick),
        1 => Just(EventKind::Ban),
        1 => Just(EventKind::Mute),
        1 => Just(EventKind::Role),
        1 => Just(EventKind::Room),
        // Never readable: see `draft_of`.
        1 => Just(EventKind::System),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let role = prop_oneof![
        Just(None),
        Just(Some(Role::Member)),
        Just(Some(Role::Moderator)),
        Just(Some(Role::Owner)),
    ];
    let mentions = vec(0..PEOPLE, 0..3);
    (
        kind(),
        0..PEOPLE,
        0..PEOPLE,
        role,
        0..60_usize,
        any::<bool>(),
        mentions,
    )
        .prop_map(
            |(kind, from, about, role, repeats, differs, mentions)| Step {
                kind,
                from,
                about,
                role,
                repeats,
                differs,
                mentions,
            },
        )
}

fn batches() -> impl Strategy<Value = Vec<Vec<Ask>>> {
    let lag = prop_oneof![6 => Just(0_i64), 1 => 1..4_i64];
    // One more room than there are: nobody made it.
    let ask = (0..=ROOMS, lag, vec(step(), 1..8));
    vec(vec(ask, 1..6), 1..12)
}

struct Run {
    people: Vec<UserId>,
    rooms: Vec<RoomId>,
    model: Model,
    used: Vec<Draft>,
}

impl Run {
    fn new(stage: &Stage) -> Self {
        let rooms: Vec<RoomId> = (0..=ROOMS).map(|_| RoomId::random()).collect();
        let mut model = Model::default();
        for room in &rooms[..ROOMS] {
            stage
                .store
                .create_room(&new_room(*room, RoomKind::Open))
                .unwrap();
            model.rooms.insert(*room, Room::created(500));
        }
        Self {
            people: (0..PEOPLE).map(|_| UserId::random()).collect(),
            rooms,
            model,
            used: Vec::new(),
        }
    }

    fn draft_of(&mut self, step: &Step) -> Draft {
        if let Some(before) = self.used.get(step.repeats) {
            let mut again = before.clone();
            if step.differs {
                again.reply_to = Some(Seq(1));
            }
            return again;
        }
        let from = self.people[step.from];
        let change = MemberChange {
            user: self.people[step.about],
            role: step.role.map(|role| role.as_str().to_owned()),
            until: step.role.map(|_| 77),
        };
        let body = match step.kind {
            EventKind::Message | EventKind::React => r#"{"text":"hi"}"#.to_owned(),
            EventKind::Room => format!(r#"{{"name":"room {}"}}"#, self.used.len()),
            // Takes the place of a body that makes no sense.
            EventKind::System => "[]".to_owned(),
            _ => serde_json::to_string(&change).unwrap(),
        };
        let kind = match step.kind {
            EventKind::System => EventKind::Join,
            ref kind => kind.clone(),
        };
        let mut draft = draft(kind, from, &body);
        if draft.kind.is_message() {
            draft.mentions = step.mentions.iter().map(|i| self.people[*i]).collect();
        }
        draft.client_id = ClientId::generate();
        self.used.push(draft.clone());
        draft
    }

    fn batch(&mut self, asks: &[Ask]) -> Vec<Append> {
        let append = |(room, lag, steps): &Ask| {
            let drafts = steps.iter().map(|step| self.draft_of(step)).collect();
            let room = self.rooms[*room];
            let known = self.model.rooms.get(&room);
            Append {
                room,
                basis: known.unwrap_or(&Room::default()).basis(*lag),
                drafts,
            }
        };
        asks.iter().map(append).collect()
    }

    fn compare(&self, stage: &Stage) {
        for (id, room) in &self.model.rooms {
            let mut loaded = stage.load(*id);
            loaded.members.sort_by_key(|member| member.user);
            let expected: Vec<_> = room.members.values().cloned().collect();
            assert_eq!(loaded.members, expected);
            assert_eq!(loaded.recent, room.log);
            let row = loaded.room;
            let present = expected.iter().filter(|m| m.role.is_some());
            assert_eq!(row.members, present.count() as i64);
            assert_eq!(row.head, Seq(room.log.len() as i64));
            assert_eq!(row.messages, room.messages());
            assert_eq!(row.last_message, room.newest(EventKind::is_message));
            assert_eq!(row.rights, room.newest(EventKind::restricts));
            assert_eq!(row.membership, room.newest(EventKind::changes_membership));
            assert_eq!(row.name, room.name);
            for member in &expected {
                self.compare_member(stage, *id, room, member.user);
            }
        }
    }

    fn compare_member(&self, stage: &Stage, id: RoomId, room: &Room, user: UserId) {
        let member = &room.members[&user];
        let membership = stage.store.membership(user, id).unwrap();
        assert_eq!(membership.is_some(), member.role.is_some());
        let unread = |mark: Mark| (room.messages() - mark.n) - (member.sent - mark.own);
        assert_eq!(unread(member.mark), room.unread(user, member.mark.read));
        for seq in 0..=room.log.len() as i64 {
            let mark = stage.store.mark_at(id, user, Seq(seq)).unwrap();
            assert_eq!(unread(mark), room.unread(user, Seq(seq)), "at {seq}");
        }
        let Some(membership) = membership else { return };
        assert_eq!(membership.member, *member);
        let newest = room.newest(EventKind::is_message);
        let last = membership.last.as_ref().map(|event| event.seq());
        assert_eq!(last.unwrap_or_default(), newest);
    }
}

fn agrees(stage: &Stage, batches: &[Vec<Ask>]) {
    let mut run = Run::new(stage);
    for (number, asks) in batches.iter().enumerate() {
        let batch = run.batch(asks);
        // The clock goes back now and then.
        let now = 1_000 + number as i64 * if number % 3 == 0 { 7 } else { 2 };
        let expected = run.model.append(&batch, now);
        assert_eq!(stage.store.append(&batch, now).unwrap(), expected);
        assert_eq!(stage.store.append(&[], now).unwrap(), []);
        repeats_change_nothing(stage, &batch, &expected, now);
    }
    run.compare(stage);
}

/// An answer may get lost: the batch comes again, on what is known by then.
fn repeats_change_nothing(stage: &Stage, batch: &[Append], first: &[Appended], now: i64) {
    for (append, answer) in batch.iter().zip(first) {
        let Appended::Done(fates) = answer else {
            continue;
        };
        let again = super::trusted(append.room, append.drafts.clone());
        let second = stage.store.append(&[again], now).unwrap();
        let expected = fates.iter().map(|fate| match fate {
            Fate::New(place) => Fate::Duplicate(*place),
            same => *same,
        });
        assert_eq!(second, [Appended::Done(expected.collect())]);
    }
}

/// How a log is cut into pieces: so many new events each, and so many that stand already.
type Cuts = Vec<(usize, usize)>;

/// The same events, appended to one store and written back to another, in pieces that
/// overlap: the same rooms, members, marks and mentions.
fn written_like_appended(source: &Stage, target: &Stage, batches: &[Vec<Ask>], cuts: &Cuts) {
    let mut run = Run::new(source);
    for (number, asks) in batches.iter().enumerate() {
        let batch = run.batch(asks);
        let now = 1_000 + number as i64;
        run.model.append(&batch, now);
        source.store.append(&batch, now).unwrap();
    }
    let rooms = &run.rooms[..ROOMS];
    for room in rooms {
        let room = new_room(*room, RoomKind::Open);
        target.store.create_room(&room).unwrap();
    }
    let logs: Vec<_> = rooms.iter().map(|room| source.load(*room).recent).collect();
    let longest = logs.iter().map(Vec::len).max().unwrap_or_default();
    let mut cuts = cuts.iter().cycle();
    let mut written = 0;
    while written < longest {
        let (new, back) = *cuts.next().unwrap();
        let piece = |(room, log): (&RoomId, &Vec<Event>)| {
            let from = written.saturating_sub(back).min(log.len());
            let until = (written + new).min(log.len());
            Placed {
                room: *room,
                events: log[from..until].to_vec(),
            }
        };
        let batch: Vec<_> = rooms.iter().zip(&logs).map(piece).collect();
        let answers = target.store.write(LIFE, &batch).unwrap();
        let done = |written: &Written| matches!(written, Written::Done { .. });
        assert!(answers.iter().all(done), "{answers:?}");
        written += new;
    }
    for room in rooms {
        assert_eq!(
            fingerprint(source, *room, &run.people),
            fingerprint(target, *room, &run.people)
        );
    }
}

/// All that a store says of a room, but for its epoch, which is random.
fn fingerprint(stage: &Stage, room: RoomId, people: &[UserId]) -> String {
    let mut loaded = stage.load(room);
    loaded.room.epoch = String::new().into();
    loaded.members.sort_by_key(|member| member.user);
    let mut seed = stage.store.seed_of(room).unwrap().unwrap();
    seed.epoch = String::new().into();
    let mentions = people.iter().map(|user| {
        let membership = stage.store.membership(*user, room).unwrap();
        membership.map(|membership| membership.mentions)
    });
    let mentions: Vec<_> = mentions.collect();
    format!("{loaded:#?} {seed:#?} {mentions:?}")
}

fn runner(cases: usize) -> TestRunner {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("SEED={seed}");
    let config = Config {
        cases: u32::try_from(rounds(cases)).unwrap(),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    TestRunner::new(config)
}

fn run_on(stage: &Stage, cases: usize) {
    let outcome = runner(cases).run(&batches(), |batches| {
        agrees(stage, &batches);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

fn write_back_on(source: &Stage, target: &Stage, cases: usize) {
    alive(target);
    let cuts = vec((1..7_usize, 0..4_usize), 1..5);
    let outcome = runner(cases).run(&(batches(), cuts), |(batches, cuts)| {
        written_like_appended(source, target, &batches, &cuts);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn sqlite_writes_back_what_it_would_append() {
    write_back_on(&Stage::sqlite(), &Stage::sqlite(), 40);
}

#[tokio::test]
async fn postgres_writes_back_what_it_would_append() {
    write_back_on(&Stage::postgres().await, &Stage::postgres().await, 40);
}

#[test]
fn sqlite_does_what_the_model_does() {
    run_on(&Stage::sqlite(), 60);
}

#[tokio::test]
async fn postgres_does_what_the_model_does() {
    run_on(&Stage::postgres().await, 60);
}
