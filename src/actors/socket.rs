//! Cutting a connection whose client takes nothing.
//!
//! A jammed socket never polls its response body, so no close frame gets out and the HTTP
//! dispatcher waits for ever (actix-web #2441). The hub then shuts the TCP connection down
//! below it. The descriptor's number is forgotten, on the same thread, in the moment the
//! connection is dropped, so that a number that is used again is never cut.

use std::cell::Cell;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

/// The socket of one connection, for as long as it lives. Stays on its worker thread.
#[derive(Clone, Default)]
pub struct Socket(Rc<Cell<Option<RawFd>>>);

/// Kept with the connection; forgets the descriptor when the connection goes.
pub struct SocketGuard(Socket);

impl SocketGuard {
    /// Remembers a connection's descriptor.
    pub fn new(stream: &impl AsRawFd) -> Self {
        Self(Socket(Rc::new(Cell::new(Some(stream.as_raw_fd())))))
    }

    /// A handle that can cut the connection while it lives.
    pub fn socket(&self) -> Socket {
        self.0.clone()
    }
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        self.0.0.set(None);
    }
}

impl Socket {
    /// Ends the TCP connection at once, in both directions. The client sees 1006.
    #[expect(
        unsafe_code,
        reason = "the one call that std has no safe form of for a borrowed number"
    )]
    pub fn cut(&self) {
        if let Some(descriptor) = self.0.take() {
            // SAFETY: `shutdown` takes any number and reports what is not a socket. The number
            // is ours: the guard clears it, on this thread, before the connection closes it.
            let result = unsafe { libc::shutdown(descriptor, libc::SHUT_RDWR) };
            if result != 0 {
                log::debug!(
                    "could not cut a socket: {}",
                    std::io::Error::last_os_error()
                );
            }
        }
    }
}
