//! Debian packages without root: an apt configuration of our own, `apt-get download`, `dpkg -x`.
//!
//! Nothing is installed and nothing outside the given folder is written. The mirror and its key are those of
//! the machine's own apt sources; only the suite is ours to choose. Proxies and credentials of the machine's
//! apt configuration stay in force, since its files are read before ours.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::run::{Failure, Result, output, step};

/// A Debian mirror as the machine's own sources name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    uri: String,
    signed_by: Option<String>,
}

/// The first Debian mirror in the machine's apt sources.
pub(crate) fn mirror() -> Result<Mirror> {
    let mut files = vec![Path::new("/etc/apt/sources.list").to_path_buf()];
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    files.extend(parts.map(|entry| entry.path()));
    files.sort();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let found = match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => from_one_line(&text),
            Some("sources") => from_deb822(&text),
            _ => None,
        };
        if let Some(mirror) = found {
            return Ok(mirror);
        }
    }
    Err(Failure::because("no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d"))
}

/// A mirror carries Debian's main archive if its path ends in `/debian`: `debian-security` has no etcd.
fn is_debian(uri: &str) -> bool {
    (uri.starts_with("http://") || uri.starts_with("https://") || uri.starts_with("file:"))
        && uri.trim_end_matches('/').ends_with("/debian")
}

/// `deb [signed-by=KEY arch=amd64] URI suite component...`, one to a line.
fn from_one_line(text: &str) -> Option<Mirror> {
    for line in text.lines() {
        let Some(rest) = line.trim().strip_prefix("deb ") else { continue };
        let rest = rest.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(inside) => inside.split_once(']')?,
            None => ("", rest),
        };
        let Some(uri) = rest.split_whitespace().next() else { continue };
        if is_debian(uri) {
            let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
            return Some(Mirror { uri: uri.to_owned(), signed_by: signed_by.map(str::to_owned) });
        }
    }
    None
}

/// Stanzas of `Field: value`, with an empty line between them; a value may go on in indented lines.
fn from_deb822(text: &str) -> Option<Mirror> {
    let text = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let mut lines = stanza.lines().skip_while(|line| {
                line.split_once(':').is_none_or(|(field, _)| !field.trim().eq_ignore_ascii_case(name))
            });
            let first = lines.next()?.split_once(':')?.1.trim();
            let more = lines.take_while(|line| line.starts_with([' ', '\t'])).map(str::trim);
            Some(std::iter::once(first).chain(more).collect::<Vec<_>>().join(" "))
        };
        let enabled = !field("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no"));
        let binary = field("Types").is_some_and(|types| types.split_whitespace().any(|kind| kind == "deb"));
        let uris = field("URIs").unwrap_or_default();
        let Some(uri) = uris.split_whitespace().find(|uri| is_debian(uri)) else { continue };
        if enabled && binary {
            // A key may also stand in the field itself; such a source is trusted through the machine's
            // keyring.
            let signed_by = field("Signed-By").filter(|key| key.starts_with('/') && !key.contains(' '));
            return Some(Mirror { uri: uri.to_owned(), signed_by });
        }
    }
    None
}

/// The pauses between attempts to download: a mirror that is being updated is whole again soon.
const PAUSES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(20)];

/// Downloads the packages of a suite and unpacks them into `into`, which must not exist yet. Makes three
/// attempts.
///
/// `work` holds apt's lists and the packages; it is emptied first. `into` appears at the end, complete, by a
/// rename: an interrupted run leaves nothing that looks finished.
pub(crate) fn unpack(mirror: &Mirror, suite: &str, packages: &[&str], work: &Path, into: &Path) -> Result {
    for pause in PAUSES {
        let Err(failure) = attempt(mirror, suite, packages, work, into) else { return Ok(()) };
        let why = failure.message().unwrap_or_default();
        step(format_args!("{suite}: {why}\ntrying again in {} s", pause.as_secs()));
        #[expect(clippy::disallowed_methods, reason = "xtask has nothing else to do meanwhile")]
        std::thread::sleep(pause);
    }
    attempt(mirror, suite, packages, work, into)
}

