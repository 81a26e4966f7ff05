//! Rooms, and people's standing in them.

use std::collections::HashMap;

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::matching::containing;
use super::{Conn, events, read, write};
use crate::db::models::{EventRow, FoldRow, MemberRow, RoomRow};
use crate::db::schema::{events as entries, members, mentions, rooms};
use crate::db::{
    LoadedRoom, MemberRecord, Membership, NewRoom, Range, RoomKind, RoomRecord, SeedRecord, Select,
    StoreError,
};
use crate::ids::{Epoch, RoomId, Seq, UserId};
use crate::protocol::Event;

/// In the words of the partial index `rooms_in_public`: with values bound to it, neither
/// database would see that the index covers the question.
const IN_PUBLIC: &str = "kind IN ('open', 'broadcast') AND NOT closed";
/// Mentions are counted up to here.
const MOST_MENTIONS: i64 = 1000;

/// See [`crate::db::Store::create_room`].
pub(crate) fn create_room(conn: &mut Conn, room: &NewRoom) -> Result<RoomRecord, StoreError> {
    let pair = room.pair.map(|(low, high)| (low.raw(), high.raw()));
    let row = RoomRow {
        id: room.id.raw(),
        kind: room.kind.as_str().to_owned(),
        pair_low: pair.map(|pair| pair.0),
        pair_high: pair.map(|pair| pair.1),
        name: String::new(),
        name_key: String::new(),
        topic: None,
        capacity: None,
        epoch: Epoch::random().to_string(),
        head: 0,
        messages: 0,
        last_message: 0,
        rights_seq: 0,
        membership_seq: 0,
        newest_id_at: 0,
        members: 0,
        closed: false,
        created_at: room.created_at,
        changed_at: room.created_at,
    };
    write(conn, |conn| {
        diesel::insert_into(rooms::table)
            .values(&row)
            .on_conflict_do_nothing()
            .execute(conn)?;
        let mut query = rooms::table.select(RoomRow::as_select()).into_boxed();
        query = match pair {
            Some((low, high)) => {
                query.filter(rooms::pair_low.eq(low).and(rooms::pair_high.eq(high)))
            }
            None => query.filter(rooms::id.eq(room.id.raw())),
        };
        query.first(conn)?.try_into()
    })
}

/// See [`crate::db::Store::room`].
pub(crate) fn room(conn: &mut Conn, room: RoomId) -> Result<Option<RoomRecord>, StoreError> {
    let row = rooms::table
        .find(room.raw())
        .select(RoomRow::as_select())
        .first(conn)
        .optional()?;
    row.map(RoomRecord::try_from).transpose()
}

/// See [`crate::db::Store::seed_of`].
pub(crate) fn seed_of(conn: &mut Conn, room: RoomId) -> Result<Option<SeedRecord>, StoreError> {
    let row: Option<(String, FoldRow)> = rooms::table
        .find(room.raw())
        .select((rooms::epoch, FoldRow::as_select()))
        .first(conn)
        .optional()?;
    Ok(row.map(|(epoch, row)| {
        let (_, fold) = row.into();
        SeedRecord {
            epoch: Epoch::from(epoch),
            head: fold.head,
            messages: fold.messages,
            changed_at: fold.changed_at,
            newest_id_at: fold.newest_id_at,
            rights: fold.rights,
            membership: fold.membership,
        }
    }))
}

/// See [`crate::db::Store::renew_epoch`].
pub(crate) fn renew_epoch(conn: &mut Conn, room: RoomId) -> Result<Epoch, StoreError> {
    let epoch = Epoch::random();
    let renewed = diesel::update(rooms::table.find(room.raw()))
        .set(rooms::epoch.eq(epoch.to_string()))
        .execute(conn)?;
    if renewed == 0 {
        return Err(StoreError::Gone);
    }
    Ok(epoch)
}

/// See [`crate::db::Store::heads`].
pub(crate) fn heads(conn: &mut Conn, wanted: &[RoomId]) -> Result<Vec<(RoomId, Seq)>, StoreError> {
    let mut heads = Vec::with_capacity(wanted.len());
    // SQLite takes a limited number of values in one statement.
    for some in wanted.chunks(500) {
        let ids = some.iter().map(|room| room.raw());
        let rows: Vec<(i64, i64)> = rooms::table
            .filter(rooms::id.eq_any(ids))
            .select((rooms::id, rooms::head))
            .load(conn)?;
        heads.extend(
            rows.into_iter()
                .map(|(id, head)| (RoomId::from_raw(id), Seq(head))),
        );
    }
    Ok(heads)
}

/// See [`crate::db::Store::load_room`].
pub(crate) fn load_room(
    conn: &mut Conn,
    id: RoomId,
    recent: usize,
) -> Result<Option<LoadedRoom>, StoreError> {
    read(conn, |conn| {
        let Some(room) = room(conn, id)? else {
            return Ok(None);
        };
        let rows = members::table
            .filter(members::room.eq(id.raw()))
            .select(MemberRow::as_select())
            .load(conn)?;
        let members = rows.into_iter().map(MemberRecord::try_from);
        let newest = Range::Before(room.head.next());
        Ok(Some(LoadedRoom {
            members: members.collect::<Result<_, _>>()?,
            recent: events::events(conn, id, newest, Seq::ZERO, Select::All, recent)?,
            room,
        }))
    })
}

