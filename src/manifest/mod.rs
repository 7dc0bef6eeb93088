//! `assets.json`: what it says, with its defaults filled in and every value checked.

pub mod draft;
pub mod edit;
pub mod file;
pub mod inside;
pub mod locate;
pub mod read;
pub mod schema;

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;

use crate::error::{AtPath, Error, Kind, Result, shell_word};
use crate::names::{AssetsRepo, Oid, RefName, RepoPath};
use crate::store::paths::component_problem;

/// The name of a manifest file.
pub const FILE_NAME: &str = "assets.json";

/// One checked `assets.json`.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The file itself, absolute.
    pub file: PathBuf,
    /// The root of the code repo, absolute.
    pub code_repo: PathBuf,
    /// The file from the root of the code repo, with `/`.
    pub path: String,
    pub assets_repo: AssetsRepo,
    /// `AssetsRepo` as it is written.
    pub assets_repo_text: String,
    /// The folder in the assets repo before the slice.
    pub prefix: RepoPath,
    /// What it selects in the assets repo.
    pub slice: RepoPath,
    pub form: Form,
    /// A commit to show instead of the pin, which stays as it is.
    pub instead: Option<Oid>,
    /// What to name it by on a command line where the user stands: a space and a word for the shell, or nothing.
    pub argument: String,
    /// What is said of keys that look like misspelled ones.
    pub doubts: Vec<String>,
    /// `AssetsRepoId`, if it is there.
    pub id: Option<String>,
}

/// The two ways to pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// By commit; pushes go to a branch.
    Branch { sha: Option<Oid>, branch: RefName, fallback: RefName },
    /// By tag; pushes make a new tag.
    Tag { tag: Option<RefName>, prefix: RefName },
}

/// The commit to show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pin {
    Commit(Oid),
    Tag(RefName),
    /// No pin: the tip of the first of these branches that exists, else (`default`) of the remote's default branch.
    Tip {
        branches: Vec<RefName>,
        default: bool,
    },
}

impl Pin {
    /// The branches an absent pin stands for; none for the other pins.
    pub fn branches(&self) -> impl Iterator<Item = &RefName> {
        match self {
            Pin::Tip { branches, .. } => branches.iter(),
            _ => [].iter(),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pin::Commit(oid) => write!(f, "commit `{oid}`"),
            Pin::Tag(tag) => write!(f, "tag `{tag}`"),
            Pin::Tip { branches, .. } => write!(f, "the tip of `{}`", branches.first().map_or("", RefName::as_str)),
        }
    }
}

impl Manifest {
    /// Reads and checks the manifest `file` (absolute), which lies in a code repo.
    pub fn load(file: &Path) -> Result<Manifest> {
        Manifest::load_in(file, locate::code_repo_of(file.parent().unwrap_or(file)))
    }

