//! Runs one history: chosen step by step from a seed, or given.

use std::path::PathBuf;

use fastrand::Rng;

use crate::choose;
use crate::ops::{Op, Setup, Step};
use crate::oracle::{Oracle, Violation};
use crate::world::World;

/// What the runs have in common.
#[derive(Clone)]
pub struct Tools {
    pub gits: Vec<PathBuf>,
    pub assets: PathBuf,
}

/// A history that ended with a broken promise.
pub struct Failure {
    pub setup: Setup,
    pub steps: Vec<Step>,
    pub violation: Violation,
}

/// What a run without a violation did.
#[derive(Clone, Copy, Default)]
pub struct Fine {
    pub pushes: usize,
}

/// Chooses and does `count` steps from a seed.
pub fn chosen(tools: &Tools, seed: u64, count: usize) -> Result<Fine, Box<Failure>> {
    let mut random = Rng::with_seed(seed);
    let setup = choose::setup(&mut random);
    let mut world = World::new(setup, &tools.gits, &tools.assets);
    let mut oracle = Oracle::new(&world);
    let mut steps: Vec<Step> = Vec::new();
    let mut beginning = choose::beginning(&mut random).into_iter();
    let mut ended = 0;
    loop {
        world.step = steps.len();
        let op = match beginning.next() {
            Some(op) => op,
            None if steps.len() < count => choose::next(&mut random, &mut world, &oracle),
            None => {
                ended += 1;
                match choose::ending(&world, &oracle, ended - 1) {
                    Some(op) => op,
                    None => break,
                }
            }
        };
        steps.push(Step { number: steps.len(), op: op.clone() });
        if let Err(violation) = oracle.step(&mut world, &op) {
            return Err(Box::new(Failure { setup, steps, violation }));
        }
    }
    Ok(Fine { pushes: oracle.pushed })
}

/// Does given steps; returns the violation, and how many steps it took.
pub fn given(tools: &Tools, setup: Setup, steps: &[Step]) -> Option<(usize, Violation)> {
    let mut world = World::new(setup, &tools.gits, &tools.assets);
    let mut oracle = Oracle::new(&world);
    for (index, step) in steps.iter().enumerate() {
        world.step = step.number;
        if !fits(&world, &step.op) {
            continue;
        }
        if std::env::var_os("MODEL_TRACE").is_some() {
            println!("{step}");
        }
        if let Err(violation) = oracle.step(&mut world, &step.op) {
            if std::env::var_os("MODEL_KEEP").is_some() {
                println!("kept: {}", world.keep().display());
            }
            return Some((index + 1, violation));
        }
    }
    None
}

/// Whether a step makes sense without those that were removed.
fn fits(world: &World, op: &Op) -> bool {
    op.user().is_none_or(|user| user < world.setup.users)
}
