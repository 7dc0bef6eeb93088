//! No secret is sent by accident: what a push changes is shown to a scanner first, as the bytes that would be sent.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Serialize;

use super::mine::Mine;
use super::scanner::{FILES, Finding, Scanner};
use super::{Push, Request};
use crate::error::{AtPath, Kind, Result};
use crate::git::parse::TreeChange;
use crate::manifest::Manifest;
use crate::names::Oid;
use crate::ops::plan::Refusal;
use crate::ops::{Context, Outcome, join};
use crate::report::Reporter;
use crate::settings::Environment;
use crate::units::count;

/// Whether what was pushed had been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checked {
    /// By a scanner that found nothing.
    Clean,
    /// There is no scanner.
    NoScanner,
    /// The user has no use for one.
    SwitchedOff,
    /// The user did not want it this time.
    BreakGlass,
}

/// What a command knows about secrets in what it pushes.
pub struct Secrets {
    break_glass: bool,
    /// Looked for when something is to be sent; what went wrong with it goes wrong for every slice.
    scanner: Option<Result<Option<Scanner>>>,
    /// Where secrets were found in the files that were looked at, each known by its path and content.
    seen: HashMap<(String, Oid), Vec<Finding>>,
}

/// Files that are scanned together.
struct Batch {
    folder: tempfile::TempDir,
    files: Vec<(String, Oid)>,
    /// Each slice has a folder of its own: another assets repo may have the same paths.
    slices: usize,
}

impl Secrets {
    /// Nothing was looked at yet; with `break_glass` nothing will be.
    pub fn new(break_glass: bool) -> Secrets {
        Secrets { break_glass, scanner: None, seen: HashMap::new() }
    }

    /// Looks at the pending changes of several slices with one start of the scanner. Only to save time: a push looks
    /// at whatever was not looked at by then, and whatever goes wrong here goes wrong there again and is told there.
    pub fn look_ahead(&mut self, context: &Context, manifests: &[&Manifest], request: &Request) {
        let wanted = manifests.len() > 1 && !request.dry_run && !context.offline;
        if !wanted || !matches!(self.scanner(&context.environment), Ok(Some(_))) {
            return;
        }
        let mut batch = None;
        for manifest in manifests {
            let _ = self.add_pending(context, manifest, request, &mut batch);
        }
        if let Some(batch) = batch.filter(|batch| !batch.files.is_empty())
            && let Err(error) = self.scan(batch, &Reporter::new(context.report.clone()))
        {
            self.scanner = Some(Err(error));
        }
    }

    fn add_pending(
        &self,
        context: &Context,
        manifest: &Manifest,
        request: &Request,
        batch: &mut Option<Batch>,
    ) -> Result<()> {
        let (push, _lock) = Push::open(context, manifest, request)?;
        let (files, staged) = push.pending()?;
        if files.is_empty() {
            return Ok(());
        }
        push.check_files(&files)?;
        let mine = push.mine(&files, staged)?;
        let changed = Push::changed_files(&mine);
        let batch = match batch {
            Some(batch) => batch,
            None => batch.insert(push.new_batch()?),
        };
        push.add_to(batch, &mine, changed)
    }

    fn scanner(&mut self, environment: &Environment) -> Result<Option<&Scanner>> {
        if self.break_glass {
            return Ok(None);
        }
        let scanner = self.scanner.get_or_insert_with(|| Scanner::find(environment));
        scanner.as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    fn scan(&mut self, batch: Batch, report: &Reporter) -> Result<()> {
        let Some(Ok(Some(scanner))) = &self.scanner else { return Ok(()) };
        report.phase(&format!("looking for secrets in {}", count(batch.files.len(), "file")));
        let findings = scanner.scan(batch.folder.path(), report);
        report.phase("");
        let mut seen: HashMap<_, _> = batch.files.into_iter().map(|file| (file, Vec::new())).collect();
        for finding in findings? {
            let path = finding.file.split_once('/').map_or("", |(_, path)| path);
            let mut files = seen.iter_mut().filter(|((known, _), _)| known == path).peekable();
            if files.peek().is_none() {
                return Err(scanner.error(format!("it named `{}`, which is no file that it was given", finding.file)));
            }
            files.for_each(|(_, found)| found.push(finding.clone()));
        }
        self.seen.extend(seen);
        Ok(())
    }
}

impl Push<'_> {
    /// Makes sure that no scanner finds a secret in what is about to be sent.
    pub(super) fn check_secrets(&self, mine: &Mine, secrets: &mut Secrets) -> Result<Outcome<Checked>> {
        self.look_for_secrets(mine, secrets).map_err(|error| match error.kind {
            Kind::Interrupted => error,
            _ => error.hint(format!("to push without a check: `assets push --break-glass{}`", self.manifest.argument)),
        })
    }

    fn look_for_secrets(&self, mine: &Mine, secrets: &mut Secrets) -> Result<Outcome<Checked>> {
        if secrets.break_glass {
            return Ok(Outcome::Done(Checked::BreakGlass));
        }
        let environment = &self.context.environment;
        let Some(scanner) = secrets.scanner(environment)?.map(|scanner| scanner.name().to_string()) else {
            let off = environment.secret_scanner.is_some();
            return Ok(Outcome::Done(if off { Checked::SwitchedOff } else { Checked::NoScanner }));
        };
        let changed = Self::changed_files(mine);
        let unseen: Vec<_> = changed.iter().filter(|file| !secrets.seen.contains_key(*file)).cloned().collect();
        if !unseen.is_empty() {
            let mut batch = self.new_batch()?;
            self.add_to(&mut batch, mine, unseen)?;
            secrets.scan(batch, self.checkout.repo.git.report())?;
        }
        let mut found = Vec::new();
        for file in &changed {
            for finding in secrets.seen.get(file).into_iter().flatten() {
                let rule = if finding.rule.is_empty() { String::new() } else { format!(" ({})", finding.rule) };
                found.push(format!("{}:{}{rule}", file.0, finding.line));
            }
        }
        Ok(match found.is_empty() {
            true => Outcome::Done(Checked::Clean),
            false => Outcome::Refused(Refusal::Secrets { scanner, found, folder: self.checkout.dir.clone() }),
        })
    }

    /// The files that the push adds or changes, with their content.
    fn changed_files(mine: &Mine) -> Vec<(String, Oid)> {
        let file = |change: &TreeChange| Some((change.path.clone(), change.new.as_ref()?.oid.clone()));
        mine.changes.iter().filter_map(file).collect()
    }

    /// A folder that nobody else reads, in a place that the code repo ignores.
    fn new_batch(&self) -> Result<Batch> {
        let place = &self.checkout.folder;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".new-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = builder.tempdir_in(place).at("write into", place)?;
        let files = folder.path().join(FILES);
        std::fs::create_dir(&files).at("create", &files)?;
        Ok(Batch { folder, files: Vec::new(), slices: 0 })
    }

    /// Writes what would be sent of some files into a batch: from the objects, because the files may change meanwhile.
    fn add_to(&self, batch: &mut Batch, mine: &Mine, files: Vec<(String, Oid)>) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let folder: PathBuf = batch.folder.path().join(FILES).join(batch.slices.to_string());
        batch.slices += 1;
        std::fs::create_dir(&folder).at("create", &folder)?;
        let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
        self.writer().export(&mine.index, &paths, &folder)?;
        for path in paths {
            // Exit code 0 is not proof, and what was not written would pass unseen.
            let file = join(&folder, path);
            file.symlink_metadata().at("write what is to be looked at for secrets to", &file)?;
        }
        batch.files.extend(files);
        Ok(())
    }
}