    /// As [`Manifest::load`], in a code repo that was found before, if it is in one.
    pub fn load_in(file: &Path, code_repo: Option<PathBuf>) -> Result<Manifest> {
        let code_repo = code_repo.ok_or_else(|| {
            Error::usage(format!("`{}` is not in a git repository", file.display()))
                .cause("no directory above it holds `.git`, so its place in the assets repo is unknown")
                .hint("in a container or an unpacked archive bring the `.git` of the code repo along; a new code repo is made with `git init` at its root")
        })?;
        let is_link = file.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
        if is_link && !dunce::canonicalize(file).is_ok_and(|target| target.starts_with(&code_repo)) {
            return Err(Error::usage(format!(
                "`{}` is a symbolic link that leads out of the code repo",
                file.display()
            ))
            .cause("a push would write wherever it leads")
            .hint("replace it by a plain file"));
        }
        let bytes = match std::fs::read(file) {
            // One that is there and cannot be read is no mistake in it, nor in the command line.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => {
                Err(e).at("read", file).map_err(|error| Error { kind: Kind::Usage, ..error })
            }
            read => read.at("read", file),
        }?;
        let text = String::from_utf8(bytes).map_err(|_| {
            let name = file.strip_prefix(&code_repo).unwrap_or(file).display();
            Error::usage(format!("`{name}` is not UTF-8")).hint("save it as UTF-8 in your editor")
        })?;
        Self::of_text(file, &code_repo, &text)
    }

    /// Checks the text of a manifest that is this file (absolute) of a code repo, or is to become it.
    pub fn of_text(file: &Path, code_repo: &Path, text: &str) -> Result<Manifest> {
        let folder = file.parent().unwrap_or(file);
        let relative = folder.strip_prefix(code_repo).unwrap_or(Path::new(""));
        let mut parts = Vec::new();
        for part in relative.components() {
            let part = part.as_os_str().to_str().ok_or_else(|| {
                Error::usage(format!("the folder `{}` is not named in UTF-8", folder.display())).hint("rename it")
            })?;
            parts.push(part);
        }
        let directory = parts.join("/");
        let path = if directory.is_empty() { FILE_NAME.to_string() } else { format!("{directory}/{FILE_NAME}") };
        Place { file, code_repo, path: &path, directory: &directory }.manifest(text)
    }

    /// The commit it asks for.
    pub fn pin(&self) -> Pin {
        let main = || RefName::parse("main").into_iter().collect();
        if let Some(commit) = &self.instead {
            return Pin::Commit(commit.clone());
        }
        match &self.form {
            Form::Branch { sha: Some(sha), .. } => Pin::Commit(sha.clone()),
            Form::Branch { branch, fallback, .. } => {
                Pin::Tip { branches: vec![branch.clone(), fallback.clone()], default: false }
            }
            Form::Tag { tag: Some(tag), .. } => Pin::Tag(tag.clone()),
            Form::Tag { .. } => Pin::Tip { branches: main(), default: true },
        }
    }

    /// The same, showing another commit than it pins.
    pub fn showing(&self, commit: Oid) -> Manifest {
        Manifest { instead: Some(commit), ..self.clone() }
    }

    /// The same, showing another tag, which leads to this commit.
    pub fn showing_tag(&self, tag: &RefName, commit: Oid) -> Manifest {
        match &self.form {
            Form::Branch { .. } => self.showing(commit),
            Form::Tag { prefix, .. } => {
                Manifest { form: Form::Tag { tag: Some(tag.clone()), prefix: prefix.clone() }, ..self.clone() }
            }
        }
    }

    /// What to do when the assets repo does not have the pin.
    pub fn pin_advice(&self) -> String {
        if self.instead.is_some() {
            return String::new();
        }
        let keys = match self.pin() {
            Pin::Commit(_) => "`SHA`",
            Pin::Tip { default: false, .. } => "`AssetsRepoBranch` and `AssetsRepoFallbackBranch`",
            _ => "`Tag`",
        };
        let file = shell_word(&format!(":/{}", self.path));
        format!("check {keys} in `{}`; earlier values: `git log -p -- {file}`", self.path)
    }

    /// The key that holds the pin.
    pub fn pin_key(&self) -> &'static str {
        match self.form {
            Form::Branch { .. } => "SHA",
            Form::Tag { .. } => "Tag",
        }
    }

    /// The name of its checkout below the assets folder.
    ///
    /// Tag form: the first ten letters or digits of base64(sha1(`AssetsRepo` + path of the manifest)), the layout of the
    /// .NET test proxy.
    pub fn checkout_name(&self) -> String {
        match (&self.form, &self.id) {
            (Form::Tag { .. }, _) => {
                let digest = sha1_smol::Sha1::from(format!("{}{}", self.assets_repo_text, self.path)).digest().bytes();
                let text = base64::engine::general_purpose::STANDARD.encode(digest);
                text.chars().filter(char::is_ascii_alphanumeric).take(10).collect()
            }
            (Form::Branch { .. }, Some(id)) => id.clone(),
            (Form::Branch { .. }, None) => default_id(&self.assets_repo_text),
        }
    }

    /// `AssetsRepo` for messages and names of folders.
    pub fn repo_name(&self) -> &str {
        &self.assets_repo_text
    }
}

