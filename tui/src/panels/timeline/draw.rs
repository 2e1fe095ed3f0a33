//! Lanes, calls and what is under the cursor, as cells.

use debugger::addr::Insns;
use debugger::count::{counted, either};
use debugger::origin::Origin;
use debugger::trace::timeline::{Bucket, CROSSINGS, OTHERS, Span, named, shift};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span as Text};

use super::cells::{Cell, Content, Lane, content, task_name};
use super::moves::{crossing, inside};
use super::{Seen, TOLD};
use crate::panels::View;
use crate::theme::Theme;
use crate::widgets::names::fit_name;
use crate::widgets::text;

/// Columns of a lane's name.
pub(super) const fn label(width: u16) -> usize {
    if width < WIDE { 9 } else { 17 }
}

/// There is room for whole names of tasks.
const WIDE: u16 = 120;

/// Where the user is.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) cursor: u64,
    pub(super) lane: usize,
    pub(super) marks: &'a [u64],
    /// Where the machine stands that replays this run.
    pub(super) here: Option<u64>,
}

pub(super) fn title(seen: Seen<'_>) -> String {
    let made = seen.run.made.as_ref();
    let mode = made.map_or_else(String::new, |made| format!(" in {}", made.mode));
    let runs = seen.stored.runs().len();
    let number = match runs {
        1 => String::new(),
        _ => format!(", run {} of {runs}", seen.number + 1),
    };
    format!(
        "timeline{mode}{number}: {}",
        counted(Insns(seen.run.records()), "record")
    )
}

pub(super) fn draw(
    seen: Seen<'_>,
    lanes: &[Lane],
    at: At<'_>,
    view: View<'_>,
    area: Rect,
    buf: &mut Buffer,
) {
    let theme = view.theme;
    ruler(seen, at, theme, area, buf);
    let mut known: Option<(u32, Content)> = None;
    let mut marked = None;
    for (row, lane) in lanes.iter().enumerate() {
        if known.as_ref().is_none_or(|(vcpu, _)| *vcpu != lane.vcpu) {
            if let Some((_, content)) = known.take().filter(|(vcpu, _)| is_marked(lanes, at, *vcpu))
            {
                marked = Some(content);
            }
            known = Some((lane.vcpu, content(seen, lane.vcpu)));
        }
        let Some((_, content)) = &known else { continue };
        draw_lane(seen, *lane, content, (row, at), view, area, buf);
    }
    if let Some((_, content)) = known.filter(|(vcpu, _)| is_marked(lanes, at, *vcpu)) {
        marked = Some(content);
    }
    let (Some(content), Some(lane)) = (marked, lanes.get(at.lane)) else {
        return;
    };
    let below = seen.ruler.saturating_add(text::columns(lanes.len()));
    let rows = area.height.saturating_sub(below + TOLD);
    let told = Rect {
        y: area.y + area.height.saturating_sub(TOLD),
        height: TOLD.min(area.height),
        ..area
    };
    let task = lane.task.or_else(|| content.running(at.cursor));
    if seen.window.is_deep() {
        let calls = Rect {
            y: area.y + below.min(area.height),
            height: rows,
            ..area
        };
        draw_calls(seen, &content, task, at, theme, calls, buf);
    }
    for (row, line) in told_lines(
        seen,
        *lane,
        task,
        &content,
        at,
        usize::from(told.width),
        theme,
    )
    .into_iter()
    .enumerate()
    {
        text::put(buf, told, row, line);
    }
    cursor_column(seen, at, area, area.height.saturating_sub(TOLD), buf);
}

fn is_marked(lanes: &[Lane], at: At<'_>, vcpu: u32) -> bool {
    lanes.get(at.lane).is_some_and(|lane| lane.vcpu == vcpu)
}

