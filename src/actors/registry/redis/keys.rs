//! How everything is called in Redis. One namespace; what belongs together has one tag.
//!
//! | key | kind | holds | lives |
//! |---|---|---|---|
//! | `madang:{bN}:life` | string | the name of Redis' present life | for ever |
//! | `madang:{bN}:dirty` | sorted set | rooms with events that are not in the database, by when `flushed` last moved | while there are any |
//! | `madang:{bN}:r:ROOM` | hash | where the room's log stands | an hour after the last append |
//! | `madang:{bN}:l:ROOM` | list | its newest events: 200, and all that are not in the database | as above |
//! | `madang:{bN}:i:ROOM` | hash | places by `SENDER:CLIENT_ID` | two minutes, and as above |
//! | `madang:{bN}:q:ROOM` | list | those ids in order | as above |
//! | `madang:nodes` | set | ids of nodes | for ever |
//! | `madang:node:ID` | string | a node's lease, JSON | 6 s |
//! | `madang:node:ID:users` | hash | who is connected there | 6 s |
//! | `madang:node:ID:ended` | string | which start of a node has ended in order | a minute |
//! | `madang:rate:LIMIT:HASH` | string | when a bucket of a limit will have leaked empty | until then, a minute at most |
//! | `madang:barrier`, `madang:barrier:done` | string, hash | who leads the rebuilding, who has written what it held | 30 s |
//!
//! Channels: `madang:{bN}:c:ROOM` (a room's doorbell), `madang:all`, `madang:n:ID`.

use crate::ids::RoomId;

/// Rooms are spread over so many buckets; each lies in one slot of a Redis Cluster.
pub(super) const BUCKETS: u64 = 64;
/// Ids of nodes.
pub(super) const NODES: &str = "madang:nodes";
/// Who leads the rebuilding of Redis.
pub(super) const BARRIER: &str = "madang:barrier";
/// Which nodes have written what they held.
pub(super) const BARRIER_DONE: &str = "madang:barrier:done";
/// What every node hears.
pub(super) const ALL: &str = "madang:all";

/// The bucket of a room.
pub(super) fn bucket(room: RoomId) -> u64 {
    room.raw().unsigned_abs() % BUCKETS
}

/// The name of Redis' life, as this bucket knows it.
pub(super) fn life(bucket: u64) -> String {
    format!("madang:{{b{bucket}}}:life")
}

/// Rooms of this bucket with events that are not in the database.
pub(super) fn dirty(bucket: u64) -> String {
    format!("madang:{{b{bucket}}}:dirty")
}

/// A room's doorbell.
pub(super) fn channel(room: RoomId) -> String {
    format!("madang:{{b{}}}:c:{room}", bucket(room))
}

/// Which room a doorbell belongs to.
pub(super) fn room_of(channel: &str) -> Option<RoomId> {
    channel.rsplit_once(":c:")?.1.parse().ok()
}

/// The hash that says where a room's log stands.
pub(super) fn room(room: RoomId) -> String {
    of_room('r', room)
}

/// A room's newest events.
pub(super) fn log(room: RoomId) -> String {
    of_room('l', room)
}

/// The keys that append, flush, seed and drop work on, in their order.
pub(super) fn of_append(room: RoomId) -> [String; 6] {
    let bucket = bucket(room);
    [
        life(bucket),
        dirty(bucket),
        self::room(room),
        log(room),
        of_room('i', room),
        of_room('q', room),
    ]
}

fn of_room(letter: char, room: RoomId) -> String {
    format!("madang:{{b{}}}:{letter}:{room}", bucket(room))
}

/// A node's lease.
pub(super) fn lease(node: &str) -> String {
    format!("madang:node:{node}")
}

/// Who is connected to a node.
pub(super) fn users(node: &str) -> String {
    format!("madang:node:{node}:users")
}

/// That a start of a node has ended in order.
pub(super) fn ended(node: &str) -> String {
    format!("madang:node:{node}:ended")
}

/// A bucket of a limit; whose it is cannot be told from the hash.
pub(super) fn rate(limit: &str, hash: &str) -> String {
    format!("madang:rate:{limit}:{hash}")
}

/// What one node hears.
pub(super) fn node_channel(node: &str) -> String {
    format!("madang:n:{node}")
}
