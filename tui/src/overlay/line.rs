//! A line that is typed: editing, completion, history.

use debugger::command::{self, Names};
use debugger::event::Failure;
use debugger::trace::query::{self, Query};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use tui_input::{Input, InputRequest};

use crate::history::History;
use crate::theme::Theme;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptKind {
    Command,
    Find,
    GoTo,
    /// A part of what stands in a row.
    Filter,
    /// Which crossings, or functions, to show.
    Query,
    /// Bytes to be written.
    Bytes,
    /// An expression in the place of the watch of this number.
    Watch(u32),
}

#[derive(Debug)]
pub struct Prompt {
    pub kind: PromptKind,
    input: Input,
    /// Whole lines this one may become; Tab goes through them.
    candidates: Vec<String>,
    candidate: Option<usize>,
    /// Where in them the name begins that is completed; behind the last space when it is not known.
    name_at: Option<usize>,
    /// The session is asked what this line may become, and which way Tab goes then.
    asked: Option<(String, isize)>,
    /// Why it may become nothing.
    trouble: Option<String>,
    /// How far back in the history, and the line that was typed before.
    back: Option<(usize, String)>,
}

/// What a key did to the line.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    Edited,
    Given,
    Taken(String),
}

impl PromptKind {
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Command => ":",
            Self::Find => "find: ",
            Self::GoTo => "go to: ",
            Self::Filter | Self::Query => "only: ",
            Self::Bytes => "bytes (hex, or \"text\"): ",
            Self::Watch(_) => "show at each stop: ",
        }
    }

    /// The command that what is typed is an argument of.
    const fn command(self) -> &'static str {
        match self {
            Self::Watch(_) => "display ",
            _ => "",
        }
    }

    fn without_command(self, lines: Vec<String>) -> Vec<String> {
        let command = self.command();
        let lines = lines.into_iter();
        lines
            .filter_map(|line| Some(line.strip_prefix(command)?.to_owned()))
            .collect()
    }

    /// What is typed holds at once.
    #[must_use]
    pub const fn filters(self) -> bool {
        matches!(self, Self::Filter | Self::Query)
    }
}

impl Prompt {
    #[must_use]
    pub fn new(kind: PromptKind, text: &str) -> Self {
        Self {
            kind,
            input: Input::new(text.to_owned()),
            candidates: Vec::new(),
            candidate: None,
            name_at: None,
            asked: None,
            trouble: None,
            back: None,
        }
    }

    #[must_use]
    pub fn text(&self) -> &str {
        self.input.value()
    }

    /// Several lines become one: a line end is a space.
    pub fn paste(&mut self, text: &str) {
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let line = lines.join(" ");
        for letter in line
            .trim_end()
            .chars()
            .filter(|letter| !letter.is_control())
        {
            self.input.handle(InputRequest::InsertChar(letter));
        }
        self.candidates.clear();
    }

    pub fn key(&mut self, key: &KeyEvent, history: &History, names: &dyn Names) -> Typed {
        self.trouble = None;
        let typed = self.edit(key, history, names);
        // What is typed on behind it may still be what it becomes.
        let line = self.line();
        self.asked.take_if(|(asked, _)| !line.starts_with(&*asked));
        typed
    }

    fn edit(&mut self, key: &KeyEvent, history: &History, names: &dyn Names) -> Typed {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let request = match key.code {
            KeyCode::Esc => return Typed::Given,
            KeyCode::Char('c' | 'g') if control => return Typed::Given,
            KeyCode::Backspace if self.text().is_empty() => return Typed::Given,
            KeyCode::Enter => return Typed::Taken(self.text().to_owned()),
            KeyCode::Tab => {
                self.complete(1, names);
                return Typed::Edited;
            }
            KeyCode::BackTab => {
                self.complete(-1, names);
                return Typed::Edited;
            }
            KeyCode::Up => {
                self.recall(1, history);
                return Typed::Edited;
            }
            KeyCode::Char('r') if control => {
                self.seek(history);
                return Typed::Edited;
            }
            KeyCode::Down => {
                self.recall(-1, history);
                return Typed::Edited;
            }
            KeyCode::Char('a') if control => InputRequest::GoToStart,
            KeyCode::Char('e') if control => InputRequest::GoToEnd,
            KeyCode::Char('w') if control => InputRequest::DeletePrevWord,
            KeyCode::Char('u') if control => InputRequest::DeleteLine,
            KeyCode::Char('k') if control => InputRequest::DeleteTillEnd,
            KeyCode::Char('b') if alt => InputRequest::GoToPrevWord,
            KeyCode::Char('f') if alt => InputRequest::GoToNextWord,
            KeyCode::Char('d') if alt => InputRequest::DeleteNextWord,
            KeyCode::Backspace if alt => InputRequest::DeletePrevWord,
            KeyCode::Char(letter) if !control && !alt => InputRequest::InsertChar(letter),
            KeyCode::Backspace => InputRequest::DeletePrevChar,
            KeyCode::Delete => InputRequest::DeleteNextChar,
            KeyCode::Left if control => InputRequest::GoToPrevWord,
            KeyCode::Right if control => InputRequest::GoToNextWord,
            KeyCode::Left => InputRequest::GoToPrevChar,
            KeyCode::Right => InputRequest::GoToNextChar,
            KeyCode::Home => InputRequest::GoToStart,
            KeyCode::End => InputRequest::GoToEnd,
            _ => return Typed::Edited,
        };
        if self.input.handle(request).is_some_and(|done| done.value) {
            self.back = None;
        }
        self.candidates.clear();
        self.candidate = None;
        Typed::Edited
    }

