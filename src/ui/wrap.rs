//! Lines for people, no wider than their terminal. Pure.

use console::measure_text_width;

/// The narrowest that a text is wrapped to, however little its indent leaves.
const LEAST_WIDTH: usize = 30;

/// A text behind `start`, wrapped to so many columns (none: as wide as it is), its other lines below its beginning.
pub fn hanging(start: &str, text: &str, columns: Option<usize>) -> Vec<String> {
    let indent = measure_text_width(start);
    let width = columns.map_or(usize::MAX, |columns| columns.saturating_sub(indent).max(LEAST_WIDTH));
    let blanks = " ".repeat(indent);
    let starts = std::iter::once(start).chain(std::iter::repeat(blanks.as_str()));
    starts.zip(wrapped(text, width)).map(|(start, line)| format!("{start}{line}")).collect()
}

/// Breaks a text into lines at blanks, but never in a command: between two backticks there is no break.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut in_command = false;
    let mut word = String::new();
    let mut place = |word: &mut String| {
        let line = lines.last_mut().map_or(0, |line| measure_text_width(line));
        let is_first = line == 0;
        if !is_first && line + 1 + measure_text_width(word) > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        word.clear();
    };
    for c in text.chars() {
        in_command ^= c == '`';
        match c {
            ' ' if !in_command => place(&mut word),
            c => word.push(c),
        }
    }
    place(&mut word);
    lines
}

#[cfg(test)]
mod tests {
    use super::{hanging, wrapped};

    #[test]
    fn lines_break_at_blanks_but_not_in_commands() {
        assert_eq!(wrapped("one two three", 80), ["one two three"]);
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one two three", 2), ["one", "two", "three"]);
        assert_eq!(wrapped("run `git config x` now", 10), ["run", "`git config x`", "now"]);
        assert_eq!(wrapped("(`a b`, c)", 8), ["(`a b`,", "c)"]);
        assert_eq!(wrapped("", 8), [""]);
    }

    #[test]
    fn lines_hang_below_their_beginning() {
        let text = "a line of more than thirty columns";
        assert_eq!(hanging("hint: ", text, None), [format!("hint: {text}")]);
        assert_eq!(hanging("hint: ", text, Some(36)), ["hint: a line of more than thirty", "      columns"]);
        // A colour takes no room.
        assert_eq!(hanging("\u{1b}[36mhint:\u{1b}[0m ", text, Some(36))[1], "      columns");
        assert_eq!(hanging("hint: ", text, Some(10)), hanging("hint: ", text, Some(36)));
        assert_eq!(hanging("- ", "", Some(80)), ["- "]);
    }
}
