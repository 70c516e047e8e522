//! Reads a text in its format, and checks what it says.

use crate::{
    checklist::{self, Dialect},
    draft::Draft,
    format::Format,
    markdown, name, native,
    problem::Problems,
    report::Report,
    soundness,
    text::Text,
    tracker, unboxed,
};

/// Reads a text and checks what it says; also how many entries of it are no tasks. Fails at once only where
/// there is nothing to look for.
pub(crate) fn draft<'t>(
    format: Format,
    tag: Option<&str>,
    path: &str,
    text: &'t Text<'t>,
    report: &mut Report<'t>,
) -> Result<(Draft, usize), Problems> {
    let name = name::title(path);
    let mut others = 0;
    let draft = match format {
        Format::Markdown => markdown::read(text, report),
        Format::Toml => match native::read(text, report) {
            Some(draft) => draft,
            None => return Err(std::mem::replace(report, Report::new(text)).into_problems()),
        },
        Format::Kiro => checklist::read(Dialect::Kiro, name, text, report),
        Format::SpecKit => checklist::read(Dialect::SpecKit, name, text, report),
        Format::OpenSpec => checklist::read(Dialect::OpenSpec, name, text, report),
        Format::Conductor => checklist::read(Dialect::Conductor, name, text, report),
        Format::Checklist => checklist::read(Dialect::Free, name, text, report),
        Format::Backlog | Format::Taskmaster | Format::Beads | Format::Ralph => {
            let (draft, no_tasks) = tracker::read(format, name, tag, text, report)?;
            others = no_tasks;
            draft
        }
    };
    let is_checklist = !matches!(
        format,
        Format::Toml | Format::Backlog | Format::Taskmaster | Format::Beads | Format::Ralph
    );
    if is_checklist && draft.spec.tasks.is_empty() && draft.missing.has_no_task() {
        unboxed::report(text, report);
    }
    soundness::check(&draft, report);
    Ok((draft, others))
}