    /// The line that Tab was pressed behind, where the session is to tell what it may become.
    #[must_use]
    pub fn asked(&self) -> Option<&str> {
        self.asked.as_ref().map(|(line, _)| line.as_str())
    }

    /// What the session told of a line. Where more was typed behind it by now, the text stays, and what fits it is
    /// shown for the next Tab.
    pub fn told(&mut self, line: &str, told: &Result<Vec<String>, Failure>) {
        let Some((asked, by)) = self.asked.take_if(|(asked, _)| asked.as_str() == line) else {
            return;
        };
        let lines = match told {
            Ok(lines) => self.kind.without_command(lines.clone()),
            Err(failure) => {
                self.trouble = Some(failure.to_string());
                return;
            }
        };
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let before = asked.trim_end_matches(word).len();
        let name_at = before.saturating_sub(self.kind.command().len());
        if self.line() == asked {
            self.offer(lines, by);
        } else {
            let mut lines = lines;
            lines.retain(|line| line.starts_with(self.text()) && line != self.text());
            (self.candidates, self.candidate) = (lines, None);
        }
        self.name_at = Some(name_at);
    }

    /// What is typed, as the session is asked of it.
    fn line(&self) -> String {
        format!("{}{}", self.kind.command(), self.text())
    }

    fn complete(&mut self, by: isize, names: &dyn Names) {
        if !self.candidates.is_empty() {
            return self.go_round(by);
        }
        let found = match self.kind {
            PromptKind::Command | PromptKind::Watch(_) => {
                let line = self.line();
                if command::value_with_members(&line).is_some() {
                    self.asked = Some((line, by));
                    return;
                }
                self.kind.without_command(command::complete(&line, names))
            }
            PromptKind::Query => query::complete(self.text()),
            PromptKind::GoTo if !self.text().is_empty() => names.symbols(self.text(), 50),
            PromptKind::GoTo | PromptKind::Find | PromptKind::Filter | PromptKind::Bytes => {
                Vec::new()
            }
        };
        self.offer(found, by);
    }

    fn offer(&mut self, candidates: Vec<String>, by: isize) {
        self.candidates = candidates;
        (self.candidate, self.name_at) = (None, None);
        self.go_round(by);
    }

    /// First what all have in common, as shells do.
    fn go_round(&mut self, by: isize) {
        let common = common_prefix(&self.candidates);
        let first = self.candidate.is_none() && self.candidates.len() > 1;
        if first && common.len() > self.text().len() {
            self.input = Input::new(common.to_owned());
            return;
        }
        self.step(by);
    }

    fn step(&mut self, by: isize) {
        let len = self.candidates.len();
        if len == 0 {
            return;
        }
        let next = match self.candidate {
            None if by > 0 => 0,
            None => len - 1,
            Some(at) => (at + len).saturating_add_signed(by) % len,
        };
        self.candidate = Some(next);
        self.input = Input::new(self.candidates[next].clone());
        if len == 1 {
            self.candidates.clear();
        }
    }

