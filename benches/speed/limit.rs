//! The least that a network allows: one request for a ready-made archive of exactly these packages.

use crate::lab::{Contender, Failure, Lab, Role, STILL, execute, remove, set_aside};
use crate::subject::{Subject, expect_files};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// `curl | tar` of these packages, which are of one repo.
pub fn limit<'a>(lab: &'a Lab, subjects: &'a [Subject<'a>]) -> Contender<'a> {
    let folder = lab.path("limit");
    let (removed, checked) = (folder.clone(), folder.clone());
    Contender {
        role: Role::Limit,
        prepare: Box::new(move || {
            set_aside(&removed)?;
            serve_archive(lab, subjects)
        }),
        check: Box::new(move || expect_files(subjects[0].repo, subjects.len(), &checked)),
        ..Contender::new("limit", move |run| unpack(lab.port(run.rtt), "/static/limit.tar.gz", &folder))
    }
}

/// Puts the archive where the server finds it; it is made once and kept beside the repo.
fn serve_archive(lab: &Lab, subjects: &[Subject]) -> Result<(), Failure> {
    let (repo, served) = (subjects[0].repo, lab.path("root/static/limit.tar.gz"));
    let of = if subjects.len() == repo.packages.len() { "all" } else { &subjects[0].package.name };
    let kept = repo.folder.join(format!("{of}.tar.gz"));
    if !kept.is_file() {
        // The packages side by side, each at its commit.
        let (staged, tar) = (lab.path("staged"), lab.path("package.tar"));
        for subject in subjects {
            let to = staged.join(subject.package.slice_path());
            fs::create_dir_all(&to)?;
            let tree = format!("{}:{}", subject.pin.commit, subject.package.slice_path());
            let (from, out) = (repo.path.display(), tar.display());
            lab.git(&STILL, &to, &format!("--git-dir={from} archive --format=tar -o {out} {tree}"))?;
            execute(Command::new("tar").arg("xf").arg(&tar).arg("-C").arg(to))?;
        }
        let unfinished = kept.with_extension("new");
        execute(Command::new("tar").arg("czf").arg(&unfinished).arg("-C").arg(&staged).arg("."))?;
        fs::rename(unfinished, &kept)?;
        remove(&staged)?;
    }
    fs::copy(kept, served)?;
    Ok(())
}

/// Fetches a compressed tar with one request and unpacks it while it comes: `curl | tar`, as a script would, or where
/// there is no curl without one.
fn unpack(port: u16, target: &str, folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)?;
    if which::which("curl").is_ok() {
        let mut script = Command::new("sh");
        script.args(["-c", "curl -sf \"$0\" | tar xz -C \"$1\""]);
        return execute(script.arg(format!("http://127.0.0.1:{port}{target}")).arg(folder)).map(drop);
    }
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = BufReader::with_capacity(64 * 1024, stream);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    if !line.contains(" 200 ") {
        return Err(line.into());
    }
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line)?;
    }
    let mut tar = Command::new("tar").args(["xz", "-C"]).arg(folder).stdin(Stdio::piped()).spawn()?;
    io::copy(&mut answer, &mut tar.stdin.take().expect("a pipe"))?;
    if tar.wait()?.success() { Ok(()) } else { Err("tar failed".into()) }
}
