//! What others wrote cannot drive the terminal: every command is run on a store, on files and on a
//! configuration whose texts are all hostile, and what it prints for people is looked through. The commands
//! are read from the program's own help, so a new one has to be added here.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use planlease_tests::{
    TestEnv, case,
    program::{Ended, Program},
    test_env::{path_text, plan_name},
};
use serde_json::{Value, json};

const TTL: Duration = Duration::from_secs(15);

/// A new title of the terminal, a colour that is none of ours, C1 controls, and texts that run backwards.
const HOSTILE: &str = "a\u{1b}]0;title\u{7}\u{1b}[35mb\u{9b}2J\u{9d}c\u{202e}d\u{2067}\u{200f}e\u{8}\rf";

/// The same as far as it may be in a name.
const NAME: &str = "a\u{202e}d\u{2067}\u{200f}e";

/// The escapes of our own colours.
const OURS: [&str; 7] =
    ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[36m"];

/// What of a text could drive a terminal, or mislead people.
fn drives(text: &str) -> Option<char> {
    let bare = OURS.iter().fold(text.to_owned(), |text, ours| text.replace(ours, ""));
    bare.chars().find(|c| {
        (c.is_control() && !"\n\t".contains(*c))
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

/// The commands that do something, by the program's own help.
async fn leaves(program: &Program, above: &[String], found: &mut BTreeSet<String>) {
    let mut args = above.to_vec();
    args.push("--help".to_owned());
    let help = program.run_to(0, &args).await.stdout;
    let usage = help.lines().find(|line| line.starts_with("Usage:")).unwrap_or_default();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| line.starts_with(' ') || line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<String> = names
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .filter(|name| name != "help")
        .collect();
    if names.is_empty() || !usage.ends_with("<COMMAND>") {
        found.insert(above.join(" "));
    }
    for name in names {
        let below = [above, &[name]].concat();
        Box::pin(leaves(program, &below, found)).await;
    }
}

/// A folder with a hostile name, and in it files with hostile names and texts.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new(env: &TestEnv) -> Self {
        let folder = env.path(HOSTILE);
        std::fs::create_dir_all(folder.join("outputs/findings")).unwrap();
        let files = Self { folder };
        files.put("good.toml", &plan());
        files.put("other.toml", &plan().replace("first", "another"));
        files.put("unknown.toml", &format!("title = \"x\"\n{} = 1\n", quoted(HOSTILE)));
        files.put("broken.toml", &format!("title = {HOSTILE}"));
        files.put(
            "bad.md",
            &format!(
                "# Plan: {HOSTILE}\n\n## Phase 1: {HOSTILE}\n\n- [x] 1.1 {HOSTILE}\n- [~] 1.2 {HOSTILE} (depends: {HOSTILE})\n"
            ),
        );
        files.put("outputs/status.json", &state("2026-01-01T00:00:00Z").to_string());
        files.put(&format!("outputs/findings/{HOSTILE}.md"), HOSTILE);
        files.put("bad.json", &state(HOSTILE).to_string());
        files.put(
            "config.toml",
            &format!(
                "current = {name}\n[contexts.{name}]\nendpoints = \"127.0.0.1:1\"\nnamespace = \"n\"\nuser = {name}\n",
                name = quoted(HOSTILE)
            ),
        );
        files.put("bad-config.toml", &format!("{} = 1\n", quoted(HOSTILE)));
        files
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    fn at(&self, name: &str) -> String {
        path_text(&self.folder.join(name)).to_owned()
    }
}

/// A text in quotes, as JSON and TOML write it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{9b}', "\\u009b").replace('\u{9d}', "\\u009d")
}

/// A plan whose texts are all hostile. The first task fails, the second one says much, the third one cannot
/// start, the fourth one waits.
fn plan() -> String {
    let hostile = quoted(HOSTILE);
    let fails = quoted(r#"printf '%s\n' "$HOSTILE"; printf '%s' "$HOSTILE" >&2; exit 1"#);
    let says = quoted(
        r#"printf '%s' "$HOSTILE"; "$PROGRAM" task progress release 2 "$HOSTILE" && "$PROGRAM" findings write release 2 --content "$HOSTILE" --ref "$HOSTILE""#,
    );
    format!(
        r#"
        title = {hostile}
        [[phase]]
        number = "1"
        name = {hostile}
        verification = [{hostile}]
        [[sequential]]
        tasks = ["4", "5"]
        reason = {hostile}
        [[task]]
        id = "1"
        phase = "1"
        description = {hostile}
        steps = ["first", {hostile}]
        labels = [{hostile}]
        command = ["sh", "-c", {fails}, {hostile}]
        [[task]]
        id = "2"
        description = {hostile}
        command = ["sh", "-c", {says}]
        [[task]]
        id = {name}
        description = {hostile}
        depends_on = ["2"]
        command = [{hostile}]
        [[task]]
        id = "4"
        description = {hostile}
        [[task]]
        id = "5"
        description = {hostile}
        "#,
        name = quoted(NAME),
    )
}

fn state(created: &str) -> Value {
    json!({
        "_comment": HOSTILE, "planPath": HOSTILE, "planName": HOSTILE, "createdAt": created,
        "lastUpdatedAt": "2026-01-01T00:00:00Z", "currentPhase": HOSTILE,
        "tasks": [
            {"id": "0.1", "phase": HOSTILE, "description": HOSTILE, "status": "failed", "error": HOSTILE,
             "startedAt": "2026-01-01T00:00:00Z", "completedAt": "2026-01-01T00:00:00Z"},
            {"id": "0.2", "phase": HOSTILE, "description": HOSTILE, "status": "pending", "dependencies": ["0.1"]},
        ],
        HOSTILE: HOSTILE,
    })
}

#[case]
async fn stored_text_does_not_drive_the_terminal(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let program = env.program().clone().variable("HOSTILE", HOSTILE);
    let files = Files::new(&env);
    let mut leaves_found = BTreeSet::new();
    leaves(&program, &[], &mut leaves_found).await;

    let good = files.at("good.toml");
    looked_through(&program, &["plan", "import", &good, "--plan", "release"]).await;
    looked_through(&program, &["plan", "import", &good, "--plan", NAME]).await;
    let from = env.coordinator().await.plan(&plan_name("release")).await.unwrap().revision().to_string();
    // What a program of others writes through the library.
    looked_through(&program, &["run", "release", "--id", NAME, "--label", &format!("x={HOSTILE}")]).await;
    let session = env.session(&format!("{NAME}2")).await;
    let owner = planlease_tests::test_env::acquired(&session, &plan_name(NAME)).await;
    looked_through(&program, &["task", "start", NAME, "4"]).await;
    let repository = env.path("repository");
    git(&repository);

    let table = commands(&files, &repository, &from);
    let known: BTreeSet<String> = table.iter().map(|(command, _)| (*command).to_owned()).collect();
    assert_eq!(known, leaves_found, "each command is to be tried here");
    for (command, calls) in &table {
        for call in calls {
            let mut args: Vec<&str> = command.split(' ').collect();
            args.extend(call.iter().map(String::as_str));
            looked_through(&program, &args).await;
        }
    }
    // The command line and the configuration themselves.
    for args in [
        vec![HOSTILE],
        vec!["plan", HOSTILE],
        vec!["plan", "list", HOSTILE],
        vec!["plan", "list", &format!("--{HOSTILE}")],
        vec!["run", "release", "--jobs", HOSTILE],
        vec!["run", "release", "--exec", &format!("'{HOSTILE}")],
        vec!["run", "release", "--dir", HOSTILE],
        vec!["run", "release", "--label", HOSTILE],
        vec!["plan", "list", "--endpoints", HOSTILE],
        vec!["plan", "list", "--endpoints", &format!("http://{HOSTILE}:1")],
        vec!["plan", "list", "--namespace", HOSTILE],
        vec!["plan", "list", "--timeout", HOSTILE],
        vec!["plan", "list", "--cacert", HOSTILE],
        vec!["plan", "list", "--context", HOSTILE],
        vec!["plan", "list", "--config", &files.at("bad-config.toml")],
        vec!["plan", "list", "--config", HOSTILE],
        vec!["status", "-vv"],
    ] {
        looked_through(&program, &args).await;
    }
    looked_through(&program.clone().variable("PLANLEASE_JOBS", HOSTILE), &["run", "release"]).await;
    looked_through(&program.clone().variable("PLANLEASE_LOG", HOSTILE), &["status"]).await;
    looked_through(
        &program.clone().variable("PLANLEASE_OWNERSHIP", HOSTILE),
        &["task", "start", "release", "4"],
    )
    .await;
    drop(owner); // It was ended by force.
    session.close().await.unwrap();
}

/// A command, and its calls.
type Calls<'a> = (&'a str, Vec<Vec<String>>);

const REASON: [&str; 2] = ["--reason", HOSTILE];

/// What to try of each command. Their order matters: it ends with plans that are closed and deleted.
fn commands<'a>(files: &Files, repository: &Path, from: &str) -> Vec<Calls<'a>> {
    let parts = [
        on_definitions_and_worktrees(files, repository),
        on_plans_that_run(),
        on_files_and_fences(files),
        on_settings_and_ends(files, from),
    ];
    parts.into_iter().flatten().collect()
}

fn each<'a>(command: &'a str, calls: &[&[&str]]) -> Calls<'a> {
    let own = |args: &&[&str]| args.iter().map(|arg| (*arg).to_owned()).collect();
    (command, calls.iter().map(own).collect())
}

