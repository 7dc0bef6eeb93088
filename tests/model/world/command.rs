//! Runs `assets`, with a fault if there is one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Run, USERS, World, executable, write};
use crate::ops::{Fault, Harm};

/// The longest that a command may take, in seconds.
const LIMIT: &str = "120";
/// What fills a disk.
const FILLER: &str = ".filler";

impl World {
    /// Runs `assets` in the code repo of a user; with a fault if there is one. `prepared` is the commit of an advance.
    pub fn assets(&mut self, user: usize, args: &[String], fault: Option<&Fault>, prepared: &str) -> Run {
        let mut env = self.env(user);
        let (struck, written) = (self.root.join("fault/struck"), self.root.join("fault/written"));
        let _ = std::fs::remove_file(&struck);
        let _ = std::fs::remove_file(&written);
        let mut limit = String::new();
        match fault {
            Some(Fault::AtGit { call, nth, after, what }) => {
                let harm = self.harm(user, what, prepared);
                let text = wrapper(&self.git, &self.root.join("fault"), call, *nth, *after, what, &harm);
                let file = self.root.join("fault/git");
                write(&file, text.as_bytes());
                write(&self.root.join("fault/count"), b"0\n");
                executable(&file);
                env[0].1 = format!("{}:/usr/bin:/bin", self.root.join("fault").display());
            }
            Some(Fault::Away) => {
                std::fs::rename(self.remote(), self.root.join("away.git")).expect("the assets repo is moved away")
            }
            Some(Fault::Full(left)) if self.setup.disks => self.fill(user, *left),
            Some(Fault::Full(_)) => {}
            Some(Fault::FileLimit(blocks)) => limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""),
            None => {}
        }
        let mut command = Command::new("timeout");
        command.args(["--foreground", "-s", "KILL", LIMIT]);
        if !limit.is_empty() {
            command.args(["/bin/sh", "-c", &limit, "sh"]);
        }
        command.arg(&self.assets).arg("--json").args(args).current_dir(self.code(user)).env_clear().envs(env);
        let output = command.stdin(Stdio::null()).output().expect("assets starts");
        match fault {
            Some(Fault::Away) => std::fs::rename(self.root.join("away.git"), self.remote()).expect("it comes back"),
            Some(Fault::AtGit { .. }) if struck.exists() => self.wait_for_rest(),
            Some(Fault::Full(_)) => drop(std::fs::remove_file(self.disk(user).join(FILLER))),
            _ => {}
        }
        Run {
            args: args.to_vec(),
            code: output.status.code().filter(|code| *code != 137),
            json: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            wrote: written.exists(),
            struck: struck.exists() || matches!(fault, Some(Fault::Away | Fault::FileLimit(_) | Fault::Full(_))),
        }
    }

    /// Fills the disk of a user but for some kilobytes.
    fn fill(&self, user: usize, left: usize) {
        let stat = rustix::fs::statvfs(self.disk(user)).expect("the disk can be asked");
        let free = (stat.f_bavail * stat.f_frsize) as usize;
        let filler = vec![0; free.saturating_sub(left * 1024)];
        let _ = std::fs::write(self.disk(user).join(FILLER), filler);
    }

    /// The shell command of a harm at a call of git.
    fn harm(&mut self, user: usize, what: &Harm, prepared: &str) -> String {
        match what {
            Harm::Kill | Harm::KillAll => "kill -9 $PPID".into(),
            Harm::KillGit => "kill -9 $$".into(),
            Harm::Write { dir, file } => {
                let Some(package) = self.package(dir).cloned() else { return ":".into() };
                if !self.checkout(user, &package).join(".git").exists() {
                    return ":".into();
                }
                let path = self.checkout(user, &package).join(package.slice()).join(file);
                let text = self.new_content(USERS[user], &format!("{}/{file}", package.slice()), false);
                let (path, text) = (path.display().to_string(), String::from_utf8_lossy(&text).into_owned());
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let mark = self.root.join("fault/written").display().to_string();
                format!("mkdir -p '{folder}' && printf '%s' '{text}' > '{path}' && : > '{mark}'")
            }
            // Not over a push that has arrived by then: no teammate forces a push.
            Harm::Advance { branch, .. } => format!(
                "env -i {} --git-dir='{}' update-ref 'refs/heads/{branch}' {prepared} {prepared}^ 2>/dev/null",
                self.git.display(),
                self.remote().display()
            ),
        }
    }

    /// Waits until the processes that a killed command has left are gone.
    fn wait_for_rest(&self) {
        let mark = self.root.display().to_string();
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until && is_running(&mark) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A git that does something at one of its calls, else what git does.
#[allow(clippy::too_many_arguments)]
fn wrapper(git: &Path, folder: &Path, call: &str, nth: usize, after: bool, what: &Harm, harm: &str) -> String {
    let (git, folder) = (git.display(), folder.display());
    let call = if call == "any" { "*" } else { call };
    let action = match (what, after) {
        (_, true) => format!("{git} \"$@\"; rc=$?; {harm}; exit $rc"),
        (Harm::KillAll, false) => format!("{harm}; exit 137"),
        (_, false) => format!("{harm}; exec {git} \"$@\""),
    };
    format!(
        "#!/bin/sh\ncase \"$1\" in {call}) ;; *) exec {git} \"$@\" ;; esac\n\
         n=$(($(cat '{folder}/count') + 1)); echo $n > '{folder}/count'\n\
         [ $n = {nth} ] || exec {git} \"$@\"\n: > '{folder}/struck'\n{action}\n"
    )
}

fn is_running(mark: &str) -> bool {
    std::fs::read_dir("/proc").into_iter().flatten().flatten().any(|process| {
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        let text = String::from_utf8_lossy(&environment);
        text.contains("ASSETS_CACHE_DIR") && text.contains(mark)
    })
}
