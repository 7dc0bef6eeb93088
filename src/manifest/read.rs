//! The text of a manifest as checked fields, each failure with its line and column.

use jsonc_parser::ast::{ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use crate::error::{Error, Result, shell_word};
use crate::names::{Reason, printable};

/// JSON with comments and trailing commas, and nothing else.
pub const STRICT: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The largest file that is read as a manifest, in bytes.
const LARGEST: usize = 1 << 20;

/// The string fields of a manifest and where they stand.
pub struct Fields {
    file: String,
    fields: Vec<Field>,
    whole: (usize, usize),
}

struct Field {
    key: String,
    /// Where the key stands.
    at: (usize, usize),
    /// The value, when it is a string.
    value: Option<String>,
    place: (usize, usize),
}

/// The names of the fields that are checked to be strings; others belong to other tools.
const KNOWN: &[&str] = &[
    "AssetsRepo",
    "AssetsRepoPrefixPath",
    "AssetsRepoId",
    "AssetsRepoBranch",
    "AssetsRepoFallbackBranch",
    "SHA",
    "Tag",
    "TagPrefix",
];

/// A good value of a key of [`KNOWN`].
pub fn example(key: &str) -> String {
    let value = match key {
        "AssetsRepo" => "owner/name",
        "AssetsRepoPrefixPath" => "recordings",
        "AssetsRepoId" => "owner.name",
        "AssetsRepoBranch" => "auto/tables",
        "AssetsRepoFallbackBranch" => "main",
        "SHA" => "4e8e976b7839c1e9c6903f48106e48be76868a5d",
        "TagPrefix" => "python/tables",
        _ => "python/tables_1a2b3c4d5e",
    };
    format!("`\"{key}\": \"{value}\"`")
}

/// Reads the fields of a manifest; `file` is how messages call it.
pub fn fields(text: &str, file: &str) -> Result<Fields> {
    let at = |offset: usize| place(text, offset);
    let refuse = |(line, column): (usize, usize), why: &str| Error::usage(format!("`{file}:{line}:{column}`: {why}"));
    if text.len() > LARGEST {
        return Err(Error::usage(format!("`{file}` is larger than a manifest can be")));
    }
    if let Some(offset) = conflict_marker(text) {
        let quoted = shell_word(file);
        return Err(refuse(at(offset), "there are conflict markers of an unfinished merge").hint(format!(
            "keep one side, from the root of the code repo: `git checkout --ours -- {quoted}` or `git checkout --theirs -- {quoted}`"
        )));
    }
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let skipped = text.len() - body.len();
    let parsed = parse_to_ast(body, &CollectOptions::default(), &STRICT).map_err(|e| {
        refuse(at(skipped + e.range().start), "this is not valid JSON")
            .cause(e.kind().to_string())
            .hint("mend it in your editor; comments and trailing commas are fine")
    })?;
    let object = match &parsed.value {
        None => {
            return Err(refuse((1, 1), "the manifest is empty")
                .hint("the least it needs is `{\"AssetsRepo\": \"owner/name\"}`"));
        }
        Some(Value::Object(object)) => object,
        Some(other) => {
            return Err(refuse(at(skipped + other.range().start), "the manifest is not an object")
                .hint("the least it needs is `{\"AssetsRepo\": \"owner/name\"}`"));
        }
    };
    let mut fields = Fields { file: file.to_string(), fields: Vec::new(), whole: at(skipped + object.range.start) };
    for property in &object.properties {
        let key = property.name.as_str().to_string();
        if fields.has(&key) {
            return Err(refuse(at(skipped + property.range.start), &format!("`{}` stands twice", printable(&key)))
                .hint("delete one of them"));
        }
        let place = at(skipped + property.value.range().start);
        let value = string_value(property);
        if value.is_none() && KNOWN.contains(&key.as_str()) {
            return Err(refuse(place, &format!("`{key}` is not a string"))
                .hint(format!("write it in double quotes, for example {}", example(&key))));
        }
        fields.fields.push(Field { key, at: at(skipped + property.range.start), value, place });
    }
    Ok(fields)
}

impl Fields {
    /// Whether the field is there, empty or not.
    pub fn has(&self, key: &str) -> bool {
        self.field(key).is_some()
    }

    /// What is said of keys that look like misspelled ones; whatever else is unknown belongs to other tools.
    pub fn doubts(&self) -> Vec<String> {
        let doubt = |field: &Field| {
            let meant = meant_by(&field.key).filter(|meant| !self.has(meant))?;
            let ((line, column), key) = (field.at, printable(&field.key));
            Some(format!("`{}:{line}:{column}`: `{key}` means nothing here; did you mean `{meant}`?", self.file))
        };
        self.fields.iter().filter_map(doubt).collect()
    }

    /// The text of the field; none when it is absent or blank.
    pub fn text(&self, key: &str) -> Option<String> {
        let value = self.field(key)?.value.as_deref()?.trim();
        (!value.is_empty()).then(|| value.to_string())
    }

    /// The field as a value of its type; none when it is absent or blank.
    pub fn parse<T>(&self, key: &str, parse: impl Fn(&str) -> std::result::Result<T, Reason>) -> Result<Option<T>> {
        let Some(text) = self.text(key) else { return Ok(None) };
        parse(&text).map(Some).map_err(|why| {
            let (line, column) = self.place(key);
            Error::usage(format!("`{}:{line}:{column}`: `{key}` `{}` {why}", self.file, printable(&text))).hint(
                format!(
                    "write it like {}; earlier values: `git log -p -- {}`",
                    example(key),
                    shell_word(&format!(":/{}", self.file))
                ),
            )
        })
    }

    /// An error with the place of a field before it.
    pub fn at(&self, key: &str, mut error: Error) -> Error {
        let (line, column) = self.place(key);
        error.message = format!("`{}:{line}:{column}`: {}", self.file, error.message);
        error
    }

    /// An error about one field.
    pub fn refuse(&self, key: &str, why: &str) -> Error {
        let (line, column) = self.place(key);
        Error::usage(format!("`{}:{line}:{column}`: `{key}` {why}", self.file))
    }

    fn place(&self, key: &str) -> (usize, usize) {
        self.field(key).map_or(self.whole, |field| field.place)
    }

    fn field(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == key)
    }
}

