//! All packages of a code repo: cold, in a second clone, with one pin changed, with nothing to do, and twice as many.

use crate::lab::{Contender, Failure, Lab, Role, Run, STILL, Sample, execute, set_aside};
use crate::limit::limit;
use crate::noop::{Program, noop};
use crate::repos::{Repo, Size};
use crate::subject::{Form, Subject, expect_files, fresh_code, recordings, restored};
use crate::summary::{Summary, Work};
use crate::table::Row;
use crate::today;
use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What costs a whole repo per package is measured for no more than these, unless all are.
const FEW: usize = 3;

/// Measures what was asked for in both forms and prints the summary; the answer is how many rows failed.
pub fn bench(lab: &Lab) -> usize {
    let (mut failed, mut summary) = (0, Summary::default());
    for form in [Form::Tag, Form::Branch] {
        failed += bench_form(lab, form, &mut summary).unwrap_or_else(|failure| {
            eprintln!("{}: {failure}", form.name());
            1
        });
    }
    summary.print();
    failed
}

fn bench_form(lab: &Lab, form: Form, summary: &mut Summary) -> Result<usize, Failure> {
    let (flags, size) = (lab.flags, lab.flags.fleet.size);
    let repo = lab.repo(form.kind(), size)?;
    let fleet = Fleet { lab, form, subjects: &Subject::all(&repo, form) };
    let mut failed = 0;
    if flags.wants("fleet-cold") {
        failed += fleet.cold(summary);
    }
    if flags.wants("fleet-changed") {
        failed += fleet.one_changed(&repo, summary);
    }
    if flags.wants("fleet-noop") {
        failed += fleet.nothing_to_do(summary)?;
    }
    if flags.wants("fleet-scaling") {
        let twice = lab.repo(form.kind(), Size { packages: 2 * size.packages, ..size })?;
        failed += fleet.scaling(&Subject::all(&twice, form), summary);
    }
    Ok(failed)
}

/// All packages of a repo, each with a manifest in one code repo.
struct Fleet<'a> {
    lab: &'a Lab<'a>,
    form: Form,
    subjects: &'a [Subject<'a>],
}

