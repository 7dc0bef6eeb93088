//! The program that looks for secrets: `gitleaks`, or one that takes its arguments and writes its report.
//!
//! It is started in a folder that holds the files and nothing else, as
//!
//! ```text
//! <program> dir --ignore-gitleaks-allow --no-banner --redact --exit-code 0 --report-format json --report-path <file> .
//! ```
//!
//! and writes a JSON list with an object for each secret, of which `File`, `StartLine` and `RuleID` are read; a list
//! that is empty means that there is none. A report that is missing or no such list, or an exit code that is not 0
//! beside an empty one, means that the program failed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;

use crate::error::{AtPath, Error, Result, shell_word};
use crate::names::printable;
use crate::process::{Ended, Program};
use crate::report::{self, Reporter, Work};
use crate::settings::Environment;

/// The folder below the one that [`Scanner::scan`] is given that holds the files.
pub const FILES: &str = "to-scan";

/// What is looked for when nobody names a scanner.
const USUAL: &str = "gitleaks";
/// What `ASSETS_SECRET_SCANNER` names when there is to be none.
const NONE: &str = "none";
/// The longest that it may take.
const LIMIT: Duration = Duration::from_secs(600);

/// What every gitleaks since 8.19 is told. A line of a recording cannot switch the check off for itself.
const DIR: &[&str] = &["dir", "--ignore-gitleaks-allow"];
/// The same for older ones, which do not know `dir`.
const DETECT: &[&str] = &["detect", "--no-git"];

/// A program that looks for secrets.
pub struct Scanner {
    program: PathBuf,
    /// As the user knows it.
    name: String,
    rules: Option<PathBuf>,
    not_env: Vec<OsString>,
}

/// Where there may be a secret. What it is, is never read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Finding {
    /// From the folder with the files, with `/`.
    #[serde(rename = "File")]
    pub file: String,
    #[serde(rename = "StartLine", default)]
    pub line: u64,
    /// What kind of secret.
    #[serde(rename = "RuleID", default)]
    pub rule: String,
}

impl Scanner {
    /// The scanner that `ASSETS_SECRET_SCANNER` names, else `gitleaks`; `None` when it names `none`, or when nobody names
    /// one and there is no `gitleaks`.
    ///
    /// # Errors
    /// When the one that is named is not there.
    pub fn find(environment: &Environment) -> Result<Option<Scanner>> {
        let name = environment.secret_scanner.as_deref().unwrap_or(USUAL);
        if name == NONE {
            return Ok(None);
        }
        let program = match which::which(name) {
            Ok(program) => program,
            Err(_) if environment.secret_scanner.is_none() => return Ok(None),
            Err(why) => {
                return Err(Error::usage(format!("the secret scanner `{name}` cannot be run"))
                    .cause(why.to_string())
                    .hint("name a program in `ASSETS_SECRET_SCANNER`, without arguments, or unset it"));
            }
        };
        // Neither the token nor the headers that a CI job gave git are its business.
        let mut not_env = environment.git.removed.clone();
        not_env.push("GIT_CONFIG_COUNT".into());
        for index in 0..environment.git.config_count {
            not_env.extend([format!("GIT_CONFIG_KEY_{index}").into(), format!("GIT_CONFIG_VALUE_{index}").into()]);
        }
        Ok(Some(Scanner { program, name: name.to_string(), rules: environment.scanner_rules.clone(), not_env }))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Looks for secrets in the files of `<folder>/to-scan`. Rules and exceptions are read from the top of the folder
    /// with the files, so nothing of a stranger's may lie there: files go into folders below it.
    pub fn scan(&self, folder: &Path, report: &Reporter) -> Result<Vec<Finding>> {
        let file = folder.join("report.json");
        let mut ended = self.run(DIR, folder, &file, report)?;
        if !file.exists() && ended.stderr.contains("unknown command") {
            ended = self.run(DETECT, folder, &file, report)?;
        }
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(self.failed(&ended, "it wrote no report")),
            Err(e) => return Err(e).at("read", &file),
        };
        let Some(findings) = findings(&bytes, folder) else {
            return Err(self.failed(&ended, "its report is not a list of findings as `gitleaks` writes it"));
        };
        if findings.is_empty() && ended.code != Some(0) {
            return Err(self.failed(&ended, "its report may not be complete"));
        }
        Ok(findings)
    }

