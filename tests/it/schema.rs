//! `schema/assets.schema.json` says of a manifest what the program says of it.

use regex_lite::Regex;
use serde_json::Value;

use crate::support::World;

const SHA: &str = "4e8e976b7839c1e9c6903f48106e48be76868a5d";

/// Manifests that are right. `"@"` stands for a commit id.
const GOOD: &[&str] = &[
    r#"{"AssetsRepo": "Azure/azure-sdk-assets"}"#,
    r#"{"$schema": "../../eng/common/testproxy/assets.schema.json", "AssetsRepo": "o/n"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoPrefixPath": "recordings/", "AssetsRepoId": "", "AssetsRepoBranch": "auto/tables",
        "AssetsRepoFallbackBranch": "main", "SHA": "@"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoPrefixPath": "python", "TagPrefix": "python/tables", "Tag": "python/tables_1a2b3c4d5e"}"#,
    r#"{"AssetsRepo": "o/n", "Tag": "", "TagPrefix": "py/a"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoPrefixPath": "./a/./b"}"#,
    r#"{"AssetsRepo": "o/n", "SHA": "", "Owner": ["other", {"tools": true}]}"#,
    r#"{"AssetsRepo": "https://git.example.com:8443/team/recordings.git"}"#,
    r#"{"AssetsRepo": "https://me@git.example.com/team/recordings.git"}"#,
    r#"{"AssetsRepo": "ssh://git@git.example.com/team/recordings.git"}"#,
    r#"{"AssetsRepo": "git@git.example.com:team/recordings.git"}"#,
    r#"{"AssetsRepo": "file:///srv/recordings.git"}"#,
    r#"{"AssetsRepo": "/srv/recordings.git"}"#,
];

/// Manifests that are wrong.
const BAD: &[&str] = &[
    r#"{}"#,
    r#"[]"#,
    r#""o/n""#,
    r#"{"AssetsRepo": ""}"#,
    r#"{"AssetsRepo": " "}"#,
    r#"{"AssetsRepo": 5}"#,
    r#"{"AssetsRepo": "just-a-name"}"#,
    r#"{"AssetsRepo": "-o/n"}"#,
    r#"{"AssetsRepo": "ext::sh -c true"}"#,
    r#"{"AssetsRepo": "ssh://-oProxyCommand=x/y"}"#,
    r#"{"AssetsRepo": "https://me:secret@git.example.com/a/b"}"#,
    r#"{"AssetsRepo": "ftp://git.example.com/a/b"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoPrefixPath": "../up"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoPrefixPath": "/top"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoPrefixPath": "a/.git/hooks"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoPrefixPath": "a\\b"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoId": "a/b"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoId": ".locks"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoId": "breadcrumb"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoBranch": "-x"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoBranch": "a..b"}"#,
    r#"{"AssetsRepo": "o/n", "AssetsRepoFallbackBranch": ["main"]}"#,
    r#"{"AssetsRepo": "o/n", "SHA": "4e8e976"}"#,
    r#"{"AssetsRepo": "o/n", "SHA": null}"#,
    r#"{"AssetsRepo": "o/n", "Tag": "a:b"}"#,
    r#"{"AssetsRepo": "o/n", "Tag": "a/.b"}"#,
    r#"{"AssetsRepo": "o/n", "TagPrefix": "a.lock/b"}"#,
    r#"{"AssetsRepo": "o/n", "SHA": "@", "Tag": "a_1"}"#,
];

#[test]
fn the_schema_and_the_program_agree() {
    let schema: Value =
        serde_json::from_str(include_str!("../../schema/assets.schema.json")).expect("the schema is JSON");
    let world = World::new();
    let code = world.code_repo("code");
    for (examples, good) in [(GOOD, true), (BAD, false)] {
        for example in examples {
            let text = example.replace("\"@\"", &format!("\"{SHA}\""));
            code.manifest("sdk/a", &text);
            let shown = code.assets(["config", "show", "sdk/a"]);
            let expected = if good { 0 } else { 2 };
            assert_eq!(shown.code, Some(expected), "the program says of {text}: {}", shown.stderr);
            let value: Value = serde_json::from_str(&text).expect("the example is JSON");
            let wrong = violation(&schema, &schema, &value);
            assert_eq!(wrong.is_none(), good, "the schema says of {text}: {wrong:?}");
        }
    }
}

