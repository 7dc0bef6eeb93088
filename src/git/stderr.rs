//! What git writes to stderr while it runs: progress meters and messages, told apart.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::names::printable;
use crate::report::Reporter;

/// Splits stderr at `\n` and at the `\r` that git ends its progress with.
#[derive(Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Takes the next bytes and passes on the lines that they complete.
    pub fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        self.0.extend_from_slice(bytes);
        while let Some(end) = self.0.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            line(&String::from_utf8_lossy(&self.0[..end]));
            self.0.drain(..=end);
        }
    }

    /// Passes on what came after the last break.
    pub fn finish(self, mut line: impl FnMut(&str)) {
        if !self.0.is_empty() {
            line(&String::from_utf8_lossy(&self.0));
        }
    }
}

/// Progress goes to the report, everything else is kept for the error message.
pub fn sort_line(line: &str, report: &Reporter, messages: &mut String, received: &AtomicU64) {
    let line = printable(line);
    let line = line.trim_end();
    if is_progress(line) {
        if let Some(bytes) = received_bytes(line) {
            received.store(bytes, Ordering::Relaxed);
        }
        report.progress(line);
    } else if !line.is_empty() {
        messages.push_str(line);
        messages.push('\n');
    }
}

/// Whether a line is one of git's progress meters: `Receiving objects:  45% (27/60)`, `remote: Enumerating objects: 5, done.`
fn is_progress(line: &str) -> bool {
    let line = line.strip_prefix("remote: ").unwrap_or(line);
    if line.starts_with("Delta compression using up to") || (line.starts_with("Total ") && line.contains(" (delta ")) {
        return true;
    }
    let Some((title, rest)) = line.split_once(": ") else { return false };
    let counts = rest.trim_start().split_once(['%', ',', ' ']).map_or(rest.trim(), |(count, _)| count);
    (title.ends_with("objects") || title.ends_with("deltas") || title.ends_with("files"))
        && (counts.bytes().all(|b| b.is_ascii_digit()) && !counts.is_empty())
}

/// The bytes that a meter has counted: `Receiving objects:  45% (27/60), 1.20 MiB | 2.00 MiB/s`.
fn received_bytes(line: &str) -> Option<u64> {
    let (_, counted) = line.strip_prefix("Receiving objects:")?.split_once("), ")?;
    let (number, rest) = counted.split_once(' ')?;
    let unit = match rest.split([' ', ',']).next()? {
        "bytes" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number.parse::<f64>().ok()? * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_from_messages() {
        for line in [
            "Receiving objects:  45% (27/60), 1.20 MiB | 2.00 MiB/s",
            "remote: Counting objects: 100% (5/5), done.",
            "remote: Enumerating objects: 5, done.",
            "Updating files: 100% (60/60), done.",
            "Resolving deltas: 100% (1/1), done.",
            "Delta compression using up to 2 threads",
            "Total 6 (delta 0), reused 0 (delta 0), pack-reused 0 (from 0)",
        ] {
            assert!(is_progress(line), "{line}");
        }
        for line in [
            "fatal: not our ref",
            "remote: error: hook says no",
            "warning: objects: are missing",
            "error: Updating files failed",
        ] {
            assert!(!is_progress(line), "{line}");
        }
    }

    #[test]
    fn bytes_of_a_meter() {
        assert_eq!(received_bytes("Receiving objects:  45% (27/60), 1.50 KiB | 2.00 MiB/s"), Some(1536));
        assert_eq!(received_bytes("Receiving objects: 100% (3/3), 250 bytes | 250.00 KiB/s, done."), Some(250));
        assert_eq!(received_bytes("Receiving objects:  45% (27/60)"), None);
        assert_eq!(received_bytes("remote: Counting objects: 100% (5/5), done."), None);
    }

    #[test]
    fn lines_end_at_either_break_and_may_come_in_pieces() {
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        lines.feed(b"a\rb", |line| seen.push(line.to_string()));
        lines.feed(b"c\nd", |line| seen.push(line.to_string()));
        lines.finish(|line| seen.push(line.to_string()));
        assert_eq!(seen, ["a", "bc", "d"]);
    }
}
