//! The charts of the documentation, drawn from the figures of a run.

use std::{
    fmt::{self, Write as _},
    fs, io,
    path::Path,
};

use serde::Deserialize;

use crate::report::share;

/// A picture of bars in groups.
struct Chart {
    file: &'static str,
    title: &'static str,
    section: &'static str,
    on: &'static str,
    /// What their figures begin with.
    groups: &'static [&'static str],
    /// What each bar of a group is called, and how its figure goes on.
    series: &'static [(&'static str, &'static str)],
}

const CHARTS: [Chart; 2] = [
    Chart {
        file: "updates.svg",
        title: "Task updates per second, conditional and fenced, every one on disk",
        section: "updates",
        on: "etcd",
        groups: &["1 in flight", "16 in flight", "64 in flight", "256 in flight"],
        series: &[
            ("etcd, a transaction each", "updates: single transactions"),
            ("etcd, hand-batched, each for itself", "updates: hand-batched"),
            ("etcd, hand-batched, all or nothing", "updates: hand-batched, all or nothing"),
            ("planlease on etcd", "updates: planlease"),
            ("PostgreSQL", "against peers: PostgreSQL"),
            ("ZooKeeper", "against peers: ZooKeeper"),
            ("Redis", "against peers: Redis"),
        ],
    },
    Chart {
        file: "watch.svg",
        title: "Updates per second that reach every subscriber, from one writer",
        section: "watch",
        on: "etcd",
        groups: &["1 subscribers", "100 subscribers", "1000 subscribers", "10000 subscribers"],
        series: &[("a watch on etcd each", "reached all: watches"), ("planlease", "reached all: planlease")],
    },
];

/// One colour per bar of a group; ours is the strong one.
const COLOURS: [&str; 7] = ["#9aa5b1", "#6b7785", "#4a5561", "#2f6fdd", "#c9b37e", "#8fae8b", "#c98f7e"];
const OURS: &str = "#2f6fdd";

const WIDTH: f64 = 760.0;
const NAMES: f64 = 210.0;
const VALUES: f64 = 90.0;
const BAR: f64 = 18.0;
const GAP: f64 = 34.0;

/// What a run wrote.
#[derive(Deserialize)]
struct Run {
    figures: Vec<Received>,
}

#[derive(Deserialize)]
struct Received {
    section: String,
    on: String,
    what: String,
    rounds: Vec<Option<f64>>,
}

/// Draws all charts of which the run, as JSON, has figures.
pub(crate) fn draw(run: &[u8], folder: &Path) -> io::Result<()> {
    let run: Run = serde_json::from_slice(run)?;
    fs::create_dir_all(folder)?;
    for chart in &CHARTS {
        let bars: Vec<_> = chart.groups.iter().map(|group| (*group, chart.bars(&run, group))).collect();
        if bars.iter().any(|(_, bars)| !bars.is_empty()) {
            fs::write(folder.join(chart.file), chart.picture(&bars).map_err(io::Error::other)?)?;
        }
    }
    Ok(())
}

impl Chart {
    fn bars(&self, run: &Run, group: &str) -> Vec<(&'static str, f64)> {
        let median = |what: String| {
            let same = |reported: &&Received| {
                reported.section == self.section && reported.on == self.on && reported.what == what
            };
            let rounds: Vec<f64> = run.figures.iter().find(same)?.rounds.iter().flatten().copied().collect();
            Some(share(&rounds, 0.5))
        };
        let bars = self.series.iter();
        bars.filter_map(|(name, rest)| Some((*name, median(format!("{group}, {rest}"))?))).collect()
    }

    fn picture(&self, groups: &[(&str, Vec<(&str, f64)>)]) -> Result<String, fmt::Error> {
        let most = groups.iter().flat_map(|(_, bars)| bars).map(|(_, value)| *value).fold(1.0, f64::max);
        let mut body = String::new();
        let mut y = 44.0;
        for (group, bars) in groups {
            let group = group.replace("1 subscribers", "1 subscriber").replace("000 ", ",000 ");
            writeln!(body, r#"<text class="group" x="8" y="{:.0}">{group}</text>"#, y + 13.0)?;
            y += 20.0;
            for (name, value) in bars {
                let at = self.series.iter().position(|(other, _)| other == name).unwrap_or(0);
                let colour = if name.starts_with("planlease") { OURS } else { COLOURS[at % COLOURS.len()] };
                let length = (WIDTH - NAMES - VALUES) * value / most;
                let (text, after) = (y + 13.0, NAMES + length + 6.0);
                writeln!(
                    body,
                    r#"<text x="{:.0}" y="{text:.0}" text-anchor="end">{name}</text>"#,
                    NAMES - 8.0
                )?;
                writeln!(
                    body,
                    r#"<rect x="{NAMES:.0}" y="{y:.0}" width="{length:.1}" height="{:.0}" rx="2" fill="{colour}"/>"#,
                    BAR - 4.0
                )?;
                writeln!(body, r#"<text x="{after:.1}" y="{text:.0}">{}</text>"#, thousands(*value))?;
                y += BAR;
            }
            y += GAP - BAR;
        }
        let title = self.title;
        Ok(format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0} {y:.0}" role="img" aria-label="{title}">
<style>text {{ font: 12px system-ui, sans-serif; fill: #57606a }} .group, .title {{ font-weight: 600 }} .title {{ font-size: 14px }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #b6bec8 }} }}</style>
<text class="title" x="8" y="22">{title}</text>
{body}</svg>
"#
        ))
    }
}

/// As people write it: `12,345`.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let groups = tail.as_bytes().chunks(3).map(|group| std::str::from_utf8(group).unwrap_or_default());
    [head].into_iter().filter(|head| !head.is_empty()).chain(groups).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn numbers_are_written_in_groups_of_three() {
        let all = [7.0, 123.4, 1_234.0, 123_456.0].map(thousands);
        assert_eq!(all, ["7", "123", "1,234", "123,456"]);
    }
}
