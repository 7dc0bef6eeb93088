//! The pages in `docs/` say what the program says, and lead to pages that are there.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::ASSETS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_reference_is_what_the_program_says() {
    let made = Command::new("sh").arg(root().join("scripts/reference.sh")).arg(ASSETS).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = String::from_utf8(made.stdout).unwrap();
    let page = std::fs::read_to_string(root().join("docs/reference.md")).unwrap();
    let different = page.lines().zip(made.lines()).find(|(page, made)| page != made);
    assert!(page == made, "`scripts/reference.sh > docs/reference.md` mends the page: {different:#?}");
}

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let integrations = std::fs::read_dir(root().join("integrations")).unwrap();
    let folders = [root().to_path_buf(), root().join("docs"), root().join("integrations")]
        .into_iter()
        .chain(integrations.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let pages: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        for part in text.split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(file.exists(), "{} leads to {target}", page.display());
            if heading.is_empty() {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            let headings: Vec<String> = text.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
            assert!(headings.iter().any(|other| other == heading), "{target} in {headings:?}");
        }
    }
}

/// A heading as links name it.
fn anchor(line: &str) -> String {
    let text = line.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(|c| c.is_alphanumeric() || "- ".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}
