//! What all clients of a server share, and who is let in.
//!
//! Who can reach a UNIX socket or this machine's own addresses is trusted. Where others can connect, one
//! owner is let in, and a second only with the token that the server was started with.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::machine::Render;
use crate::session::joined::Door;

/// 128 bits.
const TOKEN: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct House {
    pub(super) door: Door,
    pub(super) render: Render,
    /// The target runs on when the last client detaches.
    pub(super) lets_go: bool,
    /// Where others than this machine can connect.
    pub(super) token: Option<String>,
    pub(super) inside: Arc<AtomicUsize>,
}

/// One that was let in; it makes room when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl House {
    /// `said` tells whether a line is the first that the client has said. None when it is not let in.
    pub(super) fn enter(&self, said: impl FnOnce(&str) -> bool) -> Option<Place> {
        let before = self.inside.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.inside));
        match &self.token {
            Some(token) if before > 0 && !said(&format!("token {token}")) => None,
            _ => Some(place),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One that nobody guesses.
///
/// # Errors
/// When the system gives no random bytes.
pub(super) fn token() -> io::Result<String> {
    let mut bytes = [0; TOKEN];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
