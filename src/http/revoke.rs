//! Ends living connections when their right to be there ends.

use crate::actors::{Services, user};
use crate::ids::{LoginId, UserId};

/// Closes a person's connections: all, or those of one login, or all but those of one.
pub(super) fn revoke(
    services: &Services,
    user: UserId,
    login: Option<LoginId>,
    except: Option<LoginId>,
) {
    services
        .user(user)
        .tell(user::Command::Revoke { login, except });
}
