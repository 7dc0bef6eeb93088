//! Questions. Each is asked only when somebody can answer it, and names a flag that answers it beforehand.

use console::Term;
use dialoguer::{Confirm, Select, theme::ColorfulTheme, theme::SimpleTheme, theme::Theme};

use super::Ui;
use crate::error::{Error, Result};
use crate::interrupt;

impl Ui {
    /// Asks for one of several answers; the first is the default. Arrow keys and Enter.
    pub fn select(&self, question: &str, answers: &[&str]) -> Result<usize> {
        self.progress.stop();
        let theme = self.theme();
        let answer = Select::with_theme(theme.as_ref())
            .with_prompt(question)
            .items(answers)
            .default(0)
            .interact_on_opt(&Term::stderr());
        match answer {
            Ok(Some(index)) => Ok(index),
            // Escape or `q`.
            Ok(None) => Err(stopped()),
            Err(error) => Err(self.ended(error)),
        }
    }

    /// Asks for yes or no; no is the default.
    pub fn confirm(&self, question: &str) -> Result<bool> {
        self.progress.stop();
        let theme = self.theme();
        let answer =
            Confirm::with_theme(theme.as_ref()).with_prompt(question).default(false).interact_on_opt(&Term::stderr());
        match answer {
            Ok(answer) => Ok(answer.unwrap_or(false)),
            Err(error) => Err(self.ended(error)),
        }
    }

    fn theme(&self) -> Box<dyn Theme> {
        if self.color() { Box::new(ColorfulTheme::default()) } else { Box::new(SimpleTheme) }
    }

    /// Ctrl-C in a question. The question hid the cursor and could not show it again.
    fn ended(&self, error: dialoguer::Error) -> Error {
        let _ = Term::stderr().show_cursor();
        let dialoguer::Error::IO(source) = error;
        if source.kind() == std::io::ErrorKind::Interrupted || interrupt::raised() {
            interrupt::raise();
            return Error::interrupted();
        }
        Error::needs_person("nobody answered the question").cause(source.to_string())
    }
}

fn stopped() -> Error {
    Error::needs_person("stopped: nothing was changed")
}
