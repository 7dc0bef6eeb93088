//! The object store of an assets repo.

use super::{Context, Finding};
use crate::error::{Error, Result, shell_word};
use crate::manifest::Manifest;
use crate::names::one_line;
use crate::ops::gc;
use crate::store::Store;
use crate::units::{count, size};

/// Every object in it is what its id says.
pub fn is_whole(context: &Context, manifest: &Manifest, store: &Store) -> Result<Finding> {
    let name = store.name();
    if !store.exists()? {
        return Finding::fine(format!("nothing of `{name}` is here yet"));
    }
    let report = context.git()?.report();
    report.phase(&format!("looking through what is here of `{name}`"));
    let damage = store.damage();
    report.phase("");
    if let Some(words) = damage? {
        let dir = shell_word(&store.dir().to_string_lossy());
        return Err(Error::failed(format!("what is here of `{name}` is damaged"))
            .cause(one_line(words.lines().next().unwrap_or("`git verify-pack` failed")))
            // By a name that `gc` knows.
            .hint(format!("move it away: `mv {dir} {dir}.broken-1`"))
            .hint(format!(
                "then `assets reset{}` downloads it again, and asks before it drops anything",
                manifest.argument
            )));
    }
    let (packs, bytes) = (count(store.packs()?, "pack"), size(gc::bytes_of(store.dir())));
    Finding::fine(format!("{bytes} of `{name}` in {packs}, whole"))
}
