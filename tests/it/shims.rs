//! The launchers in `shims/`: where they look for the program, and that they then get out of its way.
//!
//! The program is a script that leaves its arguments in a file beside itself, so a test sees which one ran.
#![cfg(unix)]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/shims/assets");

// In the texts of these tests `@` is the base directory of the `Place`.
const SHIM: &str = "@/repo/eng/common/testproxy/assets";
const TOOL: &str = "@/repo/.tools/assets/assets";

/// Leaves the arguments, each with a NUL after it, in `<path it was called by>.args`.
const RECORD: &str = r#"[ $# -eq 0 ] || printf '%s\0' "$@" >>"$0.args""#;

/// Runs `test` for each way to start a shim: directly, and by every shell there is, made strict about errors and
/// unset variables.
fn for_each_launcher(test: impl Fn(&Place)) {
    test(&Place::new(&[]));
    for launcher in [&["sh", "-eu"][..], &["dash", "-eu"], &["bash", "-eu"], &["busybox", "sh", "-eu"]] {
        let dirs = ["/bin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"];
        let paths = dirs.map(|dir| format!("{dir}/{}", launcher[0]));
        if let Some(shell) = paths.iter().find(|path| Path::new(path).is_file()) {
            test(&Place::new(&[&[shell.as_str()], &launcher[1..]].concat()));
        }
    }
}

/// A directory with a code repo `repo` that holds a shim, and a way to start it.
struct Place {
    base: PathBuf,
    launcher: Vec<String>,
    _temp: TempDir,
}

impl Place {
    fn new(launcher: &[&str]) -> Self {
        println!("launcher: {launcher:?}"); // shown if the test fails
        let temp = TempDir::new().expect("temporary directory");
        let real = temp.path().canonicalize().expect("real path");
        let place = Self {
            base: real.join("a * $b\\c 'd"), // a name that tries to break a script
            launcher: launcher.iter().map(|&word| word.to_owned()).collect(),
            _temp: temp,
        };
        place.dir("@/repo/.git");
        place.dir("@/home");
        place.dir("@/other");
        place.copy(SOURCE, SHIM);
        place
    }

    fn text(&self, text: &str) -> String {
        text.replace('@', self.base.to_str().expect("UTF-8"))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.text(path).into()
    }

    fn dir(&self, path: &str) {
        fs::create_dir_all(self.path(path)).expect("directory");
    }

    fn parent(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        path
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.parent(path), text).expect("write");
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).expect("remove");
    }

    fn link(&self, to: &str, path: &str) {
        symlink(self.path(to), self.parent(path)).expect("link");
    }

    /// Copies with `cp`: a file that this process itself has written cannot be executed while a child that
    /// another test is just starting still holds it open ("text file busy").
    fn copy(&self, from: &str, to: &str) {
        let mut cp = Command::new("cp");
        cp.arg("-p").arg(self.path(from)).arg(self.parent(to));
        assert!(cp.status().expect("start cp").success());
    }

    /// Makes an executable script.
    fn script(&self, path: &str, body: &str) {
        self.write("@/source", &format!("#!/bin/sh\n{body}\n"));
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path("@/source"), mode).expect("mode");
        self.copy("@/source", path);
    }

    /// Makes a program that records its call.
    fn program(&self, path: &str) {
        self.script(path, RECORD);
    }

    /// Prepares a run in directory `other` with an empty `PATH` and no other variable.
    fn run(&self, shim: &str) -> Run<'_> {
        let mut words = self.launcher.iter().cloned().chain([self.text(shim)]);
        let mut command = Command::new(words.next().expect("at least the shim"));
        command.args(words).env_clear().env("PATH", "");
        command.current_dir(self.path("@/other"));
        Run(self, command)
    }

    /// Takes all records of calls below `dir`, as (program, arguments).
    fn take_records(&self, dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).expect("list") {
            let path = entry.expect("entry").path();
            if path.is_dir() && !path.is_symlink() {
                found.extend(self.take_records(&path));
            } else if path.extension() == Some(OsStr::new("args")) {
                found.push((path.with_extension(""), fs::read(&path).expect("read")));
                fs::remove_file(&path).expect("remove");
            }
        }
        found
    }
}

