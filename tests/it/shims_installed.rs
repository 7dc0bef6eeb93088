//! `scripts/install-shims.sh` puts the launchers into a language repo.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{ASSETS, CodeRepo, Run, World, run};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/install-shims.sh");
const FOLDER: &str = "eng/common/testproxy";

fn install(world: &World, args: &[&str]) -> Run {
    run(world.root(), &world.env(), SCRIPT, args)
}

fn installed(code: &CodeRepo) -> Run {
    code.commit("Shims");
    code.git(["ls-tree", "--format=%(objectmode) %(path)", "HEAD", &format!("{FOLDER}/")]).ok()
}

#[test]
fn a_new_repo_gets_shims_that_work_in_a_clone() {
    let world = World::new();
    let code = world.code_repo("a repo");
    code.write("eng/common/testproxy/other.ps1", "stays\n");
    code.commit("Other scripts");
    install(&world, &["a repo"]).ok();
    assert_eq!(
        installed(&code).stdout,
        format!(
            "100644 {FOLDER}/.gitattributes\n100755 {FOLDER}/assets\n100755 {FOLDER}/assets.bat\n\
             100644 {FOLDER}/assets.schema.json\n100755 {FOLDER}/assets.sh\n100644 {FOLDER}/other.ps1\n"
        )
    );

    code.git(["clone", "-q", ".", "../clone"]).ok();
    let clone = world.root().join("clone");
    let env = [world.env(), vec![("ASSETS_EXE".into(), ASSETS.into())]].concat();
    for shim in ["assets", "assets.sh"] {
        let shim = clone.join(FOLDER).join(shim);
        let version = run(&clone, &env, &shim.to_string_lossy(), ["--version"]).ok();
        assert_eq!(version.stdout, format!("assets {}\n", env!("CARGO_PKG_VERSION")));
    }
    let bat = std::fs::read_to_string(clone.join(FOLDER).join("assets.bat")).expect("assets.bat");
    assert!(bat.lines().count() > 10 && bat.split_inclusive('\n').all(|line| line.ends_with("\r\n")));
}

#[test]
fn a_second_time_only_what_differs_is_replaced() {
    let world = World::new();
    let code = world.code_repo("code");
    install(&world, &["code"]).ok();
    let first = installed(&code).stdout;
    let again = install(&world, &["code"]).ok();
    let staged = "staged: look with `git diff --cached`, then commit\n";
    assert_eq!(
        again.stdout,
        format!(
            "unchanged code/{FOLDER}/assets\nunchanged code/{FOLDER}/assets.sh\nunchanged code/{FOLDER}/assets.bat\nunchanged code/{FOLDER}/assets.schema.json\n{staged}"
        )
    );
    assert_eq!(code.git(["status", "--short"]).ok().stdout, "");

    // An older one, one without the right to execute, and a link to somewhere else.
    code.write(&format!("{FOLDER}/assets"), "#!/bin/sh\n");
    let file = |name: &str| code.path.join(FOLDER).join(name);
    std::fs::set_permissions(file("assets.sh"), std::fs::Permissions::from_mode(0o644)).expect("mode");
    code.write("elsewhere", "not ours\n");
    std::fs::remove_file(file("assets.bat")).expect("remove");
    std::os::unix::fs::symlink("../../../elsewhere", file("assets.bat")).expect("link");
    let mended = install(&world, &["code"]).ok();
    assert_eq!(
        mended.stdout,
        format!(
            "installed code/{FOLDER}/assets\ninstalled code/{FOLDER}/assets.sh\ninstalled code/{FOLDER}/assets.bat\nunchanged code/{FOLDER}/assets.schema.json\n{staged}"
        )
    );
    assert_eq!(code.read("elsewhere"), "not ours\n");
    std::fs::remove_file(code.path.join("elsewhere")).expect("remove");
    assert_eq!(code.git(["status", "--short"]).ok().stdout, "");
    assert_eq!(
        code.git(["ls-tree", "--format=%(objectmode) %(path)", "HEAD", &format!("{FOLDER}/")]).ok().stdout,
        first
    );
}

#[test]
fn attributes_that_are_there_stay_whole() {
    let world = World::new();
    let code = world.code_repo("code");
    code.write(&format!("{FOLDER}/.gitattributes"), "*.ps1 text eol=crlf");
    for _ in 0..2 {
        install(&world, &["code"]).ok();
        assert_eq!(
            code.read(&format!("{FOLDER}/.gitattributes")),
            "*.ps1 text eol=crlf\nassets text eol=lf\nassets.sh text eol=lf\nassets.bat text eol=crlf\n"
        );
    }
}

#[test]
fn what_is_no_repo_is_refused() {
    let world = World::new();
    world.code_repo("code");
    std::fs::create_dir(world.root().join("code/sdk")).expect("folder");
    for wrong in ["missing", "home", "code/sdk"] {
        let refused = install(&world, &[wrong]).fails(2);
        assert_eq!(
            refused.stderr,
            format!(
                "error: `{wrong}` is not the root of a git repository\n\
                 hint: name the root of the language repo, the directory that holds `.git`\n"
            )
        );
        assert!(!world.root().join(wrong).join("eng").exists());
    }
    install(&world, &[]).fails(2).says("usage: scripts/install-shims.sh REPO");
    install(&world, &["code", "other"]).fails(2);
    assert!(!Path::new(&world.root().join("code/eng")).exists());
}
