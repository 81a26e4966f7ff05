//! Tells everybody who is connected what the settings say to people.

use std::sync::Arc;

use serde_json::json;

use super::hub::TellAll;
use super::services::send_always;
use super::{Services, wire};
use crate::protocol::{Account, AccountNotice, ServerFrame};

/// Follows the settings, and sends `account {kind: "config"}` when the notice has changed.
pub async fn tell_notices(services: Arc<Services>) {
    let mut settings = services.settings.follow();
    let mut told = settings.borrow_and_update().live.notice.clone();
    while settings.changed().await.is_ok() {
        let notice = settings.borrow_and_update().live.notice.clone();
        if notice == told {
            continue;
        }
        let frame = ServerFrame::Account(Account {
            kind: AccountNotice::Config,
            data: json!({ "notice": notice }),
        });
        let frame = wire::text(&frame.to_json());
        told = notice;
        for worker in services.workers.all() {
            let frame = frame.clone();
            // As seldom as somebody changes the notice.
            send_always(&worker.hub, TellAll { frame });
        }
    }
}
