//! Tables for people: aligned columns without lines, fitted to the terminal's width by wrapping between words.

use comfy_table::{ColumnConstraint, ContentArrangement, Width, presets};

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

    /// The same in this colour.
    #[must_use]
    pub fn in_color(self, color: comfy_table::Color) -> Self {
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
            text.push_str(line.trim_end());
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

/// How wide each column's content is to be. The widest columns give way first, and none breaks a word; where the words alone are
/// wider than the terminal, so is the table.
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

/// A command as one line: words with blanks in quotes, for people; `-` for none.
#[must_use]
pub fn command_line(command: Option<&[String]>) -> String {
    let Some(command) = command else { return "-".to_owned() };
    let quoted = |word: &String| match word.is_empty()
        || word.contains(|c: char| c.is_whitespace() || "'\"\\$".contains(c))
    {
        true => format!("'{}'", word.replace('\'', r"'\''")),
        false => word.clone(),
    };
    command.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// The text in one line and without control characters: what is stored was written by others, and a terminal obeys.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '\n' | '\t' => plain.push(' '),
            c if c.is_control() => plain.push('\u{fffd}'),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_stored_cannot_drive_the_terminal() {
        assert_eq!(plain(" a\x1b[2Jb\nc "), "a\u{fffd}[2Jb c");
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_blanks_at_their_end() {
        let mut table = Table::new(["A", "BB"]);
        table.row([Cell::text("xxx"), 1.into()]);
        table.row([Cell::text("y"), Cell::text("")]);
        let text = anstream::adapter::strip_str(&table.render("none")).to_string();
        assert_eq!(text, "A    BB\nxxx  1\ny\n");
        assert_eq!(Table::new(["A"]).render("none"), "none\n");
    }

    /// The lines of a table on a terminal of this width.
    fn on_terminal(width: u16, rows: &[[&str; 4]]) -> Vec<String> {
        let mut table = Table::new(["TASK", "BY", "FOR", "SAYS"]);
        for row in rows {
            table.row(row.map(Cell::text));
        }
        table.0.set_width(width);
        let text = anstream::adapter::strip_str(&table.render("none")).to_string();
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