/// A schema that names what the program does not know, or the other way round, helps nobody.
#[test]
fn the_schema_names_the_keys_that_the_program_reads() {
    let schema: Value = serde_json::from_str(include_str!("../../schema/assets.schema.json")).unwrap();
    let world = World::new();
    let code = world.code_repo("code");
    for key in schema["properties"].as_object().unwrap().keys() {
        // A value of another type is noticed, so the key is read; only `$schema` is not ours.
        let text = if key == "AssetsRepo" {
            r#"{"AssetsRepo": 5}"#.into()
        } else {
            format!(r#"{{"AssetsRepo": "o/n", "{key}": 5}}"#)
        };
        code.manifest("sdk/a", &text);
        assert_eq!(code.assets(["config", "show", "sdk/a"]).code == Some(2), key != "$schema", "{key}");
    }
    let shown = |manifest: &str| {
        code.manifest("sdk/a", manifest);
        let shown: Value = serde_json::from_str(&code.assets(["config", "show", "sdk/a"]).ok().stdout).unwrap();
        shown.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    for key in [shown(r#"{"AssetsRepo": "o/n"}"#), shown(r#"{"AssetsRepo": "o/n", "Tag": ""}"#)].concat() {
        assert!(schema["properties"][&key].is_object(), "the schema does not know `{key}`");
    }
}

#[test]
fn a_new_manifest_names_the_schema_that_the_code_repo_has() {
    let world = World::new();
    let code = world.code_repo("code");
    std::fs::create_dir_all(code.path.join("sdk/core")).unwrap();
    code.write("eng/common/testproxy/assets.schema.json", include_str!("../../schema/assets.schema.json"));
    code.assets(["init", "--repo", "o/n", "--prefix", "py", "sdk/core"]).ok();
    let named = "../../eng/common/testproxy/assets.schema.json";
    assert_eq!(
        code.read("sdk/core/assets.json"),
        format!(
            "{{\n  \"$schema\": \"{named}\",\n  \"AssetsRepo\": \"o/n\",\n  \"AssetsRepoPrefixPath\": \"py\"\n}}\n"
        )
    );
    assert!(code.path.join("sdk/core").join(named).is_file());
    code.assets(["config", "show", "sdk/core"]).ok();
}

/// The first rule of a schema that a value breaks. Knows the words that ours uses and no others.
fn violation(schema: &Value, whole: &Value, value: &Value) -> Option<String> {
    let mut rules = schema.as_object().expect("a schema is an object").iter();
    rules.find_map(|(word, rule)| {
        let each = || rule.as_array().expect("a list of schemas").iter();
        let holds = match word.as_str() {
            "$schema"
            | "title"
            | "description"
            | "default"
            | "examples"
            | "definitions"
            | "allowComments"
            | "allowTrailingCommas" => true,
            "$ref" => {
                let pointer = rule.as_str().and_then(|text| text.strip_prefix('#')).expect("a pointer");
                return violation(whole.pointer(pointer).expect("what it points to"), whole, value);
            }
            "type" => match rule.as_str() {
                Some("object") => value.is_object(),
                Some("string") => value.is_string(),
                other => panic!("the type {other:?} is not known to this test"),
            },
            "required" => each().all(|key| value.get(key.as_str().unwrap()).is_some() || !value.is_object()),
            "pattern" => {
                let pattern = Regex::new(rule.as_str().unwrap()).expect("a regular expression");
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "not" => violation(rule, whole, value).is_some(),
            "anyOf" => each().any(|schema| violation(schema, whole, value).is_none()),
            "allOf" => return each().find_map(|schema| violation(schema, whole, value)),
            "properties" => {
                let found = rule.as_object().unwrap().iter();
                return found
                    .filter_map(|(key, schema)| Some((key, violation(schema, whole, value.get(key)?)?)))
                    .map(|(key, why)| format!("{key}: {why}"))
                    .next();
            }
            other => panic!("the word {other:?} is not known to this test"),
        };
        (!holds).then(|| format!("{word}: {rule}"))
    })
}
