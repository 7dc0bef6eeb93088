//! The refs of a repository as git lists them, whatever it keeps them in.

use super::Repo;
use crate::error::Result;
use crate::names::Oid;

/// A ref, by its full name or one such as `HEAD`.
#[derive(Debug, PartialEq, Eq)]
pub struct Ref {
    pub name: String,
    pub oid: Oid,
    /// The ref that it stands for, if it is a symbolic one.
    pub stands_for: Option<String>,
}

impl Repo {
    /// `git for-each-ref` of all refs, `HEAD` and its like included. Git knows how since 2.45.
    pub fn every_ref(&self) -> Result<Vec<Ref>> {
        let call = self.call(["for-each-ref", "--include-root-refs", "--format=%(objectname) %(symref) %(refname)"]);
        Ok(parse(&call.run()?.checked()?))
    }

    /// `git symbolic-ref` of `HEAD`: the branch that it stands for, which may not exist; none when it is detached.
    pub fn branch_of_head(&self) -> Result<Option<String>> {
        let output = self.call(["symbolic-ref", "--quiet", "HEAD"]).run()?;
        match output.code {
            Some(1) => Ok(None),
            _ => Ok(Some(String::from_utf8_lossy(&output.checked()?).trim().to_string())),
        }
    }
}

fn parse(bytes: &[u8]) -> Vec<Ref> {
    let text = String::from_utf8_lossy(bytes);
    let parse = |line: &str| {
        let mut fields = line.splitn(3, ' ');
        let (oid, stands_for, name) = (fields.next()?, fields.next()?, fields.next()?);
        let stands_for = (!stands_for.is_empty()).then(|| stands_for.to_string());
        Some(Ref { name: name.to_string(), oid: Oid::parse(oid).ok()?, stands_for })
    };
    text.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_refs() {
        let oid = "1".repeat(40);
        let text = format!("{oid} refs/heads/main HEAD\n{oid}  refs/tags/a\nrubbish\n");
        let parsed = parse(text.as_bytes());
        assert_eq!(parsed.len(), 2);
        assert_eq!((parsed[0].name.as_str(), parsed[0].stands_for.as_deref()), ("HEAD", Some("refs/heads/main")));
        assert_eq!((parsed[1].name.as_str(), parsed[1].stands_for.as_deref()), ("refs/tags/a", None));
    }
}