/// Plan files and worktrees.
fn on_definitions_and_worktrees<'a>(files: &Files, repository: &Path) -> Vec<Calls<'a>> {
    let at = |name: &str| files.at(name);
    let (repository, tree) = (path_text(repository), at("tree"));
    vec![
        each(
            "plan import",
            &[
                &[&at("unknown.toml")],
                &[&at("broken.toml")],
                &[&at("bad.md")],
                &[&at(HOSTILE)],
                &[&at("good.toml"), "--plan", HOSTILE],
                &[&at("other.toml"), "--plan", "release"],
            ],
        ),
        each(
            "plan check",
            &[&[&at("good.toml")], &[&at("bad.md")], &[&at("unknown.toml")], &[&at("broken.toml")]],
        ),
        each("plan list", &[&[]]),
        each("plan show", &[&["release"], &[NAME]]),
        each(
            "plan diff",
            &[&[&at("other.toml"), "--plan", "release"], &[&at("bad.md"), "--plan", "release"]],
        ),
        each("plan update", &[&[&at("other.toml"), "--plan", "release", "--dry-run"]]),
        each(
            "worktree add",
            &[&[&tree, "--repository", repository, "--name", NAME], &[HOSTILE, "-r", HOSTILE]],
        ),
        each("worktree list", &[&[]]),
        each("worktree show", &[&[NAME], &[HOSTILE]]),
        each("worktree abandoned", &[&[]]),
        each("worktree quarantine", &[&[NAME, "--reason", HOSTILE]]),
        each("worktree clean", &[&[]]),
        each("worktree remove", &[&[NAME], &[HOSTILE]]),
    ]
}

