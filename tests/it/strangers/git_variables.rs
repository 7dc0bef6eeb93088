//! Every variable that git obeys, set to something evil: by a hook that runs `assets`, by a shell, by a test runner. None
//! runs anything, and none makes a command touch another repository.

use super::{Trap, script};
use crate::support::{World, write};

/// `BAIT` is a program, `CODE` the code repo, `DIR` a directory of the user's, `FILE` a file to be made.
#[rustfmt::skip]
const VARIABLES: &[(&str, &str)] = &[
    // Where the repository is.
    ("GIT_DIR", "CODE/.git"), ("GIT_WORK_TREE", "CODE"), ("GIT_INDEX_FILE", "CODE/.git/index"), ("GIT_COMMON_DIR", "CODE/.git"),
    ("GIT_OBJECT_DIRECTORY", "CODE/.git/objects"), ("GIT_ALTERNATE_OBJECT_DIRECTORIES", "CODE/.git/objects"),
    ("GIT_PREFIX", "sdk/"), ("GIT_NAMESPACE", "x"), ("GIT_CEILING_DIRECTORIES", "/"), ("GIT_DISCOVERY_ACROSS_FILESYSTEM", "1"),
    ("GIT_IMPLICIT_WORK_TREE", "0"), ("GIT_GRAFT_FILE", "DIR/x"), ("GIT_SHALLOW_FILE", "DIR/x"), ("GIT_REPLACE_REF_BASE", "refs/heads/"),
    ("GIT_NO_REPLACE_OBJECTS", "0"), ("GIT_QUARANTINE_PATH", "CODE/.git/objects"), ("GIT_INTERNAL_SUPER_PREFIX", "x/"),
    // Configuration.
    ("GIT_CONFIG", "FILE"), ("GIT_CONFIG_PARAMETERS", "'core.fsmonitor'='BAIT' 'core.hooksPath'='DIR'"), ("GIT_CONFIG_COUNT", "-1"),
    ("GIT_CONFIG_COUNT", "99999999999999999999"), ("GIT_CONFIG_COUNT", "x"), ("GIT_CONFIG_KEY_0", "core.fsmonitor"),
    ("GIT_CONFIG_VALUE_0", "BAIT"), ("GIT_ATTR_SOURCE", "HEAD"), ("GIT_ATTR_NOSYSTEM", "0"), ("GIT_TEMPLATE_DIR", "DIR"),
    ("GIT_DEFAULT_HASH", "sha256"), ("GIT_DEFAULT_REF_FORMAT", "reftable"), ("GIT_REF_FORMAT", "reftable"),
    // Programs that are none of the user's tools for reaching a remote.
    ("GIT_EXTERNAL_DIFF", "BAIT"), ("GIT_DIFF_OPTS", "--output=FILE"), ("GIT_EDITOR", "BAIT"), ("GIT_SEQUENCE_EDITOR", "BAIT"),
    ("GIT_PAGER", "BAIT"), ("GIT_PAGER_IN_USE", "1"), ("PAGER", "BAIT"), ("EDITOR", "BAIT"), ("VISUAL", "BAIT"),
    // What a command means, and what it prints.
    ("GIT_LITERAL_PATHSPECS", "0"), ("GIT_GLOB_PATHSPECS", "1"), ("GIT_NOGLOB_PATHSPECS", "1"), ("GIT_ICASE_PATHSPECS", "1"),
    ("GIT_OPTIONAL_LOCKS", "1"), ("GIT_NO_LAZY_FETCH", "0"), ("GIT_ALLOW_PROTOCOL", "ext:file"), ("GIT_PROTOCOL_FROM_USER", "1"),
    ("GIT_PROTOCOL", "version=0"), ("GIT_REFLOG_ACTION", "x\u{1b}[2J"), ("GIT_MERGE_VERBOSITY", "9"), ("GIT_MERGE_AUTOEDIT", "1"),
    ("GIT_PUSH_OPTION_COUNT", "1"), ("GIT_INDEX_VERSION", "4"), ("GIT_ADVICE", "1"), ("GIT_FLUSH", "0"), ("GIT_PRINT_SHA1_ELLIPSIS", "1"),
    ("GIT_TERMINAL_PROMPT", "1"), ("GIT_NOTES_REF", "refs/x"), ("GIT_SEQUENCE_X", "x"), ("GIT_CLONE_PROTECTION_ACTIVE", "0"),
    ("GIT_FORCE_UNTRACKED_CACHE", "1"), ("GIT_TEST_SPLIT_INDEX", "1"), ("GIT_TEST_FSMONITOR", "BAIT"), ("GIT_TEST_DEFAULT_HASH", "sha256"),
    ("GIT_FORCE_PRECOMPOSED_UNICODE", "1"), ("GIT_TEXTDOMAINDIR", "DIR"), ("LC_ALL", "de_DE.UTF-8"), ("LANGUAGE", "de:fr"),
    ("GIT_REDIRECT_STDOUT", "FILE"), ("GIT_REDIRECT_STDERR", "FILE"),
    // Traces, which would hold the token.
    ("GIT_TRACE", "FILE"), ("GIT_TRACE", "1"), ("GIT_TRACE_SETUP", "FILE"), ("GIT_TRACE_PACKET", "FILE"), ("GIT_TRACE_PACKFILE", "FILE"),
    ("GIT_TRACE_CURL", "FILE"), ("GIT_TRACE_REFS", "FILE"), ("GIT_TRACE_SHALLOW", "FILE"), ("GIT_TRACE_PERFORMANCE", "FILE"),
    ("GIT_TRACE_PACK_ACCESS", "FILE"), ("GIT_TRACE_FSMONITOR", "FILE"), ("GIT_TRACE2", "FILE"), ("GIT_TRACE2_EVENT", "FILE"),
    ("GIT_TRACE2_PERF", "FILE"), ("GIT_TRACE2_PERF", "DIR"), ("GIT_CURL_VERBOSE", "1"), ("GIT_TRACE_REDACT", "0"),
    // Our own, as a stranger would have them.
    ("ASSETS_OFFLINE", "x"), ("ASSETS_LOG", "json:FILE/"), ("ASSETS_JOBS", "-1"), ("ASSETS_MAX_FILES", "x"), ("NO_COLOR", "\u{1b}"),
];

