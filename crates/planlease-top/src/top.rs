//! The state of the screen: views one over the other, what is being typed, what was said last.

use std::collections::VecDeque;

use planlease_core::{PlanName, TaskId, WallTime};
use planlease_watcher::Snapshot;

use crate::{
    action::{Action, Order, shown},
    fleet::Fleet,
    keys::Key,
    log::Log,
    rows::{self, Column, Row},
    tone::Tone,
    view::{Content, View},
};

/// How many changes are kept.
const CHANGES_MAX: usize = 1000;

/// How long a text can be that is typed, in characters.
const TYPED_MAX: usize = 1000;

/// How the screen looks.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Whether there are colours; without them, bold and reversed text mark the same.
    pub colors: bool,
    /// Which store is shown, for the first line.
    pub store: String,
}

impl Options {
    /// With colours, or without.
    #[must_use]
    pub fn colors(self, colors: bool) -> Self {
        Self { colors, ..self }
    }

    /// The name of the store.
    #[must_use]
    pub fn store(self, store: impl Into<String>) -> Self {
        Self { store: store.into(), ..self }
    }
}

/// What keys do at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They move, and act on the selected row.
    Browse,
    /// They are the filter of the view.
    Filter,
    /// They are the name of a view.
    Command(String),
    /// They are the reason of an action.
    Reason(Action, String),
    /// They say whether this is to be done.
    Confirm(Vec<String>),
}

/// The screen. Pure: the time and the store are brought to it.
#[derive(Debug)]
pub struct Top {
    pub(crate) options: Options,
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) fleet: Fleet,
    /// Why there is no connection, and since when.
    pub(crate) broken: Option<(String, WallTime)>,
    pub(crate) changes: VecDeque<String>,
    /// From the first one to the one that is seen; never empty.
    pub(crate) views: Vec<View>,
    pub(crate) mode: Mode,
    /// What was said last, and whether it is bad.
    pub(crate) message: Option<(String, bool)>,
    /// How many rows were seen last.
    pub(crate) height: usize,
}

