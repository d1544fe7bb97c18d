//! What is wrong or odd in a template: where it stands, under which key, and what to do.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// A place in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The file, relative to the template's folder.
    pub file: Rc<str>,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: usize,
    /// The key from the top of the template, such as `workspaces[2].files_dir`; empty at the top.
    pub key: String,
}

impl Spot {
    /// A file as a whole.
    pub fn of_file(file: &str) -> Self {
        Self { file: file.into(), line: 0, key: String::new() }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.key.is_empty() { Ok(()) } else { write!(f, ": {}", self.key) }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Spot,
}

/// Something to say about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The place.
    pub at: Spot,
    /// What is the matter, and what to do.
    pub text: String,
}

impl Finding {
    /// Something to say about a place.
    pub fn new(at: Spot, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.text)
    }
}

/// All that was found so far. Shared while reading, so that one run names everything there is to mend.
#[derive(Debug, Default)]
pub struct Findings {
    errors: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
}

impl Findings {
    /// Something that keeps the template from being imported.
    pub fn error(&self, at: &Spot, text: impl Into<String>) {
        self.errors.borrow_mut().push(Finding::new(at.clone(), text));
    }

    /// Something that is imported otherwise than its author may have meant it.
    pub fn warn(&self, at: &Spot, text: impl Into<String>) {
        self.warnings.borrow_mut().push(Finding::new(at.clone(), text));
    }

    /// Keeps an error, if there is one.
    pub fn ok<T>(&self, result: Result<T, Finding>) -> Option<T> {
        result.map_err(|finding| self.errors.borrow_mut().push(finding)).ok()
    }

    /// The errors, in the order in which they were found.
    pub fn errors(&self) -> Vec<Finding> {
        self.errors.borrow().clone()
    }

    /// The warnings, in the order in which they were found.
    pub fn warnings(&self) -> Vec<Finding> {
        self.warnings.borrow().clone()
    }
}