struct Run<'a>(&'a Place, Command);

impl Run<'_> {
    fn dir(mut self, path: &str) -> Self {
        self.1.current_dir(self.0.path(path));
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.1.env(name, self.0.text(value));
        self
    }

    fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.1.args(args);
        self
    }

    /// Checks that this one program ran, once, with the argument of the shim.
    #[track_caller]
    fn starts(self, program: &str) {
        let (place, command) = (self.0, format!("{:?}", self.1));
        self.args(["restore"]).exits(0, "", "");
        let calls = place.take_records(&place.base);
        let want = [(place.path(program), b"restore\0".to_vec())];
        assert_eq!(calls, want, "{command}");
    }

    #[track_caller]
    fn exits(mut self, code: i32, stdout: &str, stderr: &str) {
        let output = self.1.output().expect("start");
        let seen = [output.stderr, output.stdout].map(|out| String::from_utf8(out).expect("UTF-8"));
        assert_eq!(seen, [stderr, stdout].map(|out| self.0.text(out)), "{:?}", self.1);
        assert_eq!(output.status.code(), Some(code), "{:?}", self.1);
    }
}

#[test]
fn shims_are_ready_to_be_copied() {
    let sh = fs::read(SOURCE).expect("shims/assets");
    assert!(sh == fs::read(format!("{SOURCE}.sh")).expect("shims/assets.sh"));
    // A CR would become a part of the interpreter's name.
    assert!(sh.is_ascii() && !sh.contains(&b'\r'));
    for name in ["", ".sh"].map(|extension| format!("{SOURCE}{extension}")) {
        let mode = fs::metadata(&name).expect("shim").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{name}");
    }

    // Windows' cmd can miss labels in a file without CRs.
    let bat = fs::read(format!("{SOURCE}.bat")).expect("shims/assets.bat");
    let mut lines = bat.split_inclusive(|byte| *byte == b'\n');
    assert!(bat.is_ascii() && lines.all(|line| line.ends_with(b"\r\n")));
}

#[test]
fn arguments_pass_unchanged() {
    let words = [
        "", " ", "a b", "*", "?", "[a-z]", "'", "\"", "a\nb", "\n", "$HOME", "`id`", "\\", "\\n", "--", "-", "-e", "!",
        "~", "#", "a;b&c|d", "",
    ];
    let odd = OsString::from_vec(b"\xff\xfe".to_vec());
    let args: Vec<OsString> = words.into_iter().map(OsString::from).chain([odd]).collect();
    let want: Vec<u8> = args.iter().flat_map(|arg| [arg.as_bytes(), b"\0"].concat()).collect();
    for_each_launcher(|place| {
        for (program, name, value) in [
            ("@/home/.cargo/bin/assets", "HOME", "@/home"),
            ("@/p/assets", "PATH", "@/p"),
            (TOOL, "HOME", "@/home"),
            ("@/exe", "ASSETS_EXE", "@/exe"),
        ] {
            place.program(program);
            let run = place.run(SHIM).env(name, value);
            run.args(&args).exits(0, "", "");
            let want = [(place.path(program), want.clone())];
            assert_eq!(place.take_records(&place.base), want);
        }
    });
}

#[test]
fn exit_code_passes_unchanged() {
    for_each_launcher(|place| {
        place.script(TOOL, "echo $#; exit ${1-0}");
        place.run(SHIM).exits(0, "0\n", "");
        place.run(SHIM).args(["1"]).exits(1, "1\n", "");
        place.run(SHIM).args(["6", ""]).exits(6, "2\n", "");
        place.run(SHIM).args(["130"]).exits(130, "1\n", "");
        place.run(SHIM).args(["255"]).exits(255, "1\n", "");
    });
}

#[test]
fn program_takes_the_place_of_the_shim() {
    for_each_launcher(|place| {
        let body = r#"
            IFS= read -r line
            printf '%s\n' "$$ $PWD $CDPATH" "$line"
            echo err >&2
            kill -TERM $$"#;
        place.script(TOOL, body);
        let mut command = place.run(SHIM).env("CDPATH", "/").1;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start");
        let mut stdin = child.stdin.take().expect("stdin");
        stdin.write_all(b" in \\ put \nrest").expect("write");
        // The same process, so a signal for the shim reaches the program.
        let want = place.text(&format!("{} @/other /\n in \\ put \n", child.id()));
        let output = child.wait_with_output().expect("wait");
        assert_eq!(String::from_utf8_lossy(&output.stdout), want);
        assert_eq!((output.stderr.as_slice(), output.status.signal()), (&b"err\n"[..], Some(15)));
    });
}

