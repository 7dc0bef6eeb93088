//! What crashes of other programs, disks and people leave behind: stale locks, files cut short, things deleted.

use std::path::{Path, PathBuf};

use crate::cases::{Case, all};
use crate::processes::{start, wait};
use crate::report::Fate;
use crate::rig::Rig;
use crate::support::{snapshot, write};
use crate::sweep::sweep;

/// Something that is wrong: its name, and how to make it so in each of the git directories of the checkouts or stores.
struct Plant {
    name: &'static str,
    place: Place,
    plant: fn(&Path),
}

#[derive(PartialEq)]
enum Place {
    /// In the git directory of each checkout.
    Checkout,
    /// In each store.
    Store,
    /// In the assets folder.
    Folder,
}

fn cut_short(file: PathBuf) {
    let Ok(bytes) = std::fs::read(&file) else { return };
    // Packs cannot be written to.
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
}

fn empty(file: PathBuf) {
    if file.exists() {
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, "").unwrap();
    }
}

fn packs(objects: &Path, of: &str, plant: fn(PathBuf)) {
    let below = objects.join("pack");
    snapshot(&below).keys().filter(|name| name.ends_with(of)).for_each(|name| plant(below.join(name)));
}

macro_rules! plants {
    ($($place:ident $name:literal $plant:expr;)*) => {
        &[$(Plant { name: $name, place: Place::$place, plant: $plant }),*]
    };
}

const PLANTS: &[Plant] = plants! {
    Checkout "locks" |git| {
        for name in ["index", "HEAD", "config", "shallow", "packed-refs", "assets-index", "assets-index-merge"] {
            write(&git.join(format!("{name}.lock")), "");
        }
    };
    Checkout "empty index" |git| empty(git.join("index"));
    Checkout "index cut short" |git| cut_short(git.join("index"));
    Checkout "index of rubbish" |git| write(&git.join("index"), "DIRC rubbish that is long enough to be looked at");
    Checkout "no index" |git| drop(std::fs::remove_file(git.join("index")));
    Checkout "empty HEAD" |git| empty(git.join("HEAD"));
    Checkout "HEAD cut short" |git| cut_short(git.join("HEAD"));
    Checkout "HEAD that leads nowhere" |git| write(&git.join("HEAD"), "ref: refs/heads/nowhere\n");
    Checkout "empty config" |git| empty(git.join("config"));
    Checkout "no config" |git| drop(std::fs::remove_file(git.join("config")));
    Checkout "no alternates" |git| drop(std::fs::remove_file(git.join("objects/info/alternates")));
    Checkout "empty shallow" |git| empty(git.join("shallow"));
    Checkout "no sparse patterns" |git| drop(std::fs::remove_file(git.join("info/sparse-checkout")));
    Checkout "empty journal" |git| write(&git.join("assets-journal"), "");
    Checkout "journal of zeros" |git| write(&git.join("assets-journal"), "\0\0\0\0\0\0\0\0");
    Checkout "temporary files" |git| {
        for name in [".tmp-aaaaaa", "assets-index", "assets-index-merge", "objects/pack/tmp_pack_aaaaaa"] {
            write(&git.join(name), "rubbish");
        }
    };
    Checkout "empty breadcrumbs" |git| {
        let crumbs = git.parent().and_then(Path::parent).unwrap().join("breadcrumb");
        snapshot(&crumbs).keys().for_each(|name| empty(crumbs.join(name)));
    };
    Folder "half-made checkouts" |folder| write(&folder.join(".new-aaaaaa/.git/HEAD"), "");
    Folder "no ignore file" |folder| drop(std::fs::remove_file(folder.join(".gitignore")));
    Folder "no lock files" |folder| drop(std::fs::remove_dir_all(folder.join(".locks")));
    Store "locks" |store| {
        for name in ["config", "shallow", "packed-refs", "HEAD"] {
            write(&store.join(format!("{name}.lock")), "");
        }
    };
    Store "locks of refs" |store| {
        write(&store.join("refs/tags/py/sdk/t_1.lock"), "");
        write(&store.join("refs/tags/py/sdk/t_2.lock"), "");
    };
    Store "empty HEAD" |store| empty(store.join("HEAD"));
    Store "no HEAD" |store| drop(std::fs::remove_file(store.join("HEAD")));
    Store "empty config" |store| empty(store.join("config"));
    Store "packs cut short" |store| packs(&store.join("objects"), ".pack", cut_short);
    Store "empty packs" |store| packs(&store.join("objects"), ".pack", empty);
    Store "pack indexes cut short" |store| packs(&store.join("objects"), ".idx", cut_short);
    Store "no pack indexes" |store| packs(&store.join("objects"), ".idx", |file| std::fs::remove_file(file).unwrap());
    Store "empty shallow" |store| empty(store.join("shallow"));
    Store "no store" |store| drop(std::fs::remove_dir_all(store));
    Store "a file in its place" |store| {
        let _ = std::fs::remove_dir_all(store);
        write(store, "rubbish");
    };
};

#[test]
fn planted() {
    let cases = all();
    sweep("planted damage", &cases, "FAULTS_PLANTED", 6, 2, |rig, case, number, random| {
        // Whole rounds go through all pairs; less than that takes some of each.
        let first = if number < cases.len() { random.usize(..PLANTS.len()) } else { number / cases.len() };
        let plant = &PLANTS[(first + number) % PLANTS.len()];
        rig.set_up(case);
        (format!("{}: {}", case.name, plant.name), grown(rig, case, plant))
    });
}

fn grown(rig: &Rig, case: &Case, plant: &Plant) -> Fate {
    let folder = rig.code.path.join(".assets");
    let stores = rig.cache().join("stores");
    let places: Vec<PathBuf> = match plant.place {
        Place::Folder => vec![folder],
        Place::Checkout => rig.code.checkouts().iter().map(|name| folder.join(name).join(".git")).collect(),
        Place::Store => std::fs::read_dir(stores)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.join("HEAD").exists())
            .collect(),
    };
    if places.is_empty() {
        return Fate::Missed;
    }
    places.iter().for_each(|place| (plant.plant)(place));
    let run = wait(start(&mut rig.command(case.args), rig.world.root()), rig.world.root());
    rig.judge_everywhere(case, &run)
}
