//! Configuration errors that point at the place.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::layers::Layers;
use super::mask;

/// A configuration that is refused. Displays as a pointed-at excerpt.
#[derive(Debug)]
pub struct ConfigError {
    rendered: String,
}

/// What is wrong with a value, found after the file's shape was read.
#[derive(Debug)]
pub struct Issue {
    /// Byte range of the value, all files' texts counted as one; see [`Layers`].
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
    pub fn syntax(layers: &Layers, span: Range<usize>, message: &str) -> Self {
        let mend = if message.starts_with("unknown field") {
            "remove the key or use one of the names listed; every key is explained in \
             deploy/config/demo.toml"
        } else if message.starts_with("missing field") {
            "add the key to this table; deploy/config/demo.toml shows it"
        } else {
            "write the value as deploy/config/demo.toml shows"
        };
        Self { rendered: render(layers, span, message, mend) }
    }

    /// A value does not make sense.
    #[must_use]
    pub fn semantic(layers: &Layers, issue: Issue) -> Self {
        let what = format!("`{}`: {}", issue.key, issue.what);
        Self { rendered: render(layers, issue.span, &what, &issue.mend) }
    }
}

fn render(layers: &Layers, span: Range<usize>, what: &str, mend: &str) -> String {
    let Some((file, span)) = layers.place(&span) else {
        return format!("error: {what}\nhelp: {mend}");
    };
    let name = file.path.display().to_string();
    let text = &mask::secrets(&file.text);
    let at = AnnotationKind::Primary.span(span);
    let report = Level::ERROR
        .primary_title(what)
        .element(Snippet::source(text.as_str()).path(name).annotation(at))
        .element(Level::HELP.message(mend));
    let order = layers.order().map(|order| format!("each file is laid over those before: {order}"));
    let report = match &order {
        None => report,
        Some(order) => report.element(Level::NOTE.message(order.as_str())),
    };
    Renderer::plain().render(&[report])
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}

impl std::error::Error for ConfigError {}
