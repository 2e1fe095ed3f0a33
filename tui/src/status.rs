//! The bar at the top and the key line at the bottom.

use debugger::addr::Insns;
use debugger::count::counted;
use debugger::event::{Run, Stop};
use debugger::model::Model;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::action::{self, Action, When};
use crate::batch::text as words;
use crate::overlay::clear;
use crate::panels::Screen;
use crate::ui::Ui;
use crate::widgets::text;

/// Behind the stop, while answers about it are under way.
const PENDING: &str = " …";

/// From this width on the bar names every screen.
const WIDE: u16 = 120;

pub(crate) fn draw_status(ui: &Ui, model: &Model, area: Rect, buf: &mut Buffer) {
    let theme = ui.theme;
    let mut spans = Vec::new();
    for screen in Screen::ALL {
        let style = if screen == ui.screen {
            ratatui::style::Style::reset().patch(theme.key())
        } else {
            theme.bar()
        };
        spans.push(Span::styled(tab(ui, screen, area.width), style));
    }
    text::put(buf, area, 0, " ".repeat(usize::from(area.width)));
    text::paint(buf, area, 0, theme.bar());
    let (name, mode) = match &model.target {
        Some(target) => (
            target.name.as_str(),
            target.mode.map_or("", debugger::crossing::Mode::name),
        ),
        None => ("uklscope", ""),
    };
    spans.push(Span::raw(format!(" {name} {mode} ").replace("  ", " ")));
    let stop = model.run.last_stop.as_ref();
    match (&model.past, stop) {
        (Some(past), Some(now)) if model.run.answers() => {
            let at = &past.at;
            spans.push(Span::styled(
                format!(" ◀ past stop {} of {} ", at.number, past.newest),
                theme.alarm().patch(theme.bar()),
            ));
            let origin = at.stop.place.origin;
            spans.push(Span::raw(match at.stop.position {
                Some(position) => format!(" {origin} @{}", Insns(position)),
                None => format!(" {origin}; target in {}", words::name(&now.place)),
            }));
        }
        (_, stop) => {
            spans.push(Span::raw(format!(" {}", state(model))));
            if let Some(stop) = stop.filter(|_| model.run.answers()) {
                let (cpu, origin) = (stop.vcpu.0, stop.place.origin);
                spans.push(Span::raw(format!("  cpu{cpu} {origin}")));
            }
        }
    }
    let right = right(ui, model, area);
    let left = Rect {
        width: area.width - text::columns(right.width()),
        ..area
    };
    text::put(buf, left, 0, Line::from(spans));
    let right_end = Rect {
        x: left.right(),
        width: area.width - left.width,
        ..area
    };
    text::put(buf, right_end, 0, right);
}

fn tab(ui: &Ui, screen: Screen, width: u16) -> String {
    if screen == ui.screen || width >= WIDE {
        format!(" {} {} ", screen.digit(), screen.name())
    } else {
        format!(" {}", screen.digit())
    }
}

pub(crate) fn tab_width(ui: &Ui, screen: Screen, width: u16) -> u16 {
    text::columns(tab(ui, screen, width).chars().count())
}

/// Slow work and losses, for the right end: the rest gives way to them, not the other way round.
fn right(ui: &Ui, model: &Model, area: Rect) -> Line<'static> {
    let mut text = String::new();
    if let Some(work) = model.works.latest() {
        let share = match work.total {
            0 => "…".to_owned(),
            total => format!("{} %", work.done.min(total).saturating_mul(100) / total),
        };
        let more = match model.works.count() {
            0 | 1 => String::new(),
            n => format!(" (+{})", n - 1),
        };
        text = format!(" {} {share}{more} Esc ", work.name);
    } else if area.width >= WIDE
        && let Some(target) = &model.target
    {
        text = format!(" {} {} cpu ", target.accelerator, target.vcpus);
    }
    if !model.joined.is_empty() {
        text.push_str(&format!(" + {} ", model.joined.join(", ")));
    } else if let Some(at) = &ui.serving {
        text.push_str(&format!(" serving {at} "));
    }
    if let Some(report) = model.crossings.report() {
        text.push_str(&format!(" lost {} ", report.lost));
    }
    let text = text::fit(&text, usize::from(area.width) / 2).into_owned();
    let lost = model
        .crossings
        .report()
        .is_some_and(|report| report.lost > 0);
    let style = if lost {
        ui.theme.alarm().patch(ui.theme.bar())
    } else {
        ui.theme.bar()
    };
    Line::styled(text, style)
}

