//! Tables for people: aligned columns without lines, cut to the terminal's width by wrapping.

use comfy_table::{ContentArrangement, presets};

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
            .set_content_arrangement(ContentArrangement::Dynamic)
            .enforce_styling();
        table.style_text_only();
        table.set_header(
            columns.map(|name| comfy_table::Cell::new(name).add_attribute(comfy_table::Attribute::Bold)),
        );
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self(table)
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.0.add_row(cells.map(|cell| cell.0));
    }

    /// The table as lines, or `empty` if it has no rows.
    pub fn render(&self, empty: &str) -> String {
        if self.0.is_empty() {
            return format!("{empty}\n");
        }
        let mut text = String::new();
        for line in self.0.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
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
}