    fn recall(&mut self, by: isize, history: &History) {
        if self.kind != PromptKind::Command {
            return;
        }
        let (at, own) = match &self.back {
            Some((at, own)) => (Some(*at), own.clone()),
            None => (None, self.text().to_owned()),
        };
        let to = match (at, by > 0) {
            (None, true) => Some(0),
            (Some(at), true) => Some(at + 1),
            (Some(0) | None, false) => None,
            (Some(at), false) => Some(at - 1),
        };
        match to {
            Some(to) => {
                if let Some(line) = history.back(to) {
                    self.input = Input::new(line.to_owned());
                    self.back = Some((to, own));
                }
            }
            None if at.is_some() => {
                self.input = Input::new(own);
                self.back = None;
            }
            None => {}
        }
    }

    /// The next older line that holds what was typed.
    fn seek(&mut self, history: &History) {
        if self.kind != PromptKind::Command {
            return;
        }
        let (from, own) = match &self.back {
            Some((at, own)) => (at + 1, own.clone()),
            None => (0, self.text().to_owned()),
        };
        let mut older = (from..).map_while(|n| Some((n, history.back(n)?)));
        if let Some((n, line)) = older.find(|(_, line)| line.contains(&own)) {
            self.input = Input::new(line.to_owned());
            self.back = Some((n, own));
        }
    }

    /// Draws the line and, after it, what Tab would make of it; where the cursor stands.
    pub fn draw(&self, theme: Theme, area: Rect, buf: &mut Buffer) -> Position {
        let sign = self.kind.sign();
        let width = usize::from(area.width).saturating_sub(sign.chars().count() + 1);
        let scroll = self.input.visual_scroll(width.max(1));
        let shown: String = self.text().chars().skip(scroll).collect();
        let mut spans = vec![Span::styled(sign, theme.key()), Span::raw(shown)];
        if !self.candidates.is_empty() {
            let others: Vec<&str> = self
                .candidates
                .iter()
                .map(|line| match self.name_at {
                    Some(at) => line.get(at..).unwrap_or(line),
                    None => line.rsplit(' ').next().unwrap_or(line),
                })
                .collect();
            spans.push(Span::styled(
                format!("   {}", others.join(" ")),
                theme.dim(),
            ));
        }
        if let Some(trouble) = &self.trouble {
            spans.push(Span::styled(format!("   {trouble}"), theme.dim()));
        }
        if self.kind == PromptKind::Query
            && self.candidates.len() < 2
            && let Err(error) = self.text().parse::<Query>()
        {
            spans.push(Span::styled(format!("   {error}"), theme.dim()));
        }
        crate::widgets::text::put(buf, area, 0, Line::from(spans));
        let column = sign.chars().count() + self.input.visual_cursor().saturating_sub(scroll);
        let column = crate::widgets::text::columns(column);
        Position::new(
            area.x
                .saturating_add(column)
                .min(area.right().saturating_sub(1)),
            area.y,
        )
    }
}

