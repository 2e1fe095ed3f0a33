//! What is kept of an image from one run to the next: breakpoints, the layout, theme and keys.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use debugger::model::Model;
use serde::{Deserialize, Serialize};

use crate::keys::Preset;
use crate::layout::Shares;
use crate::panels::{PanelId, Screen, watches};
use crate::theme::Palette;
use crate::ui::Ui;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// The lines that set them up again, in order.
    pub breakpoints: Vec<String>,
    /// The lines that show expressions at each stop.
    pub watches: Vec<String>,
    pub theme: Option<String>,
    pub keys: Option<String>,
    pub screen: Option<String>,
    /// The panel with the focus.
    pub panel: Option<String>,
    /// Instructions below the source's lines.
    pub inline: bool,
    pub att: bool,
    /// Borders that were moved.
    pub borders: Shares,
}

/// The file of one image.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    /// As it stands there.
    written: String,
}

impl File {
    /// `$XDG_STATE_HOME/uklscope/NAME.json`, else below `~/.local/state`; none without a home.
    #[must_use]
    pub fn of(image: &str) -> Option<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let root = set("XDG_STATE_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/state")))?;
        Some(Self::at(&root.join("uklscope"), image))
    }

    fn at(folder: &Path, image: &str) -> Self {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "+-_".contains(letter);
        let name: String = image
            .chars()
            .map(|letter| if is_plain(letter) { letter } else { '_' })
            .collect();
        Self {
            path: folder.join(format!("{name}.json")),
            written: String::new(),
        }
    }

    /// What was kept, or what is wrong with it. Nothing kept yet is no fault.
    ///
    /// # Errors
    /// A sentence: what was tried, found, and what comes of it.
    pub fn read(&mut self) -> Result<Saved, String> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::default()),
            Err(error) => return Err(self.trouble(&error.to_string())),
        };
        let saved =
            serde_json::from_str(&text).map_err(|error| self.trouble(&error.to_string()))?;
        self.written = text;
        Ok(saved)
    }

    fn trouble(&self, found: &str) -> String {
        format!(
            "reading what was kept of the last run, {}: {found}; it is ignored and written anew",
            self.path.display()
        )
    }

    /// Writes it where it is not there yet, whole or not at all.
    ///
    /// # Errors
    /// A sentence: what was tried, found, and what comes of it.
    pub fn write(&mut self, saved: &Saved) -> Result<(), String> {
        let text = serde_json::to_string_pretty(saved).unwrap_or_default() + "\n";
        if text == self.written {
            return Ok(());
        }
        let beside = self.path.with_extension("new");
        let folder = self.path.parent().map_or(Ok(()), fs::create_dir_all);
        folder
            .and_then(|()| fs::write(&beside, &text))
            .and_then(|()| fs::rename(&beside, &self.path))
            .map_err(|error| {
                format!(
                    "keeping breakpoints and layout in {}: {error}; they are lost at the end",
                    self.path.display()
                )
            })?;
        self.written = text;
        Ok(())
    }
}

/// As it is now. What waits to be set up again is kept too.
#[must_use]
pub fn of(ui: &Ui, model: &Model) -> Saved {
    let standing = model.breakpoints.yes().into_iter().flatten();
    let waiting = ui.look.waiting.iter().cloned();
    let (watching, waiting): (Vec<String>, Vec<String>) =
        waiting.partition(|line| line.starts_with("display"));
    let watched = model.watched.iter().map(watches::line);
    Saved {
        breakpoints: waiting
            .into_iter()
            .chain(standing.flat_map(|one| one.typed.clone()))
            .collect(),
        watches: watching.into_iter().chain(watched).collect(),
        borders: ui.shares.clone(),
        // Without colour by the environment's wish is no choice to keep.
        theme: Palette::from_environment()
            .is_none()
            .then(|| ui.theme.palette().name().to_owned()),
        keys: Some(ui.preset.name().to_owned()),
        screen: Some(ui.screen.name().to_owned()),
        panel: Some(ui.focus().name().to_owned()),
        inline: ui.panels.source.inline,
        att: ui.panels.disassembly.att,
    }
}

/// Takes over what was kept; the breakpoints wait for the target to stand.
pub fn restore(ui: &mut Ui, saved: &Saved) {
    let lines = saved.breakpoints.iter().chain(&saved.watches);
    ui.look.waiting = lines.cloned().collect();
    ui.shares.clone_from(&saved.borders);
    if let Some(Ok(palette)) = saved.theme.as_deref().map(str::parse::<Palette>) {
        ui.theme = palette.into();
    }
    if let Some(preset) = saved.keys.as_deref().and_then(Preset::named) {
        ui.preset = preset;
    }
    ui.panels.source.inline = saved.inline;
    ui.panels.disassembly.att = saved.att;
    let named = |screen: &Screen| saved.screen.as_deref() == Some(screen.name());
    if let Some(screen) = Screen::ALL.into_iter().find(named) {
        let named = |panel: &&PanelId| saved.panel.as_deref() == Some(panel.name());
        if let Some(panel) = screen.panels().iter().find(named) {
            ui.set_focus(*panel);
        }
        ui.show(screen);
    }
}

#[cfg(test)]
mod tests {
    use debugger::event::BreakpointInfo;
    use debugger::known::Known;

    use super::*;
    use crate::ui::Guest;

    #[test]
    fn what_is_kept_comes_back_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = File::at(folder.path(), "127.0.0.1:1234/x");
        assert!(file.path.ends_with("127_0_0_1_1234_x.json"));
        assert_eq!(file.read(), Ok(Saved::default()));
        let saved = Saved {
            breakpoints: vec!["break main if $rdi == 1".to_owned()],
            inline: true,
            ..Saved::default()
        };
        assert_eq!(file.write(&saved), Ok(()));
        assert_eq!(file.read(), Ok(saved.clone()));
        fs::write(&file.path, "{\"breakpoints\": [1").unwrap();
        let said = file.read().unwrap_err();
        assert!(said.contains("it is ignored"), "{said}");
        file.written.clear();
        assert_eq!(file.write(&saved), Ok(()));
        assert_eq!(file.read(), Ok(saved));
    }

    #[test]
    fn one_that_stops_once_is_kept_until_it_has() {
        let mut model = Model::default();
        let one = BreakpointInfo {
            number: 1,
            temporary: true,
            typed: vec!["tbreak ksys_write".to_owned()],
            ..BreakpointInfo::default()
        };
        model.breakpoints.value = Known::Yes(vec![one]);
        let ui = Ui::new(Palette::default().into(), Guest::default());
        let saved = of(&ui, &model);
        assert_eq!(saved.breakpoints, ["tbreak ksys_write"]);
        model.breakpoints.value = Known::Yes(Vec::new());
        assert!(of(&ui, &model).breakpoints.is_empty());
    }
}
