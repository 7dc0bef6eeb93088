//! Progress on stderr for whatever takes longer than a moment: on a terminal a few lines that move, one for each assets
//! repo and one that counts packages; elsewhere now and then plain lines.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::{Term, measure_text_width, truncate_str};

use crate::names::printable;
use crate::report::{Ended, Report, Subject, Work};

/// What shorter work never shows.
const FIRST_LINE: Duration = Duration::from_millis(700);
/// How often a plain line says that it goes on.
const NEXT_LINE: Duration = Duration::from_secs(10);
/// How often the moving lines move.
const FRAME: Duration = Duration::from_millis(100);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Silent,
    /// Lines that move.
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

#[derive(Clone, Default)]
struct State {
    repos: BTreeMap<String, RepoState>,
    /// Packages that are done, all packages, files of those that are done.
    count: Option<(usize, usize, usize)>,
    stopping: bool,
}

/// What is done for one assets repo. Downloading and writing go on at the same time: the download is what one waits for.
#[derive(Clone, Default)]
struct RepoState {
    download: String,
    /// By lane.
    meters: BTreeMap<usize, String>,
    checkout: String,
}

impl Progress {
    pub fn new(mode: Mode, quiet: bool, verbose: u8) -> Progress {
        Progress { shared: Arc::default(), thread: Mutex::new(None), mode, quiet, verbose }
    }

    /// Clears the moving lines, so that something else can be printed. The next phase shows them again.
    pub fn stop(&self) {
        self.pause();
        *lock(&self.shared.state) = State::default();
    }

    fn pause(&self) {
        let mut thread = lock(&self.thread);
        if let Some(thread) = thread.take() {
            lock(&self.shared.state).stopping = true;
            self.shared.wake.notify_all();
            let _ = thread.join();
            lock(&self.shared.state).stopping = false;
        }
    }

    fn start(&self) {
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let (shared, mode) = (self.shared.clone(), self.mode);
            *thread = Some(std::thread::spawn(move || show(&shared, mode)));
        }
    }

    fn print(&self, line: &str) {
        let is_shown = lock(&self.thread).is_some();
        self.pause();
        let _ = writeln!(std::io::stderr(), "{line}");
        if is_shown {
            self.start();
        }
    }
}

impl Report for Progress {
    fn phase(&self, about: &Subject, what: &str) {
        if self.mode == Mode::Silent {
            return;
        }
        {
            let mut state = lock(&self.shared.state);
            let repo = state.repos.entry(about.repo.to_string()).or_default();
            if about.manifest.is_empty() {
                repo.meters.clear();
                repo.download = printable(what);
            } else {
                repo.checkout = printable(what);
            }
        }
        self.start();
    }

    fn progress(&self, about: &Subject, line: &str) {
        if let Some(repo) = lock(&self.shared.state).repos.get_mut(&*about.repo) {
            repo.meters.insert(about.lane, line.strip_prefix("remote: ").unwrap_or(line).trim().to_string());
        }
    }

    fn count(&self, done: usize, all: usize, files: usize) {
        if all > 1 {
            lock(&self.shared.state).count = Some((done, all, files));
        }
    }