#[test]
fn program_is_searched_in_order() {
    for_each_launcher(|place| {
        let order = ["@/my exe", TOOL, "@/p1/assets", "@/p2/assets", "@/cargo/bin/assets"];
        for program in order.iter().chain(&["@/home/.cargo/bin/assets"]) {
            place.program(program);
        }
        let run = |exe: &str, cargo: &str| {
            let run = place.run(SHIM).env("PATH", "@/missing:@/p1:@/p2").env("HOME", "@/home");
            run.env("ASSETS_EXE", exe).env("CARGO_HOME", cargo)
        };
        run(order[0], "@/cargo").starts(order[0]);
        for program in &order[1..] {
            run("", "@/cargo").starts(program);
            // Neither a directory nor a file without the right to execute is the program.
            place.remove(program);
            match *program {
                TOOL | "@/p2/assets" => place.write(program, ""),
                _ => place.dir(program),
            }
        }
        run("", "").starts("@/home/.cargo/bin/assets");
    });
}

#[test]
fn assets_exe_is_final() {
    for_each_launcher(|place| {
        place.program(TOOL);
        place.write("@/file", "");
        // A name alone is a file in the current directory, never one on PATH.
        place.program("@/bin/named");
        let run = |exe: &str| place.run(SHIM).env("PATH", "@/bin").env("ASSETS_EXE", exe);
        for exe in ["@/missing", "@/file", "@/home", "named"] {
            let stderr = format!(
                "error: `ASSETS_EXE` is `{exe}`, which is not an executable file\n\
                 hint: set it to the path of the `assets` binary, or unset it\n"
            );
            run(exe).exits(127, "", &stderr);
        }
        // A dash does not start an option.
        for exe in ["named", "-c", "-x/named"] {
            place.program(&format!("@/other/{exe}"));
            run(exe).starts(&format!("@/other/{exe}"));
        }
    });
}

#[test]
fn code_repo_is_found_however_the_shim_is_called() {
    for_each_launcher(|place| {
        place.program(TOOL);
        // CDPATH would send a plain `cd eng` there.
        place.dir("@/else/eng/common/testproxy");
        place.dir("@/else/.git");
        place.program("@/else/.tools/assets/assets");
        place.dir("@/repo/sdk/core");
        let relative = place.parent("@/bin/a/relative");
        symlink("../../repo/eng/common/testproxy/assets", relative).expect("link");
        place.link("@/bin/a/relative", "@/bin/assets");
        place.link("@/repo/eng/common", "@/common");
        for (dir, shim) in [
            ("@/else", SHIM),
            ("@/repo", "eng/common/testproxy/assets"),
            ("@/repo", "./eng//common/testproxy/../testproxy/assets"),
            ("@/repo/sdk/core", "../../eng/common/testproxy/assets"),
            ("@/repo/eng/common/testproxy", "./assets"),
            ("@/else", "@/bin/a/relative"),
            ("@/else", "@/bin/assets"),
            ("@/else", "../bin/assets"),
            ("@/else", "../common/testproxy/assets"),
        ] {
            // A symlink is read with `readlink`.
            let run = place.run(shim).dir(dir).env("PATH", "/usr/bin:/bin");
            run.env("CDPATH", "@/else").starts(TOOL);
        }
    });
}

