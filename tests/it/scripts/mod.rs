//! The scripts that run inside Redis against the model that the simulation uses: random calls
//! go to both, and answers and keys have to be equal.
//!
//! The clock of the real ones is replaced by two keys, so that an hour takes no time.

#[expect(dead_code, reason = "the simulation uses the rest of the model")]
mod model;
mod spelling;

use std::collections::BTreeMap;
use std::fmt::Debug;

use redis::{Connection, Value, cmd};

use crate::support::{Redis, rounds, seed};

use model::bugs::Bug;
use model::log::{Draft, Fold, Kind, Life, Ms, Person, Room, Seq};
use model::scripts::{Append, Keys, No, Seed, Spans};
use spelling::{events, fields, flags, keys, name, payload, refs, short, spell, spell_no};

const SPANS: Spans = Spans {
    hot_events: 200,
    hot_bytes: 256 * 1024,
    ids: 120_000,
    ahead: 60_000,
    idle: 3_600_000,
    reading: 5_000,
    checked: 60_000,
};
/// How many calls, unless `ROUNDS` says otherwise.
const CALLS: usize = 3_000;
/// Far enough ahead that Redis itself lets nothing expire.
const BEGINNING: Ms = 4_000_000_000_000;
/// The log was trimmed below what its number of events asks for.
const TOO_HEAVY: &str = "TOO HEAVY";
const ROOMS: std::ops::RangeInclusive<Room> = 1..=2;
const REAL_CLOCK: &str = "redis.call('TIME')";
const OUR_CLOCK: &str = "redis.call('MGET', 'seconds', 'microseconds')";
const APPEND: &str = include_str!("../../../src/actors/registry/redis/lua/append.lua");
const FLUSH: &str = include_str!("../../../src/actors/registry/redis/lua/flush.lua");
const SEED: &str = include_str!("../../../src/actors/registry/redis/lua/seed.lua");
const READ: &str = include_str!("../../../src/actors/registry/redis/lua/read.lua");

#[tokio::test(flavor = "multi_thread")]
async fn the_model_answers_as_the_scripts_do() {
    let seed = seed();
    println!("SEED={seed}");
    let server = Redis::start().await;
    let connection = server.client().get_connection().unwrap();
    let mut both = Both::new(connection, seed);
    let calls = rounds(CALLS);
    (0..calls).for_each(|_| both.call());
    println!("answers: {:?}", both.answers);
    for answer in [
        "DONE", "ASK", "STALE", "COLD", "NOLIFE", "BEHIND", "AHEAD", "OLD", TOO_HEAVY, "WEIGHED",
    ] {
        let came = both.answers.get(answer).is_some_and(|times| *times > 0);
        assert!(came || calls < CALLS, "{answer} never came");
    }
}

/// The real keys, the model's, and what was asked so far.
struct Both {
    real: Connection,
    model: Keys,
    random: u64,
    now: Ms,
    drafts: Vec<Draft>,
    answers: BTreeMap<String, u64>,
}

impl Both {
    fn new(real: Connection, seed: u64) -> Self {
        let mut both = Self {
            real,
            model: Keys::default(),
            random: seed,
            now: BEGINNING,
            drafts: Vec::new(),
            answers: BTreeMap::new(),
        };
        for room in ROOMS {
            both.begin_life(room, 1);
        }
        both
    }

