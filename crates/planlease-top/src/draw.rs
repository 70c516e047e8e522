//! One frame: a line of where we are, the rows, what needs a person, the last changes, a line of keys.

use planlease_core::WallTime;
use planlease_documents::Time;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph, Row as Cells, Table},
};

use crate::{
    action::shown,
    rows::{Column, printable},
    tone::Tone,
    top::{Mode, Top},
    view::Content,
};

/// How many things that need a person are listed at most, and how many changes.
const BELOW: u16 = 5;

/// Below this height there are rows only.
const ROOM_FOR_MORE: u16 = 18;

impl Top {
    /// Draws the screen.
    pub fn draw(&mut self, frame: &mut Frame<'_>, now: WallTime) {
        let area = frame.area();
        let more = matches!(self.view().content, Content::Plans) && area.height >= ROOM_FOR_MORE;
        let needs = self.needs();
        let below = |lines: usize| u16::try_from(lines).unwrap_or(BELOW).min(BELOW) + 1;
        let [top, body, attention, changes, bottom] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(if more && !needs.is_empty() { below(needs.len()) } else { 0 }),
            Constraint::Length(if more { below(usize::from(BELOW)) } else { 0 }),
            Constraint::Length(1),
        ])
        .areas(area);
        frame.render_widget(Paragraph::new(self.headline(now, top.width)), top);
        let keys = self.body(frame, body, now);
        if attention.height > 0 {
            let lines = needs.into_iter().map(|line| Line::styled(line, self.style(Tone::Bad)));
            self.list(frame, attention, "needs a person", lines.collect());
        }
        if changes.height > 0 {
            let last = self.changes.iter().rev().take(usize::from(BELOW)).rev();
            let lines = last.map(|line| Line::raw(printable(line))).collect();
            self.list(frame, changes, "changes", lines);
        }
        frame.render_widget(Paragraph::new(self.footline(&keys, bottom.width)), bottom);
    }

    fn list(&self, frame: &mut Frame<'_>, area: Rect, title: &'static str, lines: Vec<Line<'_>>) {
        let block = Block::new().borders(Borders::TOP).title(title).border_style(self.style(Tone::Dim));
        frame.render_widget(Paragraph::new(lines).block(block), area);
    }

    fn needs(&self) -> Vec<String> {
        let needs = self.fleet.needs();
        let line = |(plan, one): &(_, &planlease_core::attention::Attention)| {
            let task = one.task.as_ref().map(|task| format!(" {task}")).unwrap_or_default();
            printable(&format!("{plan}{task}: {}", one.what))
        };
        let most = usize::from(BELOW);
        let mut lines: Vec<String> = needs.iter().take(most).map(line).collect();
        if needs.len() > most {
            lines.truncate(most - 1);
            lines.push(format!(
                "and {} more; plans that are stuck are listed first",
                needs.len() - (most - 1)
            ));
        }
        lines
    }

    /// Where we are, and how old it is.
    fn headline(&self, now: WallTime, width: u16) -> Line<'static> {
        let path =
            self.views.iter().map(|view| printable(&view.content.name())).collect::<Vec<_>>().join(" › ");
        let filter = match (&self.mode, self.view().filter.as_str()) {
            (Mode::Filter, _) | (_, "") => String::new(),
            (_, filter) => format!("  /{}", printable(filter)),
        };
        let left = format!("planlease  {path}{filter}");
        let (right, tone) = match (&self.snapshot, &self.broken) {
            (_, Some((why, since))) => {
                (format!("no connection for {}: {why}", Time(*since).age(now)), Tone::Bad)
            }
            (None, None) => ("connecting …".to_owned(), Tone::Warn),
            (Some(snapshot), None) => {
                (format!("live, revision {}  {}", snapshot.revision(), self.options.store), Tone::Dim)
            }
        };
        let taken = left.chars().count() + right.chars().count();
        let gap = " ".repeat(usize::from(width).saturating_sub(taken).max(2));
        let bold = Style::new().add_modifier(Modifier::BOLD);
        Line::from(vec![Span::styled(left, bold), Span::raw(gap), Span::styled(right, self.style(tone))])
    }

    /// The rows that fit; returns the keys of all rows.
    fn body(&mut self, frame: &mut Frame<'_>, area: Rect, now: WallTime) -> Vec<String> {
        let (columns, rows) = self.rows(now);
        let keys: Vec<String> = rows.iter().map(|row| row.key.clone()).collect();
        let by_key: Vec<&str> = keys.iter().map(String::as_str).collect();
        let has_header = columns.iter().any(|column| !column.0.is_empty());
        let height = usize::from(area.height).saturating_sub(usize::from(has_header));
        self.height = height;
        let place = self.view().place(&by_key);
        let first = self.views.last_mut().map_or(0, |view| view.first_seen(&by_key, height));
        if rows.is_empty() {
            frame.render_widget(Paragraph::new(self.nothing()), area);
            return keys;
        }
        let seen: Vec<usize> = (0..columns.len()).filter(|column| columns[*column].2 <= area.width).collect();
        let widths = seen.iter().map(|column| match columns[*column] {
            Column(_, 0, _) => Constraint::Fill(1),
            Column(_, width, _) => Constraint::Length(width),
        });
        let mut table = Table::new(Vec::<Cells<'_>>::new(), widths).column_spacing(2);
        let cells = rows.iter().enumerate().skip(first).take(height).map(|(n, row)| {
            let cells = seen.iter().map(|column| row.cells.get(*column).cloned().unwrap_or_default());
            let style = self.style(row.tone);
            Cells::new(cells).style(if n == place { style.add_modifier(Modifier::REVERSED) } else { style })
        });
        table = table.rows(cells);
        if has_header {
            let names = seen.iter().map(|column| columns[*column].0);
            table = table.header(Cells::new(names).style(Style::new().add_modifier(Modifier::BOLD)));
        }
        frame.render_widget(table, area);
        keys
    }

    /// What is said where there are no rows.
    fn nothing(&self) -> String {
        let view = self.view();
        match (&view.content, &self.snapshot) {
            _ if !view.filter.is_empty() => format!("nothing matches {}", printable(&view.filter)),
            (_, None) => "waiting for the store …".to_owned(),
            (Content::Plans, _) => "no plans: `planlease plan import FILE` makes one".to_owned(),
            (Content::Orchestrators, _) => "no orchestrators are registered".to_owned(),
            (Content::Changes, _) => "nothing has changed since the start".to_owned(),
            (Content::Tasks(plan), _) => format!("there is no plan {plan} any more"),
            (Content::Text { .. }, _) => "nothing was printed".to_owned(),
            (Content::Log(log), _) => format!("nothing was written by task {} so far", log.of().1),
        }
    }

    /// What is being typed, what was said, or the keys.
    fn footline(&self, keys: &[String], width: u16) -> Line<'static> {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let typed = |before: &str, text: &str| {
            Line::from(vec![
                Span::styled(before.to_owned(), bold),
                Span::raw(printable(text)),
                Span::styled(" ", Style::new().add_modifier(Modifier::REVERSED)),
            ])
        };
        match &self.mode {
            Mode::Filter => return typed("/", &self.view().filter),
            Mode::Command(text) => return typed(":", text),
            Mode::Reason(action, text) => {
                return typed(&format!("{}: the reason, which others read: ", action.verb), text);
            }
            Mode::Confirm(args) => {
                return Line::styled(
                    printable(&format!("{}   Enter does it, Esc does not", shown(args))),
                    bold,
                );
            }
            Mode::Browse => {}
        }
        if let Some((message, is_bad)) = &self.message {
            return Line::styled(message.clone(), self.style(if *is_bad { Tone::Bad } else { Tone::Normal }));
        }
        let by_key: Vec<&str> = keys.iter().map(String::as_str).collect();
        let usual = ["? keys", "q quit", "/ filter", ": view", "w why"].map(str::to_owned);
        let actions =
            self.actions(&by_key).into_iter().map(|action| format!("{} {}", action.key, action.verb));
        let mut hints = String::new();
        for hint in usual.into_iter().chain(actions) {
            if hints.chars().count() + hint.chars().count() > usize::from(width) {
                break; // `?` shows them all.
            }
            hints.push_str(&hint);
            hints.push_str("   ");
        }
        Line::styled(hints, self.style(Tone::Dim))
    }

    fn style(&self, tone: Tone) -> Style {
        let style = Style::new();
        match (tone, self.options.colors) {
            (Tone::Normal, _) => style,
            (Tone::Dim, true) => style.fg(Color::DarkGray),
            (Tone::Good, true) => style.fg(Color::Green),
            (Tone::Warn, true) => style.fg(Color::Yellow),
            (Tone::Bad, true) => style.fg(Color::Red),
            (Tone::Dim, false) => style.add_modifier(Modifier::DIM),
            (Tone::Good | Tone::Warn, false) => style,
            (Tone::Bad, false) => style.add_modifier(Modifier::BOLD),
        }
    }
}
