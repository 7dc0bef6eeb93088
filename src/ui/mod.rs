//! What the user sees: results on stdout, everything else on stderr. The only place that knows about terminals.

pub mod progress;
pub mod prompt;
pub mod wrap;

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use console::{Style, Term};

use crate::error::Error;
use crate::names::{is_invisible, one_line, printable};
use crate::process;
use progress::{Mode, Progress};
use wrap::hanging;

/// A command line for a shell, and what is added to its environment.
type Pager = (String, Vec<(OsString, OsString)>);

/// How to talk to the user.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// Only results and errors.
    pub quiet: bool,
    /// Show the git commands (1), and how long they took (2).
    pub verbose: u8,
    /// One JSON document on stdout instead of text.
    pub json: bool,
    /// `Some` overrides what the terminal and the environment say.
    pub color: Option<bool>,
    pub no_progress: bool,
    /// Never ask.
    pub no_input: bool,
}

/// The terminal, or what stands in its place.
pub struct Ui {
    pub progress: Arc<Progress>,
    manners: Manners,
    color: bool,
    color_data: bool,
    /// Whether colours were asked for or forbidden.
    color_is_said: bool,
    can_prompt: bool,
    /// How wide a line on stderr may be, if it is a terminal.
    width: Option<usize>,
    lost: RefCell<Option<String>>,
}

impl Ui {
    pub fn new(manners: Manners) -> Ui {
        let terminal = std::io::stderr().is_terminal();
        let wanted = manners.color.or_else(crate::settings::color);
        let color = wanted.unwrap_or(terminal);
        let in_ci = crate::settings::in_ci();
        let mode = match () {
            () if manners.quiet || manners.no_progress => Mode::Silent,
            () if terminal && !in_ci => Mode::Bar,
            () => Mode::Lines,
        };
        console::set_colors_enabled_stderr(color);
        Ui {
            progress: Arc::new(Progress::new(mode, manners.quiet, manners.verbose)),
            // Dialoguer reads the controlling terminal: with stdin elsewhere it would wait for somebody who is not there.
            can_prompt: !manners.no_input && !in_ci && terminal && std::io::stdin().is_terminal(),
            color,
            width: Term::stderr().size_checked().filter(|_| terminal).map(|(_, columns)| usize::from(columns)),
            color_is_said: wanted.is_some(),
            color_data: wanted.unwrap_or_else(|| std::io::stdout().is_terminal()),
            manners,
            lost: RefCell::new(None),
        }
    }

    pub fn json(&self) -> bool {
        self.manners.json
    }

    /// Whether the user asked for more than the essential.
    pub fn verbose(&self) -> bool {
        self.manners.verbose > 0
    }

    pub fn color(&self) -> bool {
        self.color
    }

    /// How wide a line of the result may be; as wide as it likes where nobody looks at it.
    pub fn columns(&self) -> Option<usize> {
        let stdout = Term::stdout();
        stdout.size_checked().filter(|_| stdout.is_term()).map(|(_, columns)| usize::from(columns))
    }

    /// A part of the result with a colour, if stdout is to have any.
    pub fn paint_data(&self, text: &str, style: Style) -> String {
        style.force_styling(self.color_data).apply_to(text).to_string()
    }

    /// Whether somebody is there to answer a question.
    pub fn can_prompt(&self) -> bool {
        self.can_prompt && !self.manners.json
    }

    /// What kept a line of the result from being written.
    pub fn lost_data(&self) -> Option<Error> {
        self.lost.borrow_mut().take().map(|why| Error::failed("cannot write the result to stdout").cause(why))
    }

    /// A line of the result.
    pub fn data(&self, line: &str) {
        self.write_line(line.as_bytes());
    }

    /// A line of the result that is a path: its bytes as they are, because a program opens it.
    pub fn path(&self, path: &Path) {
        self.write_line(path.as_os_str().as_encoded_bytes());
    }

    fn write_line(&self, line: &[u8]) {
        match std::io::stdout().write_all(&[line, b"\n"].concat()) {
            // A reader that has seen enough closes the pipe; that is no failure.
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => *self.lost.borrow_mut() = Some(e.to_string()),
            _ => {}
        }
    }

    /// A part of the result behind `start`, wrapped to the terminal with its other lines below its beginning.
    pub fn hanging_data(&self, start: &str, text: &str) {
        hanging(start, &one_line(text), self.columns()).iter().for_each(|line| self.data(line));
    }

    /// A longer part of the result, as it is: through the pager when people look at it.
    pub fn long_data(&self, text: &str, pager: impl FnOnce() -> Option<Pager>) {
        let pager = if std::io::stdout().is_terminal() { pager() } else { None };
        self.progress.stop();
        if !pager.is_some_and(|(pager, env)| process::page(&pager, &env, text)) {
            self.data(text.strip_suffix('\n').unwrap_or(text));
        }
    }

    /// Whether stdout is to have colours; `by_default` decides for a terminal about which nothing else was said.
    pub fn color_data(&self, by_default: impl FnOnce() -> bool) -> bool {
        self.color_data && (self.color_is_said || by_default())
    }

    /// The result as JSON.
    pub fn document(&self, json: &str) {
        self.data(&escaped(json));
    }

    /// What was done, for people.
    pub fn status(&self, text: &str) {
        if !self.manners.quiet {
            self.lines("", text);
        }
    }

    /// What can be done next.
    pub fn hint(&self, text: &str) {
        if !self.manners.quiet {
            self.hint_line(text);
        }
    }

    fn hint_line(&self, text: &str) {
        self.lines(&format!("{} ", self.paint("hint:", Style::new().cyan())), text);
    }

    /// A failure: what, why, and what to do.
    pub fn error(&self, error: &Error) {
        self.lines(&format!("{} ", self.paint("error:", Style::new().red().bold())), &error.message);
        for cause in &error.causes {
            let mut start = "  caused by: ";
            for line in cause.lines() {
                self.lines(start, line);
                start = "             ";
            }
        }
        for hint in &error.hints {
            self.hint_line(hint);
        }
    }

    /// Something longer for people, such as a diff.
    pub fn text(&self, text: &str) {
        let _ = write!(std::io::stderr(), "{text}");
    }

    /// Text behind a mark. In a terminal it is broken where words end, and goes on below its beginning.
    fn lines(&self, mark: &str, text: &str) {
        self.progress.stop();
        let text = printable(text);
        let mut mark = mark;
        for line in text.split('\n') {
            let body = line.trim_start_matches(' ');
            let start = format!("{mark}{}", &line[..line.len() - body.len()]);
            for line in hanging(&start, body, self.width) {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            mark = "";
        }
    }

    fn paint(&self, text: &str, style: Style) -> String {
        style.for_stderr().force_styling(self.color).apply_to(text).to_string()
    }
}

/// JSON in which no text holds what a terminal obeys; whoever reads it as JSON finds no difference.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if (c.is_control() && c != '\n') || is_invisible(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_for_terminals_is_the_same_json() {
        let value = serde_json::json!({"a\u{202e}b": ["\u{9b}31m\u{7f}", "\u{e0041}é\n\t\u{1b}"]});
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let escaped = escaped(&text);
            assert!(!escaped.chars().any(|c| (c.is_control() && c != '\n') || is_invisible(c)), "{escaped:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        }
    }
}
