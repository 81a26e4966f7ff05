//! Ends living connections, on all nodes, when their right to be there ends.

use crate::actors::{Services, registry, send_always};
use crate::ids::{LoginId, UserId};

/// Closes a person's connections: all, or those of one login, or all but those of one.
pub(super) fn revoke(
    services: &Services,
    user: UserId,
    login: Option<LoginId>,
    except: Option<LoginId>,
) {
    let revoke = registry::Revoke {
        user,
        login,
        except,
    };
    // It must not be lost, and there is one for each request.
    send_always(&services.registry, revoke);
}