/// Plans while they run.
fn on_plans_that_run<'a>() -> Vec<Calls<'a>> {
    vec![
        each("status", &[&[], &["release"], &[NAME], &[HOSTILE]]),
        each("next", &[&["release"], &[NAME]]),
        each(
            "why",
            &[&["release"], &["release", "1"], &["release", NAME], &["release", HOSTILE], &[NAME, "4"]],
        ),
        each("wait", &[&["release", "--wait", "100ms"], &[NAME, "--for", HOSTILE], &[HOSTILE]]),
        each("prime", &[&["release"], &[NAME], &[HOSTILE]]),
        each("mcp", &[&["--id", HOSTILE]]),
        each("setup", &[&["claude-code", "--print"], &[HOSTILE], &["codex", "--print", "--dir", HOSTILE]]),
        each("console", &[&["--listen", HOSTILE]]),
        each("deps", &[&["release"], &["release", "--format", "dot"], &["release", "--format", "mermaid"]]),
        each("phases", &[&["release"]]),
        each("estimate", &[&["release"]]),
        each("task list", &[&["release"], &[NAME]]),
        each("task show", &[&["release", "1"], &["release", "2"], &["release", NAME]]),
        each("task claim", &[&["release", "--label", HOSTILE]]),
        each("task start", &[&["release", "4"], &["release", HOSTILE]]),
        each("task progress", &[&["release", "4", HOSTILE]]),
        each("task complete", &[&["release", "4", "--notes", HOSTILE]]),
        each("task fail", &[&["release", "5", "--error", HOSTILE]]),
        each("task skip", &[&[&["release", NAME], &REASON[..]].concat()]),
        each("task retry", &[&["release", "1"], &["release", HOSTILE]]),
        each("task cancel", &[&[&["release", "4", "--then", "retry"], &REASON[..]].concat()]),
        each("logs", &[&["release", "1"], &["release", "2"], &["release", HOSTILE]]),
        each("metrics", &[&[]]),
        each("top", &[&[], &[HOSTILE]]),
        each("hooks", &[&["--on-event", HOSTILE], &["--on-event", "x=true", "--event", HOSTILE]]),
        each(
            "findings write",
            &[
                &["release", "4", "--content", HOSTILE, "--ref", HOSTILE],
                &["release", "4", "--file", HOSTILE],
            ],
        ),
        each("findings list", &[&["release"]]),
        // What it prints on standard output is exact where there is no terminal: see the other test.
        each("findings read", &[&["release", HOSTILE], &["release", "5"]]),
        each("owner show", &[&["release"], &[NAME]]),
        each("owner history", &[&["release"], &[NAME]]),
        each("orchestrator cordon", &[&[&[NAME], &REASON[..]].concat()]),
        each("orchestrator list", &[&[]]),
        each("orchestrator drain", &[&[&[NAME, "--deadline", "1s"], &REASON[..]].concat()]),
        each("orchestrator uncordon", &[&[NAME], &[HOSTILE]]),
        each("owner move", &[&["release", "--to", HOSTILE], &[NAME, "--to", NAME]]),
        each("approve", &[&[&["release", "4", HOSTILE], &REASON[..]].concat()]),
        each("reject", &[&[&["release", "4", "--then", "retry"], &REASON[..]].concat()]),
        each("pool set", &[&[NAME, "2", "--description", HOSTILE], &[HOSTILE, "1"]]),
        each("pool list", &[&[]]),
        each("pool show", &[&[NAME], &[HOSTILE]]),
        each("pool delete", &[&[NAME], &[HOSTILE]]),
        each("fleet pause", &[&REASON]),
        each("fleet status", &[&[]]),
        each("fleet resume", &[&[]]),
        each("locks", &[&["release"]]),
        each(
            "lock",
            &[
                &["release", NAME, "--", "true"],
                &["release", NAME, "--", HOSTILE],
                &["release", HOSTILE, "--", "true"],
            ],
        ),
        each(
            "hold",
            &[&["release", "--", "true"], &["release", "--", HOSTILE], &[NAME, "--no-wait", "--", "true"]],
        ),
        each("run", &[&[NAME, "--exec", HOSTILE], &["release"], &["release", "-vv", "-o", "json"]]),
        each("plan pause", &[&[&["release"], &REASON[..]].concat()]),
        each("plan resume", &[&["release"]]),
    ]
}

