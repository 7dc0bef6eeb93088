//! What became of the points of one class, as a row of the table that `scripts/faults.sh` prints.

use std::io::Write;

/// What became of one point.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// The fault did not come to pass: the command was done before.
    Missed,
    /// All as if nothing had happened, after at most one more run.
    Healed,
    /// Somebody's recording is nowhere any more.
    Lost(String),
    /// Something that nobody changed is changed.
    Phantom(String),
    /// It is all there, but one more run did not bring it in order.
    Unhealed(String),
}

/// The points of one class.
#[derive(Debug, Default)]
pub struct Tally {
    missed: usize,
    healed: usize,
    lost: usize,
    phantom: usize,
    unhealed: usize,
    stories: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, point: &str, fate: Fate) {
        let mut tell = |what: &str, story: &str| self.stories.push(format!("{what}: {point}: {story}"));
        match &fate {
            Fate::Missed => self.missed += 1,
            Fate::Healed => self.healed += 1,
            Fate::Lost(story) => {
                tell("lost", story);
                self.lost += 1;
            }
            Fate::Phantom(story) => {
                tell("phantom change", story);
                self.phantom += 1;
            }
            Fate::Unhealed(story) => {
                tell("not healed", story);
                self.unhealed += 1;
            }
        }
    }

    /// How many points the fault came to pass at.
    pub fn struck(&self) -> usize {
        self.healed + self.lost + self.phantom + self.unhealed
    }

    /// Writes the row of a class, and fails when not every point was healed.
    pub fn close(self, class: &str, seed: u64) {
        let all = self.struck() + self.missed;
        let row = format!(
            "{class}\t{all}\t{}\t{}\t{}\t{}\t{}",
            self.struck(),
            self.healed,
            self.lost,
            self.phantom,
            self.unhealed
        );
        write_row(&row);
        assert!(self.stories.is_empty(), "{class}, FAULTS_SEED={seed}\n{}", self.stories.join("\n"));
        assert!(self.struck() > 0, "{class}: no fault came to pass in {all} points");
    }
}

/// Says that a class cannot be tested on this machine.
pub fn skipped(class: &str, why: &str) {
    write_row(&format!("{class}\tskipped: {why}"));
}

fn write_row(row: &str) {
    println!("{row}");
    if let Some(file) = std::env::var_os("FAULTS_TABLE") {
        let mut file = std::fs::File::options().create(true).append(true).open(file).expect("the table opens");
        writeln!(file, "{row}").expect("the table is written");
    }
}
