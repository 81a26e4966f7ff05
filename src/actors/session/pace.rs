//! How fast one connection may go. Follows the node's settings while it lives.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Limits;
use crate::limits::Rate;
use crate::settings::{Settings, Snapshot};

/// The limits of one connection.
pub(super) struct Pace {
    /// All frames but messages.
    pub(super) frames: Rate,
    /// Messages.
    pub(super) publishes: Rate,
    /// Requests that may wait for their answer; 0 is no limit.
    pub(super) in_flight: usize,
    /// Says when the settings have changed.
    settings: watch::Receiver<Arc<Snapshot>>,
}

impl Pace {
    /// As the settings say now.
    pub(super) fn of(settings: &Settings) -> Self {
        let mut settings = settings.follow();
        let limits = settings.borrow_and_update().live.limits;
        Self {
            frames: Rate::doubled("frames", limits.frames_per_second),
            publishes: Rate::doubled("messages", limits.publish_per_second),
            in_flight: limits.in_flight as usize,
            settings,
        }
    }

    /// Takes over what has been set since; cheap when nothing has.
    pub(super) fn keep_up(&mut self) {
        if !self.settings.has_changed().unwrap_or(false) {
            return;
        }
        let Limits {
            frames_per_second,
            publish_per_second,
            in_flight,
            ..
        } = self.settings.borrow_and_update().live.limits;
        self.frames = Rate::doubled("frames", frames_per_second);
        self.publishes = Rate::doubled("messages", publish_per_second);
        self.in_flight = in_flight as usize;
    }
}
