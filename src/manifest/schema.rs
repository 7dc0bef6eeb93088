//! The JSON Schema of manifests, for editors. This program itself reads none.

use std::path::Path;

/// The key of a manifest that says where its schema is.
pub const SCHEMA_KEY: &str = "$schema";
/// Where a code repo has the schema, from its root: beside the launchers, where `scripts/install-shims.sh` puts it. A file
/// and no address, so that an editor needs no network and shows what this version knows.
pub const SCHEMA_FILE: &str = "eng/common/testproxy/assets.schema.json";

/// What a manifest in `folder` says for [`SCHEMA_KEY`]: a relative path, as editors resolve it. None in a code repo
/// without the schema.
pub fn schema_for(code_repo: &Path, folder: &Path) -> Option<String> {
    let below = folder.strip_prefix(code_repo).ok()?;
    let up = "../".repeat(below.components().count());
    code_repo.join(SCHEMA_FILE).is_file().then(|| format!("{up}{SCHEMA_FILE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_named_from_the_folder_of_the_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(schema_for(root, root), None);
        std::fs::create_dir_all(root.join(SCHEMA_FILE).parent().unwrap()).unwrap();
        std::fs::write(root.join(SCHEMA_FILE), "{}").unwrap();
        assert_eq!(schema_for(root, root).as_deref(), Some(SCHEMA_FILE));
        let inner = root.join("sdk/core");
        assert_eq!(schema_for(root, &inner), Some(format!("../../{SCHEMA_FILE}")));
        assert_eq!(schema_for(&inner, root), None);
    }
}