/// The clock at the edges and instructions of a column; the marks below, for they would hide digits.
fn ruler(seen: Seen<'_>, at: At<'_>, theme: Theme, area: Rect, buf: &mut Buffer) {
    let window = seen.window;
    let width = usize::from(area.width).saturating_sub(seen.label);
    let left = Insns(window.start).to_string();
    let right = Insns(window.end()).to_string();
    let middle = format!("{} a column", Insns(window.each));
    let room = width.saturating_sub(left.len() + right.len());
    let line = format!(
        "{:label$}{left}{middle:^room$}{right}",
        "",
        label = seen.label
    );
    text::put(buf, area, 0, Line::styled(line, theme.dim()));
    for mark in at.marks {
        if let Some(cell) = place(seen, *mark, area, 1).and_then(|at| buf.cell_mut(at)) {
            cell.set_symbol("▼").set_style(theme.crossing());
        }
    }
    let here = at.here.and_then(|here| place(seen, here, area, 1));
    if let Some(cell) = here.and_then(|at| buf.cell_mut(at)) {
        cell.set_symbol("◆").set_style(theme.alarm());
    }
}

fn place(seen: Seen<'_>, clock: u64, area: Rect, row: u16) -> Option<(u16, u16)> {
    let column = text::columns(seen.label + seen.window.column(clock)?);
    (column < area.width && row < area.height).then(|| (area.x + column, area.y + row))
}

fn cursor_column(seen: Seen<'_>, at: At<'_>, area: Rect, rows: u16, buf: &mut Buffer) {
    for row in 0..rows {
        if let Some(cell) = place(seen, at.cursor, area, row).and_then(|at| buf.cell_mut(at)) {
            cell.modifier.toggle(Modifier::REVERSED);
        }
    }
}

