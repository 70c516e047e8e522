//! The transcripts of the README's five minutes and of the operator's tasks in `docs/operations.md`: each of
//! their commands is run, and prints what the transcript says.
//!
//! What differs from run to run (times, processes, hosts, operators, revisions) is compared as a placeholder.
//! A comment before a block says how it is replayed: `<!-- replay: live -->` (numbers differ), `exact`
//! (nothing but hosts may), `background NAME` (its last command goes on while the next blocks run), `follow
//! NAME` (what NAME prints later), `kill NAME` (SIGKILL), `stop NAME` (SIGTERM, and its end is waited for),
//! `never` (the block is not replayed); joined by `; `. Each document states how many blocks are replayed and
//! how many are not, so that none is left out in silence. With `PLANLEASE_TRANSCRIPTS=write` the transcripts
//! are written instead of compared: `tools/transcripts.sh`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use planlease_tests::{
    plain,
    program::{Process, Program, planlease},
    wait::until,
};
use tempfile::TempDir;

#[plain(on_embedded)]
fn the_five_minutes_print_what_the_readme_shows() {
    let counts = Counts { replayed: 13, never: 0, other: 1 };
    replayed(&Document { path: "README.md", heading: "## Five minutes\n", counts });
}

#[plain(on_embedded)]
fn operators_tasks_print_what_their_document_shows() {
    let counts = Counts { replayed: 24, never: 2, other: 0 };
    replayed(&Document { path: "docs/operations.md", heading: "## Step by step\n", counts });
}

fn replayed(document: &Document) {
    tokio::runtime::Runtime::new().unwrap().block_on(replay(document));
}

/// How long a block may take to print what it should: a session of the default TTL expires in one of them.
const PATIENCE: Duration = Duration::from_secs(60);

/// A document with transcripts in one of its sections.
struct Document {
    path: &'static str,
    /// The section goes from this heading to the next one.
    heading: &'static str,
    counts: Counts,
}

/// How many blocks a section has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    replayed: usize,
    /// Those that say so.
    never: usize,
    /// Blocks that are no transcripts.
    other: usize,
}

/// A command of a block, and what it prints. The continuation of another one has none.
struct Step {
    command: Option<String>,
    transcript: Vec<String>,
}

/// A block of a document: how it is replayed, and its steps.
struct Block {
    directives: Vec<String>,
    steps: Vec<Step>,
}

impl Block {
    fn is(&self, directive: &str) -> bool {
        self.directives.iter().any(|one| one == directive)
    }

    /// The names that this directive is said of.
    fn all<'a>(&'a self, directive: &'a str) -> impl Iterator<Item = &'a str> {
        self.directives.iter().filter_map(move |one| one.strip_prefix(directive)?.strip_prefix(' '))
    }

    fn named(&self, directive: &str) -> Option<String> {
        self.all(directive).next().map(str::to_owned)
    }
}

/// Refuses a directive that means nothing: a misspelt one would change in silence how a block is replayed.
fn check_directive(directive: &str) {
    let known = match directive.split_once(' ') {
        None => ["live", "exact", "never"].contains(&directive),
        Some((word, name)) => ["background", "follow", "kill", "stop"].contains(&word) && !name.contains(' '),
    };
    assert!(known, "`{directive}` does not say how to replay a block");
}

