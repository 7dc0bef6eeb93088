//! Many points of one class, on several rigs at once.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cases::Case;
use crate::report::{Fate, Tally};
use crate::rig::Rig;

/// A number from the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// The seed of this run: given, or of this moment.
pub fn seed() -> u64 {
    number("FAULTS_SEED").unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| u64::from(now.subsec_nanos()) ^ now.as_secs())
    })
}

/// Runs `points` points (unless the environment variable `count` has another number), each with its own random
/// numbers, on as many rigs as there are `workers`. The points go through the `cases` in turn. A point says what it did
/// and what became of it.
pub fn sweep(
    class: &str,
    cases: &[&'static Case],
    count: &str,
    points: u64,
    workers: usize,
    point: impl Fn(&mut Rig, &'static Case, usize, &mut fastrand::Rng) -> (String, Fate) + Sync,
) {
    let seed = seed();
    // The quick part is one of many tests that run side by side.
    let (points, workers) = number(count).map_or((points as usize, 1), |points| (points as usize, workers));
    let only = number("FAULTS_POINT").map(|only| only as usize);
    println!("{class}: {points} points, FAULTS_SEED={seed}");
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for worker in 0..workers.min(points) {
            let (tally, point) = (&tally, &point);
            scope.spawn(move || {
                let mut rig = None;
                // A rig gets its cases ready only once.
                let case_of = |number: usize| (number + seed as usize % cases.len()) % cases.len();
                let own = |number: &usize| case_of(*number) % workers == worker;
                for number in (0..points).filter(own).filter(|number| only.is_none_or(|only| only == *number)) {
                    let mut random =
                        fastrand::Rng::with_seed(seed ^ (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
                    let (what, fate) =
                        point(rig.get_or_insert_with(Rig::new), cases[case_of(number)], number, &mut random);
                    if !matches!(fate, Fate::Healed | Fate::Missed) {
                        println!("point {number}: {what}: {fate:?}");
                    }
                    tally.lock().unwrap().add(&format!("FAULTS_POINT={number} {what}"), fate);
                }
            });
        }
    });
    tally.into_inner().unwrap().close(class, seed);
}