fn draw_lane(
    seen: Seen<'_>,
    lane: Lane,
    content: &Content,
    (row, at): (usize, At<'_>),
    view: View<'_>,
    area: Rect,
    buf: &mut Buffer,
) {
    let theme = view.theme;
    let name = match lane.task {
        None => format!("cpu{}", lane.vcpu),
        Some(task) => short(format!(" {}", task_name(seen.run, task)), seen.label),
    };
    let style = match row == at.lane {
        true => theme.selected(view.focused),
        false => Style::new(),
    };
    let mut line = vec![Text::styled(
        format!("{name:<width$}", width = seen.label - 1),
        style,
    )];
    line.push(Text::raw(" "));
    let cells = content.cells(lane.task, seen.window);
    for (column, cell) in cells.iter().enumerate() {
        let lost = lane.task.is_none() && content.lost.get(column).is_some_and(|lost| *lost > 0);
        line.push(match lost {
            true => Text::styled("!", theme.alarm()),
            false => glyph(seen, cell, theme),
        });
    }
    text::put(buf, area, usize::from(seen.ruler) + row, Line::from(line));
}

/// As much of a name as has room; the whole of it stands at the bottom.
fn short(name: String, label: usize) -> String {
    if name.chars().count() < label {
        return name;
    }
    name.chars().take(label - 2).chain(['…']).collect()
}

/// The letter of the origin that ran most; a dot where anything ran for less than an eighth of the column.
fn glyph(seen: Seen<'_>, cell: &Cell, theme: Theme) -> Text<'static> {
    let ran: u64 = cell.values().sum();
    // Parts of the kernel have one letter together.
    let letter = |index: u8| origin(seen, index).letter();
    let mut letters: Vec<(char, u64, Origin)> = Vec::new();
    for (index, count) in cell {
        match letters.iter_mut().find(|one| one.0 == letter(*index)) {
            Some(one) => one.1 += count,
            None => letters.push((letter(*index), *count, origin(seen, *index))),
        }
    }
    match letters.iter().max_by_key(|one| one.1) {
        None => Text::raw(" "),
        Some((_, _, origin)) if ran < seen.window.each / 8 => {
            Text::styled("·", theme.origin(*origin))
        }
        Some((letter, _, origin)) => Text::styled(letter.to_string(), theme.origin(*origin)),
    }
}

fn origin(seen: Seen<'_>, index: u8) -> Origin {
    let known = seen.run.origins.get(usize::from(index));
    known.copied().unwrap_or_default()
}

/// A row for each depth, from the outermost call that begins or ends in sight.
fn draw_calls(
    seen: Seen<'_>,
    content: &Content,
    task: Option<u32>,
    at: At<'_>,
    theme: Theme,
    area: Rect,
    buf: &mut Buffer,
) {
    let window = seen.window;
    let mine = |span: &&Span| task.is_none_or(|task| task == span.task);
    let spans: Vec<&Span> = content.spans.iter().filter(mine).collect();
    let changes = |span: &&&Span| {
        (span.began > window.start && span.began < window.end())
            || (span.ended > window.start && span.ended < window.end() && span.returned)
    };
    let base = spans.iter().filter(changes).map(|span| span.depth).min();
    let here = spans
        .iter()
        .filter(|span| (span.began..span.ended).contains(&at.cursor));
    let deepest = here.map(|span| span.depth).max().unwrap_or(0);
    let rows = usize::from(area.height);
    let base = base.unwrap_or_else(|| deepest.saturating_sub(rows / 2));
    // What is under the cursor is to be seen.
    let base = base.max((deepest + 1).saturating_sub(rows));
    for span in &spans {
        let Some(row) = span.depth.checked_sub(base).filter(|row| *row < rows) else {
            continue;
        };
        let first = window.column(span.began.max(window.start));
        let last = window.column(
            span.ended
                .saturating_sub(1)
                .clamp(window.start, window.last()),
        );
        let (Some(first), Some(last)) = (first, last) else {
            continue;
        };
        let function = seen.run.functions.get(span.function);
        let style = theme.origin(function.origin);
        let width = last.saturating_sub(first) + 1;
        let label = match width {
            1 => function.origin.letter().to_string(),
            _ => format!(
                "▏{:<width$}",
                fit_name(&function.name, width - 1),
                width = width - 1
            ),
        };
        let from = text::columns(seen.label + first);
        let Some(row) = text::row(area, row).filter(|row| from < row.width) else {
            continue;
        };
        let place = Rect {
            x: row.x + from,
            width: row.width - from,
            ..row
        };
        buf.set_stringn(
            place.x,
            place.y,
            label,
            usize::from(place.width).min(width),
            style,
        );
    }
}

fn told_lines(
    seen: Seen<'_>,
    lane: Lane,
    task: Option<u32>,
    content: &Content,
    at: At<'_>,
    width: usize,
    theme: Theme,
) -> Vec<Line<'static>> {
    let clock = Insns(at.cursor);
    let damaged = match content.issues.len() {
        0 => String::new(),
        count => format!(
            "  {} {} left out",
            counted(count, "damaged block"),
            either(count, "is", "are")
        ),
    };
    if !seen.window.is_deep() {
        let mut lines = told_bucket(seen, lane, at.cursor);
        lines.push(legend(theme, &damaged));
        return lines;
    }
    let open = content.spans.iter().filter(|span| {
        task.is_none_or(|task| task == span.task) && (span.began..span.ended).contains(&at.cursor)
    });
    let name = |span: &Span| seen.run.functions.get(span.function).name.clone();
    let stack: Vec<String> = open.map(name).collect();
    let who = task.map_or_else(
        || "nobody known".to_owned(),
        |task| task_name(seen.run, task),
    );
    let first = format!("{clock} on cpu{}: {who} in ", lane.vcpu);
    let room = width.saturating_sub(first.chars().count());
    let first = first + &innermost(&stack, room);
    let second = match crossing(&content.spans, task, at.cursor) {
        Some(root) => told_crossing(seen, content, root),
        None => "no crossing is open here".to_owned(),
    };
    let lost = seen
        .window
        .column(at.cursor)
        .and_then(|at| content.lost.get(at));
    let lost = match lost {
        Some(lost) if *lost > 0 => format!(
            "  {} {} lost here",
            counted(Insns(*lost), "record"),
            either(lost, "is", "are")
        ),
        _ => String::new(),
    };
    vec![
        Line::raw(first),
        Line::raw(second),
        legend(theme, &format!("{lost}{damaged}")),
    ]
}

/// Callers and what they call, without the outermost where there is no room for all.
fn innermost(stack: &[String], room: usize) -> String {
    let whole = (0..stack.len()).map(|first| {
        let more = if first > 0 { "… › " } else { "" };
        format!("{more}{}", stack[first..].join(" › "))
    });
    let mut fitting = whole.filter(|text| text.chars().count() <= room);
    let last = || stack.last().cloned().unwrap_or_default();
    fitting.next().unwrap_or_else(last)
}

fn told_crossing(seen: Seen<'_>, content: &Content, root: &Span) -> String {
    let named = named(&seen.run.functions, root, inside(&content.spans, root));
    let Some((kind, call)) = named else {
        return String::new();
    };
    let whole = match root.returned {
        true => String::new(),
        false => " so far".to_owned(),
    };
    format!(
        "{kind} {call}: {}{whole}, of {}, from {} to {}; Enter shows its path",
        counted(Insns(root.instructions), "instruction"),
        task_name(seen.run, root.task),
        Insns(root.began),
        Insns(root.ended)
    )
}

/// What the buckets under the cursor's column say.
fn told_bucket(seen: Seen<'_>, lane: Lane, cursor: u64) -> Vec<Line<'static>> {
    let window = seen.window;
    let column = window.column(cursor).unwrap_or(0);
    let range = window.clock(column)..window.clock(column + 1);
    let scale = window.scale();
    let (buckets, _) = seen.stored.summary(seen.number, lane.vcpu, scale, &range);
    let mut all = Bucket::default();
    for bucket in &buckets {
        all.add(bucket);
    }
    let whole = all.origins(lane.task);
    let sum: u64 = whole.iter().map(|(_, count)| count).sum();
    let percent = |count: u64| u128::from(count) * 100 / u128::from(sum.max(1));
    let origins: Vec<String> = whole
        .iter()
        .take(5)
        .map(|(index, count)| (origin(seen, *index), percent(*count)))
        .filter(|(_, share)| *share > 0)
        .map(|(origin, share)| format!("{origin} {share} %"))
        .collect();
    let length = buckets.len() as u64 * (1 << shift(scale));
    let first = format!(
        "{} on cpu{}, {}: {}",
        Insns(range.start),
        lane.vcpu,
        counted(Insns(length.max(window.each)), "instruction"),
        origins.join(", ")
    );
    let functions: Vec<String> = all
        .functions
        .iter()
        .filter(|(function, _)| *function != OTHERS)
        .take(3)
        .map(|(function, count)| {
            let name = &seen.run.functions.get(*function).name;
            (
                name,
                u128::from(*count) * 100 / u128::from(all.instructions().max(1)),
            )
        })
        .filter(|(_, share)| *share > 0)
        .map(|(name, share)| format!("{name} {share} %"))
        .collect();
    let crossings: Vec<String> = CROSSINGS
        .iter()
        .zip(all.crossings)
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{} {kind}", Insns(count)))
        .collect();
    let lost = (all.lost > 0).then(|| format!("{} lost", counted(Insns(all.lost), "record")));
    let most = (!functions.is_empty()).then(|| format!("most in {}", functions.join(", ")));
    let came = (!crossings.is_empty()).then(|| crossings.join(", "));
    let second: Vec<String> = [came, lost, most].into_iter().flatten().collect();
    let second = second.join("; ");
    vec![Line::raw(first), Line::raw(second)]
}

fn legend(theme: Theme, more: &str) -> Line<'static> {
    let kernel = Origin::kernel_source("");
    let all = [Origin::App, Origin::Libc, Origin::Entry, kernel];
    let names = ["app", "libc", "entry", "kernel"];
    let mut line = Vec::new();
    for (origin, name) in all.iter().zip(names) {
        line.push(Text::styled(
            origin.letter().to_string(),
            theme.origin(*origin),
        ));
        line.push(Text::styled(format!(" {name}  "), theme.dim()));
    }
    line.push(Text::styled("· little  ! lost", theme.dim()));
    line.push(Text::styled(more.to_owned(), theme.alarm()));
    Line::from(line)
}