impl Top {
    /// An empty screen.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            snapshot: None,
            fleet: Fleet::default(),
            broken: None,
            changes: VecDeque::new(),
            views: vec![View::new(Content::Plans)],
            mode: Mode::Browse,
            message: None,
            height: 1,
        }
    }

    /// The store as it is now.
    pub fn update(&mut self, snapshot: Snapshot) {
        self.fleet.update(&snapshot);
        self.snapshot = Some(snapshot);
    }

    /// Changes in words, a line each.
    pub fn changed(&mut self, lines: impl IntoIterator<Item = String>) {
        self.changes.extend(lines);
        let surplus = self.changes.len().saturating_sub(CHANGES_MAX);
        self.changes.drain(..surplus);
    }

    /// Whether there is a connection: `None`, or why there is none.
    pub fn connected(&mut self, broken: Option<String>, now: WallTime) {
        self.broken = broken.map(|why| {
            let since = self.broken.as_ref().map_or(now, |(_, since)| *since);
            (rows::printable(&why), since)
        });
    }

    /// What an [`Order::Show`] printed.
    pub fn show(&mut self, title: String, args: Vec<String>, text: &str) {
        let lines = text.lines().map(str::to_owned).collect();
        let content = Content::Text { title, lines, args };
        self.message = None;
        match self.views.last_mut() {
            // The same again.
            Some(view) if is_same_text(&view.content, &content) => view.content = content,
            _ => self.views.push(View::new(content)),
        }
    }

    /// Whose output is shown, while it is: the driver reads it and brings it here, until this is another task
    /// or none.
    #[must_use]
    pub fn followed(&self) -> Option<(&PlanName, &TaskId)> {
        self.views.iter().find_map(|view| match &view.content {
            Content::Log(log) => Some(log.of()),
            _ => None,
        })
    }

    /// What the command of the task that is followed has written.
    pub fn written(&mut self, text: &str) {
        if let Some(log) = self.log() {
            log.write(text);
        }
    }

    /// Something about the output that is followed, in a line; `is_bad`: it cannot be read.
    pub fn noted(&mut self, text: &str, is_bad: bool) {
        if let Some(log) = self.log() {
            log.note(if is_bad { Tone::Bad } else { Tone::Dim }, text);
        }
    }

    fn log(&mut self) -> Option<&mut Log> {
        self.views.iter_mut().find_map(|view| match &mut view.content {
            Content::Log(log) => Some(log),
            _ => None,
        })
    }

    /// How an [`Order::Run`] ended, and the first line of what it printed.
    pub fn done(&mut self, succeeded: bool, text: &str) {
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("done");
        self.message = Some((rows::printable(line), !succeeded));
    }

    /// A key. Returns what the driver is to carry out.
    pub fn press(&mut self, key: Key, now: WallTime) -> Option<Order> {
        match key {
            Key::Interrupt => return Some(Order::Quit),
            Key::Suspend => return Some(Order::Suspend),
            _ => {}
        }
        match self.mode.clone() {
            Mode::Browse => self.browse(key, now),
            Mode::Filter => {
                self.filter(key);
                None
            }
            Mode::Command(typed) => self.command(key, typed),
            Mode::Reason(action, typed) => {
                self.reason(key, action, typed);
                None
            }
            Mode::Confirm(args) => {
                self.mode = Mode::Browse;
                match key {
                    Key::Enter | Key::Char('y') => {
                        self.message = Some((format!("{} …", shown(&args)), false));
                        Some(Order::Run(args))
                    }
                    _ => {
                        self.message = Some(("nothing was done".to_owned(), false));
                        None
                    }
                }
            }
        }
    }

    /// The view that is seen.
    pub(crate) fn view(&self) -> &View {
        self.views.last().expect("the first view is never left")
    }

    fn view_mut(&mut self) -> &mut View {
        self.views.last_mut().expect("the first view is never left")
    }

    /// The rows of the view that is seen, and their columns.
    pub(crate) fn rows(&self, now: WallTime) -> (&'static [Column], Vec<Row>) {
        let view = self.view();
        let (columns, mut rows): (&[Column], _) = match (&view.content, &self.snapshot) {
            (Content::Changes, _) => (&rows::LINES, rows::lines(self.changes.iter().rev())),
            (Content::Text { lines, .. }, _) => (&rows::LINES, rows::lines(lines)),
            (Content::Log(log), _) => (&rows::LINES, rows::log(log)),
            (Content::Plans, Some(snapshot)) => (&rows::PLANS, rows::plans(snapshot, &self.fleet)),
            (Content::Orchestrators, Some(snapshot)) => {
                (&rows::ORCHESTRATORS, rows::orchestrators(snapshot, now))
            }
            (Content::Tasks(plan), Some(snapshot)) => {
                let plan = snapshot.plan(plan);
                (&rows::TASKS, plan.map(|plan| rows::tasks(plan, &self.fleet, now)).unwrap_or_default())
            }
            (_, None) => (&rows::LINES, Vec::new()),
        };
        let wanted = view.filter.to_lowercase();
        rows.retain(|row| wanted.is_empty() || row.has(&wanted));
        (columns, rows)
    }

    fn keys(&self, now: WallTime) -> Vec<String> {
        self.rows(now).1.into_iter().map(|row| row.key).collect()
    }

    fn browse(&mut self, key: Key, now: WallTime) -> Option<Order> {
        self.message = None;
        let keys = self.keys(now);
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let page = isize::try_from(self.height.saturating_sub(1).max(1)).unwrap_or(isize::MAX);
        match key {
            Key::Up | Key::Char('k') => self.view_mut().step(-1, &keys),
            Key::Down | Key::Char('j') => self.view_mut().step(1, &keys),
            Key::PageUp => self.view_mut().step(-page, &keys),
            Key::PageDown | Key::Char(' ') => self.view_mut().step(page, &keys),
            Key::Home | Key::Char('g') => self.view_mut().select(0, &keys),
            Key::End | Key::Char('G') => self.view_mut().select(usize::MAX, &keys),
            Key::Char('/') => self.mode = Mode::Filter,
            Key::Char(':') => self.mode = Mode::Command(String::new()),
            Key::Char('?') => self.views.push(View::new(help())),
            Key::Char('q') => return Some(Order::Quit),
            Key::Esc | Key::Backspace => self.back(),
            Key::Enter | Key::Char('w' | 'l' | 'R') => return self.open(key, &keys),
            Key::Char(character) => self.act(character, &keys),
            Key::Interrupt | Key::Suspend => {}
        }
        None
    }

    /// First the filter goes, then the view.
    fn back(&mut self) {
        if !self.view().filter.is_empty() {
            self.view_mut().filter.clear();
        } else if self.views.len() > 1 {
            self.views.pop();
        }
    }

    /// Into the selected row, or what explains it.
    fn open(&mut self, key: Key, keys: &[&str]) -> Option<Order> {
        let view = self.view();
        let selected = keys.get(view.place(keys)).copied();
        let show = |words: &[&str]| {
            let args: Vec<String> = words.iter().map(ToString::to_string).collect();
            Some(Order::Show { title: args.join(" "), args })
        };
        match (&view.content, key, selected) {
            (Content::Text { title, args, .. }, Key::Char('R'), _) if !args.is_empty() => {
                Some(Order::Show { title: title.clone(), args: args.clone() })
            }
            (Content::Plans, Key::Enter, Some(plan)) => {
                let plan = PlanName::new(plan).ok()?;
                self.views.push(View::new(Content::Tasks(plan)));
                None
            }
            (Content::Plans, Key::Char('w'), Some(plan)) => show(&["why", plan]),
            (Content::Plans, Key::Char('l'), Some(plan)) => show(&["owner", "history", plan]),
            (Content::Tasks(plan), Key::Enter | Key::Char('w'), Some(task)) => {
                show(&["why", plan.as_str(), task])
            }
            (Content::Tasks(plan), Key::Char('l'), Some(task)) => {
                let log = Log::new(plan.clone(), TaskId::new(task).ok()?);
                self.views.push(View::new(Content::Log(log)));
                None
            }
            _ => None,
        }
    }

    /// What can be done to the selected row.
    pub(crate) fn actions(&self, keys: &[&str]) -> Vec<Action> {
        let view = self.view();
        let Some(selected) = keys.get(view.place(keys)) else { return Vec::new() };
        match &view.content {
            Content::Plans => PlanName::new(*selected).map_or_else(
                |_| Vec::new(),
                |plan| {
                    let shown = self.snapshot.as_ref().and_then(|snapshot| snapshot.plan(&plan));
                    let is_paused = shown.is_some_and(|plan| plan.halts().paused.is_some());
                    Action::of_plan(&plan, is_paused)
                },
            ),
            Content::Tasks(plan) => TaskId::new(*selected).map_or_else(
                |_| Vec::new(),
                |task| {
                    let plan_view = self.snapshot.as_ref().and_then(|snapshot| snapshot.plan(plan));
                    let task_view = plan_view.and_then(|view| view.tasks().get(&task));
                    Action::of_task(plan, &task, task_view.and_then(|view| view.record.awaits()))
                },
            ),
            Content::Orchestrators => Action::of_orchestrator(selected),
            _ => Vec::new(),
        }
    }

    fn act(&mut self, character: char, keys: &[&str]) {
        let Some(action) = self.actions(keys).into_iter().find(|action| action.key == character) else {
            self.message = Some((format!("{character} means nothing here; ? shows the keys"), false));
            return;
        };
        self.mode = if action.takes_reason {
            Mode::Reason(action, String::new())
        } else {
            Mode::Confirm(action.args(""))
        };
    }

    fn filter(&mut self, key: Key) {
        let view = self.view_mut();
        match key {
            Key::Enter => self.mode = Mode::Browse,
            Key::Esc => {
                view.filter.clear();
                self.mode = Mode::Browse;
            }
            key => edit(&mut view.filter, key),
        }
    }

    fn command(&mut self, key: Key, mut typed: String) -> Option<Order> {
        match key {
            Key::Esc => self.mode = Mode::Browse,
            Key::Enter => {
                self.mode = Mode::Browse;
                return self.go(typed.trim());
            }
            key => {
                edit(&mut typed, key);
                self.mode = Mode::Command(typed);
            }
        }
        None
    }

    /// To the view of this name, as far as it is typed.
    fn go(&mut self, name: &str) -> Option<Order> {
        let named = |whole: &str| !name.is_empty() && whole.starts_with(name);
        let content = match name {
            "q" | "quit" | "exit" => return Some(Order::Quit),
            _ if named("plans") => Content::Plans,
            _ if named("orchestrators") => Content::Orchestrators,
            _ if named("changes") => Content::Changes,
            _ if named("help") => help(),
            _ => match PlanName::new(name) {
                Ok(plan) if self.snapshot.as_ref().is_some_and(|snapshot| snapshot.plan(&plan).is_some()) => {
                    Content::Tasks(plan)
                }
                _ => {
                    let views = "there are plans, orchestrators, changes, help, and each plan by its name";
                    self.message = Some((format!("no view {}: {views}", rows::printable(name)), true));
                    return None;
                }
            },
        };
        self.views.truncate(1);
        if content != Content::Plans {
            self.views.push(View::new(content));
        }
        None
    }

    fn reason(&mut self, key: Key, action: Action, mut typed: String) {
        self.mode = match key {
            Key::Esc => Mode::Browse,
            Key::Enter if typed.trim().is_empty() => {
                self.message = Some(("others read the reason; type one, or Esc".to_owned(), true));
                Mode::Reason(action, typed)
            }
            Key::Enter => Mode::Confirm(action.args(typed.trim())),
            key => {
                edit(&mut typed, key);
                Mode::Reason(action, typed)
            }
        };
    }
}

