//! The near end of a session's thread.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::joined::{Ask, Door, Ends, Joiner};
use crate::command::{Command, Names};
use crate::event::{Event, RequestId};

/// A session that is open. Dropping it ends the session, and the QEMU it started.
#[derive(Debug)]
pub struct Handle {
    messages: Sender<Message>,
    pub events: Receiver<Event>,
    /// For completion; fills itself when the symbols are read.
    pub names: SymbolNames,
    quit: Arc<AtomicBool>,
    unattended: Arc<AtomicBool>,
    next: u64,
    joiners: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

/// What comes to the session's thread, in one queue.
#[derive(Debug)]
pub(super) enum Message {
    /// Of whoever opened the session; answered by an event.
    Command(RequestId, Command),
    Join(Joiner, String, Ends),
    /// Answered on the channel that joining gave.
    Joined(Joiner, Ask),
}

/// The session thread's end.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) messages: Receiver<Message>,
    pub(super) events: Sender<Event>,
    pub(super) names: SymbolNames,
    pub(super) quit: Arc<AtomicBool>,
    pub(super) unattended: Arc<AtomicBool>,
}

/// How long a session may take to let its target go before its thread is left to itself.
const FAREWELL: Duration = Duration::from_secs(3);

impl Handle {
    /// Starts the session's thread.
    pub(super) fn start(run: impl FnOnce(Port) + Send + 'static) -> Self {
        let (messages, messages_out) = unbounded();
        let (events_in, events) = unbounded();
        let names = SymbolNames::default();
        let quit = Arc::new(AtomicBool::new(false));
        let unattended = Arc::new(AtomicBool::new(false));
        let port = Port {
            messages: messages_out,
            events: events_in,
            names: names.clone(),
            quit: Arc::clone(&quit),
            unattended: Arc::clone(&unattended),
        };
        let thread = std::thread::Builder::new()
            .name("session".to_owned())
            .spawn(move || run(port))
            // Without a thread the events' channel is closed, which readers take as the end.
            .ok();
        Self {
            messages,
            events,
            names,
            quit,
            unattended,
            next: 0,
            joiners: Arc::new(AtomicU32::new(1)),
            thread,
        }
    }

    /// Asks; the answer is the event with this number.
    pub fn send(&mut self, command: Command) -> RequestId {
        self.next += 1;
        let id = RequestId(self.next);
        self.send_as(id, command);
        id
    }

    /// Asks under a number of the asker's own.
    pub fn send_as(&self, id: RequestId, command: Command) {
        // A session that has ended has said so by an event, and answers nothing.
        let _ = self.messages.send(Message::Command(id, command));
    }

    /// Through which others join.
    #[must_use]
    pub fn door(&self) -> Door {
        Door {
            messages: self.messages.clone(),
            next: Arc::clone(&self.joiners),
        }
    }

    /// Leaves the target to those who join: one that is alone with it may end it.
    pub fn unattended(&self) {
        self.unattended.store(true, Ordering::Relaxed);
    }

