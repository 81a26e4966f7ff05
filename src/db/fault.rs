//! What a database's error means: an outage, or a refusal for good.

use diesel::result::{DatabaseErrorKind, Error};

use super::StoreError;

/// Does the database refuse this very statement, now and at every repeat?
///
/// Only that makes a draft poison. Whatever else goes wrong is an outage: a full disk or a
/// lost connection must never set a message aside. (A unique index refuses too, but what it
/// says is that something is there already.)
pub(super) fn is_refusal(error: &Error) -> bool {
    match error {
        Error::DatabaseError(kind, information) => match kind {
            DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::CheckViolation
            | DatabaseErrorKind::RestrictViolation
            | DatabaseErrorKind::ExclusionViolation => true,
            // SQLite's word for a value above its limit; it has no kind of its own.
            _ => information.message() == "string or blob too big",
        },
        Error::SerializationError(_) | Error::InvalidCString(_) => true,
        _ => false,
    }
}

/// May it be the content that is refused? Of most errors diesel does not tell which.
pub(crate) fn may_be_refusal(error: &Error) -> bool {
    let unknown = matches!(error, Error::DatabaseError(DatabaseErrorKind::Unknown, _));
    unknown || is_refusal(error)
}

/// Does a unique index have such an entry already?
pub(crate) fn is_taken(error: &Error) -> bool {
    matches!(
        error,
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)
    )
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => StoreError::Gone,
            Error::DeserializationError(cause) => StoreError::Refused(cause.to_string()),
            error if is_taken(&error) || is_refusal(&error) => {
                StoreError::Refused(error.to_string())
            }
            error => StoreError::Unavailable(error.to_string()),
        }
    }
}
