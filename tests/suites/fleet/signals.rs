//! Signals and terminals: which end a process in order, which stay ignored, and what a command can do at a
//! terminal.

use std::{os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use nix::sys::signal::Signal;
use planlease_core::record::Ending;
use planlease_tests::{
    TestEnv, case,
    program::Process,
    test_env::plan_name,
    wait::{SOON, until},
};

use crate::spec::spec;

const TTL: Duration = Duration::from_secs(15);

/// Says when it has begun, and counts how often it is asked to end.
const COUNTS: &str =
    r#"trap 'echo asked >> "$TEST_DIR/asked"' TERM; touch "$TEST_DIR/begun"; while :; do sleep 0.1; done"#;

async fn begun(env: &TestEnv) {
    until("begin of a command", SOON, async || if env.path("begun").exists() { Ok(()) } else { Err(()) })
        .await;
}

#[case]
async fn every_signal_that_ends_a_process_releases_the_plan(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let signals = [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGXCPU,
        Signal::SIGVTALRM,
        Signal::SIGPROF,
        Signal::SIGIO,
        Signal::SIGPWR,
        Signal::SIGSTKFLT,
    ];
    for signal in signals {
        let name = signal.as_str().to_lowercase();
        coordinator
            .admin()
            .import(&plan_name(&name), &spec(1, r#"touch "$TEST_DIR/begun"; sleep 1000"#), |_| {})
            .await
            .unwrap();
        let work = r#"touch "$TEST_DIR/begun"; sleep 1000"#;
        let mut hold = env.start(&["hold", &name, "--", "sh", "-c", work], &format!("hold-{name}"));
        begun(&env).await;
        hold.signal(signal);
        assert_eq!(hold.until_ended(SOON).await, Some(143), "{name}: {}", hold.said());
        std::fs::remove_file(env.path("begun")).unwrap();
        let mut run = env.start(&["run", &name], &format!("run-{name}"));
        begun(&env).await;
        run.signal(signal);
        run.until_said("again to stop", SOON).await;
        run.signal(signal);
        assert_eq!(run.until_ended(SOON).await, Some(11), "{name}: {}", run.said());
        std::fs::remove_file(env.path("begun")).unwrap();
        let terms = coordinator.history(&plan_name(&name)).terms().await.unwrap();
        let ended: Vec<_> = terms.into_iter().filter_map(|term| term.ended.map(|end| end.how)).collect();
        assert_eq!(ended, [Ending::Clean, Ending::Clean], "{name}");
    }
    env.until_empty().await;
    env.audit().await;
}

/// The write fails then, with an error of its own; the command has the signal as usual.
#[case]
async fn the_limit_of_a_files_size_ends_no_owner(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan_name("large"), &spec(1, "true"), |_| {}).await.unwrap();
    // By the shell itself: it blocks every signal for the moment in which it starts another program.
    let work = r#"while read -r name mask; do
            case $name in SigIgn:|SigCgt:|SigBlk:) echo "$name $mask";; esac
        done < /proc/$$/status > "$TEST_DIR/masks"
        touch "$TEST_DIR/begun"; while [ ! -e "$TEST_DIR/go" ]; do sleep 0.1; done"#;
    let mut hold = env.start(&["hold", "large", "--", "sh", "-c", work], "hold");
    begun(&env).await;
    hold.signal(Signal::SIGXFSZ);
    // An owner that the signal ends does not see the end of its command.
    std::fs::write(env.path("go"), "").unwrap();
    assert_eq!(hold.until_ended(SOON).await, Some(0), "{}", hold.said());
    for line in env.text("masks").lines() {
        let mask = line.split_whitespace().last().unwrap();
        let mask = u64::from_str_radix(mask, 16).unwrap();
        assert_eq!(mask >> 24 & 1, 0, "SIGXFSZ: {line}");
    }
    env.until_empty().await;
    env.audit().await;
}

/// As under `nohup`, or in the background of a script.
#[case]
async fn a_signal_that_was_ignored_at_the_start_stays_ignored(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan_name("ignores"), &spec(1, "true"), |_| {}).await.unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap '' INT HUP; exec "$PROGRAM" hold ignores --grace 1000s -- sh -c "$WORK""#]);
    shell.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH")).envs(env.variables());
    shell.env("WORK", COUNTS).current_dir(env.folder());
    let mut hold = Process::start(shell, &env.path("hold"));
    begun(&env).await;
    hold.signal(Signal::SIGINT);
    hold.signal(Signal::SIGHUP);
    // The first one that is taken asks. Had one before it been taken, this one would kill.
    hold.signal(Signal::SIGTERM);
    until("the command was asked", SOON, async || if env.path("asked").exists() { Ok(()) } else { Err(()) })
        .await;
    // As if the terminal had gone: the command ignores it, too.
    let command = planlease_tests::program::with_variable("WORK", COUNTS);
    assert!(command.len() > 1, "{command:?}");
    for pid in &command {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mask =
            status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or("3").trim().to_owned();
        let mask = u64::from_str_radix(&mask, 16).unwrap();
        assert_eq!(mask & 0b11, 0b11, "process {pid} takes SIGHUP or SIGINT: {status}");
    }
    assert!(hold.ended().is_none(), "{}", hold.said());
    assert_eq!(env.text("asked").lines().count(), 1);
    hold.signal(Signal::SIGTERM);
    assert_eq!(hold.until_ended(SOON).await, Some(137), "{}", hold.said());
    env.until_empty().await;
    env.audit().await;
}