#[test]
fn none_leads_elsewhere_or_runs_anything() {
    let world = World::new();
    let trap = Trap::restored(&world);
    let [old, new] = ["1", "2"].map(|text| trap.repo.commit("main", &[("recordings/sdk/a/a.json", text)]));
    trap.code.write("new.rs", "untracked");
    trap.code.write("README.md", "uncommitted");
    script(&world.root().join("home/hooks/post-checkout"), &trap.bait().to_string_lossy());
    let checkout = trap.code.only_checkout();
    let code = trap.code.path.to_string_lossy().into_owned();
    let file = world.root().join("made").to_string_lossy().into_owned();
    for (number, (name, value)) in VARIABLES.iter().enumerate() {
        let value = trap.fill(value).replace("CODE", &code).replace("DIR", &trap.fill("OUT")).replace("FILE", &file);
        let env = [(*name, value.as_str())];
        let pin = [&old, &new][number % 2];
        trap.manifest(&[("SHA", pin)]);
        write(&checkout.join("recordings/sdk/a/a.json"), "mine");
        // What is pending is put aside, so that all there is to a checkout is done.
        let args: &[&str] = [&["restore", "sdk/a"][..], &["reset", "-y", "sdk/a"]][number / 2 % 2];
        let run = trap.run_inside(&env, args);
        if name.starts_with("ASSETS_") || *name == "GIT_CONFIG_COUNT" {
            // Only these can be wrong, and are said to be.
            assert!(matches!(run.code, Some(0..=2)), "{name}={value}\n{}", run.stderr);
            trap.code.assets(["restore", "sdk/a"]).ok();
        } else {
            assert_eq!(run.code, Some(0), "{name}={value}\n{}", run.stderr);
        }
        assert_eq!(
            std::fs::read(checkout.join("recordings/sdk/a/a.json")).unwrap(),
            [b'1' + (number % 2) as u8],
            "{name}"
        );
    }
    trap.run_inside(&[], &["status", "sdk/a"]).ok();
    trap.token_is_in_no_file();
}

#[test]
fn a_cold_restore_and_a_push_under_all_of_them() {
    for half in 0..2 {
        let world = World::new();
        let trap = Trap::new(&world);
        let code = trap.code.path.to_string_lossy().into_owned();
        let file = world.root().join("made").to_string_lossy().into_owned();
        let ours = |name: &str| name.starts_with("ASSETS_") || name == "GIT_CONFIG_COUNT";
        let env: Vec<(&str, String)> = VARIABLES
            .iter()
            .enumerate()
            .filter(|(number, (name, _))| (number % 2 == half || *name == "GIT_CONFIG_KEY_0") && !ours(name))
            .map(|(_, (name, value))| {
                (
                    *name,
                    trap.fill(value).replace("CODE", &code).replace("DIR", &trap.fill("OUT")).replace("FILE", &file),
                )
            })
            .collect();
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        trap.run_inside(&env, &["restore", "sdk/a"]).ok();
        write(&trap.code.only_checkout().join("recordings/sdk/a/a.json"), "mine");
        let before = trap.code.snapshot();
        trap.run(&env, &["push", "sdk/a"]).ok();
        let pushed = trap.code.pin("sdk/a", "SHA");
        assert_eq!(trap.repo.file(&pushed, "recordings/sdk/a/a.json"), Some("mine".into()));
        let mut after = trap.code.snapshot();
        after.insert("sdk/a/assets.json".into(), before["sdk/a/assets.json"].clone());
        assert!(after == before, "the code repo was changed");
        trap.token_is_in_no_file();
    }
}