/// See [`crate::db::Store::memberships`].
pub(crate) fn memberships(conn: &mut Conn, user: UserId) -> Result<Vec<Membership>, StoreError> {
    read_memberships(conn, &[user], None)
}

/// See [`crate::db::Store::memberships_of`].
pub(crate) fn memberships_of(
    conn: &mut Conn,
    users: &[UserId],
) -> Result<Vec<Membership>, StoreError> {
    read_memberships(conn, users, None)
}

/// See [`crate::db::Store::membership`].
pub(crate) fn membership(
    conn: &mut Conn,
    user: UserId,
    room: RoomId,
) -> Result<Option<Membership>, StoreError> {
    Ok(read_memberships(conn, &[user], Some(room))?.pop())
}

/// See [`crate::db::Store::standings`].
pub(crate) fn standings(
    conn: &mut Conn,
    user: UserId,
) -> Result<Vec<(RoomRecord, MemberRecord)>, StoreError> {
    let rows = members::table
        .inner_join(rooms::table.on(rooms::id.eq(members::room)))
        .filter(members::user_id.eq(user.raw()))
        .select((RoomRow::as_select(), MemberRow::as_select()))
        .order(members::room)
        .load::<(RoomRow, MemberRow)>(conn)?;
    rows.into_iter()
        .map(|(room, member)| Ok((room.try_into()?, member.try_into()?)))
        .collect()
}

/// Two statements for however many people and rooms: the rooms with their newest messages, and
/// how often each calls them by name.
fn read_memberships(
    conn: &mut Conn,
    users: &[UserId],
    room: Option<RoomId>,
) -> Result<Vec<Membership>, StoreError> {
    let users: Vec<i64> = users.iter().map(|user| user.raw()).collect();
    read(conn, |conn| {
        let newest_message = entries::room
            .eq(rooms::id)
            .and(entries::seq.eq(rooms::last_message));
        let mut query = members::table
            .inner_join(rooms::table.on(rooms::id.eq(members::room)))
            .left_join(entries::table.on(newest_message))
            .filter(members::user_id.eq_any(&users))
            .filter(members::role.is_not_null())
            .select((
                RoomRow::as_select(),
                MemberRow::as_select(),
                Option::<EventRow>::as_select(),
            ))
            .order((rooms::changed_at.desc(), rooms::id))
            .into_boxed();
        if let Some(room) = room {
            query = query.filter(members::room.eq(room.raw()));
        }
        let rows = query.load::<(RoomRow, MemberRow, Option<EventRow>)>(conn)?;
        let mentions = unread_mentions(conn, &users, room)?;
        rows.into_iter()
            .map(|(room, member, last)| membership_of(&mentions, room, member, last))
            .collect()
    })
}

fn membership_of(
    mentions: &HashMap<(i64, i64), i64>,
    room: RoomRow,
    member: MemberRow,
    last: Option<EventRow>,
) -> Result<Membership, StoreError> {
    let member = MemberRecord::try_from(member)?;
    let mentions = mentions.get(&(member.user.raw(), room.id));
    let mentions = mentions.map_or(0, |n| *n.min(&MOST_MENTIONS));
    let peer = room.peer_of(member.user);
    let room = RoomRecord::try_from(room)?;
    let visible_from = match room.kind {
        RoomKind::Group => member.joined,
        RoomKind::Dm | RoomKind::Open | RoomKind::Broadcast => Seq::ZERO,
    };
    let last = last.map(Event::try_from).transpose()?;
    Ok(Membership {
        last: last.filter(|event| event.seq() >= visible_from),
        room,
        member,
        mentions,
        peer,
    })
}

/// By person and room, how many messages behind their mark call them by name.
fn unread_mentions(
    conn: &mut Conn,
    users: &[i64],
    room: Option<RoomId>,
) -> QueryResult<HashMap<(i64, i64), i64>> {
    let mine = members::room
        .eq(mentions::room)
        .and(members::user_id.eq(mentions::user_id));
    let mut query = mentions::table
        .inner_join(members::table.on(mine))
        .filter(mentions::user_id.eq_any(users))
        .filter(mentions::seq.gt(members::read_seq))
        .group_by((mentions::user_id, mentions::room))
        .select(((mentions::user_id, mentions::room), count_star()))
        .into_boxed();
    if let Some(room) = room {
        query = query.filter(mentions::room.eq(room.raw()));
    }
    Ok(query.load(conn)?.into_iter().collect())
}

/// See [`crate::db::Store::open_rooms`].
pub(crate) fn open_rooms(
    conn: &mut Conn,
    query: &str,
    after: Option<(&str, RoomId)>,
    limit: usize,
) -> Result<Vec<RoomRecord>, StoreError> {
    let mut found = rooms::table
        .filter(sql::<Bool>(IN_PUBLIC))
        .select(RoomRow::as_select())
        .order((rooms::name_key, rooms::id))
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .into_boxed();
    if !query.is_empty() {
        found = found.filter(rooms::name_key.like(containing(query)).escape('\\'));
    }
    if let Some((name, id)) = after {
        let key = name.to_lowercase();
        let same_name = rooms::name_key.eq(key.clone()).and(rooms::id.gt(id.raw()));
        found = found.filter(rooms::name_key.gt(key).or(same_name));
    }
    found
        .load(conn)?
        .into_iter()
        .map(RoomRecord::try_from)
        .collect()
}
