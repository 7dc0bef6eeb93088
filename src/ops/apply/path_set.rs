//! Paths that cannot all be files of one work tree at once.

use std::collections::BTreeSet;

/// A set of file paths, asked which other paths would be in their way.
#[derive(Default)]
pub struct PathSet<'a>(BTreeSet<&'a str>);

impl<'a> FromIterator<&'a str> for PathSet<'a> {
    fn from_iter<I: IntoIterator<Item = &'a str>>(paths: I) -> Self {
        PathSet(paths.into_iter().collect())
    }
}

impl PathSet<'_> {
    /// Whether `path` is in the set.
    pub fn contains(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    /// Whether a file at `path` and a file of the set need the same place: it is one of them, lies below one, or one lies
    /// below it.
    pub fn clashes_with(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let below = format!("{path}/");
        self.0.contains(path)
            || path.match_indices('/').any(|(end, _)| self.0.contains(&path[..end]))
            || self.0.range(below.as_str()..).next().is_some_and(|next| next.starts_with(&below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_a_folder_of_one_name_clash() {
        let set: PathSet = ["a/b", "c"].into_iter().collect();
        for (path, clashes) in
            [("a/b", true), ("a/b/c", true), ("a", true), ("a/b-", false), ("c/", true), ("d", false)]
        {
            assert_eq!(set.clashes_with(path), clashes, "{path}");
        }
        assert!(set.contains("c") && !set.contains("a"));
    }
}
