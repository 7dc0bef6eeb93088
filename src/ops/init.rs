//! `init`: a manifest for a directory that has none of its own.

use std::path::{Path, PathBuf};

use super::{Context, origin_of_code_repo};
use crate::error::{Error, Result, shell_word};
use crate::manifest::draft::{Draft, Wishes, guess_prefix};
use crate::manifest::schema::schema_for;
use crate::manifest::{FILE_NAME, Manifest, file, inside, locate};
use crate::names::{RefName, RepoPath};

/// The directory for a manifest, and what is around it.
#[derive(Debug)]
pub struct Site {
    /// The manifest, absolute, whether it exists or not.
    file: PathBuf,
    /// Whether there is a manifest already.
    pub is_taken: bool,
    code_repo: PathBuf,
    /// The directory from the root of the code repo, with `/`.
    directory: String,
    above: Option<Manifest>,
    assets_folder: PathBuf,
}

impl Site {
    /// Looks at the directory that a path of the command line means: itself, or the one of an `assets.json`.
    ///
    /// # Errors
    /// When it does not exist or is in no code repo, or when the manifest above it is bad.
    pub fn look_at(context: &Context, path: &Path) -> Result<Site> {
        let path = context.base.join(path);
        let folder = match path.file_name() {
            Some(name) if name == FILE_NAME && !path.is_dir() => path.parent().unwrap_or(&path),
            _ => &path,
        };
        let found = dunce::canonicalize(folder).map_err(|e| {
            Error::usage(format!("there is no `{}`", folder.display()))
                .cause(e.to_string())
                .hint(format!("make it first: `mkdir -p {}`", shell_word(&folder.to_string_lossy())))
        })?;
        if !found.is_dir() {
            return Err(Error::usage(format!("`{}` is not a directory", found.display()))
                .cause(format!("an `{FILE_NAME}` is made in the directory of a package"))
                .hint("name a directory: `assets init <directory>`"));
        }
        let code_repo = locate::code_repo_of(&found).ok_or_else(|| {
            Error::usage(format!("`{}` is not in a git repository", found.display()))
                .cause("an `assets.json` belongs to a code repo: its place there says where its recordings are")
                .hint("go into the code repo; a new one is made with `git init` at its root")
        })?;
        let file = found.join(FILE_NAME);
        let is_taken = file.symlink_metadata().is_ok();
        if is_taken && !file.is_file() {
            return Err(Error::usage(format!("`{}` is not a file", file.display()))
                .cause("it is a folder, or a link that leads nowhere")
                .hint(format!("see what it is, and move it away: `ls -ld {}`", shell_word(&file.to_string_lossy()))));
        }
        let mut above = None;
        if !is_taken {
            let folders = found.ancestors().skip(1).take_while(|folder| folder.starts_with(&code_repo));
            let nearest = folders.map(|folder| folder.join(FILE_NAME)).find(|file| file.is_file());
            above = nearest.map(|file| Manifest::load(&file)).transpose()?;
        }
        let directory = found.strip_prefix(&code_repo).unwrap_or(Path::new("")).to_string_lossy().replace('\\', "/");
        let assets_folder = context.place_of_assets_folder(&code_repo);
        Ok(Site { file, is_taken, code_repo, directory, above, assets_folder })
    }

    /// Whether the new manifest would need somebody to name its assets repo.
    pub fn needs_repo(&self, wishes: &Wishes) -> bool {
        self.above.is_none() && wishes.assets_repo.is_none()
    }

    /// What the first manifest of the code repo may have as its prefix, by the name that the code repo has where it was
    /// cloned from, else on this disk.
    pub fn guessed_prefix(&self) -> String {
        let origin = origin_of_code_repo(&self.code_repo);
        let cloned_from = origin.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
        let name = match cloned_from.strip_suffix(".git").unwrap_or(cloned_from) {
            "" => self.code_repo.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            name => name.to_string(),
        };
        guess_prefix(&name)
    }

    /// The text of the new manifest.
    ///
    /// # Errors
    /// When nothing names the assets repo, or when what was said makes no good manifest.
    pub fn plan(&self, wishes: &Wishes) -> Result<String> {
        let guess = self.guessed_prefix();
        let folder = self.file.parent().unwrap_or(&self.file);
        let name_it = |flag: &str| format!("name it: `assets init {flag} {}`", shell_word(&folder.to_string_lossy()));
        let draft = Draft::decide(&self.directory, self.above.as_ref(), wishes, Some(&guess)).ok_or_else(|| {
            Error::needs_person(format!("nothing names the assets repo for `{}`", self.file.display()))
                .cause(format!("there is no `{FILE_NAME}` above it to take it from"))
                .hint(name_it("--repo owner/name"))
        })?;
        let text = draft.with_schema(schema_for(&self.code_repo, folder)).text();
        let manifest = Manifest::of_text(&self.file, &self.code_repo, &text).map_err(|error| {
            match self.gives_no_branch(wishes) {
                // There is no file yet in which it could be written.
                true => Error { hints: vec![name_it("--branch auto/name")], ..error },
                false => error,
            }
        })?;
        inside::check_outside_assets_folder(&manifest, &self.assets_folder)?;
        Ok(text)
    }

    /// Whether the branch has to be named, because a folder may be called so and a branch may not.
    fn gives_no_branch(&self, wishes: &Wishes) -> bool {
        let is_named = wishes.branch.is_some() || wishes.tag_prefix.is_some();
        !is_named && RepoPath::parse(&self.directory).is_ok() && RefName::parse(&self.directory).is_err()
    }

    /// Makes the manifest; `false` when somebody else has made one meanwhile.
    pub fn write(&self, text: &str) -> Result<bool> {
        file::create(&self.file, text.as_bytes())
    }
}