/// `AssetsRepo` with `/` as `.`; what cannot be in a folder name becomes `.` too.
fn default_id(assets_repo: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '.' };
    let id: String = assets_repo.chars().map(plain).collect();
    let mut id = id.trim_matches('.').to_string();
    while id.contains("..") {
        id = id.replace("..", ".");
    }
    id
}

/// Where a manifest is; what its checks and defaults need besides its text.
struct Place<'a> {
    file: &'a Path,
    code_repo: &'a Path,
    path: &'a str,
    directory: &'a str,
}

impl Place<'_> {
    fn manifest(&self, text: &str) -> Result<Manifest> {
        let fields = read::fields(text, self.path)?;
        let Some(assets_repo_text) = fields.text("AssetsRepo") else {
            let mut error = fields.refuse("AssetsRepo", "is missing or empty");
            error.causes = fields.doubts();
            return Err(
                error.hint(format!("name the assets repo: `\"AssetsRepo\": \"owner/name\"` in `{}`", self.path))
            );
        };
        let assets_repo =
            fields.parse("AssetsRepo", AssetsRepo::parse)?.ok_or_else(|| fields.refuse("AssetsRepo", "is missing"))?;
        if let AssetsRepo::At(url) = &assets_repo {
            inside::check_outside_code_repo(url, self.code_repo).map_err(|error| fields.at("AssetsRepo", error))?;
        }
        let prefix = fields.parse("AssetsRepoPrefixPath", RepoPath::parse)?.unwrap_or_default();
        let directory = RepoPath::parse(self.directory)
            .map_err(|why| Error::usage(format!("the folder of `{}` {why}", self.path)).hint("rename the folder"))?;
        let id = fields.parse("AssetsRepoId", folder_name)?;
        let default_id = default_id(&assets_repo_text);
        if id.is_none() && folder_name(&default_id).is_err() {
            return Err(fields
                .refuse("AssetsRepo", "gives no usable name for a folder")
                .hint("add `AssetsRepoId` with a name for it"));
        }
        let branch = fields.parse("AssetsRepoBranch", RefName::parse)?;
        let fallback = fields.parse("AssetsRepoFallbackBranch", RefName::parse)?;
        let sha = fields.parse("SHA", Oid::parse_pin)?;
        let tag = fields.parse("Tag", RefName::parse)?;
        let tag_prefix = fields.parse("TagPrefix", RefName::parse)?;
        if fields.has("SHA") && fields.has("Tag") {
            return Err(fields.refuse("Tag", "stands beside `SHA`, and a manifest pins by one of them").hint(
                "delete the one that is not meant: `Tag` (with `TagPrefix`) is the tag form, `SHA` the branch form",
            ));
        }
        let service = self.service();
        let form = if fields.has("Tag") || fields.has("TagPrefix") {
            let prefix = match (tag_prefix, &tag) {
                (Some(prefix), _) => prefix,
                (None, Some(tag)) => prefix_of_tag(tag),
                (None, None) => default_name(&fields, "TagPrefix", &self.default_tag_prefix())?,
            };
            Form::Tag { tag, prefix }
        } else {
            let branch = match branch {
                Some(branch) => branch,
                None => default_name(&fields, "AssetsRepoBranch", &format!("auto/{service}"))?,
            };
            let fallback = match fallback {
                Some(fallback) => fallback,
                None => default_name(&fields, "AssetsRepoFallbackBranch", "main")?,
            };
            Form::Branch { sha, branch, fallback }
        };
        Ok(Manifest {
            file: self.file.to_path_buf(),
            code_repo: self.code_repo.to_path_buf(),
            path: self.path.to_string(),
            slice: prefix.join(directory.as_str()),
            assets_repo,
            assets_repo_text,
            prefix,
            form,
            instead: None,
            doubts: fields.doubts(),
            argument: format!(" {}", shell_word(self.path)),
            id,
        })
    }

    /// The directory after `sdk/`, else the name of the directory that holds the manifest.
    fn service(&self) -> String {
        let parts: Vec<&str> = self.directory.split('/').filter(|part| !part.is_empty()).collect();
        let after_sdk = parts.iter().position(|part| *part == "sdk").and_then(|at| parts.get(at + 1));
        match after_sdk.or(parts.last()) {
            Some(name) => name.to_string(),
            None => {
                self.code_repo.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy().into_owned())
            }
        }
    }

    fn default_tag_prefix(&self) -> String {
        if self.directory.is_empty() { self.service() } else { self.directory.to_string() }
    }
}

