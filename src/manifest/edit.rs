//! Changing the pin in the text of a manifest: text in, text out. The bytes of one value change, or one key is added,
//! and nothing else.

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, parse_to_ast};

use super::read::STRICT;
use crate::error::{Error, Result};

/// Sets the string `key` of the outermost object to `value`.
///
/// # Errors
/// When the text is not an object in JSON with comments.
pub fn set_string(text: &str, key: &str, value: &str) -> Result<String> {
    let bad = |why: String| Error::usage("the manifest is not valid JSON any more").cause(why);
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let bom = &text[..text.len() - body.len()];
    let literal = serde_json::to_string(value).map_err(|e| bad(e.to_string()))?;

    let parsed = parse_to_ast(body, &CollectOptions::default(), &STRICT).map_err(|e| bad(e.to_string()))?;
    let Some(Value::Object(object)) = &parsed.value else { return Err(bad("it is not an object".into())) };
    if let Some(property) = object.properties.iter().find(|property| property.name.as_str() == key) {
        let range = property.value.range();
        return Ok(format!("{bom}{}{literal}{}", &body[..range.start], &body[range.end..]));
    }

    Ok(format!("{bom}{}", add(body, object, key, &literal)))
}

/// Adds a member at the end of an object, written like the others; everything that is there stays. (The library's own way
/// drops blank lines at the end, and makes several lines of one.)
fn add(body: &str, object: &Object, key: &str, literal: &str) -> String {
    let inside = &body[object.range.start..object.range.end];
    let colon = if inside.contains("\":") && !inside.contains("\": ") { ":" } else { ": " };
    let member = format!("\"{key}\"{colon}{literal}");
    let last = object.properties.last();
    let start = last.map_or(object.range.start + 1, |last| last.range.end);
    let tail = Tail::of(&body[start..object.range.end - 1]);
    let Some(line_break) = ["\r\n", "\n"].into_iter().find(|line_break| inside.contains(line_break)) else {
        // One line stays one line. A trailing comma then follows the new value.
        let (before, after) = body.split_at(start);
        let comma = if last.is_some() { "," } else { "" };
        let space = if last.is_some() && colon == ": " { " " } else { "" };
        return format!("{before}{comma}{space}{member}{after}");
    };
    let (before, after) = body.split_at(start + tail.end);
    let (before, between) = before.split_at(start);
    let (comma, trailing) = match tail.has_comma {
        true => ("", ","),
        false if last.is_some() => (",", ""),
        false => ("", ""),
    };
    let indent = last.map_or("  ", |last| indent_at(body, last.range.start));
    format!("{before}{comma}{between}{line_break}{indent}{member}{trailing}{after}")
}

/// What stands between the last value of an object and its closing brace.
struct Tail {
    has_comma: bool,
    /// Where the last of it ends that is not blank.
    end: usize,
}

impl Tail {
    fn of(text: &str) -> Tail {
        let mut tail = Tail { has_comma: false, end: 0 };
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            let length = match rest {
                _ if rest.starts_with("//") => rest.find(['\r', '\n']).unwrap_or(rest.len()),
                _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
                _ => c.len_utf8(),
            };
            at += length;
            tail.has_comma |= c == ',';
            if !c.is_whitespace() {
                tail.end = at;
            }
        }
        tail
    }
}

/// The blanks before something that stands first in its line; else those that its line begins with.
fn indent_at(text: &str, at: usize) -> &str {
    let line = &text[text[..at].rfind('\n').map_or(0, |end| end + 1)..at];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_value_changes() {
        let layouts = [
            "{\"AssetsRepo\":\"o/n\",\"SHA\":\"@\"}",
            "{\n  // SHA: \"old\"\n  \"AssetsRepo\": \"o/n\",\n  \"SHA\": \"@\", // old\n}\n",
            "\u{feff}{\r\n\t\"SHA\" : \"@\",\r\n\t\"x\": {\"SHA\": \"old\"},\r\n\t/* old */ \"AssetsRepo\": \"o/n\"\r\n}",
            "{ \"x\": [1, {\"SHA\": \"old\"}], \"SHA\": \"@\" }",
            "// head\n{\"SHA\"/*a*/:/*b*/\"@\"/*c*/}\n// tail",
        ];
        for layout in layouts {
            let before = layout.replace('@', "old");
            assert_eq!(set_string(&before, "SHA", "new").unwrap(), layout.replace('@', "new"));
        }
    }

    #[test]
    fn one_key_is_added_in_the_style_of_the_file() {
        let table = [
            ("{\"AssetsRepo\":\"o/n\"}", "{\"AssetsRepo\":\"o/n\",\"SHA\":\"new\"}"),
            ("{ \"AssetsRepo\": \"o/n\" }", "{ \"AssetsRepo\": \"o/n\", \"SHA\": \"new\" }"),
            ("{\n    \"AssetsRepo\": \"o/n\"\n}\n", "{\n    \"AssetsRepo\": \"o/n\",\n    \"SHA\": \"new\"\n}\n"),
            ("{\n\t\"AssetsRepo\": \"o/n\",\n}", "{\n\t\"AssetsRepo\": \"o/n\",\n\t\"SHA\": \"new\",\n}"),
            (
                "{\r\n  \"AssetsRepo\": \"o/n\" // c\r\n}\r\n",
                "{\r\n  \"AssetsRepo\": \"o/n\", // c\r\n  \"SHA\": \"new\"\r\n}\r\n",
            ),
            ("{\n  \"a\": 1,\n  \"b\": 2 \n\n\t\n}", "{\n  \"a\": 1,\n  \"b\": 2,\n  \"SHA\": \"new\" \n\n\t\n}"),
            ("{\n  \"a\": 1 // , c\n  /* } */\n}", "{\n  \"a\": 1, // , c\n  /* } */\n  \"SHA\": \"new\"\n}"),
            ("{\n  \"a\": 1, // c\n}", "{\n  \"a\": 1, // c\n  \"SHA\": \"new\",\n}"),
            ("{ \"a\": 1, /* c */ }", "{ \"a\": 1, \"SHA\": \"new\", /* c */ }"),
            ("{}", "{\"SHA\": \"new\"}"),
            ("{\n}", "{\n  \"SHA\": \"new\"\n}"),
            (
                "\u{feff}{\n  \"x\": {\"SHA\": \"old\"}\n}",
                "\u{feff}{\n  \"x\": {\"SHA\": \"old\"},\n  \"SHA\": \"new\"\n}",
            ),
        ];
        for (before, after) in table {
            assert_eq!(set_string(before, "SHA", "new").unwrap(), after);
        }
    }

    #[test]
    fn values_are_escaped() {
        assert_eq!(set_string("{\"Tag\": \"\"}", "Tag", "a\"b").unwrap(), "{\"Tag\": \"a\\\"b\"}");
    }
}
