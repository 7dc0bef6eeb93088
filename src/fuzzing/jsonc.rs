//! The editor against documents that are made up: any JSON with comments, in any layout. The generator knows where the
//! value stands, so the expected text is known to the byte.

use super::edits;
use super::inputs::Rng;
use crate::manifest::edit::set_string;

/// How a document is written.
struct Style {
    newline: &'static str,
    trailing_commas: bool,
    comments: bool,
    one_line: bool,
}

/// A document around the value of one key.
struct Document {
    before: String,
    after: String,
}

const KEY: &str = "SHA";

#[test]
fn only_the_bytes_of_the_value_change() {
    let mut rng = Rng::with_seed(2);
    for _ in 0..3000 {
        let document = document(&mut rng, true);
        let (old, new) = (value(&mut rng, 0), text(&mut rng));
        let before = format!("{}{old}{}", document.before, document.after);
        let literal = serde_json::to_string(&new).unwrap();
        let expected = format!("{}{literal}{}", document.before, document.after);
        assert_eq!(set_string(&before, KEY, &new).as_deref(), Ok(expected.as_str()), "{before}");
    }
}

#[test]
fn a_key_that_is_added_leaves_every_byte_where_it_was() {
    let mut rng = Rng::with_seed(3);
    for _ in 0..3000 {
        let document = document(&mut rng, false);
        let before = document.before + &document.after;
        let new = text(&mut rng);
        edits(&before, KEY, &new);
        let after = set_string(&before, KEY, &new).unwrap();
        let mut rest = after.chars();
        let all_there = before.chars().all(|c| rest.any(|other| other == c));
        assert!(all_there, "a byte of the first is not in the second, or in another order:\n{before}\n{after}");
        let breaks = |text: &str| (text.matches("\r\n").count(), text.matches('\n').count());
        let ((crlf, lf), (now_crlf, now_lf)) = (breaks(&before), breaks(&after));
        assert!(crlf < lf || now_crlf == now_lf, "a line ends otherwise than the others:\n{before:?}\n{after:?}");
        assert!(lf > 0 || now_lf == 0 || before.contains("//"), "one line became two:\n{before}\n{after}");
    }
}

/// A document with or without the key. Other keys and nested objects look like it.
fn document(rng: &mut Rng, with_key: bool) -> Document {
    let style = Style {
        newline: if rng.bool() { "\n" } else { "\r\n" },
        trailing_commas: rng.bool(),
        comments: rng.bool(),
        one_line: rng.u8(0..4) == 0,
    };
    let mut document = Document { before: String::new(), after: String::new() };
    let put = |document: &mut Document, is_after: bool, text: &str| {
        if is_after { document.after.push_str(text) } else { document.before.push_str(text) }
    };
    let members = rng.usize(usize::from(with_key)..6);
    let key_at = if with_key { rng.usize(0..members) } else { usize::MAX };
    let mut after = false;
    if rng.u8(0..4) == 0 {
        put(&mut document, after, "\u{feff}");
    }
    put(&mut document, after, &space(rng, &style));
    put(&mut document, after, "{");
    for member in 0..members {
        put(&mut document, after, &space(rng, &style));
        let key = match member == key_at {
            true if rng.u8(0..4) == 0 => "\"\\u0053HA\"".to_string(),
            true => format!("\"{KEY}\""),
            false => {
                format!("\"{}{member}\"", rng.choice(["sha", "Tag", "S H A", "é\\n", "\\\"SHA\\\": \\\"\\\""]).unwrap())
            }
        };
        put(&mut document, after, &key);
        put(&mut document, after, &space(rng, &style));
        put(&mut document, after, ":");
        put(&mut document, after, &space(rng, &style));
        if member == key_at {
            after = true;
        } else {
            let value = value(rng, 3);
            put(&mut document, after, &value);
        }
        put(&mut document, after, &space(rng, &style));
        if member + 1 < members || style.trailing_commas {
            put(&mut document, after, ",");
        }
    }
    put(&mut document, after, &space(rng, &style));
    put(&mut document, after, "}");
    let end = space(rng, &style);
    put(&mut document, true, &end);
    document
}

/// Space between two tokens: none, blanks, line breaks, comments that look like members.
fn space(rng: &mut Rng, style: &Style) -> String {
    let mut text = String::new();
    for _ in 0..rng.u8(0..4) {
        match rng.u8(0..5) {
            0 if style.comments => text.push_str("/* \"SHA\": \"x\", } */"),
            1 if style.comments && !style.one_line => {
                text.push_str("// \"SHA\": \"x\", {");
                text.push_str(style.newline);
            }
            2 if !style.one_line => text.push_str(style.newline),
            3 => text.push('\t'),
            _ => text.push(' '),
        }
    }
    text
}

/// The source of any value.
fn value(rng: &mut Rng, depth: u8) -> String {
    match rng.u8(0..if depth == 0 { 5 } else { 7 }) {
        0 => "null".into(),
        1 => rng.choice(["true", "false"]).unwrap().to_string(),
        2 => rng.choice(["0", "-1", "2.50", "6.02e23", "1E-3"]).unwrap().to_string(),
        3 => "\"\\u0041\\\"\\/\\ud83e\\udd80\"".into(),
        4 => serde_json::to_string(&text(rng)).unwrap(),
        5 => {
            let items: Vec<String> = (0..rng.u8(0..3)).map(|_| value(rng, depth - 1)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => {
            let members: Vec<String> =
                (0..rng.u8(0..3)).map(|n| format!("\"SHA{n}\": {}", value(rng, depth - 1))).collect();
            format!(
                "{{\"SHA\": {}{}}}",
                value(rng, depth - 1),
                members.iter().map(|m| format!(",{m}")).collect::<String>()
            )
        }
    }
}

/// Any text: plain, empty, or with whatever has to be escaped.
fn text(rng: &mut Rng) -> String {
    let mut text = String::new();
    for _ in 0..rng.u8(0..12) {
        match rng.u8(0..4) {
            0 => text.push(rng.char(..)),
            1 => text.push(*rng.choice(&['"', '\\', '\n', '\r', '\0', '/', '\u{2028}', '\u{feff}', '\u{7f}']).unwrap()),
            _ => text.push(rng.alphanumeric()),
        }
    }
    text
}
