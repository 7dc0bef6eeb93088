//! What was measured, as rows of a markdown table.

use crate::lab::{Contender, Failure, Role};

/// How much one run needed; a share where it is scaled from a sample.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub requests: f64,
    pub connections: f64,
    pub bytes_down: f64,
    /// Git processes: those started from outside of git, and all.
    pub started: f64,
    pub processes: f64,
}

impl Counts {
    /// Adds `other` so many times.
    pub fn add(&mut self, other: &Self, times: f64) {
        self.requests += other.requests * times;
        self.connections += other.connections * times;
        self.bytes_down += other.bytes_down * times;
        self.started += other.started * times;
        self.processes += other.processes * times;
    }
}

/// A row of the table.
#[derive(Clone)]
pub struct Row {
    pub seconds: Vec<f64>,
    pub counts: Counts,
    /// The most memory that the program itself had, in bytes, if the system can tell.
    pub peak: Option<u64>,
}

impl Row {
    /// The median.
    pub fn time(&self) -> f64 {
        median(&self.seconds)
    }

    fn print(&self, name: &str, rtt: u64, limit: Option<f64>, today: Option<f64>) {
        let (middle, counts) = (self.time(), &self.counts);
        let least = self.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.seconds.iter().copied().fold(0.0, f64::max);
        let ratio = |to: Option<f64>| to.map_or("-".to_owned(), |seconds| format!("{:.3}", middle / seconds));
        println!(
            "| {name} | {rtt} | {middle:.3} | {least:.3}-{most:.3} | {} | {} | {:.0} | {:.0} | {:.0} / {:.0} | {:.3} | {} |",
            ratio(limit),
            ratio(today),
            counts.requests,
            counts.connections,
            counts.started,
            counts.processes,
            counts.bytes_down / 1e6,
            megabytes(self.peak)
        );
    }
}

/// The rows of one table.
pub struct Race {
    pub failed: usize,
    /// Those with the longest delay, if they did not fail.
    last: Vec<(Role, Row)>,
}

impl Race {
    /// Prints the table's head.
    pub fn start(title: &str, runs: usize) -> Self {
        println!("\n### {title}\n");
        println!("Median of {runs}; one run where a sample is scaled.\n");
        println!(
            "| | rtt | seconds | min-max | x limit | x today | requests | connections | git | MB down | peak MB |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|");
        Self { failed: 0, last: Vec::new() }
    }

    /// Prints the rows of one round trip time.
    pub fn print(&mut self, rtt: u64, contenders: &[Contender], rows: Vec<Result<Row, Failure>>) {
        let roles = contenders.iter().map(|contender| contender.role);
        let fine = roles.zip(&rows).filter_map(|(role, row)| Some((role, row.as_ref().ok()?.clone())));
        self.last = fine.collect();
        let time = |role| self.row(role).map(Row::time);
        let (limit, today) = (time(Role::Limit), time(Role::Today));
        for (contender, row) in contenders.iter().zip(rows) {
            match row {
                Ok(row) => row.print(&contender.name, rtt, limit, today),
                Err(failure) => {
                    self.failed += 1;
                    println!("| {} | {rtt} | failed | | | | | | | | |", contender.name);
                    eprintln!("{}: {failure}", contender.name);
                }
            }
        }
    }

    /// The first row of that role.
    pub fn row(&self, role: Role) -> Option<&Row> {
        self.last.iter().find(|(other, _)| *other == role).map(|(_, row)| row)
    }
}

/// Bytes as megabytes, or a dash.
pub fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or("-".to_owned(), |bytes| format!("{:.1}", bytes as f64 / 1e6))
}

/// The value in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