fn attempt(mirror: &Mirror, suite: &str, packages: &[&str], work: &Path, into: &Path) -> Result {
    let io = |error: std::io::Error| Failure::because(format_args!("{}: {error}", work.display()));
    if work.exists() {
        fs::remove_dir_all(work).map_err(io)?;
    }
    for folder in ["lists/partial", "archives/partial", "packages", "unpacked"] {
        fs::create_dir_all(work.join(folder)).map_err(io)?;
    }
    fs::write(work.join("sources.list"), source_line(mirror, suite)).map_err(io)?;
    let config = work.join("apt.conf");
    fs::write(&config, configuration(work)).map_err(io)?;
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-c").arg(&config).args(arguments).current_dir(work.join("packages"));
        output(&mut command)
    };
    // A list that was not read is a failure here: without it, apt finds no package later, and does not say
    // why.
    apt_get(&["-q", "-o", "APT::Update::Error-Mode=any", "update"])?;
    let mut download = vec!["-q", "download"];
    download.extend(packages);
    apt_get(&download)?;
    for entry in fs::read_dir(work.join("packages")).map_err(io)? {
        let package = entry.map_err(io)?.path();
        output(Command::new("dpkg").arg("-x").arg(package).arg(work.join("unpacked")))?;
    }
    fs::rename(work.join("unpacked"), into).map_err(io)?;
    fs::remove_dir_all(work).map_err(io)
}

fn source_line(mirror: &Mirror, suite: &str) -> String {
    let Mirror { uri, signed_by } = mirror;
    match signed_by {
        Some(key) => format!("deb [signed-by={key}] {uri} {suite} main\n"),
        None => format!("deb {uri} {suite} main\n"),
    }
}

/// Everything that apt would write elsewhere goes into `work`. The machine's hooks are cleared: they are
/// meant for a real update, and some need root.
fn configuration(work: &Path) -> String {
    let work = work.display();
    format!(
        "Dir::Etc::sourcelist \"{work}/sources.list\";
Dir::Etc::sourceparts \"-\";
Dir::Etc::preferences \"/dev/null\";
Dir::Etc::preferencesparts \"/dev/null\";
Dir::State::lists \"{work}/lists\";
Dir::State::status \"/var/lib/dpkg/status\";
Dir::Cache \"{work}\";
Dir::Cache::archives \"archives\";
APT::Sandbox::User \"root\";
APT::Default-Release \"\";
Acquire::Languages \"none\";
Acquire::Retries \"3\";
Acquire::http::Timeout \"30\";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_line_source_gives_its_mirror_and_key() {
        let text = "# deb http://commented.example/debian x main\n\
                    deb http://elsewhere.example/security stable main\n\
                    deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian/ bookworm main\n";
        let mirror = from_one_line(text).unwrap();
        assert_eq!(mirror.uri, "http://mirror.example/debian/");
        assert_eq!(
            source_line(&mirror, "forky"),
            "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian/ forky main\n"
        );
    }

    #[test]
    fn a_deb822_source_gives_its_mirror_and_key() {
        let text = "Types: deb\n# a comment\nURIs: http://mirror.example/debian-security\nSuites: s\n\n\
                    Types: deb deb-src\nURIs: http://other.example/x\n http://mirror.example/debian\nSuites: a b\n\
                    Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n";
        let mirror = from_deb822(text).unwrap();
        assert_eq!(mirror.uri, "http://mirror.example/debian");
        assert_eq!(mirror.signed_by.as_deref(), Some("/usr/share/keyrings/k.gpg"));
    }

    #[test]
    fn what_is_disabled_or_not_debian_is_passed_over() {
        assert_eq!(
            from_deb822("Types: deb\nEnabled: no\nURIs: http://mirror.example/debian\nSuites: s\n"),
            None
        );
        assert_eq!(from_deb822("Types: deb-src\nURIs: http://mirror.example/debian\n"), None);
        assert_eq!(from_deb822("Types: deb\nURIs: http://deb.example/node_20.x\nSuites: s\n"), None);
        assert_eq!(from_one_line("deb https://packages.example/apt tool main\n"), None);
    }

    #[test]
    fn a_key_inside_the_source_is_left_to_the_machines_keyring() {
        let text = "Types: deb\nURIs: http://m.example/debian\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n";
        assert_eq!(from_deb822(text).unwrap().signed_by, None);
    }
}