    fn ended(&self, _: &Subject, ended: &Ended) {
        let Work::Process { code } = ended.kind else { return };
        let (command, seconds) = (ended.what, ended.took.as_secs_f32());
        match (self.verbose, code) {
            (0, _) => {}
            (1, _) => self.print(&format!("+ {command}")),
            (_, Some(code)) => self.print(&format!("+ {command}  [{code}, {seconds:.3} s]")),
            (_, None) => self.print(&format!("+ {command}  [ended by a signal, {seconds:.3} s]")),
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

impl State {
    /// What there is to say, in lines of at most so many columns. More repos than fit a glance are counted.
    fn lines(&self, columns: usize) -> Vec<String> {
        const MOST: usize = 6;
        let working: Vec<&RepoState> = self.repos.values().filter(|repo| !repo.is_done()).collect();
        let mut lines: Vec<String> = working.iter().take(MOST).map(|repo| repo.line(columns)).collect();
        if working.len() > MOST {
            lines.push(format!("and {} more", working.len() - MOST));
        }
        if let Some((done, all, files)) = self.count {
            lines.push(cut(&format!("{done} of {all} packages, {files} files"), columns));
        }
        lines
    }
}

impl RepoState {
    fn is_done(&self) -> bool {
        self.download.is_empty() && self.checkout.is_empty()
    }

    /// That of the first lane where something moves, so that the line does not jump between them.
    fn meter(&self) -> Option<&String> {
        self.meters.values().find(|meter| !meter.ends_with("done.")).or(self.meters.values().next())
    }

    /// The name of a repo may be long: what moves is kept whole and the rest is cut.
    fn line(&self, columns: usize) -> String {
        if self.download.is_empty() {
            return cut(&self.checkout, columns);
        }
        let Some(meter) = self.meter() else { return cut(&self.download, columns) };
        let meter = cut(meter, columns);
        let left = columns.saturating_sub(measure_text_width(&meter) + 2);
        if left < 12 { meter } else { format!("{}: {meter}", cut(&self.download, left)) }
    }
}

fn cut(text: &str, columns: usize) -> String {
    truncate_str(text, columns, "…").into_owned()
}

fn show(shared: &Shared, mode: Mode) {
    let started = Instant::now();
    let mut next = FIRST_LINE;
    let mut block = MovingBlock::new();
    let mut state = lock(&shared.state);
    while !state.stopping {
        if started.elapsed() >= next {
            match mode {
                Mode::Bar => {
                    block.show(&state);
                    next += FRAME;
                }
                Mode::Lines => {
                    for line in state.lines(usize::MAX) {
                        let _ = writeln!(std::io::stderr(), "{line} ({} s)", started.elapsed().as_secs());
                    }
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
    drop(state);
    block.clear();
}

/// Lines that are written again and again. (Of a progress library nothing else would be used, and it would make every
/// start of the program slower by the mathematics that it links.)
struct MovingBlock {
    term: Term,
    frame: usize,
    /// Lines on the screen; the cursor is at the end of the last.
    lines: usize,
}

impl MovingBlock {
    fn new() -> MovingBlock {
        MovingBlock { term: Term::buffered_stderr(), frame: 0, lines: 0 }
    }

    fn show(&mut self, state: &State) {
        const FRAMES: &[char] = &['|', '/', '-', '\\'];
        // Never as wide as the terminal: a line that wraps could not be cleared.
        let lines = state.lines(usize::from(self.term.size().1).saturating_sub(4));
        let spinner = FRAMES[self.frame % FRAMES.len()];
        self.frame += 1;
        self.take_back();
        let text: Vec<String> = lines.iter().map(|line| format!("{spinner} {line}")).collect();
        let _ = self.term.write_str(&text.join("\n")).and_then(|()| self.term.flush());
        self.lines = lines.len();
    }

    fn take_back(&mut self) {
        if self.lines > 0 {
            let _ = self.term.clear_line();
            let _ = self.term.clear_last_lines(self.lines - 1);
        }
        self.lines = 0;
    }

    fn clear(&mut self) {
        self.take_back();
        let _ = self.term.flush();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_is_kept_whole_and_the_rest_is_cut() {
        let repo = RepoState {
            download: "fetching from `Azure/azure-sdk-assets-with-a-long-name`".into(),
            meters: BTreeMap::from([
                (0, "Receiving objects: 100% (60/60), 2.60 MiB | 2.00 MiB/s, done.".into()),
                (1, "Receiving objects:  45% (27/60), 1.20 MiB | 2.00 MiB/s".into()),
            ]),
            checkout: String::new(),
        };
        let mut state = State { count: Some((3, 200, 180)), ..State::default() };
        state.repos.insert("Azure/x".into(), repo);
        assert_eq!(
            state.lines(76),
            [
                "fetching from `Azur…: Receiving objects:  45% (27/60), 1.20 MiB | 2.00 MiB/s",
                "3 of 200 packages, 180 files"
            ]
        );
        assert_eq!(state.lines(60)[0], "Receiving objects:  45% (27/60), 1.20 MiB | 2.00 MiB/s");
        assert!(state.lines(20).iter().all(|line| measure_text_width(line) <= 20));
        assert!(state.lines(usize::MAX)[0].starts_with("fetching from `Azure/azure-sdk-assets-with-a-long-name`: Rec"));
    }

    #[test]
    fn a_repo_that_is_done_says_nothing_and_many_are_counted() {
        let mut state = State::default();
        for number in 0..9 {
            let download = if number == 0 { String::new() } else { format!("fetching {number}") };
            state.repos.insert(number.to_string(), RepoState { download, ..RepoState::default() });
        }
        assert_eq!(state.lines(80).len(), 7);
        assert_eq!(state.lines(80)[6], "and 2 more");
    }
}
