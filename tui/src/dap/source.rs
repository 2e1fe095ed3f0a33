//! Sources: where they lie on disk, and disassembly in place of those that do not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use debugger::addr::Addr;
use debugger::command::{Command, Location, Syntax};
use debugger::event::{Answer, Place};
use serde::Deserialize;
use serde_json::{Value, json};

use super::adapter::{Adapter, Reply};
use super::message::{Refusal, Request};
use crate::batch::text;

#[derive(Debug, Default)]
pub(super) struct Sources {
    /// By their names in the debug information; none where the file is not on this machine.
    paths: BTreeMap<String, Option<PathBuf>>,
    /// By what editors call them: their names in the debug information.
    names: BTreeMap<String, String>,
    /// Functions that are shown as instructions, by their references from 1.
    functions: Vec<Addr>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SourceArguments {
    source_reference: usize,
}

impl Adapter<'_> {
    /// The source of a place and its line from 1; its function's instructions where there is no file.
    pub(super) fn source_of(&mut self, place: &Place) -> Result<Option<(Value, u32)>, Refusal> {
        if let Some(found) = self.source_file(place)? {
            return Ok(Some(found));
        }
        let Ok(Answer::Disassembly(lines)) = self.ask(whole_function(place.addr)) else {
            return Ok(None);
        };
        let at = lines.iter().position(|line| line.place.addr == place.addr);
        let (Some(first), Some(at)) = (lines.first(), at) else {
            return Ok(None);
        };
        let functions = &mut self.session()?.sources.functions;
        let start = first.place.addr;
        let known = functions.iter().position(|one| *one == start);
        let reference = known.unwrap_or_else(|| {
            functions.push(start);
            functions.len() - 1
        });
        let name = place.symbol.clone().unwrap_or_else(|| format!("{start:?}"));
        let source = json!({
            "name": format!("{name}.s"),
            "sourceReference": reference + 1,
            "origin": format!("{}: instructions, its source is not on this machine", place.origin),
        });
        Ok(Some((source, u32::try_from(at + 1).unwrap_or(1))))
    }

    /// The file of a place, where it is on this machine; nothing is told of it while the target runs.
    pub(super) fn source_file(&mut self, place: &Place) -> Result<Option<(Value, u32)>, Refusal> {
        let (Some(file), Some(line)) = (&place.file, place.line) else {
            return Ok(None);
        };
        let Some(path) = self.path_of(file, line)? else {
            return Ok(None);
        };
        let name = file.rsplit('/').next().unwrap_or(file);
        let source = json!({"name": name, "path": path, "origin": place.origin.to_string()});
        Ok(Some((source, line)))
    }

    /// What the debug information calls the file that an editor has open; as the editor has it, while the target
    /// runs.
    pub(super) fn file_of(&mut self, path: &str, line: u32) -> Result<String, Refusal> {
        if let Some(known) = self.session()?.sources.names.get(path) {
            return Ok(known.clone());
        }
        if self.session()?.runs() {
            return Ok(path.to_owned());
        }
        let wanted = whole(Path::new(path));
        let mut similar = None;
        for end in ends(path) {
            let listed = self.ask(Command::List {
                location: Some(at_line(end, line)),
                count: 1,
            });
            match listed {
                Ok(Answer::Source(window)) if whole(&window.path) == wanted => {
                    similar = Some(window.file);
                    break;
                }
                // The same tree somewhere else; a bare name alone would be any file's.
                Ok(Answer::Source(window)) if end.contains('/') => {
                    similar.get_or_insert(window.file);
                }
                _ => {}
            }
        }
        let Some(name) = similar else {
            return Ok(path.to_owned());
        };
        let names = &mut self.session()?.sources.names;
        names.insert(path.to_owned(), name.clone());
        Ok(name)
    }

    fn path_of(&mut self, file: &str, line: u32) -> Result<Option<PathBuf>, Refusal> {
        if let Some(known) = self.session()?.sources.paths.get(file) {
            return Ok(known.clone());
        }
        if self.session()?.runs() {
            return Ok(None);
        }
        let listed = self.ask(Command::List {
            location: Some(at_line(file, line)),
            count: 1,
        });
        let path = match listed {
            // What editors have open, where it lies behind a link.
            Ok(Answer::Source(window)) if window.file == file => Some(whole(&window.path)),
            _ => None,
        };
        let paths = &mut self.session()?.sources.paths;
        paths.insert(file.to_owned(), path.clone());
        Ok(path)
    }

    /// What is shown of a function without a source file.
    pub(super) fn source(&mut self, request: &Request) -> Result<Reply, Refusal> {
        let asked: SourceArguments = request.arguments()?;
        let functions = &self.session()?.sources.functions;
        let start = asked
            .source_reference
            .checked_sub(1)
            .and_then(|at| functions.get(at).copied())
            .ok_or_else(|| {
                Refusal::new(
                    "showing a source",
                    "no source has this reference",
                    "ask for the stack again",
                )
            })?;
        let answer = self.ask(whole_function(start))?;
        let content = text::lines(&answer).join("\n");
        Ok(Reply::Body(
            json!({"content": content, "mimeType": "text/x-asm"}),
        ))
    }
}

/// Behind all links.
fn whole(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn at_line(file: &str, line: u32) -> Location {
    Location::Line {
        file: Some(file.to_owned()),
        line,
    }
}

/// `/a/b/c.c`, `a/b/c.c`, `b/c.c`, `c.c`
pub(super) fn ends(path: &str) -> impl Iterator<Item = &str> {
    let steps = path.match_indices('/').map(|(at, _)| &path[at + 1..]);
    std::iter::once(path).chain(steps.filter(|end| !end.is_empty()))
}

fn whole_function(at: Addr) -> Command {
    Command::Disassemble {
        location: Some(Location::Addr(at)),
        count: 0,
        syntax: Syntax::Intel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_looked_for_by_its_ends() {
        let found: Vec<&str> = ends("/a/b/c.c").collect();
        assert_eq!(found, ["/a/b/c.c", "a/b/c.c", "b/c.c", "c.c"]);
        assert_eq!(ends("c.c").count(), 1);
    }
}