/// Its input is not the terminal; `ssh` and `sudo` ask there all the same.
#[case]
async fn a_command_of_hold_can_use_the_terminal(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    coordinator.admin().import(&plan_name("tty"), &spec(1, "true"), |_| {}).await.unwrap();
    let ask = env.path("ask");
    let text = "#!/bin/sh\ntouch \"$TEST_DIR/begun\"\nread -r answer < /dev/tty\necho \"$answer\" > \"$TEST_DIR/answer\"\n";
    std::fs::write(&ask, text).unwrap();
    std::fs::set_permissions(&ask, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut script = Command::new("script");
    script.args(["-qec", r#""$PROGRAM" hold tty -- ./ask < /dev/null"#, "/dev/null"]);
    script.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH")).envs(env.variables());
    script.env("SHELL", "/bin/sh").current_dir(env.folder());
    let mut terminal = Process::start(script, &env.path("terminal"));
    begun(&env).await;
    terminal.say("open sesame");
    assert_eq!(terminal.until_ended(SOON).await, Some(0), "{}", terminal.said());
    assert_eq!(env.text("answer").trim(), "open sesame");
    env.until_empty().await;
    env.audit().await;
}

#[case]
async fn a_task_has_no_terminal_to_stop_at(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let coordinator = env.coordinator().await;
    let script = r#"read -r pid comm state ppid pgrp session tty rest < /proc/$$/stat
        echo "$([ "$session" = $$ ] && echo leads) $tty" > "$TEST_DIR/session""#;
    coordinator.admin().import(&plan_name("session"), &spec(1, script), |_| {}).await.unwrap();
    env.program().run_to(0, ["run", "session"]).await;
    assert_eq!(env.text("session").trim(), "leads 0");
    env.audit().await;
}

#[case]
async fn unexecutable_and_missing_commands_are_distinguished(env: TestEnv) {
    let env = env.with_ttl(TTL);
    env.coordinator().await.admin().import(&plan_name("codes"), &spec(1, "true"), |_| {}).await.unwrap();
    std::fs::write(env.path("text"), "no program").unwrap();
    for (code, program) in [(126, "./text"), (126, "/"), (127, "./nothing"), (127, "no-such-program")] {
        let ended = env.program().run_to(code, ["hold", "codes", "--", program]).await;
        assert!(ended.stderr.contains("cannot run"), "{}", ended.stderr);
        env.program().run_to(code, ["lock", "codes", "git", "--", program]).await;
    }
    env.audit().await;
}