    /// Asks the thread to end, and does not wait for it.
    pub fn quit(&self) {
        self.quit.store(true, Ordering::Relaxed);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.quit();
        // With its last sender gone, a session that waits for a command looks up.
        self.messages = unbounded().0;
        let Some(thread) = self.thread.take() else {
            return;
        };
        let until = Instant::now() + FAREWELL;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

impl Port {
    pub(super) fn send(&self, event: Event) {
        // Nobody listens any more: the thread sees `quit` next.
        let _ = self.events.send(event);
    }

    /// What is left of it when the session is over: events, commands, and whether to leave.
    pub(super) fn ends(&self) -> (Sender<Event>, Receiver<Message>, impl Fn() -> bool + use<>) {
        let quit = Arc::clone(&self.quit);
        (self.events.clone(), self.messages.clone(), move || {
            quit.load(Ordering::Relaxed)
        })
    }

    /// Whether nobody looks at the target but those who join.
    pub(super) fn is_unattended(&self) -> bool {
        self.unattended.load(Ordering::Relaxed)
    }

    pub(super) fn ended(&self) -> bool {
        self.quit.load(Ordering::Relaxed)
    }
}

/// All symbols' names, sorted, and those of types and files; shared with whoever completes a line.
#[derive(Clone, Debug, Default)]
pub struct SymbolNames(Arc<Lists>);

#[derive(Debug, Default)]
struct Lists {
    symbols: OnceLock<Vec<String>>,
    /// Of the kernel, then of the application, as they are read.
    types: Mutex<Arc<Vec<String>>>,
    files: Mutex<Arc<Vec<String>>>,
}

impl SymbolNames {
    /// With names that are sorted, each once.
    pub(super) fn fill(&self, names: Vec<String>) {
        let _ = self.0.symbols.set(names);
    }

    /// More types and files; these are named from the kernel's tree on, where they lie in it.
    pub(super) fn add(&self, types: Vec<String>, files: Vec<String>, root: &str) {
        let within = |path: String| match path.strip_prefix(root) {
            Some(rest) if !root.is_empty() => rest.trim_start_matches('/').to_owned(),
            _ => path,
        };
        let files = files.into_iter().map(within).collect();
        for (list, more) in [(&self.0.types, types), (&self.0.files, files)] {
            let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
            let mut all = Vec::clone(&list);
            all.extend(more);
            all.sort_unstable();
            all.dedup();
            *list = Arc::new(all);
        }
    }

    /// `struct file`, `pid_t`; empty until they are read.
    #[must_use]
    pub fn types(&self) -> Arc<Vec<String>> {
        let list = self.0.types.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&list)
    }

    /// `fs/read_write.c`; empty until they are read.
    #[must_use]
    pub fn files(&self) -> Arc<Vec<String>> {
        let list = self.0.files.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&list)
    }

    /// Empty until the symbols are read.
    #[must_use]
    pub fn all(&self) -> &[String] {
        self.0.symbols.get().map_or(&[], Vec::as_slice)
    }
}

impl Names for SymbolNames {
    fn symbols(&self, prefix: &str, limit: usize) -> Vec<String> {
        let all = self.all();
        let start = all.partition_point(|name| name.as_str() < prefix);
        all[start..]
            .iter()
            .take_while(|name| name.starts_with(prefix))
            .take(limit)
            .cloned()
            .collect()
    }

    fn types(&self, prefix: &str, limit: usize) -> Vec<String> {
        let all = Self::types(self);
        let begin = all.iter().filter(|name| name.starts_with(prefix));
        begin.take(limit).cloned().collect()
    }

    fn files(&self, prefix: &str, limit: usize) -> Vec<String> {
        let all = Self::files(self);
        let named = all.iter().map(|path| match prefix.contains('/') {
            true => path.as_str(),
            false => path.rsplit('/').next().unwrap_or(path),
        });
        let mut found: Vec<&str> = named.filter(|name| name.starts_with(prefix)).collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().take(limit).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Answer;

    #[test]
    fn dropping_a_handle_ends_its_thread() {
        let mut handle = Handle::start(|port| {
            while !port.ended() {
                if let Ok(Message::Command(id, _)) =
                    port.messages.recv_timeout(Duration::from_millis(1))
                {
                    port.send(Event::Answer(id, Ok(Answer::Done("yes".to_owned()))));
                }
            }
        });
        let id = handle.send(Command::Continue);
        let event = handle.events.recv_timeout(Duration::from_secs(5));
        assert!(matches!(event, Ok(Event::Answer(answered, Ok(_))) if answered == id));
        let events = handle.events.clone();
        drop(handle);
        assert!(events.recv().is_err());
    }

    #[test]
    fn names_are_found_by_their_beginning() {
        let names = SymbolNames::default();
        assert!(names.symbols("k", 5).is_empty());
        names.fill(
            ["ksys_read", "ksys_write", "main"]
                .map(str::to_owned)
                .to_vec(),
        );
        assert_eq!(names.symbols("ksys", 5), ["ksys_read", "ksys_write"]);
        assert_eq!(names.symbols("ksys", 1), ["ksys_read"]);
        let text = str::to_owned;
        names.add(
            vec![text("struct file")],
            vec![text("/src/fs/open.c")],
            "/src",
        );
        names.add(vec![text("pid_t")], vec![text("/app/main.c")], "/src");
        assert_eq!(*names.types(), ["pid_t", "struct file"]);
        assert_eq!(*names.files(), ["/app/main.c", "fs/open.c"]);
    }
}