impl Fleet<'_> {
    fn title(&self, what: &str) -> String {
        format!("{} packages {what}, {}", self.subjects.len(), self.form.name())
    }

    fn cold(&self, summary: &mut Summary) -> usize {
        let (lab, subjects) = (self.lab, self.subjects);
        let (first, second) = (lab.path("code"), lab.path("second"));
        let again = Contender {
            role: Role::Again,
            // Ours has just filled the store.
            prepare: Box::new(|| {
                set_aside(&second)?;
                execute(Command::new("git").args(["clone", "-q"]).arg(&first).arg(&second)).map(drop)
            }),
            check: Box::new(|| {
                let totals = lab.server.totals();
                if totals.requests > 0 {
                    eprintln!("the second clone made {} requests, {} bytes", totals.requests, totals.bytes_down);
                }
                expect_all(&second, subjects)
            }),
            ..Contender::new("the same in a second clone", |run| restore_all(lab, run, &second))
        };
        let contenders =
            [ours(lab, subjects), again, self.today(), self.shared_clone(), self.plain(), limit(lab, subjects)];
        let race = lab.race(&lab.flags.fleet, &self.title("cold"), &contenders);
        let size = subjects[0].repo.size;
        // The tar of the limit was unpacked by then.
        let bytes: u64 = recordings(&lab.path("limit")).unwrap_or_default().iter().map(|file| file_size(file)).sum();
        let packed = race.row(Role::Limit).map_or(0.0, |row| row.counts.bytes_down);
        let files =
            format!("{} files, {} MB ({:.0} MB packed)", subjects.len() * size.files, bytes / 1_000_000, packed / 1e6);
        let time = |role| race.row(role).map(Row::time);
        let (limit, today) = (time(Role::Limit), time(Role::Today));
        let name = self.title(&format!("cold, {files}"));
        summary.add(Work {
            limit,
            today,
            most_of_limit: 1.5,
            least_of_today: 40.0,
            ..Work::new(name, race.row(Role::Ours))
        });
        let name = self.title("in a second clone");
        summary.add(Work { today, most_requests: Some(0.0), ..Work::new(name, race.row(Role::Again)) });
        race.failed
    }

    /// The test proxy's sequence, one package after the other.
    fn today(&self) -> Contender<'_> {
        let step = |run: &Run, subject: &Subject, dir: &Path| today::restore(self.lab, run, subject, dir);
        self.sampled("today", Role::Today, self.lab.flags.sample, |_| Ok(()), step)
    }

    /// One shared repository, from which each package is cloned.
    fn shared_clone(&self) -> Contender<'_> {
        let shared = self.lab.path("sampled/shared");
        let from = shared.clone();
        let fetch = move |run: &Run| today::shared_fetch(self.lab, run, self.subjects, &shared);
        let step =
            move |run: &Run, subject: &Subject, dir: &Path| today::shared_clone(self.lab, run, subject, &from, dir);
        self.sampled("shared clone script", Role::Other, self.few(), fetch, step)
    }

    /// The whole repo for each package.
    fn plain(&self) -> Contender<'_> {
        let step = |run: &Run, subject: &Subject, dir: &Path| today::plain_clone(self.lab, run, subject, dir);
        self.sampled("plain clones", Role::Other, self.few(), |_| Ok(()), step)
    }

    fn few(&self) -> usize {
        let sample = self.lab.flags.sample;
        if sample < self.subjects.len() { sample.min(FEW) } else { sample }
    }

    /// Something done once for all and then for each package, of which a sample stands for all.
    fn sampled<'s>(
        &'s self,
        name: &str,
        role: Role,
        sample: usize,
        once: impl Fn(&Run) -> Result<(), Failure> + 's,
        each: impl Fn(&Run, &Subject, &Path) -> Result<(), Failure> + 's,
    ) -> Contender<'s> {
        let (all, dir) = (self.subjects.len(), self.lab.path("sampled"));
        let chosen = &self.subjects[..sample.min(all)];
        let name = match chosen.len() {
            some if some < all => format!("{name} ({some} of {all} measured, scaled)"),
            _ => name.to_owned(),
        };
        let (removed, checked) = (dir.clone(), dir.clone());
        let place = |dir: &Path, subject: &Subject| dir.join(&subject.package.name);
        Contender {
            role,
            prepare: Box::new(move || set_aside(&removed)),
            sample: Some(Sample {
                times: all as f64 / chosen.len() as f64,
                run: Box::new(move |run| {
                    chosen.iter().try_for_each(|subject| each(run, subject, &place(&dir, subject)))
                }),
            }),
            check: Box::new(move || {
                chosen.iter().try_for_each(|subject| {
                    expect_files(subject.repo, 1, &place(&checked, subject).join(subject.package.slice_path()))
                })?;
                set_aside(&checked)
            }),
            ..Contender::new(name, once)
        }
    }

    /// All are restored; then one manifest names the push after the one that is shown.
    fn one_changed(&self, repo: &Repo, summary: &mut Summary) -> usize {
        let (lab, form) = (self.lab, self.form);
        let changing: Vec<Subject> = repo.typical().map(|package| Subject::new(repo, package, form)).collect();
        let (code, dir) = (lab.path("code"), lab.path("today"));
        // Each run changes another package: what was fetched once is in the store.
        let ours_next = Cell::new(changing.len());
        let todays_next = Cell::new(0);
        let current = |next: &Cell<usize>| changing[(next.get() + changing.len() - 1) % changing.len()];
        let ours = Contender {
            role: Role::Ours,
            prepare: Box::new(|| {
                if ours_next.get() == changing.len() {
                    let before: Vec<Subject> = self.subjects.iter().map(|subject| subject.before()).collect();
                    fresh_code(lab, &before)?;
                    restore_all(lab, &STILL, &code)?;
                    ours_next.set(0);
                }
                let subject = changing[ours_next.get()];
                ours_next.set(ours_next.get() + 1);
                Ok(fs::write(code.join(subject.path()), subject.manifest())?)
            }),
            check: Box::new(|| {
                let subject = current(&ours_next);
                subject.expect_content(lab, &restored(&code, subject.package)?)
            }),
            ..Contender::new("assets restore --all", |run| restore_all(lab, run, &code))
        };
        let todays = Contender {
            role: Role::Today,
            prepare: Box::new(|| {
                todays_next.set(todays_next.get() + 1);
                set_aside(&dir)?;
                today::restore(lab, &STILL, &current(&todays_next).before(), &dir)
            }),
            check: Box::new(|| {
                let subject = current(&todays_next);
                subject.expect_content(lab, &dir.join(subject.package.slice_path()))
            }),
            ..Contender::new("today, that package alone", |run| {
                today::restore_again(lab, run, &current(&todays_next), &dir)
            })
        };
        let title = self.title("restored, one pin changed");
        let race = lab.race(&lab.flags.fleet, &title, &[ours, todays]);
        let today = race.row(Role::Today).map(Row::time);
        let work = Work::new(title, race.row(Role::Ours));
        summary.add(Work { today, most_seconds: 0.25, most_requests: Some(3.0), ..work });
        race.failed
    }

    fn nothing_to_do(&self, summary: &mut Summary) -> Result<usize, Failure> {
        let lab = self.lab;
        fresh_code(lab, self.subjects)?;
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ":(top,glob)**/assets.json"];
        let programs = [
            Program {
                name: "assets restore --all",
                program: lab.flags.binary.as_os_str(),
                args: &["restore", "--all"],
            },
            Program { name: "git ls-files", program: "git".as_ref(), args: &list },
        ];
        let title = self.title("restored, nothing to do");
        let Ok([ours, least]) = noop(lab, lab.flags.fleet.noop_runs, &title, &programs) else { return Ok(1) };
        summary.add_nothing_to_do(format!("{title} (limit: `git ls-files`)"), ours, least);
        Ok(0)
    }

    /// Twice the manifests in turn with these.
    fn scaling(&self, twice: &[Subject], summary: &mut Summary) -> usize {
        let lab = self.lab;
        let double = Contender { role: Role::Other, ..ours(lab, twice) };
        let contenders = [
            Contender { name: format!("{} manifests", self.subjects.len()), ..ours(lab, self.subjects) },
            Contender { name: format!("{} manifests", twice.len()), ..double },
        ];
        let title = format!("{} packages cold beside {}, {}", twice.len(), self.subjects.len(), self.form.name());
        let race = lab.race(&lab.flags.fleet, &title, &contenders);
        if let (Some(one), Some(two)) = (race.row(Role::Ours), race.row(Role::Other)) {
            let ratio = two.time() / one.time();
            println!("\n{} manifests take {ratio:.2} times as long as {}.", twice.len(), self.subjects.len());
            let work = Work::new(format!("{title}: {ratio:.2} x"), Some(two));
            summary.add(Work { most_seconds: 2.0 * one.time(), most_memory: Some(30_000_000), ..work });
        }
        race.failed
    }
}

fn ours<'a>(lab: &'a Lab, subjects: &'a [Subject<'a>]) -> Contender<'a> {
    let code = lab.path("code");
    let checked = code.clone();
    Contender {
        role: Role::Ours,
        prepare: Box::new(move || fresh_code(lab, subjects)),
        check: Box::new(move || expect_all(&checked, subjects)),
        ..Contender::new("assets restore --all", move |run| restore_all(lab, run, &code))
    }
}

fn restore_all(lab: &Lab, run: &Run, code: &Path) -> Result<(), Failure> {
    lab.assets(run, code, &["restore", "--all"])
}

fn expect_all(code: &Path, subjects: &[Subject]) -> Result<(), Failure> {
    subjects.iter().try_for_each(|subject| expect_files(subject.repo, 1, &restored(code, subject.package)?))
}

fn file_size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |data| data.len())
}
