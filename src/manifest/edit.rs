//! Changing the pin in the text of a manifest: text in, text out. The bytes of one value change, or one key is added,
//! and nothing else.

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;
use jsonc_parser::cst::{CstInputValue, CstRootNode};
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

    let inside = &body[object.range.start..object.range.end];
    if let Some(last) = object.properties.last().filter(|_| !inside.contains('\n')) {
        // One line stays one line, which the library does not do. A trailing comma then follows the new value.
        let space = if inside.contains("\": ") { " " } else { "" };
        let (before, after) = body.split_at(last.range.end);
        return Ok(format!("{bom}{before},{space}\"{key}\":{space}{literal}{after}"));
    }
    let root = CstRootNode::parse(body, &STRICT).map_err(|e| bad(e.to_string()))?;
    let object = root.object_value().ok_or_else(|| bad("it is not an object".into()))?;
    object.append(key, CstInputValue::String(value.to_string()));
    Ok(format!("{bom}{root}"))
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
