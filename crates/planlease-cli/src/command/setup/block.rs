//! A block of lines between two marks, in a file of others.

/// How a file comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comment {
    Markdown,
    Toml,
}

impl Comment {
    fn mark(self, word: &str) -> String {
        match self {
            Self::Markdown => format!("<!-- planlease setup: {word} -->"),
            Self::Toml => format!("# planlease setup: {word}"),
        }
    }
}

/// The file with this block, in place of the one that is there, else at its end.
///
/// # Errors
/// If a mark is there without the other.
pub(super) fn set(text: &str, comment: Comment, block: &str) -> Result<String, String> {
    let (begin, end) = (comment.mark("begin"), comment.mark("end"));
    let block = format!("{begin}\n{block}{end}\n");
    if let Some((from, to)) = find(text, comment)? {
        return Ok(format!("{}{block}{}", &text[..from], &text[to..]));
    }
    if comment == Comment::Toml && text.lines().any(|line| line.trim() == "[mcp_servers.planlease]") {
        return Err("it has a table [mcp_servers.planlease] that this command did not write".to_owned());
    }
    let gap = match text {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    Ok(format!("{text}{gap}{block}"))
}

/// The file without the block; `None` if nothing else was in it.
///
/// # Errors
/// If a mark is there without the other.
pub(super) fn remove(text: &str, comment: Comment) -> Result<Option<String>, String> {
    let Some((from, to)) = find(text, comment)? else { return Ok(Some(text.to_owned())) };
    // The empty line before it came with it.
    let before =
        text[..from].strip_suffix('\n').filter(|before| before.ends_with('\n')).unwrap_or(&text[..from]);
    let rest = format!("{before}{}", &text[to..]);
    Ok(if rest.trim().is_empty() { None } else { Some(rest) })
}

/// Where the block begins, and where what is behind it does.
fn find(text: &str, comment: Comment) -> Result<Option<(usize, usize)>, String> {
    let (begin, end) = (comment.mark("begin"), comment.mark("end"));
    let Some(from) = text.find(&begin) else {
        return if text.contains(&end) { Err(alone(&end)) } else { Ok(None) };
    };
    let to = text[from..].find(&end).ok_or_else(|| alone(&begin))? + from + end.len();
    let to = if text[to..].starts_with('\n') { to + 1 } else { to };
    Ok(Some((from, to)))
}

fn alone(mark: &str) -> String {
    format!("it has the line `{mark}` without its other half")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_file_stays_to_the_byte() {
        for before in ["# Mine\n\ntext\n", "no line break", "# Mine\r\n", "\n\n"] {
            let with = set(before, Comment::Markdown, "one\n").unwrap();
            assert!(with.starts_with(before), "{with:?}");
            let other = set(&with, Comment::Markdown, "two\n").unwrap();
            assert!(other.contains("two") && !other.contains("one"), "{other:?}");
            let without = remove(&other, Comment::Markdown).unwrap();
            let expected = if before.trim().is_empty() { None } else { Some(before) };
            assert_eq!(without.as_deref().map(str::trim_end), expected.map(str::trim_end));
        }
    }

    #[test]
    fn text_behind_the_block_stays() {
        let with = set("a\n", Comment::Toml, "x = 1\n").unwrap() + "\nb\n";
        assert_eq!(remove(&with, Comment::Toml).unwrap().unwrap(), "a\n\nb\n");
    }

    #[test]
    fn half_a_block_and_a_table_of_others_are_refused() {
        assert!(set("<!-- planlease setup: begin -->\n", Comment::Markdown, "x\n").is_err());
        assert!(remove("<!-- planlease setup: end -->\n", Comment::Markdown).is_err());
        assert!(set("[mcp_servers.planlease]\ncommand = \"x\"\n", Comment::Toml, "x\n").is_err());
    }
}
