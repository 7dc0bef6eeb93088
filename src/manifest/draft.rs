//! A manifest that does not exist yet: what it will say, decided from the one above it and what its maker wants.

use super::schema::SCHEMA_KEY;
use super::{Form, Manifest};
use crate::names::RepoPath;

/// What somebody says about a new manifest; the rest is taken from the one above it.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    pub assets_repo: Option<String>,
    pub prefix: Option<String>,
    /// Where pushes go, in the branch form.
    pub branch: Option<String>,
    /// What its tags begin with; then it is in the tag form.
    pub tag_prefix: Option<String>,
}

/// The keys of a new manifest and their values, in the order people write them. What is empty is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft(Vec<(&'static str, String)>);

impl Draft {
    /// Decides what the manifest of a directory says; `None` when nothing names the assets repo. `guessed_prefix` is for
    /// the first manifest of a code repo.
    ///
    /// All but the branch or the tag prefix is that of the manifest above: a package that gets one of its own keeps the
    /// recordings that it had, and pushes on its own from then on.
    pub fn decide(
        directory: &str,
        above: Option<&Manifest>,
        wishes: &Wishes,
        guessed_prefix: Option<&str>,
    ) -> Option<Draft> {
        // Another assets repo has nothing in common with that one.
        let above =
            above.filter(|above| wishes.assets_repo.as_ref().is_none_or(|wish| *wish == above.assets_repo_text));
        let inherited = |value: fn(&Manifest) -> String| above.map(value);
        let assets_repo = wishes.assets_repo.clone().or(inherited(|above| above.assets_repo_text.clone()))?;
        let prefix = wishes.prefix.clone().or(inherited(|above| above.prefix.as_str().to_string()));
        let prefix = prefix.or(guessed_prefix.map(str::to_string)).unwrap_or_default();
        let mut keys = vec![("AssetsRepo", assets_repo), ("AssetsRepoPrefixPath", prefix.clone())];
        // At another prefix, or in the other form, the pin would select what it was not meant for.
        let same_prefix = above.is_some_and(|above| above.prefix.as_str() == prefix.trim_matches('/'));
        match (&wishes.tag_prefix, above.map(|above| &above.form)) {
            (wish, Some(Form::Tag { tag, .. })) if wishes.branch.is_none() => {
                keys.push(("TagPrefix", wish.clone().unwrap_or_else(|| tag_prefix(&prefix, directory))));
                let tag = tag.as_ref().filter(|_| same_prefix);
                keys.push(("Tag", tag.map_or(String::new(), ToString::to_string)));
            }
            (Some(wish), _) => keys.push(("TagPrefix", wish.clone())),
            (None, form) => {
                keys.push(("AssetsRepoId", above.and_then(|above| above.id.clone()).unwrap_or_default()));
                keys.push(("AssetsRepoBranch", wishes.branch.clone().unwrap_or_default()));
                if let Some(Form::Branch { sha, fallback, .. }) = form {
                    let fallback = fallback.as_str();
                    keys.push(("AssetsRepoFallbackBranch", if fallback == "main" { "" } else { fallback }.to_string()));
                    let sha = sha.as_ref().filter(|_| same_prefix);
                    keys.push(("SHA", sha.map_or(String::new(), ToString::to_string)));
                }
            }
        }
        keys.retain(|(_, value)| !value.is_empty());
        Some(Draft(keys))
    }

    /// The same, saying to editors where its schema is, if that is known.
    pub fn with_schema(mut self, schema: Option<String>) -> Draft {
        self.0.splice(0..0, schema.map(|schema| (SCHEMA_KEY, schema)));
        self
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let quote = |value: &str| serde_json::Value::from(value).to_string();
        let lines: Vec<String> = self.0.iter().map(|(key, value)| format!("  \"{key}\": {}", quote(value))).collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }
}

/// `python/tables/azure-data-tables` for `sdk/tables/azure-data-tables` in an assets repo that has `python/` for this
/// code repo: as tags are named there.
fn tag_prefix(prefix: &str, directory: &str) -> String {
    let (prefix, directory) = (prefix.trim_matches('/'), directory.strip_prefix("sdk/").unwrap_or(directory));
    let name = match (prefix, directory) {
        ("", "") => "recordings".into(),
        ("", name) | (name, "") => name.into(),
        _ if directory.starts_with(&format!("{prefix}/")) => directory.into(),
        _ => format!("{prefix}/{directory}"),
    };
    // A folder may be called so, a tag may not.
    name.replace([' ', '~', '^', '['], "-")
}

