//! Inputs for the targets: the seeds in `fuzz/seeds`, and what becomes of them by small changes. The same on every run.

use std::path::Path;

pub type Rng = fastrand::Rng;

/// Pieces that mean something to a parser.
const PIECES: &[&str] = &[
    "\0",
    "\n",
    "\r",
    "\r\n",
    "\t",
    " ",
    "/",
    "//",
    "/*",
    "*/",
    "\\",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "..",
    ".",
    "-",
    "@{",
    "~",
    "^",
    ".lock",
    ".git",
    "git~1",
    "::",
    "://",
    "@",
    "\u{feff}",
    "\u{200c}",
    "\u{202e}",
    "\u{1b}[",
    "é",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "1e999",
    "SHA",
    "Tag",
    "\"SHA\": \"\",",
    "% ",
    "refs/heads/",
    "nul",
    "x",
    "0000000000000000000000000000000000000000",
    "\u{1f980}",
];

/// The seeds of a target, in the order of their names.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Runs a target with its seeds and so many changed ones; a failure names the input.
pub fn many(target: &str, count: usize, run: fn(&[u8])) {
    let seeds = seeds(target);
    let mut rng = Rng::with_seed(1);
    let changed = (0..count).map(|_| mutated(&mut rng, &seeds));
    for input in seeds.iter().cloned().chain(changed) {
        let shown = Shown(&input);
        run(&input);
        drop(shown);
    }
}

/// Says which input it was when a target panics.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    #[allow(clippy::print_stderr, reason = "for a test that fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input was b\"{}\"", self.0.escape_ascii());
        }
    }
}

/// One of the seeds with one to eight small changes.
pub fn mutated(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = rng.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..rng.usize(1..=8) {
        let at = rng.usize(0..=input.len());
        let end = (at + rng.usize(0..12)).min(input.len());
        match rng.u8(0..7) {
            0 => input.insert(at, rng.u8(..)),
            1 if at < input.len() => input[at] ^= 1 << rng.u8(0..8),
            2 => drop(input.drain(at..end)),
            3 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            4 => input.truncate(at),
            5 => {
                let other = rng.choice(seeds).map_or(&[][..], Vec::as_slice);
                let from = rng.usize(0..=other.len());
                let to = (from + rng.usize(0..80)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                let piece = rng.choice(PIECES).copied().unwrap_or_default();
                input.splice(at..end, piece.bytes());
            }
        }
    }
    input
}
