//! The terminal's state: taken over at the start, given back on every way out.

use std::cell::RefCell;
use std::io::{self, Write};
use std::panic;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};
use ratatui::{Frame, Terminal};

/// Gives the terminal back when it is dropped.
#[derive(Debug)]
pub struct Terminals {
    pub terminal: Terminal<CrosstermBackend<Drawing>>,
    drawing: Drawing,
}

/// The bytes of one drawing: they go out by one write when it is whole.
#[derive(Clone, Debug, Default)]
pub struct Drawing(Rc<RefCell<Vec<u8>>>);

impl Write for Drawing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Not yet.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drawing {
    fn send(&self) -> io::Result<()> {
        let mut bytes = self.0.borrow_mut();
        let mut out = io::stdout().lock();
        out.write_all(&bytes)?;
        bytes.clear();
        out.flush()
    }
}

/// What panicked beside the screen's thread, to be told when the terminal is the user's again.
static BESIDE: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Terminals {
    /// Takes the terminal over, and sees to it that a panic gives it back before it is reported.
    ///
    /// # Errors
    /// When standard output is no terminal, or does not take what is asked of it.
    pub fn take() -> io::Result<Self> {
        hook(thread::current().id());
        enable_raw_mode()?;
        let drawing = Drawing::default();
        let begun = execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableMouseCapture,
            EnableBracketedPaste
        )
        .and_then(|()| Terminal::new(CrosstermBackend::new(drawing.clone())));
        match begun {
            Ok(terminal) => Ok(Self { terminal, drawing }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// One drawing, between the marks by which a terminal shows it at once (mode 2026; others
    /// ignore them).
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(draw)?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        self.drawing.send()
    }
}

impl Drop for Terminals {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back. Twice does no harm, and a terminal that is gone cannot complain.
pub fn restore() {
    let _ = execute!(
        io::stdout(),
        DisableBracketedPaste,
        DisableMouseCapture,
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}

/// What threads beside the screen's said when they panicked.
#[must_use]
pub fn panicked_beside() -> Vec<String> {
    std::mem::take(&mut *BESIDE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Before the hook that was there: the screen's own panic gives the terminal back, so that the
/// report is readable; another thread's is kept, for the screen still stands.
fn hook(screen: ThreadId) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == screen {
            restore();
            before(info);
        } else {
            let name = thread::current().name().unwrap_or("unnamed").to_owned();
            let mut list = BESIDE.lock().unwrap_or_else(PoisonError::into_inner);
            list.push(format!("the thread '{name}' failed: {info}"));
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_panic_on_the_screens_thread_reaches_the_hook_before_and_another_is_kept() {
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        let old = panic::take_hook();
        panic::set_hook(Box::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        }));
        let screen = thread::Builder::new()
            .spawn(|| {
                hook(thread::current().id());
                let beside = thread::Builder::new()
                    .name("beside".to_owned())
                    .spawn(|| panic!("not shown yet"));
                let _ = beside.map(thread::JoinHandle::join);
                panic!("shown");
            })
            .unwrap();
        assert!(screen.join().is_err());
        let _ = panic::take_hook();
        panic::set_hook(old);
        assert_eq!(seen.load(Ordering::SeqCst), 1);
        let kept = panicked_beside().join("\n");
        assert!(
            kept.contains("'beside'") && kept.contains("not shown yet"),
            "{kept}"
        );
    }
}