/// The history, files and fences.
fn on_files_and_fences<'a>(files: &Files) -> Vec<Calls<'a>> {
    let at = |name: &str| files.at(name);
    vec![
        each("audit", &[&[]]),
        each("doctor", &[&[]]),
        each(
            "export",
            &[&["release", "-O", &at("exported.json")], &["release", "-O", &at("no/folder")], &[HOSTILE]],
        ),
        each(
            "mirror",
            &[&["release", &at("mirror.json"), "--once"], &["release", &at("no/folder"), "--once"]],
        ),
        each(
            "import",
            &[
                &[&at("outputs")],
                &[&at("bad.json")],
                &[&at("good.toml")],
                &[&at("outputs"), "--plan", "release"],
            ],
        ),
        each(
            "fence check",
            &[
                &[HOSTILE, "--token", HOSTILE, "--state", &at("fences")],
                &[NAME, "--token", "1.1", "--state", &at("fences")],
            ],
        ),
        each("fence list", &[&["--state", &at("fences")]]),
        each("fence hook", &[&["--plan", HOSTILE]]),
    ]
}

/// Settings and servers; then what ends plans.
fn on_settings_and_ends<'a>(files: &Files, from: &str) -> Vec<Calls<'a>> {
    let at = |name: &str| files.at(name);
    vec![
        each("context list", &[&["--config", &at("config.toml")]]),
        each("context show", &[&["--config", &at("config.toml")], &["--config", &at("bad-config.toml")]]),
        each(
            "context use",
            &[&[HOSTILE, "--config", &at("config.toml")], &["other", "--config", &at("config.toml")]],
        ),
        each(
            "sidecar",
            &[
                &["--socket", &at("no/folder/s")],
                &["--listen", "127.0.0.1:0", "--token-file", &at("good.toml")],
            ],
        ),
        each("sidecar drain", &[&["--socket", &at("none")]]),
        each("sidecar probe", &[&["live", "--socket", &at("none")]]),
        each("sidecar openapi", &[&[]]),
        each("dev", &[&["--data-dir", &at("good.toml"), "--listen", "127.0.0.1:0"], &["--listen", HOSTILE]]),
        each("dev backup", &[&[&at("no/folder")], &[&at(HOSTILE)]]),
        each("dev restore", &[&[&at("good.toml")], &[&at(HOSTILE)]]),
        each("dev status", &[&[]]),
        each("dev stop", &[&[]]),
        each("demo", &[&[HOSTILE]]),
        each("completions", &[&["bash"], &[HOSTILE]]),
        each(
            "owner release",
            &[
                &[&[NAME, "--yes"], &REASON[..]].concat(),
                &["release", "--reason", HOSTILE, "--expect", HOSTILE],
            ],
        ),
        each(
            "plan cancel",
            &[&[&[NAME, "--yes"], &REASON[..]].concat(), &[&["release", "--yes"], &REASON[..]].concat()],
        ),
        each("plan archive", &[&["release"], &[HOSTILE]]),
        // It ends with a plan that is closed.
        each(
            "watch",
            &[
                &["release", "--snapshot", "--until-finished"],
                &["release", "--from-revision", from, "--until-finished"],
                &["--from-revision", HOSTILE],
            ],
        ),
        each("plan delete", &[&[NAME, "--yes"], &[HOSTILE, "--yes"]]),
    ]
}

