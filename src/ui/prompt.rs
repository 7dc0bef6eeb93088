//! Questions. Each is asked only when somebody can answer it, and names a flag that answers it beforehand.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use console::Term;
use dialoguer::{Confirm, Input, Select, theme::ColorfulTheme};

use super::Ui;
use crate::error::{Error, Result};
use crate::interrupt::{self, TICK};

/// What a question that was just begun gets to finish drawing, because that hides the cursor.
const DRAWING: Duration = Duration::from_millis(200);

impl Ui {
    /// Asks for one of several answers; the first is the default. Arrow keys and Enter.
    pub fn select(&self, question: &str, answers: &[&str]) -> Result<usize> {
        let question = question.to_string();
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
        let answer = self.ask(move || {
            let theme = ColorfulTheme::default();
            let select = Select::with_theme(&theme).with_prompt(question).items(answers).default(0);
            select.interact_on_opt(&Term::stderr())
        });
        // None for Escape or `q`.
        answer?.ok_or_else(stopped)
    }

    /// Asks for yes or no; no is the default.
    pub fn confirm(&self, question: &str) -> Result<bool> {
        let question = question.to_string();
        let answer = self.ask(move || {
            let theme = ColorfulTheme::default();
            let confirm = Confirm::with_theme(&theme).with_prompt(question).default(false);
            confirm.interact_on_opt(&Term::stderr())
        });
        if answer.is_err() {
            // The question stands on the same line.
            self.text("\n");
        }
        Ok(answer?.unwrap_or(false))
    }

    /// Asks for a line of text that `check` accepts. With a suggestion Enter is enough, and an empty answer can be given.
    pub fn input(
        &self,
        question: &str,
        suggestion: Option<String>,
        check: impl Fn(&str) -> std::result::Result<(), String> + Send + 'static,
    ) -> Result<String> {
        let question = question.to_string();
        let answer = self.ask(move || {
            let theme = ColorfulTheme::default();
            let mut input =
                Input::with_theme(&theme).with_prompt(question).validate_with(move |text: &String| check(text.trim()));
            if let Some(suggestion) = suggestion {
                input = input.with_initial_text(suggestion).allow_empty(true);
            }
            input.interact_text_on(&Term::stderr())
        });
        if answer.is_err() {
            // The question stands on the same line.
            self.text("\n");
        }
        Ok(answer?.trim().to_string())
    }

    /// Asks in a thread of its own: a question waits for keys and for nothing else, so that a signal, or a Ctrl-C
    /// typed before it reads them, would not end it.
    fn ask<T: Send + 'static>(&self, question: impl FnOnce() -> dialoguer::Result<T> + Send + 'static) -> Result<T> {
        interrupt::check()?;
        self.progress.stop();
        let modes = Modes::now();
        let (answer, answered) = mpsc::channel();
        std::thread::spawn(move || {
            let _ = answer.send(question());
        });
        loop {
            match answered.recv_timeout(TICK) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => {
                    let _ = Term::stderr().show_cursor();
                    return Err(ended(error));
                }
                Err(RecvTimeoutError::Timeout) if !interrupt::raised() => {}
                Err(_) => {
                    let _ = answered.recv_timeout(DRAWING);
                    modes.restore();
                    let _ = Term::stderr().show_cursor();
                    return Err(Error::interrupted());
                }
            }
        }
    }
}

/// Somebody was asked and does not want it.
pub fn stopped() -> Error {
    Error::needs_person("stopped: nothing was changed")
}

/// Ctrl-C in a question, or a terminal that is gone.
fn ended(error: dialoguer::Error) -> Error {
    let dialoguer::Error::IO(source) = error;
    if source.kind() == std::io::ErrorKind::Interrupted || interrupt::raised() {
        interrupt::raise();
        return Error::interrupted();
    }
    Error::needs_person("nobody answered the question").cause(source.to_string())
}

/// How the terminal treats keys; a question changes it while it reads one.
struct Modes {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

impl Modes {
    fn now() -> Modes {
        Modes {
            #[cfg(unix)]
            before: rustix::termios::tcgetattr(std::io::stdin()).ok(),
        }
    }

    fn restore(&self) {
        #[cfg(unix)]
        if let Some(before) = &self.before {
            let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, before);
        }
    }
}
