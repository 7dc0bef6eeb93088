//! Progress on stderr for whatever takes longer than a moment: one line that moves on a terminal, now and then a plain
//! line elsewhere.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::Term;

use crate::names::printable;
use crate::report::Report;

/// What shorter work never shows.
const FIRST_LINE: Duration = Duration::from_millis(700);
/// How often a plain line says that it goes on.
const NEXT_LINE: Duration = Duration::from_secs(10);
/// How often the moving line moves.
const FRAME: Duration = Duration::from_millis(100);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Silent,
    /// A line that moves.
    Bar,
    /// Plain lines.
    Lines,
}

/// Shows progress from a thread of its own, which exists only while there is something to show.
pub struct Progress {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    mode: Mode,
    quiet: bool,
    verbose: u8,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    phase: String,
    detail: String,
    stopping: bool,
}

impl Progress {
    pub fn new(mode: Mode, quiet: bool, verbose: u8) -> Progress {
        Progress { shared: Arc::default(), thread: Mutex::new(None), mode, quiet, verbose }
    }

    /// Clears the moving line, so that something else can be printed. The next phase shows it again.
    pub fn stop(&self) {
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            lock(&self.shared.state).stopping = true;
            self.shared.wake.notify_all();
            let _ = thread.join();
            *lock(&self.shared.state) = State::default();
        }
    }

    fn print(&self, line: &str) {
        let phase = std::mem::take(&mut lock(&self.shared.state).phase);
        self.stop();
        let _ = writeln!(std::io::stderr(), "{line}");
        if !phase.is_empty() {
            self.phase(&phase);
        }
    }
}

impl Report for Progress {
    fn phase(&self, what: &str) {
        if self.mode == Mode::Silent {
            return;
        }
        {
            let mut state = lock(&self.shared.state);
            state.phase = printable(what);
            state.detail.clear();
        }
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let (shared, mode) = (self.shared.clone(), self.mode);
            *thread = Some(std::thread::spawn(move || show(&shared, mode)));
        }
    }

    fn progress(&self, line: &str) {
        lock(&self.shared.state).detail = line.strip_prefix("remote: ").unwrap_or(line).trim().to_string();
    }

    fn command(&self, command: &str, took: Duration, code: Option<i32>) {
        match (self.verbose, code) {
            (0, _) => {}
            (1, _) => self.print(&format!("+ {command}")),
            (_, Some(code)) => self.print(&format!("+ {command}  [{code}, {:.3} s]", took.as_secs_f32())),
            (_, None) => self.print(&format!("+ {command}  [ended by a signal, {:.3} s]", took.as_secs_f32())),
        }
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            self.print(&format!("note: {}", printable(text)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop();
    }
}

fn show(shared: &Shared, mode: Mode) {
    let started = Instant::now();
    let mut next = FIRST_LINE;
    let mut line = MovingLine::new();
    let mut state = lock(&shared.state);
    while !state.stopping {
        if started.elapsed() >= next {
            let text = if state.detail.is_empty() {
                state.phase.clone()
            } else {
                format!("{}: {}", state.phase, state.detail)
            };
            match mode {
                Mode::Bar => {
                    line.show(&text);
                    next += FRAME;
                }
                Mode::Lines => {
                    let _ = writeln!(std::io::stderr(), "{text} ({} s)", started.elapsed().as_secs());
                    next += NEXT_LINE;
                }
                Mode::Silent => {}
            }
        }
        let wait = next.saturating_sub(started.elapsed());
        state = match shared.wake.wait_timeout(state, wait) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        };
    }
    line.clear();
}

/// One line that is written again and again. (Of a progress library nothing else would be used, and it would make every
/// start of the program slower by the mathematics that it links.)
struct MovingLine {
    term: Term,
    frame: usize,
}

impl MovingLine {
    fn new() -> MovingLine {
        MovingLine { term: Term::buffered_stderr(), frame: 0 }
    }

    fn show(&mut self, text: &str) {
        const FRAMES: &[char] = &['|', '/', '-', '\\'];
        // Never as wide as the terminal: a line that wraps could not be cleared.
        let width = usize::from(self.term.size().1).saturating_sub(4);
        let text: String = text.chars().take(width).collect();
        let spinner = FRAMES[self.frame % FRAMES.len()];
        self.frame += 1;
        let _ = self.term.clear_line().and_then(|()| self.term.write_str(&format!("{spinner} {text}")));
        let _ = self.term.flush();
    }

    fn clear(&mut self) {
        if self.frame > 0 {
            let _ = self.term.clear_line().and_then(|()| self.term.flush());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
