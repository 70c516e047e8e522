//! Checks on every text file: nothing unfinished, nothing of the machine on which it was made.

use super::finding::{Finding, line_of};

/// Words that mark work left over. Split in two, so that this file does not find itself.
const UNFINISHED: [&str; 3] = [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X")];

/// Folders that exist on build machines, not on users'.
const MACHINE: [&str; 3] = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

/// Hosts of package registries and mirrors: which one is asked is a matter of the machine's configuration.
const REGISTRIES: [&str; 6] = [
    concat!("deb.deb", "ian.org"),
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("pypi", ".org"),
    concat!("registry.npm", "js.org"),
    concat!("proxy.gol", "ang.org"),
];

/// The one source of crates that `Cargo.lock` may name.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Findings on any text file. `root` is where this checkout lies.
pub(super) fn check(name: &str, text: &str, root: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if name == "Cargo.lock" {
        return lock_file(name, text);
    }
    for (word, offset) in UNFINISHED.iter().flat_map(|word| whole_words(text, word)) {
        if text[offset + word.len()..].starts_with(".md") {
            continue; // The name of a plan file.
        }
        findings.push(Finding::new(
            name,
            line_of(text, offset),
            format!("`{word}` marks unfinished work, which gets lost; do it, or open an issue"),
        ));
    }
    for (place, offset) in MACHINE.iter().flat_map(|place| starts_of_paths(text, place)) {
        findings.push(Finding::new(
            name,
            line_of(text, offset),
            format!("a path below `{place}` exists on one machine only; use a relative path or a setting"),
        ));
    }
    if root.len() > 1
        && let Some(offset) = text.find(root)
    {
        findings.push(Finding::new(
            name,
            line_of(text, offset),
            "names the folder of this checkout, which is elsewhere on other machines; use a relative path",
        ));
    }
    for host in REGISTRIES {
        if let Some(offset) = text.find(host) {
            findings.push(Finding::new(
                name,
                line_of(text, offset),
                format!("names the registry {host}; the machine's own configuration chooses it"),
            ));
        }
    }
    findings
}

/// A lock file made behind a mirror must not carry the mirror along.
fn lock_file(name: &str, text: &str) -> Vec<Finding> {
    let sources = text.lines().enumerate().filter_map(|(index, line)| {
        let source = line.strip_prefix("source = \"")?.strip_suffix('"')?;
        (source != CRATES_IO).then_some((index + 1, source))
    });
    sources
        .map(|(line, source)| {
            Finding::new(name, line, format!("`{source}` is not crates.io; remove it with `cargo update`"))
        })
        .collect()
}

fn whole_words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = (&'a str, usize)> {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    text.match_indices(word).filter_map(move |(offset, _)| {
        let before = offset.checked_sub(1).and_then(|before| text.as_bytes().get(before));
        let after = text.as_bytes().get(offset + word.len());
        (!is_word(before) && !is_word(after)).then_some((word, offset))
    })
}

/// Places where an absolute path begins with `place`: not the middle of a longer path or an address.
fn starts_of_paths<'a>(text: &'a str, place: &'a str) -> impl Iterator<Item = (&'a str, usize)> {
    text.match_indices(place).filter_map(move |(offset, _)| {
        let before = text[..offset].chars().next_back();
        let inside = before.is_some_and(|before| before.is_alphanumeric() || "._-~}$*/>".contains(before));
        (!inside).then_some((place, offset))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        check("docs/a.md", text, "/srv/checkout").iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unfinished_work_is_found_and_longer_words_are_not() {
        assert_eq!(lines(concat!("a\n// TO", "DO: later\nTO", "DOS\nXX", "XX\nb XX", "X c")), [2, 5]);
        assert_eq!(lines(concat!("a plan in TO", "DO.md")), [0; 0]);
    }

    #[test]
    fn paths_of_a_machine_are_found_and_longer_paths_are_not() {
        assert_eq!(
            lines(concat!("see /ro", "ot/x\n./ro", "ot/x\nhttp://a/ro", "ot/\n(/wo", "rk/y)")),
            [1, 4]
        );
        assert_eq!(lines("cd /srv/checkout/docs"), [1]);
    }

    #[test]
    fn registries_are_found() {
        assert_eq!(lines(concat!("\ndeb http://deb.deb", "ian.org/debian x main")), [2]);
    }

    #[test]
    fn a_lock_file_names_crates_io_only() {
        let good = format!("source = \"{CRATES_IO}\"\n");
        assert_eq!(check("Cargo.lock", &good, "/x"), []);
        let bad = format!("{good}source = \"registry+http://mirror.example/index\"\n");
        assert_eq!(check("Cargo.lock", &bad, "/x").len(), 1);
    }
}
