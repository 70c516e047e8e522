//! What was measured, as a table and as JSON.

use std::fmt;

use serde::Serialize;

/// The figures of a benchmark.
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
        (share(&self.rounds, 0.0), share(&self.rounds, 0.5), share(&self.rounds, 1.0))
    }
}

/// What so large a share of the values does not exceed: 0.5 is the median.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into what is in memory"
)]
pub(crate) fn share(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() as f64 * share) as usize).or(sorted.get(last)).copied().unwrap_or(f64::NAN)
}

impl Report {
    /// Enters a figure, and prints it as it comes.
    pub(crate) fn add(&mut self, figure: Figure) {
        println!("{figure}");
        self.figures.push(figure);
    }

    /// What several kinds of doing the same came to, in turns: each, and how many times each other one's the
    /// last one's is.
    pub(crate) fn compare(
        &mut self,
        section: &'static str,
        on: &'static str,
        what: &str,
        unit: &'static str,
        kinds: &[(&str, Vec<f64>)],
    ) {
        for (kind, rounds) in kinds {
            let what = format!("{what}: {kind}");
            self.add(Figure { section, on, what, unit, rounds: rounds.clone() });
        }
        let Some(((ours, rounds), others)) = kinds.split_last() else { return };
        for (other, theirs) in others {
            let what = format!("{what}: {ours} against {other}");
            let rounds = rounds.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
            self.add(Figure { section, on, what, unit: "×", rounds });
        }
    }

    /// The median of a figure, for ratios.
    pub(crate) fn median(&self, section: &str, on: &str, what: &str) -> Option<f64> {
        let same = |figure: &&Figure| figure.section == section && figure.on == on && figure.what == what;
        self.figures.iter().find(same).map(|figure| figure.spread().1)
    }

    /// The medians of a figure, by where it was measured.
    pub(crate) fn medians(&self, section: &str, what: &str) -> Vec<(&'static str, f64)> {
        let same = |figure: &&Figure| figure.section == section && figure.what == what;
        self.figures.iter().filter(same).map(|figure| (figure.on, figure.spread().1)).collect()
    }

    /// All of it, for programs.
    pub(crate) fn json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap()
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
