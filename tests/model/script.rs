//! Writes a short history as a bash script that does it without this program.

use std::path::PathBuf;

use crate::run::Failure;

/// The operations as functions of bash.
const REPLAY: &str = include_str!("replay.sh");

/// Writes it; returns its path.
pub fn write(failure: &Failure, seed: u64) -> PathBuf {
    let folder =
        std::env::var_os("MODEL_SCRIPTS").map_or_else(|| std::env::temp_dir().join("assets-model"), PathBuf::from);
    std::fs::create_dir_all(&folder).expect("a folder for the scripts");
    let file = folder.join(format!("{seed}.sh"));
    let mut text = String::from("#!/usr/bin/env bash\n");
    text.push_str(&format!("# {}\n", failure.violation.promise));
    for line in failure.violation.details.lines() {
        text.push_str(&format!("#   {line}\n"));
    }
    text.push_str("# Exits with 1 while the defect is there; KEEP=1 keeps the folder.\n");
    text.push_str(REPLAY);
    text.push_str(&format!("\n{}\n", failure.setup));
    for step in &failure.steps {
        text.push_str(&format!("step {}\n", quoted(&step.to_string())));
    }
    for line in &failure.violation.check {
        text.push_str(&format!("{line}\n"));
    }
    text.push_str("echo ok\n");
    std::fs::write(&file, text).expect("the script is written");
    file
}

/// The words of a step, quoted for bash.
fn quoted(line: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./,+:%".contains(c);
    let words = line.split(' ').map(|word| match word.chars().all(is_plain) {
        true => word.to_string(),
        false => format!("'{word}'"),
    });
    words.collect::<Vec<_>>().join(" ")
}