    /// A number below `limit` (splitmix64).
    fn below(&mut self, limit: i64) -> i64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as i64
    }

    /// One random call to both.
    fn call(&mut self) {
        let far = match self.below(400) {
            0 => 4_000_000,
            1..=20 => 200_000,
            _ => 1_500,
        };
        self.now += self.below(far);
        self.expire();
        let room = 1 + self.below(2) as Room;
        let present = self.model.life.get(&room).copied().unwrap_or(1);
        let life = match self.below(30) {
            0 => 1 + self.below(3) as Life,
            _ => present,
        };
        match self.below(100) {
            0 if self.below(5) == 0 => self.begin_life(room, 1 + (present % 3)),
            1 if self.below(5) == 0 => self.append_unweighed(room),
            0..=9 => self.seed(room, life),
            10..=29 => self.flush(room, life),
            30..=39 => self.read(room, life),
            _ => self.append(room, life),
        }
        self.compare(room);
    }

    fn begin_life(&mut self, room: Room, life: Life) {
        self.model.life.insert(room, life);
        self.model.dirty.remove(&room);
        let keys = keys(room);
        let mut pipe = redis::pipe();
        pipe.set(&keys[0], name(life)).ignore();
        pipe.del(&keys[1]).ignore();
        pipe.exec(&mut self.real).unwrap();
    }

    /// What Redis itself would let go of by now.
    fn expire(&mut self) {
        for room in ROOMS {
            self.model.expire(self.now, room);
            for key in &keys(room)[2..] {
                let at: Ms = cmd("PEXPIRETIME").arg(key).query(&mut self.real).unwrap();
                if at > 0 && at <= self.now {
                    cmd("DEL").arg(key).exec(&mut self.real).unwrap();
                }
            }
        }
    }

    /// A script with our clock, and what it answers.
    fn script(&mut self, text: &str, life: Life, keys: &[&str], args: &[String]) -> Vec<String> {
        let text = text
            .replace("%LIFE%", &name(life))
            .replace(REAL_CLOCK, OUR_CLOCK);
        let (seconds, rest) = (self.now / 1_000, self.now % 1_000 * 1_000);
        let mut pipe = redis::pipe();
        pipe.set("seconds", seconds).ignore();
        pipe.set("microseconds", rest).ignore();
        pipe.exec(&mut self.real).unwrap();
        let mut eval = cmd("EVAL");
        eval.arg(text).arg(keys.len()).arg(keys).arg(args);
        let answer: Vec<Value> = eval.query(&mut self.real).unwrap();
        let answer: Vec<String> = answer
            .into_iter()
            .map(|value| redis::from_redis_value(value).unwrap())
            .collect();
        *self.answers.entry(answer[0].clone()).or_default() += 1;
        answer
    }

    fn draft(&mut self) -> Draft {
        let known = self.drafts.len() as i64;
        if known > 0 && self.below(4) == 0 {
            let recent = self.below(known.min(60));
            let mut draft = self.drafts[(known - 1 - recent) as usize];
            if self.below(8) == 0 {
                draft.kind = Kind::Message;
            }
            return draft;
        }
        let off = match self.below(6) {
            0 => 400_000,
            1 => 70_000,
            _ => 2_000,
        };
        // For a while the events are many, for a while they are large.
        let most_bytes = match self.drafts.len() / 1_000 % 2 {
            0 => 100,
            _ => 20_000,
        };
        let draft = Draft {
            name: (1 + self.below(5) as Person, self.drafts.len() as u64),
            made_at: self.now + self.below(2 * off) - off,
            kind: [Kind::Message, Kind::Message, Kind::Join, Kind::Kick][self.below(4) as usize],
            target: 0,
            poison: false,
            bytes: 20 + self.below(most_bytes) as usize,
        };
        self.drafts.push(draft);
        draft
    }

    /// About this number, mostly exactly.
    fn about(&mut self, number: Seq) -> Seq {
        let off = self.below(3) - 1;
        number + if self.below(8) == 0 { off } else { 0 }
    }

    fn append(&mut self, room: Room, life: Life) {
        let hot = self.model.rooms.get(&room);
        let hot = hot.map_or((0, 0, 0), |hot| (hot.head, hot.rights, hot.members));
        let mut append = Append {
            room,
            known: self.about(hot.0),
            rights: self.about(hot.1),
            members: self.about(hot.2),
            drafts: Vec::new(),
        };
        for _ in 0..=self.below(6) {
            let checked = match self.below(3) {
                0 => 0,
                _ => self.now - self.below(90_000),
            };
            let draft = self.draft();
            append.drafts.push((draft, checked));
        }
        let joins = append.drafts.iter().any(|(d, _)| d.kind == Kind::Join);
        let mut args = vec![room.to_string(), "channel".into(), append.known.to_string()];
        args.push(append.rights.to_string());
        args.push(append.members.to_string());
        args.push(u8::from(joins).to_string());
        for (draft, checked) in &append.drafts {
            let digest = draft.kind as i64;
            let id = format!("{}:{}", draft.name.0, draft.name.1);
            args.extend([id, draft.made_at.to_string(), digest.to_string()]);
            args.extend([
                flags(draft.kind).into(),
                payload(draft),
                checked.to_string(),
            ]);
        }
        let keys = keys(room);
        let real = self.script(APPEND, life, &refs(&keys), &args);
        let now = self.now;
        let answer = self.model.append(now, &SPANS, Bug::None, life, &append);
        let expected = match answer {
            Ok(done) => {
                let mut expected = vec!["DONE".into(), u8::from(done.became_dirty).to_string()];
                expected.push(done.epoch.to_string());
                expected.extend(done.fates.iter().map(|fate| spell(*fate)));
                expected
            }
            Err(no) => spell_no(no),
        };
        let (mut places, mut stale) = (real, Vec::new());
        match places[0].as_str() {
            // `n` of a fate is compared with the events.
            "DONE" => places[3..].iter_mut().for_each(|fate| *fate = short(fate)),
            "STALE" => stale = places.split_off(1),
            _ => {}
        }
        equal(&places, &expected, &append);
        self.newer(room, append.known, &stale);
    }

    /// As if another version had appended, which does not say what the list weighs.
    fn append_unweighed(&mut self, room: Room) {
        let Some(hot) = self.model.rooms.get_mut(&room) else {
            return;
        };
        hot.weighed -= 1;
        let mut set = cmd("HSET");
        set.arg(&keys(room)[2]).arg("weighed").arg(hot.weighed);
        set.exec(&mut self.real).unwrap();
    }

    /// A refusal carries what the asker had not seen, if it is still hot.
    fn newer(&mut self, room: Room, known: Seq, stale: &[String]) {
        let Some((head, newer)) = stale.split_first() else {
            return;
        };
        let hot = &self.model.rooms[&room];
        let mut expected = Vec::new();
        if known + 1 >= hot.first() {
            expected = events(&hot.after(known));
            expected.truncate(200);
        }
        equal(head, &hot.head.to_string(), &"head of STALE");
        equal(&newer.to_vec(), &expected, &"events of STALE");
    }

    fn flush(&mut self, room: Room, life: Life) {
        let hot = self.model.rooms.get(&room);
        let (flushed, head) = hot.map_or((0, 0), |hot| (hot.flushed, hot.head));
        let before = hot.map(|hot| (hot.log.len(), hot.weighed == hot.head));
        let seq = flushed + self.below(head - flushed + 2);
        let args = [room.to_string(), "channel".into(), seq.to_string()];
        let keys = keys(room);
        let real = self.script(FLUSH, life, &refs(&keys), &args);
        let answer = self
            .model
            .flush(self.now, &SPANS, Bug::None, life, (room, seq));
        let expected = match answer {
            Ok((flushed, head)) => vec!["OK".into(), flushed.to_string(), head.to_string()],
            Err(No::Cold(_)) => vec!["GONE".into()],
            Err(no) => spell_no(no),
        };
        equal(&real, &expected, &("flush", room, seq));
        let after = self.model.rooms.get(&room);
        if let (Some((len, weighed)), Some(hot)) = (before, after) {
            let trimmed = hot.log.len() < len.min(SPANS.hot_events);
            let again = !weighed && hot.weighed == hot.head;
            for (came, what) in [(trimmed, TOO_HEAVY), (again, "WEIGHED")] {
                *self.answers.entry(what.into()).or_default() += u64::from(came);
            }
        }
    }

    fn seed(&mut self, room: Room, life: Life) {
        let fold = Fold {
            head: 100 + self.below(50),
            n: self.below(100),
            at: self.now - self.below(100_000),
            rights: self.below(50),
            membership: 50 + self.below(50),
            newest_id_at: self.now - self.below(100_000),
            ..Fold::default()
        };
        let read_at = self.now - self.below(20_000);
        let epoch = 1 + self.below(9) as u32;
        let mut args = vec![room.to_string(), read_at.to_string(), epoch.to_string()];
        let numbers = [fold.head, fold.n, fold.at, fold.newest_id_at];
        args.extend(numbers.iter().map(Seq::to_string));
        args.extend([fold.rights.to_string(), fold.membership.to_string()]);
        let keys = keys(room);
        let real = self.script(SEED, life, &refs(&keys), &args);
        let seed = Seed { epoch, fold };
        let answer = self
            .model
            .seed(self.now, &SPANS, Bug::None, life, (room, read_at, &seed));
        let expected = answer.map_or_else(spell_no, |()| vec!["OK".into()]);
        equal(&real, &expected, &("seed", room, read_at));
    }

    fn read(&mut self, room: Room, life: Life) {
        let hot = self.model.rooms.get(&room);
        let (first, head) = hot.map_or((0, 0), |hot| (hot.first(), hot.head));
        let after = first - 3 + self.below(head - first + 6);
        let args = ["after".into(), after.to_string(), "1000".into()];
        let keys = keys(room);
        let real = self.script(READ, life, &[&keys[0], &keys[2], &keys[3]], &args);
        let expected = match self.model.read(self.now, life, room) {
            Ok(hot) => {
                let mut expected = vec!["OK".into(), hot.epoch.to_string()];
                expected.extend([hot.head.to_string(), hot.first().to_string()]);
                expected.extend(events(&hot.after(after)));
                expected
            }
            Err(No::Cold(_)) => vec!["COLD".into()],
            Err(no) => spell_no(no),
        };
        equal(
            &real[..1].to_vec(),
            &expected[..1].to_vec(),
            &("read", room),
        );
        if real[0] == "OK" {
            equal(&real, &expected, &("read", room, after));
        }
    }

    /// Everything that the keys of a room say.
    fn compare(&mut self, room: Room) {
        let keys = keys(room);
        let dirty: Option<Ms> = cmd("ZSCORE")
            .arg(&keys[1])
            .arg(room)
            .query(&mut self.real)
            .unwrap();
        equal(&dirty, &self.model.dirty.get(&room).copied(), &"dirty");
        let hash: BTreeMap<String, String> =
            cmd("HGETALL").arg(&keys[2]).query(&mut self.real).unwrap();
        let hot = self.model.rooms.get(&room);
        equal(&hash, &hot.map(fields).unwrap_or_default(), &"room");
        let expires: Ms = cmd("PEXPIRETIME")
            .arg(&keys[2])
            .query(&mut self.real)
            .unwrap();
        let kept = hot.map_or(-2, |hot| hot.expires.unwrap_or(-1));
        equal(&expires, &kept, &"expires");
        let log: Vec<String> = cmd("LRANGE")
            .arg(&keys[3])
            .arg(&["0", "-1"])
            .query(&mut self.real)
            .unwrap();
        let expected = hot.map(|hot| events(&hot.after(0))).unwrap_or_default();
        equal(&log, &expected, &"log");
        let ids: usize = cmd("HLEN").arg(&keys[4]).query(&mut self.real).unwrap();
        let order: usize = cmd("LLEN").arg(&keys[5]).query(&mut self.real).unwrap();
        let count = hot.map_or(0, |hot| hot.ids.len());
        equal(&(ids, order), &(count, count), &"ids");
    }
}

fn equal<T: PartialEq + Debug>(real: &T, model: &T, what: &impl Debug) {
    assert!(
        real == model,
        "{what:?}\nscripts: {real:?}\nmodel:   {model:?}"
    );
}

#[test]
fn the_clock_of_the_scripts_can_be_replaced() {
    for text in [APPEND, FLUSH, SEED] {
        assert!(text.contains(REAL_CLOCK), "reads the time in another way");
    }
}
