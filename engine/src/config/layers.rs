//! A configuration of several files, each laid over those before it, key by key.
//!
//! Tables are merged; any other value, lists and `[[tables]]` with it, takes the place of the
//! earlier one as a whole. All texts count as one long text, each file at a place of its own, so
//! that a value's span says which file it stands in: errors point there, and a relative path is
//! relative to the folder of the file that names it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;

/// The files of a configuration, in order: later ones win.
#[derive(Debug)]
pub struct Layers {
    files: Vec<Layer>,
}

/// A file, and where its text begins in the long text.
#[derive(Debug)]
pub(super) struct Layer {
    /// Its name in errors.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
    start: usize,
}

impl Layers {
    /// Reads `paths`, in order.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Self, ConfigError> {
        let mut layers = Self { files: Vec::with_capacity(paths.len()) };
        for path in paths.iter().map(AsRef::as_ref) {
            let text = std::fs::read_to_string(path);
            layers.push(path, text.map_err(|e| ConfigError::unreadable(path, &e))?);
        }
        Ok(layers)
    }

    /// One file that is `text`, called `path`.
    #[must_use]
    pub fn one(path: &Path, text: &str) -> Self {
        let mut layers = Self { files: Vec::new() };
        layers.push(path, text.to_owned());
        layers
    }

    fn push(&mut self, path: &Path, text: String) {
        // One apart, so that a span behind the last byte of a file is still in it.
        let start = self.files.last().map_or(0, |last| last.start + last.text.len() + 1);
        self.files.push(Layer { path: path.to_owned(), text, start });
    }

    /// All files as one table.
    ///
    /// # Errors
    /// Text that is not TOML.
    pub(super) fn merged(&self) -> Result<Spanned<DeTable<'_>>, ConfigError> {
        let mut merged = Spanned::new(0..0, DeTable::new());
        for file in &self.files {
            let table = DeTable::parse(&file.text).map_err(|e| {
                let span = e.span().unwrap_or(0..0);
                let span = span.start + file.start..span.end + file.start;
                ConfigError::syntax(self, span, e.message())
            })?;
            lay(merged.get_mut(), moved_table(table.into_inner(), file.start));
        }
        Ok(merged)
    }

    /// Where `span` lies: its file, and the span there.
    pub(super) fn place(&self, span: &Range<usize>) -> Option<(&Layer, Range<usize>)> {
        let file = self.files.iter().rev().find(|file| file.start <= span.start)?;
        let local = |at: usize| (at.saturating_sub(file.start)).min(file.text.len());
        Some((file, local(span.start)..local(span.end)))
    }

    /// The folder of the file in which `span` lies.
    #[must_use]
    pub fn folder_of(&self, span: &Range<usize>) -> &Path {
        let file = self.place(span).map(|(file, _)| file.path.as_path());
        file.and_then(Path::parent).unwrap_or(Path::new("."))
    }

    /// All files by name, where there are several.
    pub(super) fn order(&self) -> Option<String> {
        let names = || self.files.iter().map(|file| file.path.display().to_string());
        (self.files.len() > 1).then(|| names().collect::<Vec<_>>().join(", then "))
    }
}

/// Lays `over` over `under`.
fn lay<'t>(under: &mut DeTable<'t>, over: DeTable<'t>) {
    for (key, value) in over {
        let (span, value) = (value.span(), value.into_inner());
        let below = under.get_mut(key.get_ref().as_ref());
        match (below, value) {
            (Some(below), DeValue::Table(table)) if below.get_ref().is_table() => {
                let mut both =
                    std::mem::replace(below, Spanned::new(0..0, DeValue::Boolean(false)));
                if let DeValue::Table(lower) = both.get_mut() {
                    lay(lower, table);
                }
                // What is missing is missing in the file that spoke last.
                *below = Spanned::new(span, both.into_inner());
            }
            (_, value) => {
                // The key too is that of the later file: an error about it points there.
                under.remove(key.get_ref().as_ref());
                under.insert(key, Spanned::new(span, value));
            }
        }
    }
}

fn moved<T>(value: Spanned<T>, by: usize) -> Spanned<T> {
    let span = value.span();
    Spanned::new(span.start + by..span.end + by, value.into_inner())
}

fn moved_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    table.into_iter().map(|(key, value)| (moved(key, by), moved_value(value, by))).collect()
}

fn moved_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved_table(table, by)),
        DeValue::Array(rows) => {
            DeValue::Array(rows.into_iter().map(|row| moved_value(row, by)).collect())
        }
        plain => plain,
    };
    Spanned::new(span.start + by..span.end + by, inner)
}
