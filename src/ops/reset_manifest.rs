//! `reset --manifest`: manifests as the last commit of the code repo has them.

use std::path::{Path, PathBuf};

use super::Context;
use super::discover::CodeRepo;
use crate::error::{AtPath, Error, Result, shell_word};
use crate::manifest::{Manifest, file};

/// A manifest that is not as HEAD of the code repo has it.
pub struct Edited {
    /// The file, absolute, any link followed.
    pub file: PathBuf,
    /// From the root of the code repo.
    pub path: String,
    code_repo: PathBuf,
    now: Vec<u8>,
    committed: Vec<u8>,
}

/// Looks whether a manifest (absolute) is as HEAD of the code repo has it; `None` if so.
///
/// # Errors
/// When HEAD has no such file, or it is in no code repo.
pub fn edited(context: &Context, manifest: &Path) -> Result<Option<Edited>> {
    let file = dunce::canonicalize(manifest).at("find", manifest)?;
    let code = CodeRepo::of(context, &file)?;
    let path = file.strip_prefix(&code.root).unwrap_or(&file).to_string_lossy().replace('\\', "/");
    let now = std::fs::read(&file).at("read", &file)?;
    let Some(committed) = code.repo.blob_at(&format!("HEAD:{path}"))? else {
        return Err(Error::usage(format!("HEAD of the code repo has no `{path}`"))
            .cause("it was never committed, so there is nothing to put back")
            .hint(format!("if it is not wanted: `rm {}`", shell_word(&file.to_string_lossy()))));
    };
    let committed = with_line_ends_of(&now, committed);
    Ok((now != committed).then_some(Edited { code_repo: code.root, file, path, now, committed }))
}

impl Edited {
    /// The manifest as it will be.
    pub fn as_committed(&self) -> Result<Manifest> {
        Manifest::of_text(&self.file, &self.code_repo, &String::from_utf8_lossy(&self.committed))
    }

    /// The manifest as it is; `None` when it cannot be read.
    fn as_it_is(&self) -> Option<Manifest> {
        let now = String::from_utf8(self.now.clone()).ok()?;
        Manifest::of_text(&self.file, &self.code_repo, &now).ok()
    }

    /// What it pins now; `None` when it cannot be read.
    pub fn pinned(&self) -> Option<String> {
        Some(self.as_it_is()?.pin().to_string())
    }

    /// Puts it back, unless somebody has changed it since it was looked at. A push that is about to write it is waited
    /// for.
    pub fn put_back(&self, context: &Context) -> Result<()> {
        let manifest = self.as_it_is().map_or_else(|| self.as_committed(), Ok)?;
        let checkout = context.checkout_to_look_at(&manifest)?;
        let _lock = checkout.exists()?.then(|| checkout.lock()).transpose()?;
        if std::fs::read(&self.file).at("read", &self.file)? != self.now {
            return Err(Error::needs_person(format!("`{}` was changed by somebody else meanwhile", self.path)));
        }
        file::replace(&self.file, &self.committed)
    }
}

/// Git may have written the file with the line ends of this system.
fn with_line_ends_of(now: &[u8], committed: Vec<u8>) -> Vec<u8> {
    let has = |text: &[u8], end: &[u8]| text.windows(end.len()).any(|part| part == end);
    match String::from_utf8(committed) {
        Ok(text) if has(now, b"\r\n") && !text.contains('\r') => text.replace('\n', "\r\n").into_bytes(),
        Ok(text) => text.into_bytes(),
        Err(e) => e.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_stay() {
        assert_eq!(with_line_ends_of(b"{\r\n}", b"{\n \n}".to_vec()), b"{\r\n \r\n}");
        assert_eq!(with_line_ends_of(b"{\n}", b"{\n}\n".to_vec()), b"{\n}\n");
        assert_eq!(with_line_ends_of(b"{\r\n}", b"{\r\n}\n".to_vec()), b"{\r\n}\n");
        assert_eq!(with_line_ends_of(b"\r\n", b"\xff\n".to_vec()), b"\xff\n");
    }
}
