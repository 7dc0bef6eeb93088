//! Many slices at once. Each assets repo is downloaded, a part at a time, by one thread; what has arrived is written to
//! disk by others, while the next part is on its way. How many threads there are of each kind is bounded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::group::{Answers, Arrived, Group};
use super::{Answer, Policy};
use crate::manifest::Manifest;
use crate::ops::{Context, Outcome};
use crate::store;

/// Shows the slices of the manifests at `open`. Those of one checkout are shown by one thread at a time, as many
/// together as have arrived.
pub fn run(context: &Context, manifests: &[Manifest], open: &[usize], policy: Policy) -> Answers {
    let mut yard = Yard::default();
    let groups = groups(context, manifests, open, policy, &mut yard.answers);
    let mut stores: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    for (number, group) in groups.iter().enumerate() {
        stores.entry(group.store().objects_dir()).or_default().push(number);
    }
    yard.downloads = stores.len();
    let workers = context.workers(groups.len());
    let downloaders = context.downloaders(stores.len());
    let queue = Mutex::new(VecDeque::from_iter(stores.into_values()));
    let fleet = Fleet {
        context,
        groups,
        yard: Mutex::new(yard),
        wake: Condvar::new(),
        all: open.len(),
        started: Instant::now(),
    };
    std::thread::scope(|scope| {
        for _ in 0..downloaders {
            scope.spawn(|| {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                while let Some(numbers) = next() {
                    fleet.download(&numbers);
                }
            });
        }
        for _ in 0..workers {
            scope.spawn(|| fleet.work());
        }
    });
    fleet.yard.into_inner().unwrap_or_else(PoisonError::into_inner).answers
}

/// Divides manifests by checkout; those that have none are answered.
fn groups<'a>(
    context: &'a Context,
    manifests: &'a [Manifest],
    open: &[usize],
    policy: Policy,
    answers: &mut Answers,
) -> Vec<Group<'a>> {
    let checkouts = context.by_checkout(manifests, open.iter().copied(), |index, error| {
        answers.push((index, Err(error)));
    });
    let mut groups = Vec::new();
    for indexes in checkouts.into_values() {
        match Group::new(context, manifests, indexes.clone(), policy) {
            Ok(group) => groups.push(group),
            Err(error) => answers.extend(indexes.into_iter().map(|index| (index, Err(error.clone())))),
        }
    }
    groups
}

struct Fleet<'a> {
    context: &'a Context,
    groups: Vec<Group<'a>>,
    yard: Mutex<Yard>,
    /// Something in the yard has changed.
    wake: Condvar,
    /// How many slices there are.
    all: usize,
    started: Instant,
}

/// What the threads share.
#[derive(Default)]
struct Yard {
    /// What has arrived for each group and is not shown yet.
    arrived: BTreeMap<usize, Vec<Arrived>>,
    /// Groups that somebody works on.
    busy: BTreeSet<usize>,
    /// Downloads that have not ended.
    downloads: usize,
    answers: Answers,
    /// Files that the answers tell of.
    files: usize,
}

fn files_of(answer: &Answer) -> usize {
    match answer {
        Ok(Outcome::Done(restored)) => restored.cost.files,
        _ => 0,
    }
}

impl Fleet<'_> {
    fn yard(&self) -> MutexGuard<'_, Yard> {
        self.yard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Downloads what the groups of one store need.
    fn download(&self, numbers: &[usize]) {
        let mut answers = Answers::new();
        let (mut owners, mut wants, mut also_objects) = (Vec::new(), Vec::new(), Vec::new());
        for &number in numbers {
            let group = &self.groups[number];
            for (index, want) in group.wants(&mut also_objects, &mut answers) {
                owners.push((number, index));
                wants.push(want);
            }
        }
        self.yard().answers.extend(answers);
        let mut told = vec![false; wants.len()];
        let mut deliver = |arrived: store::Answers| {
            let mut yard = self.yard();
            for (want, ready) in arrived {
                told[want] = true;
                let (number, index) = owners[want];
                match ready {
                    Ok(ready) => {
                        let arrived = Arrived { index, ready, after: self.started.elapsed() };
                        yard.arrived.entry(number).or_default().push(arrived);
                    }
                    Err(error) => yard.answers.push((index, Err(self.groups[number].failed(index, error)))),
                }
            }
            self.wake.notify_all();
        };
        let result = match numbers.first() {
            Some(&first) if !wants.is_empty() => self.groups[first].store().ensure(&wants, &also_objects, &mut deliver),
            _ => Ok(()),
        };
        // A git that is too old fails at whatever it is asked first.
        let result = result.map_err(|error| self.context.vouch_for_git().err().unwrap_or(error));
        let mut yard = self.yard();
        if let Err(error) = result {
            let untold = owners.iter().zip(told).filter(|(_, told)| !told);
            yard.answers.extend(untold.map(|((_, index), _)| (*index, Err(error.clone()))));
        }
        yard.downloads -= 1;
        self.wake.notify_all();
    }

    /// Shows what arrives until nothing more will.
    fn work(&self) {
        while let Some((number, arrived)) = self.next() {
            let answers = self.groups[number].show(arrived);
            let mut yard = self.yard();
            yard.busy.remove(&number);
            yard.files += answers.iter().map(|(_, answer)| files_of(answer)).sum::<usize>();
            yard.answers.extend(answers);
            self.context.report.count(yard.answers.len(), self.all, yard.files);
            self.wake.notify_all();
        }
    }

    fn next(&self) -> Option<(usize, Vec<Arrived>)> {
        let mut yard = self.yard();
        loop {
            let free = yard.arrived.keys().copied().find(|number| !yard.busy.contains(number));
            if let Some((number, arrived)) = free.and_then(|number| yard.arrived.remove_entry(&number)) {
                yard.busy.insert(number);
                return Some((number, arrived));
            }
            if yard.downloads == 0 && yard.arrived.is_empty() {
                return None;
            }
            yard = self.wake.wait(yard).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