fn common_prefix(lines: &[String]) -> &str {
    let Some((first, rest)) = lines.split_first() else {
        return "";
    };
    let len = rest.iter().fold(first.len(), |len, line| {
        first
            .char_indices()
            .zip(line.chars())
            .take_while(|((_, a), b)| a == b)
            .map(|((at, a), _)| at + a.len_utf8())
            .last()
            .unwrap_or(0)
            .min(len)
    });
    &first[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Three;

    impl Names for Three {
        fn symbols(&self, prefix: &str, limit: usize) -> Vec<String> {
            ["ksys_read", "ksys_write", "main"]
                .into_iter()
                .filter(|name| name.starts_with(prefix))
                .take(limit)
                .map(str::to_owned)
                .collect()
        }
    }

    fn press(prompt: &mut Prompt, history: &History, keys: &[KeyCode]) {
        for key in keys {
            prompt.key(&KeyEvent::new(*key, KeyModifiers::NONE), history, &Three);
        }
    }

    #[test]
    fn tab_completes_what_is_common_and_then_goes_round() {
        let history = History::default();
        let mut prompt = Prompt::new(PromptKind::Command, "b k");
        press(&mut prompt, &history, &[KeyCode::Tab]);
        assert_eq!(prompt.text(), "b ksys_");
        press(&mut prompt, &history, &[KeyCode::Tab]);
        assert_eq!(prompt.text(), "b ksys_read");
        press(&mut prompt, &history, &[KeyCode::Tab]);
        assert_eq!(prompt.text(), "b ksys_write");
        press(&mut prompt, &history, &[KeyCode::Tab]);
        assert_eq!(prompt.text(), "b ksys_read");
    }

    #[test]
    fn what_the_session_tells_late_is_offered_where_it_still_fits() {
        let history = History::default();
        let told = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        let members = told(&["p task->comm", "p task->cpu", "p task->cred", "p task->mm"]);
        let asking = |keys: &[KeyCode]| {
            let mut prompt = Prompt::new(PromptKind::Command, "p task->");
            press(&mut prompt, &history, &[KeyCode::Tab]);
            press(&mut prompt, &history, keys);
            prompt
        };
        // More of the name was typed meanwhile: the text is left alone, and Tab goes on with it.
        let mut prompt = asking(&[KeyCode::Char('c')]);
        assert_eq!(prompt.asked(), Some("p task->"));
        prompt.told("p task->", &members);
        assert_eq!((prompt.text(), prompt.asked()), ("p task->c", None));
        press(&mut prompt, &history, &[KeyCode::Tab, KeyCode::Tab]);
        assert_eq!(prompt.text(), "p task->cpu");
        // One that fits is shown too.
        let mut prompt = asking(&[KeyCode::Char('m')]);
        prompt.told("p task->", &members);
        let area = Rect::new(0, 0, 40, 1);
        let mut buf = Buffer::empty(area);
        prompt.draw(Theme::new(false), area, &mut buf);
        let row: String = buf.content.iter().map(|cell| cell.symbol()).collect();
        assert_eq!(row.trim_end(), ":p task->m   mm");
        press(&mut prompt, &history, &[KeyCode::Tab]);
        assert_eq!(prompt.text(), "p task->mm");
        // Another text is not what was asked of.
        let mut prompt = asking(&[KeyCode::Backspace]);
        assert_eq!(prompt.asked(), None);
        prompt.told("p task->", &members);
        assert_eq!((prompt.text(), prompt.candidates.len()), ("p task-", 0));
        // The place of a name is counted without the command that is not shown.
        let mut prompt = Prompt::new(PromptKind::Watch(1), "task->");
        press(&mut prompt, &history, &[KeyCode::Tab, KeyCode::Char('c')]);
        prompt.told(
            "display task->",
            &told(&["display task->comm", "display task->cpu"]),
        );
        assert_eq!(prompt.name_at, Some("task->".len()));
        assert_eq!(prompt.candidates, ["task->comm", "task->cpu"]);
    }

    #[test]
    fn the_history_is_recalled_and_left_again() {
        let mut history = History::default();
        history.add("why");
        history.add("bt");
        let mut prompt = Prompt::new(PromptKind::Command, "x");
        press(
            &mut prompt,
            &history,
            &[KeyCode::Up, KeyCode::Up, KeyCode::Up],
        );
        assert_eq!(prompt.text(), "why");
        press(&mut prompt, &history, &[KeyCode::Down]);
        assert_eq!(prompt.text(), "bt");
        press(&mut prompt, &history, &[KeyCode::Down]);
        assert_eq!(prompt.text(), "x");
    }

    #[test]
    fn the_history_is_searched_for_what_was_typed() {
        let mut history = History::default();
        for line in ["b ksys_write", "b main", "p $rip", "b ksys_read"] {
            history.add(line);
        }
        let mut prompt = Prompt::new(PromptKind::Command, "ksys");
        let seek = KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL);
        for expected in ["b ksys_read", "b ksys_write", "b ksys_write"] {
            prompt.key(&seek, &history, &Three);
            assert_eq!(prompt.text(), expected);
        }
        press(&mut prompt, &history, &[KeyCode::Down]);
        assert_eq!(prompt.text(), "b main");
        press(&mut prompt, &history, &[KeyCode::Backspace]);
        prompt.key(&seek, &history, &Three);
        assert_eq!(prompt.text(), "b main", "it is another text now");
    }

    #[test]
    fn a_letter_with_alt_is_no_letter() {
        let mut prompt = Prompt::new(PromptKind::Command, "b main");
        for letter in ['x', 'b'] {
            let key = KeyEvent::new(KeyCode::Char(letter), KeyModifiers::ALT);
            prompt.key(&key, &History::default(), &Three);
        }
        assert_eq!(prompt.text(), "b main");
        press(&mut prompt, &History::default(), &[KeyCode::Char('_')]);
        assert_eq!(prompt.text(), "b _main");
    }

    #[test]
    fn an_empty_line_is_given_up_by_backspace() {
        let mut prompt = Prompt::new(PromptKind::Find, "é");
        let back = KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE);
        let history = History::default();
        assert_eq!(prompt.key(&back, &history, &Three), Typed::Edited);
        assert_eq!(prompt.key(&back, &history, &Three), Typed::Given);
    }
}
