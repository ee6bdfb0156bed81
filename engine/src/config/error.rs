//! Configuration errors that point at the place.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A configuration that is refused. Displays as a pointed-at excerpt.
#[derive(Debug)]
pub struct ConfigError {
    rendered: String,
}

/// What is wrong with a value, found after the file's shape was read.
#[derive(Debug)]
pub struct Issue {
    /// Byte range of the value in the file.
    pub span: Range<usize>,
    /// The key.
    pub key: &'static str,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

impl ConfigError {
    /// The file could not be read.
    #[must_use]
    pub fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let rendered = format!(
            "error: cannot read configuration {}: {error}\nhelp: check the path; \
             `deploy/config/demo.toml` is an example",
            path.display()
        );
        Self { rendered }
    }

    /// The text is not the expected shape: typo, wrong type, wrong unit, syntax.
    #[must_use]
    pub fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let message = error.message();
        let mend = if message.starts_with("unknown field") {
            "remove the key or use one of the names listed; every key is explained in \
             deploy/config/demo.toml"
        } else if message.starts_with("missing field") {
            "add the key to this table; deploy/config/demo.toml shows it"
        } else {
            "write the value as deploy/config/demo.toml shows"
        };
        Self { rendered: render(path, text, span, message, mend) }
    }

    /// A value does not make sense.
    #[must_use]
    pub fn semantic(path: &Path, text: &str, issue: Issue) -> Self {
        let what = format!("`{}`: {}", issue.key, issue.what);
        Self { rendered: render(path, text, issue.span, &what, &issue.mend) }
    }
}

fn render(path: &Path, text: &str, span: Range<usize>, what: &str, mend: &str) -> String {
    let end = span.end.min(text.len());
    let span = span.start.min(end)..end;
    let name = path.display().to_string();
    let report = &[Level::ERROR
        .primary_title(what)
        .element(Snippet::source(text).path(name).annotation(AnnotationKind::Primary.span(span)))
        .element(Level::HELP.message(mend))];
    Renderer::plain().render(report)
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}

impl std::error::Error for ConfigError {}
