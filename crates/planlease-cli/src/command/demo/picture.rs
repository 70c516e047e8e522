//! How the demo looks: lines that stay, and below them, on a terminal, a scene that is redrawn all the
//! time. Without a terminal there are the lines alone.

use std::io::IsTerminal as _;

use crate::output::{self, Style};

const BAR: Style = Style::Green;
const NAME: Style = Style::Cyan;
const DIM: Style = Style::Dim;

/// How wide a bar is, in characters.
const WIDTH: usize = 28;

/// What is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scene {
    pub(super) rows: Vec<Row>,
    pub(super) fleet: Vec<String>,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) done: usize,
    pub(super) total: usize,
    pub(super) owner: String,
    pub(super) running: Vec<String>,
}

/// The demo's picture on the terminal.
pub(super) struct Picture {
    live: bool,
    /// How many lines of the scene stand on the screen.
    drawn: usize,
    scene: Scene,
}

impl Picture {
    pub(super) fn new() -> Self {
        Self { live: output::stdout().is_terminal(), drawn: 0, scene: Scene::default() }
    }

    /// Says a line that stays.
    pub(super) fn say(&mut self, line: &str) {
        self.erase();
        print(&format!("{line}\n"));
        self.put();
    }

    /// Draws the scene, if it has changed.
    pub(super) fn draw(&mut self, scene: &Scene) {
        if self.live && (self.scene != *scene || self.drawn == 0) {
            self.scene = scene.clone();
            self.erase();
            self.put();
        }
    }

    /// Leaves the scene where it stands; what is said from now on comes below it.
    pub(super) fn end(&mut self) {
        self.drawn = 0;
        self.live = false;
    }

    fn erase(&mut self) {
        if self.drawn > 0 {
            drop(output::erase(self.drawn));
            self.drawn = 0;
        }
    }

    fn put(&mut self) {
        if !self.live || self.scene.rows.is_empty() {
            return;
        }
        let width = crossterm::terminal::size().map_or(100, |(columns, _)| usize::from(columns));
        let lines = lines(&self.scene, width);
        self.drawn = lines.len();
        print(&lines.into_iter().map(|line| line + "\n").collect::<String>());
    }
}

/// The scene as lines of at most that width.
fn lines(scene: &Scene, width: usize) -> Vec<String> {
    let name_width = scene.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).min(30);
    let mut lines = vec![String::new()];
    for row in &scene.rows {
        let filled = (WIDTH * row.done).checked_div(row.total).unwrap_or(0);
        let (full, rest) = ("█".repeat(filled), "░".repeat(WIDTH - filled));
        let name: String = row.name.chars().take(30).collect();
        let count = format!("{:>3}/{:<3}", row.done, row.total);
        let room = width.saturating_sub(name_width + WIDTH + count.len() + 6);
        let running =
            if row.running.is_empty() { String::new() } else { format!("  runs {}", row.running.join(" ")) };
        let text: String = format!("{}{running}", row.owner).chars().take(room).collect();
        lines.push(format!(
            "  {NAME}{name:<name_width$}{NAME:#} {BAR}{full}{BAR:#}{DIM}{rest}{DIM:#} {count}  {text}"
        ));
    }
    lines.push(format!("  {}", scene.fleet.join("   ")));
    lines
}

fn print(text: &str) {
    // A reader that has gone has seen enough; the demo goes on to its end all the same.
    drop(output::print(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_fits_the_terminal() {
        let row = Row {
            name: "release".into(),
            done: 9,
            total: 23,
            owner: "orchestrator-1, token 1.1".into(),
            running: vec!["2.3".into(), "2.4".into()],
        };
        let scene = Scene { rows: vec![row], fleet: vec!["orchestrator-1: owns release".into()] };
        for (width, ends_with) in [(100, "runs 2.3 2.4"), (60, "orchestrator")] {
            let line = output::Printable::styled(&lines(&scene, width)[1], false).as_str().to_owned();
            assert!(line.chars().count() <= width, "{line}");
            assert!(line.ends_with(ends_with), "{line}");
        }
    }
}
