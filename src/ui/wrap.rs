//! Lines for people, no wider than their terminal. Pure.

use console::measure_text_width;

/// Breaks a text into lines at blanks, but never in a command: between two backticks there is no break.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
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
    use super::wrapped;

    #[test]
    fn lines_break_at_blanks_but_not_in_commands() {
        assert_eq!(wrapped("one two three", 80), ["one two three"]);
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one two three", 2), ["one", "two", "three"]);
        assert_eq!(wrapped("run `git config x` now", 10), ["run", "`git config x`", "now"]);
        assert_eq!(wrapped("(`a b`, c)", 8), ["(`a b`,", "c)"]);
        assert_eq!(wrapped("", 8), [""]);
    }
}