/// The home of a user, in which the commands are run as the document says.
struct Home {
    folder: TempDir,
    program: Program,
    background: BTreeMap<String, (Process, usize)>,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("planlease-transcripts-").tempdir().unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(planlease(), bin.join("planlease")).unwrap();
        std::os::unix::fs::symlink(root().join("examples"), folder.path().join("examples")).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let program = Program::planlease(folder.path()).variable("PATH", path);
        Self { folder, program, background: BTreeMap::new() }
    }

    /// A shell that runs the command in its place.
    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        let like = self.program.command([""; 0]);
        shell.args(["-c", command]).current_dir(self.folder.path());
        for (name, value) in like.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    }

    fn start(&self, command: &str) -> Process {
        let file = tempfile::Builder::new().prefix("said-").tempfile_in(self.folder.path()).unwrap();
        let (_, path) = file.keep().unwrap();
        Process::start(self.shell(command), &path)
    }

    async fn run(&self, command: &str) -> String {
        let mut process = self.start(command);
        process.until_ended(PATIENCE).await;
        process.said()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.background.clear();
        drop(self.shell("planlease dev stop").output());
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

async fn replay(document: &Document) {
    let path = root().join(document.path);
    let all = std::fs::read_to_string(&path).unwrap();
    let write = std::env::var("PLANLEASE_TRANSCRIPTS").is_ok_and(|mode| mode == "write");
    let (start, end) = section(&all, document.heading);
    let mut parts = parts(&all[start..end]);
    assert_eq!(counts(&all[start..end], &parts), document.counts, "the blocks of {}", document.path);
    let mut home = Home::new();
    let mut text = all[..start].to_owned();
    for part in &mut parts {
        match part {
            Part::Prose(prose) => text.push_str(prose),
            Part::Block(block) => {
                if !block.is("never") {
                    play(&mut home, block, write).await;
                }
                text.push_str(&render(block));
            }
        }
    }
    text.push_str(&all[end..]);
    if write {
        std::fs::write(path, text).unwrap();
    }
}

/// Plays a block; what it printed replaces the transcript if it is to be written.
async fn play(home: &mut Home, block: &mut Block, write: bool) {
    if let Some(name) = block.named("kill") {
        home.background.get_mut(&name).expect("it was started").0.signal(Signal::SIGKILL);
    }
    for name in block.all("stop") {
        let process = &mut home.background.get_mut(name).expect("it was started").0;
        process.signal(Signal::SIGTERM);
        process.until_ended(PATIENCE).await;
    }
    let (follow, background) = (block.named("follow"), block.named("background"));
    let (live, exact, last) = (block.is("live"), block.is("exact"), block.steps.len() - 1);
    for (n, step) in block.steps.iter_mut().enumerate() {
        let name = if n == last { background.as_ref().or(follow.as_ref()) } else { None };
        if let Some(command) = &mut step.command {
            since_import(home, command).await;
        }
        if let (Some(name), Some(command)) = (background.as_ref().filter(|_| n == last), &step.command) {
            let process = home.start(&format!("exec {command}"));
            home.background.insert(name.clone(), (process, 0));
        }
        let said = until("what the document shows", PATIENCE, async || {
            let said = match (name, &step.command) {
                (Some(name), _) => {
                    let (process, from) = home.background.get_mut(name).expect("it was started");
                    if follow.is_some() && process.ended().is_none() {
                        return Err(process.said());
                    }
                    process.said().lines().skip(*from).map(|line| format!("{line}\n")).collect()
                }
                (None, Some(command)) => home.run(command).await,
                (None, None) => panic!("a block without a command follows another"),
            };
            let shown = step.transcript.join("\n");
            let (masked, wanted) = (mask(&said, live, exact), mask(&shown, live, exact));
            let ready =
                if write { said.lines().count() >= step.transcript.len() } else { matches(&masked, &wanted) };
            // A command that changes something is run once; one that only looks may look again.
            if ready {
                return Ok(said);
            }
            let again = live || name.is_some();
            assert!(again, "{:?}\n--- shows\n{shown}\n--- printed\n{said}", step.command);
            Err(format!("{:?}\n--- shows\n{shown}\n--- printed\n{said}", step.command))
        })
        .await;
        if let Some(name) = name {
            home.background.get_mut(name).expect("it was started").1 = step.transcript.len();
        }
        if write {
            step.transcript = shortened(&said, &step.transcript, home.folder.path());
        }
    }
}

/// A revision to begin with is that of the plan's import: that of an untouched task.
async fn since_import(home: &Home, command: &mut String) {
    let Some((watch, _)) = command.split_once("--from-revision ") else { return };
    let shown = home.run("planlease task show host-checkup 1.2 -o json").await;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    *command = format!("{watch}--from-revision {}", shown["revision"]);
}

/// Whether the lines are those of the transcript, in which `…` stands for any number of lines. What is
/// printed later does not matter where the transcript ends with it.
fn matches(said: &[String], shown: &[String]) -> bool {
    match shown.split_first() {
        None => said.is_empty(),
        Some((line, rest)) if line == "…" => (0..=said.len()).any(|n| matches(&said[n..], rest)),
        Some((line, rest)) => said.first() == Some(line) && matches(&said[1..], rest),
    }
}

/// As many lines of what was printed as the transcript has before and after its `…`, on a machine called `vm`
/// of a user `ann`.
fn shortened(said: &str, transcript: &[String], home: &Path) -> Vec<String> {
    let said = said.replace(home.to_str().unwrap(), "/home/ann").replace(&host(), "vm");
    let said = said.replace(&format!("{}@vm", user()), "ann@vm");
    let lines: Vec<String> = said.lines().map(str::to_owned).collect();
    match transcript.iter().position(|line| line == "…") {
        None => lines,
        Some(before) => {
            let after = transcript.len() - before - 1;
            let tail = lines.len().saturating_sub(after).max(before);
            let (head, tail) = (&lines[..before.min(lines.len())], &lines[tail.min(lines.len())..]);
            [head, &["…".to_owned()], tail].concat()
        }
    }
}

fn host() -> String {
    nix::unistd::gethostname().unwrap().to_string_lossy().into_owned()
}

/// The user by whom commands are said to be given.
fn user() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    user.map_or_else(|| "unknown".to_owned(), |user| user.name)
}