/// The tag without the `_<commit>` that a push added.
fn prefix_of_tag(tag: &RefName) -> RefName {
    let prefix = tag.as_str().rsplit_once('_').map_or(tag.as_str(), |(prefix, _)| prefix);
    RefName::parse(prefix).unwrap_or_else(|_| tag.clone())
}

fn default_name(fields: &read::Fields, key: &str, name: &str) -> Result<RefName> {
    RefName::parse(name).map_err(|why| {
        fields
            .refuse(key, &format!("is missing, and its default `{name}` {why}"))
            .hint(format!("write one, like {}", read::example(key)))
    })
}

/// Checks a name for a folder directly below the assets folder.
fn folder_name(text: &str) -> std::result::Result<String, String> {
    if text.contains(['/', '\\']) {
        return Err("cannot be the name of a folder: it is a path, which could leave the assets folder".into());
    }
    if let Some(why) = component_problem(text) {
        return Err(format!("cannot be the name of a folder: {}", why.replacen("which", "it", 1)));
    }
    if text.starts_with('.') || text.eq_ignore_ascii_case("breadcrumb") {
        return Err("is a name that the assets folder uses itself".into());
    }
    Ok(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const SHA: &str = "4e8e976b7839c1e9c6903f48106e48be76868a5d";

    fn parse(directory: &str, text: &str) -> Result<Manifest> {
        Manifest::of_text(&Path::new("/code").join(directory).join(FILE_NAME), Path::new("/code"), text)
    }

    #[test]
    fn defaults_of_the_branch_form() {
        let manifest = parse("sdk/tables/azure-data-tables", r#"{"AssetsRepo": "Azure/azure-sdk-assets"}"#).unwrap();
        let name = |text| RefName::parse(text).unwrap();
        assert_eq!(manifest.form, Form::Branch { sha: None, branch: name("auto/tables"), fallback: name("main") });
        assert_eq!(manifest.slice.as_str(), "sdk/tables/azure-data-tables");
        assert_eq!(manifest.checkout_name(), "Azure.azure-sdk-assets");
        assert_eq!(
            parse("libs/core", r#"{"AssetsRepo": "o/n"}"#).unwrap().form,
            Form::Branch { sha: None, branch: name("auto/core"), fallback: name("main") }
        );
    }

    #[test]
    fn the_layout_of_the_net_test_proxy() {
        let text = r#"{"AssetsRepo": "Azure/azure-sdk-assets", "AssetsRepoPrefixPath": "net", "TagPrefix": "net/storage/blob", "Tag": "net/storage/blob_1a2b3c4d5e"}"#;
        let manifest = parse("sdk/storage/azure-storage-blob", text).unwrap();
        assert_eq!(manifest.checkout_name(), "yoPImn7QKL");
        assert_eq!(manifest.slice.as_str(), "net/sdk/storage/azure-storage-blob");
        assert_eq!(manifest.pin(), Pin::Tag(RefName::parse("net/storage/blob_1a2b3c4d5e").unwrap()));
    }

    #[test]
    fn tag_prefixes() {
        let prefix = |text: &str| match parse("sdk/a", text).unwrap().form {
            Form::Tag { prefix, .. } => prefix.to_string(),
            Form::Branch { .. } => "branch form".into(),
        };
        assert_eq!(prefix(r#"{"AssetsRepo": "o/n", "Tag": "py/a_b_1a2b3c4d5e"}"#), "py/a_b");
        assert_eq!(prefix(r#"{"AssetsRepo": "o/n", "Tag": ""}"#), "sdk/a");
        assert_eq!(prefix(r#"{"AssetsRepo": "o/n", "TagPrefix": "py/a", "Tag": ""}"#), "py/a");
    }

    #[test]
    fn folder_names_of_assets_repos() {
        let name = |repo: &str| parse("a", &format!(r#"{{"AssetsRepo": "{repo}"}}"#)).unwrap().checkout_name();
        assert_eq!(name("https://host:8080/a/b.git"), "https.host.8080.a.b.git");
        assert_eq!(name("/srv/git/assets.git"), "srv.git.assets.git");
        assert_eq!(name("git@host:a/b"), "git.host.a.b");
    }

    #[test]
    fn refused_with_line_and_column() {
        let table = [
            ("{\n  \"AssetsRepo\": 5\n}", "`sdk/a/assets.json:2:17`: `AssetsRepo` is not a string"),
            ("{\n  \"AssetsRepo\": \"\"}", "`sdk/a/assets.json:2:17`: `AssetsRepo` is missing or empty"),
            ("{}", "`sdk/a/assets.json:1:1`: `AssetsRepo` is missing or empty"),
            ("[]", "`sdk/a/assets.json:1:1`: the manifest is not an object"),
            ("", "`sdk/a/assets.json:1:1`: the manifest is empty"),
            (
                "{\"AssetsRepo\": \"o/n\",\n \"SHA\": \"123\"}",
                "`sdk/a/assets.json:2:9`: `SHA` `123` is not a full commit id (40 hexadecimal digits)",
            ),
            (
                "{\"AssetsRepo\": \"o/n\", \"AssetsRepo\": \"x/y\"}",
                "`sdk/a/assets.json:1:23`: `AssetsRepo` stands twice",
            ),
            (
                "{\"AssetsRepo\": \"o/n\", \"AssetsRepoPrefixPath\": \"../x\"}",
                "`sdk/a/assets.json:1:47`: `AssetsRepoPrefixPath` `../x` leaves the checkout with `..`",
            ),
            (
                "{\"AssetsRepo\": \"o/n\", \"AssetsRepoId\": \"../x\"}",
                "`sdk/a/assets.json:1:39`: `AssetsRepoId` `../x` cannot be the name of a folder: it is a path, which could leave the assets folder",
            ),
            ("{\"AssetsRepo\" \"o/n\"}", "`sdk/a/assets.json:1:15`: this is not valid JSON"),
        ];
        for (text, message) in table {
            let error = parse("sdk/a", text).unwrap_err();
            assert_eq!(error.message, message);
            assert_eq!(error.kind, Kind::Usage);
        }
        let both = format!(r#"{{"AssetsRepo": "o/n", "SHA": "{SHA}", "Tag": "x_1"}}"#);
        assert!(parse("sdk/a", &both).unwrap_err().message.contains("stands beside `SHA`"));
        let conflict = format!("{{\n<<<<<<< HEAD\n  \"SHA\": \"{SHA}\"\n=======\n>>>>>>> x\n}}");
        assert!(parse("sdk/a", &conflict).unwrap_err().message.contains("conflict"));
    }

    #[test]
    fn comments_trailing_commas_and_a_bom_are_fine() {
        let text = format!("\u{feff}{{\r\n // c\r\n \"AssetsRepo\": \"o/n\", /* d */ \"SHA\": \"{SHA}\",\r\n}}");
        assert_eq!(parse("a", &text).unwrap().pin(), Pin::Commit(Oid::parse(SHA).unwrap()));
    }
}
