//! A real terminal for `assets`: a pty that is its controlling terminal, what it shows, and keys to press.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};

use super::{ASSETS, CodeRepo};

pub const ENTER: &str = "\r";
pub const DOWN: &str = "\x1b[B";
pub const ESCAPE: &str = "\x1b";
pub const CTRL_C: &str = "\x03";
pub const SHOW_CURSOR: &str = "\x1b[?25h";
pub const HIDE_CURSOR: &str = "\x1b[?25l";

/// The longest wait for anything here; only a failing test takes it.
const DEADLINE: Duration = Duration::from_secs(30);

/// A command on its way into a terminal.
pub struct Start<'a> {
    code: &'a CodeRepo,
    env: Vec<(String, String)>,
    columns: u16,
    stdin: Option<PathBuf>,
    stdout: Option<PathBuf>,
    stderr: Option<PathBuf>,
}

/// A running `assets` with a terminal.
pub struct Terminal {
    child: Child,
    keys: File,
    shown: Arc<Shown>,
    reader: Option<JoinHandle<()>>,
    columns: u16,
    /// How much of what was shown has been waited for.
    read: usize,
}

/// What a program in a terminal left.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    /// Everything it wrote to the terminal, escapes and all.
    pub raw: String,
    columns: usize,
}

#[derive(Default)]
struct Shown {
    state: Mutex<(Vec<u8>, bool)>,
    more: Condvar,
}