fn state(model: &Model) -> String {
    let is_recording = model
        .target
        .as_ref()
        .is_some_and(|target| target.accelerator == "recording");
    match &model.run.now {
        Run::Ended(name) if is_recording => format!("● {name}"),
        Run::Starting => "… starting".to_owned(),
        Run::Running if model.is_live() => format!("▶ running, live{}", progress(model)),
        Run::Running => format!("▶ running{}", progress(model)),
        Run::Stopping => format!("▶ stopping{}", progress(model)),
        // Some of what is seen may still be of the stop before.
        Run::Stopped(stop) if !model.requests.is_quiet() => {
            format!("■ {}{PENDING}", stopped(stop))
        }
        Run::Stopped(stop) => format!("■ {}", stopped(stop)),
        Run::Ended(why) => format!("∎ ended: {why}"),
    }
}

/// `breakpoint 1`; of a replay with the position, `breakpoint 1 @265,352,318`.
fn stopped(stop: &Stop) -> String {
    let reason = words::reason(&stop.reason);
    match stop.position {
        Some(position) => format!("{reason} @{}", Insns(position)),
        None => reason,
    }
}

/// How far it is, where there is something to count: ` 12,288 of 100,000 insns, 3 passed`.
fn progress(model: &Model) -> String {
    let Some(progress) = &model.run.progress else {
        return String::new();
    };
    let mut text = match progress.of {
        Some(of) => format!(" {} of {}", progress.stepped, counted(of, "insn")),
        None if progress.stepped.0 > 0 => format!(" {}", counted(progress.stepped, "insn")),
        None => String::new(),
    };
    if progress.passed > 0 {
        let comma = if text.is_empty() { "" } else { "," };
        text.push_str(&format!("{comma} {} passed", progress.passed));
    }
    text
}

/// What is said ends with the next step, so it may take rows above the key line too.
const SAID: usize = 4;

pub(crate) fn draw_keys(ui: &Ui, model: &Model, area: Rect, buf: &mut Buffer) {
    if let Some(said) = &ui.said {
        return draw_said(ui, said, area, buf);
    }
    // However narrow it is, how to ask for more stays.
    let always = [("?", "help"), (":", "command")];
    let last: usize = always.iter().map(|(key, word)| width(key, word)).sum();
    let mut spans = vec![Span::raw(" ")];
    let mut left = usize::from(area.width).saturating_sub(1 + last);
    let mut put = |key, word| {
        spans.push(Span::styled(key, ui.theme.key()));
        spans.push(Span::styled(format!(" {word}  "), ui.theme.dim()));
    };
    let offered = action::offered(ui.preset, ui.screen, ui.focus());
    let (now, rest): (Vec<&Action>, Vec<&Action>) = offered
        .filter(|action| action.when.holds(ui, model))
        .partition(|action| {
            matches!(
                action.when,
                When::Running | When::Working | When::LookingBack
            )
        });
    for action in now.into_iter().chain(rest) {
        let key = action.all_keys(ui.preset).next().unwrap_or("");
        if always.iter().any(|(other, _)| *other == key) {
            continue;
        }
        let width = width(key, action.short);
        if width > left {
            break;
        }
        left -= width;
        put(key, action.short);
    }
    for (key, word) in always {
        put(key, word);
    }
    text::put(buf, area, 0, Line::from(spans));
}

fn draw_said(ui: &Ui, said: &str, area: Rect, buf: &mut Buffer) {
    let mut lines = text::wrap(said, usize::from(area.width).saturating_sub(2));
    let most = SAID.min(usize::from(area.bottom()));
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            last.push('…');
        }
    }
    let height = text::columns(lines.len());
    let area = Rect {
        y: area.bottom().saturating_sub(height),
        height,
        ..area
    };
    clear(area, buf);
    for (row, line) in lines.into_iter().enumerate() {
        let line = Line::styled(format!(" {line}"), ui.theme.key());
        text::put(buf, area, row, line);
    }
}

fn width(key: &str, word: &str) -> usize {
    key.chars().count() + word.chars().count() + 3
}