/// The key that an unknown one is nearly spelled as.
fn meant_by(key: &str) -> Option<&'static str> {
    if KNOWN.contains(&key) {
        return None;
    }
    let lower = key.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&lower, &known.to_lowercase());
    let near =
        KNOWN.iter().map(|known| (distance(known), *known)).filter(|(far, known)| *far <= known.len().div_ceil(6));
    near.min().map(|(_, known)| known)
}

fn string_value(property: &ObjectProp) -> Option<String> {
    property.value.as_string_lit().map(|literal| literal.value.to_string())
}

/// Where a merge left its first marker.
fn conflict_marker(text: &str) -> Option<usize> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
            return Some(offset);
        }
        offset += line.len();
    }
    None
}

/// Line and column, both from 1, the column in characters.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before[line_start..].trim_start_matches('\u{feff}').chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_nearly_right() {
        let table = [
            ("AssetRepo", Some("AssetsRepo")),
            ("assetsRepo", Some("AssetsRepo")),
            ("AssetsRepoPrefix", Some("AssetsRepoPrefixPath")),
            ("AssetsRepoPrefixpath", Some("AssetsRepoPrefixPath")),
            ("AssetsRepoBrnach", Some("AssetsRepoBranch")),
            ("sha", Some("SHA")),
            ("Tags", Some("Tag")),
            ("TagPrefx", Some("TagPrefix")),
            ("SHA", None),
            ("$schema", None),
            ("Task", None),
            ("x", None),
        ];
        for (key, meant) in table {
            assert_eq!(meant_by(key), meant, "{key}");
        }
        let text = "{\"AssetsRepo\": \"o/n\",\n  \"sha\": \"1\", \"assetsrepo\": 1}";
        let doubts = fields(text, "sdk/assets.json").unwrap().doubts();
        assert_eq!(doubts, ["`sdk/assets.json:2:3`: `sha` means nothing here; did you mean `SHA`?"]);
    }
}