    /// The error for a scanner that did not do its work; secrets may have gone unseen.
    pub fn error(&self, why: impl Into<String>) -> Error {
        let version = format!("{} version", shell_word(&self.name));
        Error::failed(format!("the secret scanner `{}` failed", self.name))
            .cause(why)
            .hint(format!("see whether it works: `{version}`; another can be named in `ASSETS_SECRET_SCANNER`"))
    }

    fn failed(&self, ended: &Ended, why: &str) -> Error {
        /// More of what it said would bury the rest.
        const LINES: usize = 5;
        let how = match ended.code {
            Some(code) => format!("it exited with status {code}"),
            None => "it was ended by a signal".to_string(),
        };
        let said: Vec<&str> = ended.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = said[said.len().saturating_sub(LINES)..].iter().map(|line| format!("\n{line}"));
        self.error(format!("{why}; {how}{}", last.collect::<String>()))
    }

    fn run(&self, how: &[&str], folder: &Path, file: &Path, report: &Reporter) -> Result<Ended> {
        let mut args: Vec<OsString> = how.iter().map(OsString::from).collect();
        args.extend(
            ["--no-banner", "--redact", "--exit-code", "0", "--report-format", "json", "--report-path"]
                .map(OsString::from),
        );
        args.push(file.into());
        args.extend(if how == DIR { vec![".".into()] } else { vec!["--source".into(), ".".into()] });
        let shown = args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let program = Program {
            program: self.program.clone(),
            args,
            dir: folder.join(FILES),
            // A relative path is meant from where the user stands.
            env: self.rules.iter().map(|rules| ("GITLEAKS_CONFIG".into(), rules.into())).collect(),
            not_env: self.not_env.clone(),
            limit: LIMIT,
        };
        let (start, started) = (SystemTime::now(), Instant::now());
        let ended = program.run()?;
        let kind = Work::Process { code: ended.as_ref().and_then(|ended| ended.code) };
        let what = printable(&format!("{} {shown}", self.name));
        report.ended(&report::Ended { what: &what, start, took: started.elapsed(), kind, bytes: 0 });
        ended.ok_or_else(|| self.error(format!("it had not ended after {} minutes", LIMIT.as_secs() / 60)))
    }
}

/// The findings of a report, with paths from the folder with the files. None when it is no such report.
pub fn findings(report: &[u8], folder: &Path) -> Option<Vec<Finding>> {
    let mut findings: Vec<Finding> = serde_json::from_slice::<Option<Vec<Finding>>>(report).ok()?.unwrap_or_default();
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let inside = format!("{name}/{FILES}/");
    for finding in &mut findings {
        let path = finding.file.replace('\\', "/");
        let path = match path.rsplit_once(&inside) {
            Some((_, path)) => path,
            None => path.trim_start_matches("./"),
        };
        finding.file = path.to_string();
    }
    findings.sort_by(|a, b| (&a.file, a.line, &a.rule).cmp(&(&b.file, b.line, &b.rule)));
    findings.dedup();
    Some(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports() {
        let folder = Path::new("/code/.assets/.new-Ab12Cd");
        let read = |report: &str| findings(report.as_bytes(), folder);
        let found = |file: &str, line, rule: &str| Finding { file: file.into(), line, rule: rule.into() };
        for empty in ["[]", "null", " [\n]\n"] {
            assert_eq!(read(empty), Some(vec![]), "{empty}");
        }
        for path in
            ["0/a/b.json", "./0/a/b.json", r"0\\a\\b.json", "/private/code/.assets/.new-Ab12Cd/to-scan/0/a/b.json"]
        {
            let report = format!(
                r#"[{{"Description": "Key", "StartLine": 7, "EndLine": 7, "Match": "key=REDACTED", "Secret": "REDACTED",
                     "File": "{path}", "SymlinkFile": "", "Tags": [], "RuleID": "generic-api-key", "Fingerprint": "x"}}]"#
            );
            assert_eq!(read(&report), Some(vec![found("0/a/b.json", 7, "generic-api-key")]), "{path}");
        }
        let twice = r#"[{"File": "1/b", "StartLine": 2}, {"File": "0/a"}, {"File": "1/b", "StartLine": 2}]"#;
        assert_eq!(read(twice), Some(vec![found("0/a", 0, ""), found("1/b", 2, "")]));
        for bad in ["", "{}", "[1]", r#"[{"file": "a"}]"#, r#"{"results": []}"#, "[] x", r#"[{"File": 1}]"#] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