#[test]
fn code_repo_is_found_when_the_shim_is_called_by_name() {
    let place = Place::new(&["/bin/sh", "-c"]);
    place.program(TOOL);
    place.link(SHIM, "@/links/assets");
    for (dir, path) in [
        ("@/other", "@/repo/eng/common/testproxy"),
        ("@/other", "../repo/eng/common/testproxy"),
        ("@/other", "@/links"),
        ("@/repo/eng/common/testproxy", ""),
    ] {
        let run = place.run(r#"assets "$1""#).args(["sh"]).dir(dir);
        run.env("PATH", &format!("{path}:/usr/bin:/bin")).starts(TOOL);
    }
}

#[test]
fn code_repo_is_found_when_a_shell_gets_the_name() {
    for_each_launcher(|place| {
        let Some(shell) = place.launcher.first() else {
            return;
        };
        place.program(TOOL);
        place.run("assets").dir("@/repo/eng/common/testproxy").starts(TOOL);
        // Only bash searches PATH for a script.
        if shell.ends_with("bash") {
            place.run("assets").env("PATH", "@/repo/eng/common/testproxy").starts(TOOL);
        }
    });
}

#[test]
fn code_repo_may_be_a_worktree() {
    for_each_launcher(|place| {
        place.program(TOOL);
        place.copy(SOURCE, "@/repo/wt/-eng/assets");
        place.write("@/repo/wt/.git", "gitdir: ../.git/worktrees/wt\n");
        // The search ends there: it does not go on to the repo around it.
        place.program("@/home/.cargo/bin/assets");
        place.run("@/repo/wt/-eng/assets").env("HOME", "@/home").starts("@/home/.cargo/bin/assets");
        place.program("@/repo/wt/.tools/assets/assets");
        place.run("@/repo/wt/-eng/assets").starts("@/repo/wt/.tools/assets/assets");
        place.run("./assets").dir("@/repo/wt/-eng").starts("@/repo/wt/.tools/assets/assets");
    });
}

#[test]
fn path_is_read_as_the_shell_reads_it() {
    for_each_launcher(|place| {
        place.program("@/other/assets");
        place.program("@/p*/assets");
        for (path, program) in [
            (":/missing", "@/other/assets"),
            ("/missing:", "@/other/assets"),
            ("/missing::/missing", "@/other/assets"),
            (".", "@/other/assets"),
            ("../other//", "@/other/assets"),
            ("/:/missing/*:../p*:.", "@/p*/assets"),
        ] {
            place.run(SHIM).env("PATH", path).starts(program);
        }
    });
}

/// Directories on `PATH` that hold the shim itself.
const OWN: [&str; 5] = [
    "@/repo/eng/common/testproxy",
    "@/repo/eng/common/testproxy/",
    "@/repo/eng/../eng/common/testproxy",
    "../repo/eng/common/testproxy",
    "@/links/dir",
];

#[test]
fn shim_does_not_start_itself() {
    for_each_launcher(|place| {
        place.copy(SOURCE, "@/repo/eng/common/testproxy/assets.sh");
        place.link(SHIM, "@/links/assets");
        place.link("@/repo/eng/common/testproxy", "@/links/dir");
        // One mark for each shim on the way.
        place.script("@/last/assets", r#"echo "${ASSETS_SHIM%%[!+]*}""#);
        let path = format!("{}:/usr/bin:/bin:@/last", OWN.join(":"));
        for shim in [SHIM, "@/repo/eng/common/testproxy/assets.sh", "@/links/assets"] {
            place.run(shim).env("PATH", &path).exits(0, "+\n", "");
        }
        place.run(SHIM).env("PATH", "@/links:@/last").exits(0, "+\n", "");
    });
}

#[test]
fn other_shim_is_not_the_program() {
    for_each_launcher(|place| {
        place.copy(SOURCE, "@/copy/assets");
        place.copy(SOURCE, "@/repo2/eng/assets");
        place.dir("@/repo2/.git");
        place.program("@/repo2/.tools/assets/assets");
        place.link(SHIM, "@/links/assets");
        place.link("@/repo/eng/common/testproxy", "@/links/dir");
        place.script("@/calls/assets", r#"exec "${0%/*}/../repo/eng/common/testproxy/assets" "$@""#);
        place.program("@/last/assets");
        let others = ["@/links", "@/copy", "@/repo2/eng", "@/calls", "@/calls"];
        let all = [&OWN[..], &others].concat().join(":");
        for shim in [SHIM, "@/copy/assets", "@/links/assets"] {
            for dirs in OWN.iter().chain(&others).chain([&all.as_str()]) {
                place.run(shim).env("PATH", &format!("{dirs}:@/last")).starts("@/last/assets");
            }
        }

        // Nor in `.tools` or in cargo's directory.
        place.copy(SOURCE, TOOL);
        place.run(SHIM).env("PATH", "@/last").starts("@/last/assets");
        place.copy(SOURCE, "@/home/.cargo/bin/assets");
        let stderr = not_found(
            "`.tools/assets/assets` in a code repo, but nothing above `@/home/.cargo/bin` holds `.git`",
            "@/copy",
            "`@/home/.cargo/bin/assets`",
        );
        place.run(SHIM).env("PATH", "@/copy").env("HOME", "@/home").exits(127, "", &stderr);
    });
}

#[test]
fn loop_through_other_scripts_ends() {
    for_each_launcher(|place| {
        let stderr = "error: `@/script` is not the `assets` program: it starts this shim again\n\
                      hint: set `ASSETS_EXE` to the path of the `assets` binary\n";
        for call in [r#"exec "$SHIM""#, "\"$SHIM\"\nexit $?", "(\"$SHIM\")\nexit $?"] {
            place.script("@/script", call);
            place.run(SHIM).env("SHIM", SHIM).env("ASSETS_EXE", "@/script").exits(127, "", stderr);
        }
    });
}

#[test]
fn program_may_call_the_shim() {
    for_each_launcher(|place| {
        place.program("@/p/assets");
        place.script(TOOL, "[ $1 = inner ] || \"$SHIM\" inner || exit\necho $1");
        let run = place.run(SHIM).env("SHIM", SHIM).env("PATH", "@/p");
        run.args(["outer"]).exits(0, "inner\nouter\n", "");
    });
}

#[test]
fn assets_exe_may_hand_back_to_the_shim() {
    for_each_launcher(|place| {
        place.program(TOOL);
        let body = r#"unset ASSETS_EXE; exec "$SHIM" "$@""#;
        place.script("@/script", body);
        let run = place.run(SHIM).env("SHIM", SHIM);
        run.env("ASSETS_EXE", "@/script").starts(TOOL);
    });
}

#[test]
fn windows_prefers_the_exe() {
    for_each_launcher(|place| {
        place.program("@/repo/.tools/assets/assets.exe");
        place.program("@/p1/assets.exe");
        place.program("@/p2/assets");
        let run = |os| place.run(SHIM).env("PATH", "@/p1:@/p2").env("OS", os);
        run("").starts("@/p2/assets");
        run("Windows_NT").starts("@/repo/.tools/assets/assets.exe");
        place.remove("@/repo/.tools/assets/assets.exe");
        run("Windows_NT").starts("@/p1/assets.exe");
        place.remove("@/p1/assets.exe");
        run("Windows_NT").starts("@/p2/assets");
    });
}

fn not_found(tools: &str, path: &str, cargo: &str) -> String {
    format!(
        "error: cannot find the `assets` program
  searched: `ASSETS_EXE`, which is not set
            {tools}
            `PATH`, which is `{path}`
            {cargo}
hint: install it with `cargo install assets-sync --locked`
hint: or put the binary into `.tools/assets/` at the root of the code repo
hint: or set `ASSETS_EXE` to its path
"
    )
}

#[test]
fn not_found_lists_where_it_looked() {
    for_each_launcher(|place| {
        let tools = format!("`{TOOL}`");
        let stderr = not_found(&tools, "/missing:*", "`@/home/.cargo/bin/assets`");
        let run = place.run("eng/common/testproxy/assets").dir("@/repo").env("CDPATH", "/:.");
        run.env("PATH", "/missing:*").env("HOME", "@/home").exits(127, "", &stderr);

        let stderr = not_found(&tools, "", "`/no cargo/bin/assets`");
        let run = place.run(SHIM).env("HOME", "@/home").env("CARGO_HOME", "/no cargo");
        run.exits(127, "", &stderr);

        // An empty PATH does not mean the current directory.
        place.program("@/other/assets");
        place.copy(SOURCE, "@/alone/assets");
        let stderr = not_found(
            "`.tools/assets/assets` in a code repo, but nothing above `@/alone` holds `.git`",
            "",
            "cargo's `bin` directory, but neither `CARGO_HOME` nor `HOME` is set",
        );
        place.run("@/alone/assets").exits(127, "", &stderr);
    });
}
