//! Tables for people: aligned columns without lines, fitted to the terminal's width by wrapping between
//! words.

use comfy_table::{Color, ColumnConstraint, ContentArrangement, Width, presets};

use crate::printable::{Style, plain};

/// The blanks between two columns.
const GAP: u16 = 2;

/// The longest word that is never broken, in characters: a longer one (an address, a digest) may be.
const LONGEST_WORD: u16 = 40;

/// The least width of the last column of a table that gives way, in characters.
const LEAST: u16 = 8;

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

/// Rows below a header, and which columns a terminal does without that is too narrow for all words.
#[derive(Debug)]
pub struct Table(comfy_table::Table, Vec<usize>);

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .enforce_styling();
        table.style_text_only();
        let header = |name: &str| comfy_table::Cell::new(name).add_attribute(comfy_table::Attribute::Bold);
        table.set_header(columns.into_iter().map(header));
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        Self(table, Vec::new())
    }

    /// The same, which gives way to a terminal that is too narrow for all words: without these columns, one
    /// after the other, and then with broken words in the last column.
    #[must_use]
    pub fn without_if_narrow(self, columns: &[usize]) -> Self {
        Self(self.0, columns.to_vec())
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
        let widths = self.widths(terminal);
        for (column, width) in table.column_iter_mut().zip(widths) {
            column.set_constraint(width.map_or(ColumnConstraint::Hidden, |width| {
                ColumnConstraint::Absolute(Width::Fixed(width.saturating_add(GAP)))
            }));
        }
        table
    }

    /// How wide each column's content is to be on this terminal; `None` for one that is left out.
    fn widths(&self, terminal: u16) -> Vec<Option<u16>> {
        let (natural, mut words) = (self.0.column_max_content_widths(), self.longest_words());
        let mut shown: Vec<usize> = (0..natural.len()).collect();
        let of = |widths: &[u16], shown: &[usize]| -> Vec<u16> { shown.iter().map(|&i| widths[i]).collect() };
        let is_wide =
            |words: &[u16], shown: &[usize]| !fits(&least(&of(&natural, shown), &of(words, shown)), terminal);
        for omitted in &self.1 {
            if is_wide(&words, &shown) {
                shown.retain(|column| column != omitted);
            }
        }
        if !self.1.is_empty() && is_wide(&words, &shown) {
            words.iter_mut().rev().take(1).for_each(|word| *word = (*word).min(LEAST));
        }
        let mut widths = vec![None; natural.len()];
        for (&column, width) in
            shown.iter().zip(self::widths(&of(&natural, &shown), &of(&words, &shown), terminal))
        {
            widths[column] = Some(width);
        }
        widths
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
    let least = least(natural, words);
    let cut = |most: u16| -> Vec<u16> {
        natural.iter().zip(&least).map(|(all, least)| (*all).min(most).max(*least)).collect()
    };
    let widest = natural.iter().copied().max().unwrap_or_default();
    (0..=widest.min(terminal)).rev().map(cut).find(|widths| fits(widths, terminal)).unwrap_or(least)
}

/// How wide each column has to be, so that no word is broken.
fn least(natural: &[u16], words: &[u16]) -> Vec<u16> {
    natural.iter().zip(words).map(|(all, word)| (*all).min((*word).min(LONGEST_WORD))).collect()
}

/// Whether columns of these widths fit on the terminal.
fn fits(widths: &[u16], terminal: u16) -> bool {
    let gaps = u64::from(GAP) * widths.len().saturating_sub(1) as u64;
    gaps + widths.iter().map(|width| u64::from(*width)).sum::<u64>() <= u64::from(terminal)
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
    fn a_table_that_gives_way_fits_on_a_narrow_terminal() {
        let lines = |width| {
            let mut table =
                Table::new(["PLAN", "OWNER", "FOR", "WAITING", "TITLE"]).without_if_narrow(&[3, 2]);
            let (plan, owner) = ("release-of-november", "vm-2231-0ac457ad");
            table.row([plan, owner, "2d21h", "-", "Internationalization-of-everything"].map(Cell::text));
            table.0.set_width(width);
            let text = without_styles(&table);
            text.lines().map(str::to_owned).collect::<Vec<String>>()
        };
        let header = |width| lines(width)[0].split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(header(120), ["PLAN", "OWNER", "FOR", "WAITING", "TITLE"]);
        assert_eq!(header(83), ["PLAN", "OWNER", "FOR", "TITLE"]);
        assert_eq!(header(75), ["PLAN", "OWNER", "TITLE"]);
        for width in [120, 83, 80, 75, 60, 50] {
            let lines = lines(width);
            assert!(
                lines.iter().all(|line| line.chars().count() <= usize::from(width)),
                "{width}: {lines:#?}"
            );
            assert!(
                lines.iter().any(|line| line.contains("release-of-november  vm-2231-0ac457ad")),
                "{lines:#?}"
            );
        }
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