/// The lines with placeholders. `live`: for all numbers, and for repeated lines; `exact`: for hosts and paths
/// only.
fn mask(text: &str, live: bool, exact: bool) -> Vec<String> {
    let host = host();
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let words = line.split_whitespace().map(|word| masked(word, &host, live, exact));
        let words = words.collect::<Vec<_>>().join(" ").replace("process NUMBER", "process N");
        if !(live && lines.last() == Some(&words)) {
            lines.push(words);
        }
    }
    lines
}

fn masked(word: &str, host: &str, live: bool, exact: bool) -> String {
    let core = word.trim_matches(|c: char| "(),;:".contains(c));
    let put = |placeholder: &str| word.replacen(core, placeholder, 1);
    if core.is_empty() {
        return word.to_owned();
    }
    if core == host || core == "vm" {
        return put("HOST");
    }
    if core.split_once('@').is_some_and(|(user, at)| !user.is_empty() && (at == host || at == "vm")) {
        return put("OPERATOR");
    }
    if core.starts_with('/') {
        return put("PATH");
    }
    if exact {
        return word.to_owned();
    }
    let digits = core.chars().filter(char::is_ascii_digit).count();
    let hex = core.rsplit('-').next().filter(|_| core.matches('-').count() >= 2);
    if hex.is_some_and(|hex| hex.len() == 8 && hex.chars().all(|c| c.is_ascii_hexdigit())) {
        return put("ID");
    }
    if core.ends_with(['s', 'm', 'h', 'd']) && digits > 0 && core.starts_with(|c: char| c.is_ascii_digit()) {
        return put("TIME");
    }
    if digits >= 6 && core.contains(['-', ':']) {
        return put("TIME");
    }
    if core.parse::<u64>().is_ok() && (digits >= 2 || live) {
        return put("NUMBER"); // A revision, a process.
    }
    if !live {
        return word.to_owned();
    }
    if core.starts_with('[') && core.ends_with(']') {
        return put("BAR");
    }
    if core.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '/') {
        return put("NUMBER");
    }
    if core == "task" { put("tasks") } else { word.to_owned() }
}

enum Part<'a> {
    Prose(&'a str),
    Block(Block),
}

/// From the heading to the next one of its level.
fn section(text: &str, heading: &str) -> (usize, usize) {
    let start = text.find(heading).expect("the section");
    let end = text[start + 3..].find("\n## ").expect("another section") + start + 3;
    (start, end)
}

/// How many blocks of each kind there are. A directive that belongs to no transcript is an error.
fn counts(section: &str, parts: &[Part<'_>]) -> Counts {
    let mut counts = Counts::default();
    let mut directed = 0;
    for part in parts {
        let Part::Block(block) = part else { continue };
        block.directives.iter().for_each(|directive| check_directive(directive));
        directed += usize::from(!block.directives.is_empty());
        if block.is("never") {
            counts.never += 1;
        } else {
            counts.replayed += 1;
        }
    }
    assert_eq!(section.matches("<!-- replay").count(), directed, "each directive stands before a transcript");
    let fences = section.lines().filter(|line| line.trim_start().starts_with("```"));
    counts.other = fences.step_by(2).filter(|line| *line != "```console").count();
    counts
}

/// The section in its parts: prose (with the directives), and blocks.
fn parts(section: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = section;
    while let Some(at) = rest.find("```console\n") {
        let (prose, block) = rest.split_at(at);
        let body = &block["```console\n".len()..];
        let close = body.find("```\n").expect("the block ends");
        let directive =
            prose.trim_end().rsplit('\n').next().and_then(|line| line.strip_prefix("<!-- replay: "));
        let directives = directive.and_then(|line| line.strip_suffix(" -->")).unwrap_or_default();
        let directives = directives.split("; ").filter(|one| !one.is_empty()).map(str::to_owned).collect();
        parts.push(Part::Prose(prose));
        parts.push(Part::Block(Block { directives, steps: steps(&body[..close]) }));
        rest = &body[close + "```\n".len()..];
    }
    parts.push(Part::Prose(rest));
    parts
}

fn steps(body: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in body.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                steps.push(Step { command: Some(command.to_owned()), transcript: Vec::new() });
            }
            (None, Some(step)) => step.transcript.push(line.to_owned()),
            (None, None) => steps.push(Step { command: None, transcript: vec![line.to_owned()] }),
        }
    }
    steps
}

fn render(block: &Block) -> String {
    let mut text = "```console\n".to_owned();
    for step in &block.steps {
        if let Some(command) = &step.command {
            writeln!(text, "$ {command}").unwrap();
        }
        for line in &step.transcript {
            writeln!(text, "{line}").unwrap();
        }
    }
    text + "```\n"
}
