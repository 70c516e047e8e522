//! Files with secrets: bounded, never waited for, and a warning where others can read along. Names that would
//! lead elsewhere.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use nix::{
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};
use planlease_core::keys::PlanKey;
use planlease_tests::{
    TestEnv, case,
    test_env::{path_text, plan_name},
    wait::SOON,
};

const TTL: Duration = Duration::from_secs(15);
const TOKEN: &str = "a-token-that-is-long-enough";

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[case]
async fn a_secret_that_is_no_file_is_refused_at_once(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let (pipe, long) = (env.path("pipe"), env.path("long"));
    mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    fs::write(&long, vec![b'x'; 2 << 20]).unwrap();
    for (secret, why) in [
        (path_text(&pipe), "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("/dev/tty", "not a regular file"),
        (path_text(&long), "more than 1 MiB"),
    ] {
        for (n, args) in [
            vec!["sidecar", "--listen", "127.0.0.1:0", "--token-file", secret],
            vec!["sidecar", "probe", "live", "--listen", "127.0.0.1:1", "--token-file", secret],
            vec!["plan", "list", "--user", "root", "--password-file", secret],
            vec!["plan", "list", "--cacert", secret],
            vec!["plan", "list", "--cert", secret, "--key", secret],
            vec!["hooks", "--on-event", "h=http://127.0.0.1:1/", "--secret-file", secret],
        ]
        .into_iter()
        .enumerate()
        {
            let mut process = env.start(&args, &format!("refused{n}-{why}"));
            let ended = process.until_ended(SOON).await;
            assert!(ended.is_some_and(|code| code != 0), "{args:?}: {ended:?}, {}", process.said());
            assert!(process.said().contains(why), "{args:?}: {}", process.said());
        }
    }
    for (config, why) in [(path_text(&pipe), "a pipe"), ("/dev/zero", "more than 1 MiB")] {
        let mut process = env.start(&["plan", "list", "--config", config], why);
        assert_eq!(process.until_ended(SOON).await, Some(4), "{}", process.said());
        assert!(process.said().contains(why), "{}", process.said());
    }
    env.program().run_to(0, ["plan", "list", "--config", "/dev/null"]).await;
    let refused = env.program().run_to(4, ["context", "use", "local", "--config", path_text(&pipe)]).await;
    assert!(refused.stderr.contains("a pipe"), "{}", refused.stderr);

    // A file that becomes a pipe under a sidecar.
    let token = env.path("token");
    fs::write(&token, TOKEN).unwrap();
    let args = ["sidecar", "--listen", "127.0.0.1:0", "--token-file", path_text(&token)];
    let mut sidecar = env.start(&args, "sidecar");
    sidecar.until_said("serving on", SOON).await;
    fs::remove_file(&token).unwrap();
    mkfifo(&token, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    sidecar.until_said("not a regular file; the tokens before stay", SOON).await;
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.until_ended(SOON).await, Some(0), "{}", sidecar.said());
}

#[case]
async fn secrets_that_others_can_read_are_warned_of(env: TestEnv) {
    let env = env.with_ttl(TTL);
    let secret = env.path("secret");
    fs::write(&secret, TOKEN).unwrap();
    let with = |endpoint: &'static str| {
        let user = ["plan", "list", "--user", "me", "--password-file", path_text(&secret)];
        let args = [&user[..], &["--endpoints", endpoint, "--timeout", "1s"]].concat();
        env.program().run(args)
    };
    for (bits, warned) in [(0o644, true), (0o604, true), (0o640, false), (0o600, false)] {
        mode(&secret, bits);
        let said = with("http://127.0.0.1:1").await.stderr;
        assert_eq!(said.matches("every user of this host can read").count(), usize::from(warned), "{said}");
        assert_eq!(said.matches("password of user me is sent without encryption").count(), 1, "{said}");
        assert!(!said.contains(TOKEN));
    }
    assert!(!with("https://127.0.0.1:1").await.stderr.contains("without encryption"));
    mode(&secret, 0o644);
    let hook = ["hooks", "--on-event", "h=http://127.0.0.1:1/", "--secret-file", path_text(&secret)];
    let mut hooks = env.start(&hook, "hooks");
    let said = hooks.until_said("running, from revision", SOON).await;
    assert!(said.contains("every user of this host can read"), "{said}");
    hooks.signal(Signal::SIGTERM);
    assert_eq!(hooks.until_ended(SOON).await, Some(0), "{}", hooks.said());
    let args = ["sidecar", "--listen", "127.0.0.1:0", "--token-file", path_text(&secret)];
    let mut sidecar = env.start(&args, "sidecar");
    let said = sidecar.until_said("serving on", SOON).await;
    assert!(said.contains("every user of this host can read"), "{said}");
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.until_ended(SOON).await, Some(0), "{}", sidecar.said());
}

/// Clients of HTTP and people with paths would mean another one.
#[case]
async fn names_of_folders_name_nothing_new(env: TestEnv) {
    let mut client = env.client.clone();
    let env = env.with_ttl(TTL);
    let (file, task) = (env.path("plan.toml"), env.path("task.toml"));
    fs::write(&file, "title = \"x\"\n[[task]]\nid = \"1\"\ndescription = \"x\"\n").unwrap();
    fs::write(&task, "title = \"x\"\n[[task]]\nid = \"..\"\ndescription = \"x\"\n").unwrap();
    let file = path_text(&file);
    let program = env.program();
    for name in [".", ".."] {
        for more in [&[][..], &["--dry-run"]] {
            let refused =
                program.run_to(110, [&["plan", "import", file, "--plan", name], more].concat()).await;
            assert!(refused.stderr.contains("stands for a folder"), "{}", refused.stderr);
        }
    }
    program.run_to(110, ["plan", "import", path_text(&task)]).await;
    let coordinator = env.coordinator().await;
    assert!(coordinator.plans().await.unwrap().is_empty());

    // What was called so by an older version stays, and can be deleted.
    program.run_to(0, ["plan", "import", file, "--plan", "old"]).await;
    let key = coordinator.layout().of(&plan_name("old"), &PlanKey::Spec);
    let prefix = String::from_utf8(key).unwrap().strip_suffix("spec").unwrap().to_owned();
    let options = etcd_client::GetOptions::new().with_prefix();
    let found = client.get(prefix, Some(options)).await.unwrap();
    for pair in found.kvs() {
        let key = pair.key_str().unwrap().replacen("/old/", "/../", 1);
        client.put(key, pair.value(), None).await.unwrap();
    }
    assert!(program.run_to(0, ["plan", "list"]).await.stdout.contains(".."));
    program.run_to(0, ["plan", "show", ".."]).await;
    program.run_to(0, ["run", "..", "--exec", "true"]).await;
    program.run_to(0, ["plan", "delete", "..", "--yes"]).await;
    assert_eq!(coordinator.plans().await.unwrap().len(), 1);
}
