//! What is used, and by whom. Pure.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::observe::{CodeRepo, Seen, Wanted, World};
use crate::manifest::Form;
use crate::names::RepoPath;

/// Who needs a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// These manifests; but not these slices of it.
    Claimed { manifests: Vec<String>, unwanted: Vec<RepoPath> },
    /// Perhaps a manifest that cannot be read: this one.
    Unclear(String),
    /// No manifest.
    Unclaimed,
}

/// Who needs a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// Manifests of so many code repos, and so many checkouts.
    Used { manifests: Vec<String>, repos: usize, checkouts: usize },
    /// Perhaps a manifest, or a checkout, that cannot be read: this one.
    Unclear(String),
    /// Nobody.
    Unused,
}

/// Who needs a checkout, by the manifests of the code repos that share its assets folder.
pub fn claim(world: &World, seen: &Seen) -> Claim {
    let broken = world.repos_of(&seen.folder).find_map(|repo| repo.broken().first());
    if let Some((path, _)) = broken {
        return Claim::Unclear(path.clone());
    }
    let wanted: Vec<&Wanted> = world
        .repos_of(&seen.folder)
        .flat_map(CodeRepo::manifests)
        .filter(|wanted| wanted.manifest.checkout_name() == seen.name)
        .collect();
    if wanted.is_empty() {
        return Claim::Unclaimed;
    }
    let slices: BTreeSet<&RepoPath> = wanted.iter().map(|wanted| &wanted.manifest.slice).collect();
    // A checkout of the tag form shows one slice, wherever its manifest says that it is.
    let all = wanted.iter().any(|wanted| matches!(wanted.manifest.form, Form::Tag { .. }));
    let unwanted: Vec<RepoPath> = seen.slices.iter().filter(|slice| !all && !slices.contains(slice)).cloned().collect();
    // With none of them restored yet there is nothing that could stay.
    if unwanted.len() == seen.slices.len() && !unwanted.is_empty() {
        return Claim::Unclaimed;
    }
    Claim::Claimed { manifests: wanted.iter().map(|wanted| label(wanted)).collect(), unwanted }
}

/// Who needs a store, when these checkouts are no more.
pub fn store_use(world: &World, store: &str, gone: &BTreeSet<PathBuf>) -> Use {
    let borrows = |seen: &&Seen| seen.borrows.iter().any(|name| name == store);
    for repo in &world.repos {
        let Some((path, _)) = repo.broken().first() else { continue };
        let concerns = repo.known.iter().any(|known| known.store == store)
            || repo.manifests().iter().any(|wanted| wanted.store == store)
            || world.checkouts.iter().filter(borrows).any(|seen| repo.folders.contains(&seen.folder));
        if concerns {
            return Use::Unclear(path.clone());
        }
    }
    // They may borrow from it.
    let unread = world.unread.iter().map(|(folder, _)| folder);
    let troubled = world.checkouts.iter().filter(|seen| seen.trouble.is_some()).map(|seen| &seen.dir);
    if let Some(path) = unread.chain(troubled).next() {
        return Use::Unclear(path.to_string_lossy().into_owned());
    }
    let (mut manifests, mut repos) = (Vec::new(), 0);
    for repo in &world.repos {
        let before = manifests.len();
        manifests.extend(repo.manifests().iter().filter(|wanted| wanted.store == store).map(label));
        repos += usize::from(manifests.len() > before);
    }
    let checkouts = world.checkouts.iter().filter(borrows).filter(|seen| !gone.contains(&seen.dir)).count();
    match (manifests.is_empty(), checkouts) {
        (true, 0) => Use::Unused,
        _ => Use::Used { manifests, repos, checkouts },
    }
}

/// Whether it is worth it to write a store anew for so many of its bytes.
pub fn is_worth_it(frees: u64, bytes: u64) -> bool {
    frees > 4096 && (frees > bytes / 10 || frees > 10_000_000)
}

fn label(wanted: &Wanted) -> String {
    wanted.manifest.file.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worth_it() {
        let table = [
            (0, 0, false),
            (4000, 5000, false),
            (5000, 20_000, true),
            (5000, 100_000, false),
            (11_000_000, 1_000_000_000, true),
        ];
        for (frees, bytes, worth) in table {
            assert_eq!(is_worth_it(frees, bytes), worth, "{frees} of {bytes}");
        }
    }
}
