//! What was measured, as a table and as JSON.

use std::fmt;

use serde::Serialize;

/// See the module.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    /// What must not be.
    violations: Vec<String>,
}

/// One thing, measured in rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) section: &'static str,
    pub(crate) on: &'static str,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) rounds: Vec<f64>,
}

impl Figure {
    /// The least, the median, the most.
    fn spread(&self) -> (f64, f64, f64) {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
    }
}

impl Report {
    /// Enters a figure, and tells it as it comes.
    pub(crate) fn add(&mut self, figure: Figure) {
        println!("{figure}");
        self.figures.push(figure);
    }

    /// The median of a figure, for ratios.
    pub(crate) fn median(&self, section: &str, on: &str, what: &str) -> Option<f64> {
        let same = |figure: &&Figure| figure.section == section && figure.on == on && figure.what == what;
        self.figures.iter().find(same).map(|figure| figure.spread().1)
    }

    /// Something that must not be.
    pub(crate) fn violation(&mut self, text: String) {
        println!("VIOLATION: {text}");
        self.violations.push(text);
    }

    pub(crate) fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, median, most) = self.spread();
        let Self { section, on, what, unit, .. } = self;
        let digits = if *unit == "×" { 2 } else { 1 };
        write!(
            f,
            "| {section} | {on} | {what} | {median:.digits$} {unit} | {least:.digits$}–{most:.digits$} |"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| section | on | what | median | least–most |\n| --- | --- | --- | --- | --- |")?;
        self.figures.iter().try_for_each(|figure| writeln!(f, "{figure}"))?;
        write!(f, "\nviolations: {}", self.violations.len())
    }
}
