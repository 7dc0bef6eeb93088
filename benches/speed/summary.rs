//! The fleet's figures as one table, and whether they are what they must be.

use crate::table::{Row, megabytes};

/// What one kind of work took, and what it may take.
pub struct Work<'a> {
    pub name: String,
    pub ours: Option<&'a Row>,
    pub limit: Option<f64>,
    pub today: Option<f64>,
    pub most_of_limit: f64,
    pub least_of_today: f64,
    pub most_seconds: f64,
    pub most_requests: Option<f64>,
    pub most_memory: Option<u64>,
}

impl<'a> Work<'a> {
    /// With nothing to compare it with, and no bounds.
    pub fn new(name: String, ours: Option<&'a Row>) -> Self {
        Self {
            name,
            ours,
            limit: None,
            today: None,
            most_of_limit: f64::INFINITY,
            least_of_today: 0.0,
            most_seconds: f64::INFINITY,
            most_requests: None,
            most_memory: None,
        }
    }
}

/// The lines of the table, and what was missed.
#[derive(Default)]
pub struct Summary {
    lines: Vec<String>,
    missed: Vec<String>,
}

impl Summary {
    /// Adds a line, unless the work failed.
    pub fn add(&mut self, work: Work) {
        let Work { name, ours: Some(ours), limit, today, .. } = work else { return };
        let time = ours.time();
        let (of_limit, of_today) = (limit.map(|limit| time / limit), today.map(|today| today / time));
        let (requests, peak) = (ours.counts.requests, ours.peak);
        let or_dash =
            |value: Option<f64>, unit: &str| value.map_or("-".to_owned(), |value| format!("{value:.2}{unit}"));
        self.lines.push(format!(
            "| {name} | {} | {} | {time:.2} s | {} | {} | {requests:.0} | {:.2} | {} MB |",
            or_dash(limit, " s"),
            or_dash(today, " s"),
            or_dash(of_limit, " x"),
            of_today.map_or("-".to_owned(), |ratio| format!("{ratio:.1} x faster")),
            ours.counts.bytes_down / 1e6,
            megabytes(peak)
        ));
        let mut expect = |met: bool, text: String| {
            if !met {
                self.missed.push(format!("{name}: {text}"));
            }
        };
        let most = work.most_of_limit;
        expect(of_limit.is_none_or(|ratio| ratio <= most), format!("more than {most} times the limit"));
        let least = work.least_of_today;
        expect(of_today.is_none_or(|ratio| ratio >= least), format!("less than {least} times faster than today"));
        let most = work.most_seconds;
        expect(time <= most, format!("{time:.2} s instead of {most:.2} s"));
        if let Some(most) = work.most_requests {
            expect(requests <= most, format!("{requests} requests instead of {most}"));
        }
        if let (Some(peak), Some(most)) = (peak, work.most_memory) {
            expect(peak <= most, format!("{peak} bytes of memory instead of {most}"));
        }
    }

    /// Adds what doing nothing took, in milliseconds, beside the least that it could take.
    pub fn add_nothing_to_do(&mut self, name: String, ours: f64, least: f64) {
        let (above, ratio) = (ours - least, ours / least);
        self.lines.push(format!(
            "| {name} | {least:.1} ms | - | {ours:.1} ms, {above:.1} ms more | {ratio:.2} x | - | 0 | 0.00 | - |"
        ));
        if above > 20.0 {
            self.missed.push(format!("{name}: {above:.1} ms more instead of 20 ms"));
        }
    }

    pub fn print(&self) {
        println!("\n### all packages of a code repo\n");
        println!("| work | limit | today | ours | x limit | x today | requests | MB | peak memory |");
        println!("|---|---|---|---|---|---|---|---|---|");
        self.lines.iter().for_each(|line| println!("{line}"));
        println!();
        self.missed.iter().for_each(|missed| println!("- missed: {missed}"));
    }
}
