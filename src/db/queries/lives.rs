//! Which life of the hot log may write.

use diesel::prelude::*;

use super::{Conn, write};
use crate::clock;
use crate::db::StoreError;
use crate::db::schema::lives;

/// The table's only row.
const ONLY: i64 = 1;

/// See [`crate::db::Store::life`].
pub(crate) fn life(conn: &mut Conn) -> Result<Option<String>, StoreError> {
    let name = lives::table.find(ONLY).select(lives::name);
    Ok(name.first(conn).optional()?)
}

/// See [`crate::db::Store::begin_life`].
///
/// The statement that changes the row waits for every write that holds it.
pub(crate) fn begin_life(
    conn: &mut Conn,
    old: Option<&str>,
    new: &str,
) -> Result<bool, StoreError> {
    let begun_at = clock::now_ms();
    write(conn, |conn| {
        match old {
            Some(old) => diesel::update(lives::table.find(ONLY).filter(lives::name.eq(old)))
                .set((lives::name.eq(new), lives::begun_at.eq(begun_at)))
                .execute(conn)?,
            None => diesel::insert_into(lives::table)
                .values((
                    lives::id.eq(ONLY),
                    lives::name.eq(new),
                    lives::begun_at.eq(begun_at),
                ))
                .on_conflict_do_nothing()
                .execute(conn)?,
        };
        // It may be there by an earlier call whose answer was lost.
        Ok(life(conn)?.as_deref() == Some(new))
    })
}