impl Shown {
    /// Also after a test has failed while it looked, so that its own message is the only one.
    fn lock(&self) -> MutexGuard<'_, (Vec<u8>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Start<'a> {
    /// `assets` at the root of a code repo with all three streams on the terminal.
    pub fn new(code: &'a CodeRepo) -> Start<'a> {
        let env = vec![("TERM".into(), "xterm".into())];
        Start { code, env, columns: 100, stdin: None, stdout: None, stderr: None }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn columns(mut self, columns: u16) -> Self {
        self.columns = columns;
        self
    }

    /// Standard input is nothing instead of the terminal.
    pub fn without_stdin(mut self) -> Self {
        self.stdin = Some("/dev/null".into());
        self
    }

    /// Standard output goes to a file.
    pub fn stdout(mut self, file: PathBuf) -> Self {
        self.stdout = Some(file);
        self
    }

    /// Standard error goes to a file.
    pub fn stderr(mut self, file: PathBuf) -> Self {
        self.stderr = Some(file);
        self
    }

    pub fn run<const N: usize>(self, args: [&str; N]) -> Terminal {
        let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let size = rustix::termios::Winsize { ws_row: 40, ws_col: self.columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        // Held until the child has it, else the master would see the end at once.
        let slave = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let path = |other: Option<PathBuf>| other.map_or(name.clone(), |path| path.to_string_lossy().into_owned());

        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--ignored", "--nocapture", "support::pty::becomes_assets_in_a_terminal"]);
        command.current_dir(&self.code.path).env_clear();
        command.envs(self.code.env().iter().cloned()).envs(self.env);
        let plan = [name.clone(), path(self.stdin), path(self.stdout), path(self.stderr)];
        command.env(PLAN, plan.iter().map(String::as_str).chain(args).collect::<Vec<_>>().join(SEPARATOR));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("the test program starts again");

        let shown = Arc::new(Shown::default());
        let keys = File::from(master);
        let (mut output, into) = (keys.try_clone().unwrap(), shown.clone());
        let mut slave = Some(slave);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                drop(slave.take());
                into.lock().0.extend(&buffer[..count]);
                into.more.notify_all();
            }
            into.lock().1 = true;
            into.more.notify_all();
        });
        Terminal { child, keys, shown, reader: Some(reader), columns: self.columns, read: 0 }
    }
}

const PLAN: &str = "TEST_TERMINAL_PLAN";
const SEPARATOR: &str = "\u{1f}";

/// Not a test: [`Start::run`] starts the test program again with this alone, because a new session and its terminal can
/// only be had from inside a process.
#[test]
#[ignore = "started by other tests"]
fn becomes_assets_in_a_terminal() {
    let Ok(plan) = std::env::var(PLAN) else { return };
    let words: Vec<&str> = plan.split(SEPARATOR).collect();
    let [terminal, stdin, stdout, stderr, args @ ..] = words.as_slice() else { return };
    rustix::process::setsid().unwrap();
    let open = |path: &str| {
        rustix::fs::open(path, OFlags::RDWR | OFlags::CREATE | OFlags::NOCTTY, Mode::from_raw_mode(0o600)).unwrap()
    };
    let terminal = open(terminal);
    rustix::process::ioctl_tiocsctty(&terminal).unwrap();
    rustix::stdio::dup2_stdin(open(stdin)).unwrap();
    rustix::stdio::dup2_stdout(open(stdout)).unwrap();
    rustix::stdio::dup2_stderr(open(stderr)).unwrap();
    // The reader waits for a first byte before it lets go of its own end.
    rustix::io::write(&terminal, b"$\n").unwrap();
    let failed = Command::new(ASSETS).args(args).env_remove(PLAN).exec();
    panic!("{failed}");
}

impl Terminal {
    /// Waits until this was shown after whatever was waited for before.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let started = Instant::now();
        let mut state = self.shown.lock();
        loop {
            let new = &state.0[self.read..];
            if let Some(at) = new.windows(text.len()).position(|part| part == text.as_bytes()) {
                self.read += at + text.len();
                return;
            }
            let left = DEADLINE.saturating_sub(started.elapsed());
            let seen = String::from_utf8_lossy(&state.0).into_owned();
            assert!(!state.1, "`{text}` was never shown, and it ended:\n{seen}");
            assert!(!left.is_zero(), "`{text}` was not shown in time:\n{seen}");
            state = self.shown.more.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits until this was shown and keys are read one by one.
    #[track_caller]
    pub fn asked(&mut self, text: &str) {
        self.wait_for(text);
        wait_until(|| {
            let modes = rustix::termios::tcgetattr(&self.keys).unwrap();
            !modes.local_modes.contains(rustix::termios::LocalModes::ICANON)
        });
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        let started = Instant::now();
        let mut state = self.shown.lock();
        while !state.1 {
            let left = DEADLINE.saturating_sub(started.elapsed());
            assert!(!left.is_zero(), "it did not end:\n{}", String::from_utf8_lossy(&state.0));
            state = self.shown.more.wait_timeout(state, left).unwrap().0;
        }
        let raw = String::from_utf8_lossy(&state.0).replacen("$\r\n", "", 1);
        drop(state);
        Ended { code: self.child.wait().unwrap().code(), raw, columns: self.columns.into() }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Ended {
    /// Expects this exit code.
    #[track_caller]
    pub fn fails(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "another exit code:\n{}", self.screen());
        self
    }

    /// What stands on the screen in the end, without blank lines after it.
    pub fn screen(&self) -> String {
        screen(&self.raw, self.columns)
    }

    /// Whether the cursor was shown again, if it ever was hidden.
    pub fn shows_cursor(&self) -> bool {
        self.raw.rfind(SHOW_CURSOR) >= self.raw.rfind(HIDE_CURSOR)
    }
}

/// Plays what a program wrote on a screen of this width: line breaks, moves, clearing; colours are ignored.
pub fn screen(raw: &str, columns: usize) -> String {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0usize, 0usize);
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x1b' => {
                if chars.next_if_eq(&'[').is_none() {
                    continue;
                }
                let mut number = String::new();
                let end = loop {
                    match chars.next() {
                        Some(c) if c.is_ascii_alphabetic() => break c,
                        Some(c) => number.push(c),
                        None => break 'm',
                    }
                };
                let count = number.parse::<usize>().unwrap_or(1);
                match end {
                    'A' => row = row.saturating_sub(count),
                    'B' => row += count,
                    'C' => column += count,
                    'D' => column = column.saturating_sub(count),
                    'K' if number == "2" => lines[row].clear(),
                    'K' => lines[row].truncate(column),
                    'J' => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    _ => {}
                }
            }
            c if c.is_control() => {}
            c => {
                if column == columns {
                    (row, column) = (row + 1, 0);
                }
                while lines.len() <= row {
                    lines.push(Vec::new());
                }
                let line = &mut lines[row];
                while line.len() <= column {
                    line.push(' ');
                }
                line[column] = c;
                column += 1;
            }
        }
        while lines.len() <= row {
            lines.push(Vec::new());
        }
    }
    let lines: Vec<String> = lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_string()).collect();
    let text = lines.join("\n");
    text.trim_end_matches('\n').to_string()
}

/// Waits for something that can only be asked for.
#[track_caller]
pub fn wait_until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "what was waited for did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}