fn is_same_text(one: &Content, other: &Content) -> bool {
    matches!((one, other), (Content::Text { args: one, .. }, Content::Text { args: other, .. }) if one == other)
}

fn edit(text: &mut String, key: Key) {
    match key {
        Key::Char(character) if text.chars().count() < TYPED_MAX => text.push(character),
        Key::Backspace => {
            text.pop();
        }
        _ => {}
    }
}

fn help() -> Content {
    let text = "\
Move      j k ↑ ↓, space PgUp PgDn, g G        Enter  into the row        Esc  back
Views     :plans  :orchestrators  :changes  :PLAN, and as much of the name as is needed
Filter    /text                                Esc    all rows again
Explain   w  why it is as it is                R      print it again
          l  of a plan: its owners so far; of a task: its output, followed; G goes back to its end
Plans     p  pause, resume                     x      cancel
          o  end the ownership of its owner
Tasks     r  retry                             s      skip
          x  cancel the attempt, which then waits for a person
          a  approve what waits for it         x      reject it
Fleet     c  cordon an orchestrator            u      uncordon it
Leave     q, Ctrl-C                            Ctrl-Z to the shell, `fg` comes back

What changes something asks for a reason and shows the command that it will run. The same commands do the
same in a shell.";
    Content::Text {
        title: "help".to_owned(),
        lines: text.lines().map(str::to_owned).collect(),
        args: Vec::new(),
    }
}
