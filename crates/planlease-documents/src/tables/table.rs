//! Tables for people: aligned columns without lines, fitted to the terminal's width by wrapping between
//! words.

use comfy_table::{Color, ColumnConstraint, ContentArrangement, Width, presets};

use crate::printable::{Style, plain};

/// The blanks between two columns.
const GAP: u16 = 2;

/// The longest word that is never broken, in characters: a longer one (an address, a digest) may be.
const LONGEST_WORD: u16 = 40;

/// A cell: text that is safe to print, perhaps with a colour.
#[derive(Clone, Debug)]
pub struct Cell(comfy_table::Cell);

impl Cell {
    /// Text, whatever is in it.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self(comfy_table::Cell::new(plain(text.as_ref())))
    }

    /// The same in this style.
    #[must_use]
    pub fn in_style(self, style: Style) -> Self {
        let color = match style {
            Style::Bold => return Self(self.0.add_attribute(comfy_table::Attribute::Bold)),
            Style::Dim => return Self(self.0.add_attribute(comfy_table::Attribute::Dim)),
            Style::Red | Style::BoldRed => Color::Red,
            Style::Green | Style::BoldGreen => Color::Green,
            Style::Yellow => Color::Yellow,
            Style::Cyan => Color::Cyan,
        };
        Self(self.0.fg(color))
    }
}

impl<T: std::fmt::Display> From<T> for Cell {
    fn from(value: T) -> Self {
        Self::text(value.to_string())
    }
}

/// Rows below a header.
#[derive(Debug)]
pub struct Table(comfy_table::Table);

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new<const N: usize>(columns: [&str; N]) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .enforce_styling();
        table.style_text_only();
        table.set_header(
            columns.map(|name| comfy_table::Cell::new(name).add_attribute(comfy_table::Attribute::Bold)),
        );
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        Self(table)
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.0.add_row(cells.into_iter().map(|cell| cell.0));
    }

    /// The table as lines, or `empty` if it has no rows.
    pub fn render(&self, empty: &str) -> String {
        if self.0.is_empty() {
            return format!("{empty}\n");
        }
        let mut text = String::new();
        for line in self.fitted().lines() {
            text.push_str(marked(&line).trim_end());
            text.push('\n');
        }
        text
    }

    /// The table with columns as wide as fits; as it is where there is no terminal, or where all of it fits.
    fn fitted(&self) -> comfy_table::Table {
        let mut table = self.0.clone();
        let Some(terminal) = table.width() else { return table };
        let widths = widths(&table.column_max_content_widths(), &self.longest_words(), terminal);
        for (column, width) in table.column_iter_mut().zip(widths) {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width.saturating_add(GAP))));
        }
        table
    }

    /// The width of each column's longest word: that of a table in which each word has a line of its own.
    fn longest_words(&self) -> Vec<u16> {
        let split = |cell: &comfy_table::Cell| {
            comfy_table::Cell::new(cell.content().split_whitespace().collect::<Vec<_>>().join("\n"))
        };
        let mut words = comfy_table::Table::new();
        words.set_header(self.0.header().into_iter().flat_map(|row| row.cell_iter().map(split)));
        for row in self.0.row_iter() {
            words.add_row(row.cell_iter().map(split));
        }
        words.column_max_content_widths()
    }
}

/// A line of the library's with its escapes, which are all that it has, as [`Style`]s.
fn marked(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escape, rest) = part.split_once('m').unwrap_or(("", part));
        let style = match escape {
            "1" => Some(Style::Bold),
            "2" => Some(Style::Dim),
            "38;5;9" => Some(Style::Red),
            "38;5;10" => Some(Style::Green),
            "38;5;11" => Some(Style::Yellow),
            "38;5;14" => Some(Style::Cyan),
            _ => None,
        };
        text += &style.map_or_else(|| format!("{:#}", Style::Bold), |style| style.to_string());
        text += rest;
    }
    text
}