/// Runs a command without and with colours, and looks through what it says.
async fn looked_through(program: &Program, args: &[&str]) {
    for color in ["never", "always"] {
        let (own, passed) = match args.iter().position(|arg| *arg == "--") {
            Some(at) => args.split_at(at),
            None => (args, &[][..]),
        };
        let ended = program.run([own, &["--color", color], passed].concat()).await;
        for (stream, text) in [("standard output", &ended.stdout), ("standard error", &ended.stderr)] {
            assert_eq!(drives(text), None, "{stream} of {args:?} (--color {color}): {text:?}");
        }
    }
}

fn git(repository: &Path) {
    let run = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@x", "-C"]).arg(repository).args(args);
        assert!(git.output().unwrap().status.success(), "git {args:?}");
    };
    std::fs::create_dir(repository).unwrap();
    run(&["init", "-q"]);
    run(&["commit", "-q", "--allow-empty", "-m", "first"]);
}

#[case]
async fn exact_texts_stay_exact_unless_a_terminal_shows_them(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let program = env.program();
    let file = env.path("plan.toml");
    std::fs::write(&file, plan()).unwrap();
    program.run_to(0, ["plan", "import", path_text(&file), "--plan", "release"]).await;
    program.run_to(0, ["findings", "write", "release", "4", "--content", HOSTILE]).await;
    for args in [
        &["findings", "read", "release", "4"][..],
        &["export", "release"],
        &["plan", "show", "release", "-o", "json"],
    ] {
        let piped = program.run_to(0, args).await;
        let shown = on_terminal(program, args);
        if args[0] == "findings" {
            assert_eq!(piped.stdout, HOSTILE);
        } else {
            let read = |text: &str| {
                let mut value: Value = serde_json::from_str(text).unwrap();
                // The revision is the server's, which other tests change in between.
                value.as_object_mut().unwrap().remove("revision");
                value
            };
            assert!(piped.stdout.contains("title"));
            assert_eq!(read(&piped.stdout), read(&shown), "JSON means the same on a terminal");
            let title = if args[0] == "export" { "planName" } else { "title" };
            assert_eq!(read(&shown)[title], HOSTILE);
        }
        assert_eq!(drives(&shown), None, "{args:?} on a terminal: {shown:?}");
        assert!(shown.contains("title"), "{shown}");
    }
}

/// What a command prints on a terminal, with the terminal's line breaks as plain ones.
fn on_terminal(program: &Program, args: &[&str]) -> String {
    let command = program.command(args);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line.join(" "), "/dev/null"]).stdin(std::process::Stdio::null());
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = script.output().expect("script(1) gives a command a terminal");
    let ended = Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.replace("\r\n", "\n")
}
