//! The end of the process, whatever hangs.

use std::sync::mpsc::channel;
use std::time::Duration;

/// Ends the process with this code, if it has not ended by itself within this time.
pub(super) fn end_within(deadline: Duration, code: i32) {
    let watch = move || {
        let (_kept, never) = channel::<()>();
        let _ = never.recv_timeout(deadline);
        log::error!("something hangs: the process ends without waiting for it any longer");
        std::process::exit(code);
    };
    let watching = std::thread::Builder::new()
        .name("madang-end".into())
        .spawn(watch);
    if let Err(cause) = watching {
        log::warn!("nothing watches over the end: {cause}");
    }
}
