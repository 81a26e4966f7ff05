//! P9: everybody's connection is lost, and everybody comes back at once.

use std::time::{Duration, Instant};

use crate::bare::Bare;
use crate::client::{Deadline, Incoming, Load};
use crate::cluster::Cluster;
use crate::crowd::Crowd;
use crate::node::Node;
use crate::table::Row;
use crate::{Outcome, frames, note, pause, proc, stats, wire};

/// Nodes of the cluster.
const NODES: usize = 3;

/// Messages in each room that everybody has missed.
const MISSED: usize = 5;

/// What everybody was told before the connections were lost.
struct People {
    /// People in each room.
    members: usize,
    /// Ids of the rooms, with the epoch and the number that were seen last.
    rooms: Vec<(String, String, u64)>,
}

/// What a storm asked for.
struct Storm {
    time: Duration,
    /// Processor time of all nodes.
    cpu: Duration,
    counts: Counts,
}

/// What nodes and Redis count.
struct Counts {
    hashes: f64,
    questions: f64,
    /// Reads of logs in Redis.
    reads: u64,
}

/// Gathers people, cuts them off, and counts what their return costs: first to nodes that
/// still have everything in memory, then to nodes that have just started.
pub fn run(quick: bool) -> Outcome<Vec<Row>> {
    let (rooms, members) = if quick { (20, 50) } else { (200, 50) };
    let bare = bare_upgrades(rooms * members)?;
    let mut cluster = Cluster::start(NODES, &[])?;
    note(&format!("gathering {} people", rooms * members));
    let people = People::gather(&cluster, rooms, members)?;
    people.miss(&cluster)?;
    let warm = people.come_back(&cluster)?;
    note(&format!("warm: {}", warm.in_words(&people)));
    cluster.start_anew(&[])?;
    let cold = people.come_back(&cluster)?;
    note(&format!("cold: {}", cold.in_words(&people)));
    let mut rows = warm.rows(&people, bare, "nodes with the rooms in memory");
    rows.extend(cold.rows(&people, bare, "nodes that have just started"));
    Ok(rows)
}

impl People {
    /// Members who have seen where their rooms are, and are gone again.
    fn gather(cluster: &Cluster, rooms: usize, members: usize) -> Outcome<Self> {
        let nodes: Vec<&Node> = cluster.nodes.iter().collect();
        let mut crowd = Crowd::enter(&nodes, 0, rooms, members)?;
        let places = positions(&mut crowd)?;
        let rooms = crowd.rooms.iter().zip(places);
        let rooms = rooms.map(|(name, (epoch, seq))| (name.clone(), epoch, seq));
        let rooms = rooms.collect();
        drop(crowd);
        all_gone(cluster)?;
        Ok(Self { members, rooms })
    }

    fn count(&self) -> usize {
        self.rooms.len() * self.members
    }

    /// Somebody in each room goes on writing, and leaves.
    fn miss(&self, cluster: &Cluster) -> Outcome<()> {
        let rooms = self.rooms.len();
        let mut load = Load::over(cluster.addresses())?;
        load.sign_in(rooms, |room| frames::hello(room * self.members))?;
        let messages = (0..rooms * MISSED).map(|number| {
            let link = number % rooms;
            (link, frames::publish(number as u64, &self.rooms[link].0))
        });
        load.ask(messages, rooms)?;
        drop(load);
        all_gone(cluster)
    }

    /// Everybody at once; each has everything when this returns.
    fn come_back(&self, cluster: &Cluster) -> Outcome<Storm> {
        let before = Counts::of(cluster)?;
        let (started, cpu) = (Instant::now(), cluster.cpu()?);
        let mut load = Load::over(cluster.addresses())?;
        let hello = |link: usize| {
            let (room, epoch, seq) = &self.rooms[link / self.members];
            frames::resume(link, room, epoch, *seq).map(Some)
        };
        load.arrive(
            self.count(),
            hello,
            |incoming| matches!(incoming, Incoming::Other(text) if is_resumed(text)),
        )?;
        let (time, cpu) = (started.elapsed(), cluster.cpu()? - cpu);
        let counts = Counts::of(cluster)?.since(&before);
        drop(load);
        all_gone(cluster)?;
        Ok(Storm { time, cpu, counts })
    }
}

