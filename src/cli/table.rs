//! Rows in columns, as wide as a terminal. Pure.

use console::measure_text_width;

/// Between two columns.
const GAP: &str = "  ";
/// The first column is not cut shorter than this.
const LEAST: usize = 12;

/// Lays rows out, the first of them the header. Columns that are empty below their header are left out. Where a line
/// would be wider than `width`, the first column gives way. `paint` colours a cell by its row and column.
pub fn lines(rows: &[Vec<String>], width: Option<usize>, paint: impl Fn(usize, usize, &str) -> String) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let columns: Vec<usize> =
        (0..count).filter(|&column| rows.iter().skip(1).any(|row| !cell(row, column).is_empty())).collect();
    let mut widths: Vec<usize> = columns
        .iter()
        .map(|&column| rows.iter().map(|row| measure_text_width(&cell(row, column))).max().unwrap_or(0))
        .collect();
    if let (Some(width), Some((first, others))) = (width, widths.split_first_mut()) {
        let taken: usize = others.iter().map(|other| other + GAP.len()).sum();
        *first = (*first).min(width.saturating_sub(taken).max(LEAST));
    }
    let line = |(number, row): (usize, &Vec<String>)| {
        let mut line = String::new();
        let mut blanks = 0;
        for (&column, &width) in columns.iter().zip(&widths) {
            let text = cut_middle(&cell(row, column), width);
            let used = measure_text_width(&text);
            if used > 0 {
                line.push_str(&" ".repeat(blanks));
                line.push_str(&paint(number, column, &text));
                blanks = 0;
            }
            blanks += width - used.min(width) + GAP.len();
        }
        line
    };
    rows.iter().enumerate().map(line).collect()
}

/// Shortens a text to a width by leaving out its middle. The end keeps more: it tells packages apart.
fn cut_middle(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_string();
    }
    let left = width.saturating_sub(1);
    let end: String = take(text.chars().rev(), left - left / 3).chars().rev().collect();
    let start = take(text.chars(), left - measure_text_width(&end));
    format!("{start}…{end}")
}

/// The first characters that fit a width.
fn take(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut text = String::new();
    for c in chars {
        text.push(c);
        if measure_text_width(&text) > width {
            text.pop();
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(rows: &[&[&str]], width: Option<usize>) -> Vec<String> {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| cell.to_string()).collect()).collect();
        lines(&rows, width, |_, _, text| text.to_string())
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        assert_eq!(
            plain(&[&["NAME", "STATE", "MORE"], &["a", "at pin", "1"], &["long name", "x", ""]], None),
            ["NAME       STATE   MORE", "a          at pin  1", "long name  x"]
        );
    }

    #[test]
    fn empty_columns_are_left_out() {
        assert_eq!(plain(&[&["NAME", "A", "B"], &["a", "", "1"], &["b", "", ""]], None), ["NAME  B", "a     1", "b"]);
        assert_eq!(plain(&[&["NAME", "A"]], None), [""]);
        assert!(plain(&[], None).is_empty());
    }

    #[test]
    fn the_first_column_gives_way() {
        let rows: &[&[&str]] = &[&["NAME", "STATE"], &["sdk/storage/azure-storage-blob", "at pin"]];
        let line = |width| plain(rows, Some(width)).remove(1);
        assert_eq!(line(80), "sdk/storage/azure-storage-blob  at pin");
        assert_eq!(line(38), "sdk/storage/azure-storage-blob  at pin");
        assert_eq!(line(37), "sdk/stora…/azure-storage-blob  at pin");
        assert_eq!(line(25), "sdk/s…torage-blob  at pin");
        // Not shorter than that, however narrow the terminal is.
        assert_eq!(line(3), "sdk…age-blob  at pin");
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(
            plain(&[&["NAME", "S"], &["録音", "x"], &["abcde", "y"]], None),
            ["NAME   S", "録音   x", "abcde  y"]
        );
        assert_eq!(cut_middle("録音録音録音", 12), "録音録音録音");
        assert_eq!(cut_middle("録音録音録音", 9), "録…音録音");
        assert_eq!(cut_middle("録音録音録音", 8), "録…録音");
        for width in 0..12 {
            assert!(measure_text_width(&cut_middle("録音/abc/録音", width)) <= width.max(1), "{width}");
        }
    }

    #[test]
    fn colours_do_not_move_columns() {
        let rows = [["NAME", "S", "T"], ["a", "bb", "c"]].map(|row| row.map(String::from).to_vec());
        let painted = lines(&rows, None, |row, column, text| match (row, column) {
            (1, 1) => format!("\u{1b}[31m{text}\u{1b}[0m"),
            _ => text.to_string(),
        });
        assert_eq!(painted, ["NAME  S   T", "a     \u{1b}[31mbb\u{1b}[0m  c"]);
    }
}