/// How wide each column's content is to be. The widest columns give way first, and none breaks a word; where
/// the words alone are wider than the terminal, so is the table.
fn widths(natural: &[u16], words: &[u16], terminal: u16) -> Vec<u16> {
    let least: Vec<u16> =
        natural.iter().zip(words).map(|(all, word)| (*all).min((*word).min(LONGEST_WORD))).collect();
    let cut = |most: u16| -> Vec<u16> {
        natural.iter().zip(&least).map(|(all, least)| (*all).min(most).max(*least)).collect()
    };
    let gaps = u64::from(GAP) * natural.len().saturating_sub(1) as u64;
    let fits = |widths: &[u16]| {
        gaps + widths.iter().map(|width| u64::from(*width)).sum::<u64>() <= u64::from(terminal)
    };
    let widest = natural.iter().copied().max().unwrap_or_default();
    (0..=widest.min(terminal)).rev().map(cut).find(|widths| fits(widths)).unwrap_or(least)
}

/// A command as one line, quoted as a shell reads it; `-` for none.
#[must_use]
pub fn command_line(command: Option<&[String]>) -> String {
    let Some(command) = command else { return "-".to_owned() };
    let quoter = shlex::Quoter::new().allow_nul(true);
    quoter.join(command.iter().map(String::as_str)).unwrap_or_else(|never| never.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printable::Printable;

    #[test]
    fn columns_are_aligned_and_lines_have_no_blanks_at_their_end() {
        let mut table = Table::new(["A", "BB"]);
        table.row([Cell::text("xxx"), 1.into()]);
        table.row([Cell::text("y"), Cell::text("")]);
        let text = without_styles(&table);
        assert_eq!(text, "A    BB\nxxx  1\ny\n");
        assert_eq!(Table::new(["A"]).render("none"), "none\n");
    }

    #[test]
    fn the_styles_of_cells_are_ours() {
        let mut table = Table::new(["A", "B"]);
        for style in [Style::Red, Style::Green, Style::Yellow, Style::Cyan, Style::Dim] {
            table.row([Cell::text("x").in_style(style), Cell::text("y")]);
            let text = table.render("");
            assert!(!text.contains('\x1b') && text.contains(&format!("{style}x{style:#}")), "{text:?}");
        }
        assert!(table.render("").starts_with(&format!("{}A{:#}", Style::Bold, Style::Bold)));
    }

    fn without_styles(table: &Table) -> String {
        Printable::styled(&table.render("none"), false).as_str().to_owned()
    }

    /// The lines of a table on a terminal of this width.
    fn on_terminal(width: u16, rows: &[[&str; 4]]) -> Vec<String> {
        let mut table = Table::new(["TASK", "BY", "FOR", "SAYS"]);
        for row in rows {
            table.row(row.map(Cell::text));
        }
        table.0.set_width(width);
        let text = without_styles(&table);
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn cells_break_between_words_only() {
        let by = "vm-2231-0ac457ad-orchestrator";
        let says = "the second half of the migration waits for the replica that was stopped yesterday";
        let rows = [["release/2.1", by, "2d21h", says], ["2", "x", "0s", "-"]];
        let lines = on_terminal(80, &rows);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        let shown: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
        for word in rows.iter().flatten().flat_map(|cell| cell.split_whitespace()) {
            assert!(shown.contains(&word), "{word} was broken: {lines:#?}");
        }
        assert_eq!(on_terminal(400, &rows).len(), 3, "what fits is not wrapped");
        let narrow = on_terminal(20, &rows);
        assert!(narrow.iter().any(|line| line.contains(by)), "a word is rather too wide than broken");
        let address = "x".repeat(100);
        let wide = on_terminal(80, &[["1", "x", "0s", &address]]);
        assert!(wide.iter().all(|line| line.len() <= 80), "an address is broken: {wide:#?}");
    }
}