impl Counts {
    fn of(cluster: &Cluster) -> Outcome<Self> {
        Ok(Self {
            hashes: cluster.metric("madang_password_hashes_total")?,
            questions: cluster.metric("madang_db_questions_total")?,
            reads: cluster.redis.calls("lrange")?,
        })
    }

    fn since(self, before: &Self) -> Self {
        Self {
            hashes: self.hashes - before.hashes,
            questions: self.questions - before.questions,
            reads: self.reads - before.reads,
        }
    }
}

impl Storm {
    fn in_words(&self, people: &People) -> String {
        let Counts {
            hashes,
            questions,
            reads,
        } = self.counts;
        format!(
            "{} per client, {:.1} s; {questions} questions to Postgres, {reads} reads in Redis, \
             {hashes} password hashes",
            stats::micros(each(self.cpu, people)),
            self.time.as_secs_f64()
        )
    }

    fn rows(self, people: &People, bare: Duration, nodes: &str) -> Vec<Row> {
        let (own, bare) = (each(self.cpu, people), each(bare, people));
        let (clients, rooms) = (people.count() as f64, people.rooms.len());
        let row = |what: String, measured: String, reference: String, ratio: String, goal| Row {
            id: "P9",
            what,
            measured,
            reference,
            ratio,
            goal,
        };
        let seconds = self.time.as_secs_f64();
        let Counts {
            hashes,
            questions,
            reads,
        } = self.counts;
        vec![
            row(
                format!(
                    "CPU of {NODES} {nodes} per client, {clients} resume at once, {MISSED} \
                     messages missed by each; took {seconds:.1} s"
                ),
                stats::micros(own),
                format!("a bare upgrade {}", stats::micros(bare)),
                stats::times(own, bare),
                "≤ 3 ×",
            ),
            row(
                "logs of rooms read meanwhile, password hashes".into(),
                format!("{reads} reads, {hashes} hashes"),
                format!("{rooms} rooms on {NODES} nodes"),
                stats::times(reads as f64, (rooms * NODES) as f64),
                "≤ rooms of each node, no hash",
            ),
            row(
                "questions to Postgres meanwhile: people, their lists, rooms".into(),
                format!("{questions}"),
                format!("{clients} clients"),
                stats::times(questions, clients),
                "–",
            ),
        ]
    }
}

fn each(time: Duration, people: &People) -> f64 {
    time.as_secs_f64() / people.count() as f64
}

/// Processor time of a bare server that upgrades so many connections.
fn bare_upgrades(clients: usize) -> Outcome<Duration> {
    let server = Bare::start()?;
    let mut load = Load::new(server.address)?;
    let before = proc::cpu(server.pid())?;
    load.arrive(
        clients,
        |_| Ok(None),
        |incoming| matches!(incoming, Incoming::Open),
    )?;
    Ok(proc::cpu(server.pid())? - before)
}

/// Epoch and head of each room, as its first member is told them.
fn positions(crowd: &mut Crowd) -> Outcome<Vec<(String, u64)>> {
    let mut places = vec![None; crowd.rooms.len()];
    let members = crowd.members;
    for (room, name) in crowd.rooms.iter().enumerate() {
        crowd.load.send(room * members, &frames::subscribe(name))?;
    }
    let mut deadline = Deadline::default();
    while places.iter().any(Option::is_none) {
        crowd.load.turn(|link, incoming, _| {
            if let Incoming::Other(text) = incoming
                && wire::is(text, "snapshot")
            {
                let epoch = wire::string(text, "epoch").ok_or("a snapshot without an epoch")?;
                let head = wire::number(text, "head").ok_or("a snapshot without a head")?;
                places[link / members] = Some((epoch.to_owned(), head));
            }
            Ok(())
        })?;
        deadline.check(false, || "a room tells no position".into())?;
    }
    Ok(places.into_iter().flatten().collect())
}

/// The frame behind everything that a resuming client is told: `live` without a room.
fn is_resumed(text: &[u8]) -> bool {
    wire::is(text, "live") && wire::string(text, "room").is_none()
}

/// Waits until nobody is connected and everything is in the database.
fn all_gone(cluster: &Cluster) -> Outcome<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while cluster.metric("madang_sessions")? > 0.0 || cluster.metric("madang_backlog_events")? > 0.0
    {
        if Instant::now() > deadline {
            return Err("not everybody is gone within 60 s".into());
        }
        pause(Duration::from_millis(100));
    }
    Ok(())
}