/// The prefix for a code repo of this name: `python` for `azure-sdk-for-python`. None for a name that no folder may have.
pub fn guess_prefix(code_repo_name: &str) -> String {
    let name = code_repo_name.rsplit_once("-for-").map_or(code_repo_name, |(_, language)| language);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let guess: String = name.chars().map(plain).collect();
    RepoPath::parse(&guess).map(|_| guess).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SHA: &str = "4e8e976b7839c1e9c6903f48106e48be76868a5d";

    fn above(keys: &str) -> Manifest {
        let text = format!("{{\"AssetsRepo\": \"o/n\", \"AssetsRepoPrefixPath\": \"python/\", {keys}}}");
        Manifest::of_text(Path::new("/code/sdk/assets.json"), Path::new("/code"), &text).unwrap()
    }

    fn keys(above: Option<&Manifest>, wishes: &Wishes) -> Vec<(&'static str, String)> {
        Draft::decide("sdk/tables/data", above, wishes, Some("python")).map_or(Vec::new(), |draft| draft.0)
    }

    fn wish(of: impl Fn(&mut Wishes)) -> Wishes {
        let mut wishes = Wishes::default();
        of(&mut wishes);
        wishes
    }

    #[test]
    fn all_but_the_branch_is_that_of_the_manifest_above() {
        let sha = format!("\"SHA\": \"{SHA}\"");
        let full = format!(
            "\"AssetsRepoBranch\": \"auto/all\", \"AssetsRepoFallbackBranch\": \"dev\", \"AssetsRepoId\": \"rec\", {sha}"
        );
        type Keys<'a> = &'a [(&'a str, &'a str)];
        let table: [(Option<String>, Wishes, Keys); 9] = [
            (None, Wishes::default(), &[]),
            (
                None,
                wish(|w| w.assets_repo = Some("o/n".into())),
                &[("AssetsRepo", "o/n"), ("AssetsRepoPrefixPath", "python")],
            ),
            (
                Some(full.clone()),
                Wishes::default(),
                &[
                    ("AssetsRepo", "o/n"),
                    ("AssetsRepoPrefixPath", "python"),
                    ("AssetsRepoId", "rec"),
                    ("AssetsRepoFallbackBranch", "dev"),
                    ("SHA", SHA),
                ],
            ),
            (
                Some(sha.clone()),
                wish(|w| w.branch = Some("auto/x".into())),
                &[
                    ("AssetsRepo", "o/n"),
                    ("AssetsRepoPrefixPath", "python"),
                    ("AssetsRepoBranch", "auto/x"),
                    ("SHA", SHA),
                ],
            ),
            (
                Some(full.clone()),
                wish(|w| w.assets_repo = Some("x/y".into())),
                &[("AssetsRepo", "x/y"), ("AssetsRepoPrefixPath", "python")],
            ),
            (
                Some(sha.clone()),
                wish(|w| w.prefix = Some("other".into())),
                &[("AssetsRepo", "o/n"), ("AssetsRepoPrefixPath", "other")],
            ),
            (
                Some(sha),
                wish(|w| w.tag_prefix = Some("py/x".into())),
                &[("AssetsRepo", "o/n"), ("AssetsRepoPrefixPath", "python"), ("TagPrefix", "py/x")],
            ),
            (
                Some("\"Tag\": \"python/all_1a2b\"".into()),
                Wishes::default(),
                &[
                    ("AssetsRepo", "o/n"),
                    ("AssetsRepoPrefixPath", "python"),
                    ("TagPrefix", "python/tables/data"),
                    ("Tag", "python/all_1a2b"),
                ],
            ),
            (
                Some("\"Tag\": \"python/all_1a2b\"".into()),
                wish(|w| w.branch = Some("auto/x".into())),
                &[("AssetsRepo", "o/n"), ("AssetsRepoPrefixPath", "python"), ("AssetsRepoBranch", "auto/x")],
            ),
        ];
        for (index, (text, wishes, expected)) in table.into_iter().enumerate() {
            let above = text.map(|text| above(&text));
            let expected: Vec<_> = expected.iter().map(|(key, value)| (*key, value.to_string())).collect();
            assert_eq!(keys(above.as_ref(), &wishes), expected, "{index}");
        }
    }

    #[test]
    fn a_new_manifest_is_good_as_it_is() {
        let wishes = wish(|w| (w.assets_repo, w.prefix) = (Some("https://host/a\".git".into()), Some(String::new())));
        let draft = Draft::decide("", None, &wishes, Some("python")).unwrap();
        assert_eq!(draft.text(), "{\n  \"AssetsRepo\": \"https://host/a\\\".git\"\n}\n");
    }

    #[test]
    fn prefixes_are_guessed_from_names() {
        let table = [
            ("azure-sdk-for-python", "python"),
            ("azure-sdk-for-c++", "c--"),
            ("my.service", "my.service"),
            ("..", ""),
            ("my repo.", ""),
            ("sdk-for-aux", ""),
            ("", ""),
        ];
        for (name, prefix) in table {
            assert_eq!(guess_prefix(name), prefix);
        }
        assert_eq!(tag_prefix("", "libs/core"), "libs/core");
        assert_eq!(tag_prefix("python/", "sdk/core"), "python/core");
        assert_eq!(tag_prefix("net", "net/core"), "net/core");
        assert_eq!(tag_prefix("", ""), "recordings");
        assert_eq!(tag_prefix("net", "sdk/my core"), "net/my-core");
    }
}
