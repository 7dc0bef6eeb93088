//! Writes a man page for each command into a folder. `scripts/man.sh` runs it; the program itself does not carry them.

use std::io::{Error, Result, Write};
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).ok_or_else(|| Error::other("usage: man FOLDER"))?;
    std::fs::create_dir_all(&folder)?;
    let mut command = assets::command_line().disable_help_subcommand(true);
    command.build();
    write_pages(&command, "assets", &PathBuf::from(folder))
}

/// Writes the page of a command, named `assets-restore`, and those of the commands below it.
fn write_pages(command: &Command, name: &str, folder: &Path) -> Result<()> {
    let mut page = Vec::new();
    // clap keeps names for as long as the program runs.
    let title: &'static str = name.to_string().leak();
    let titled = command.clone().name(title).display_name(title).version(None::<&str>);
    let man = Man::new(titled).source(format!("assets {}", env!("CARGO_PKG_VERSION"))).manual("assets");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    write_notes(command, &mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    std::fs::write(folder.join(format!("{name}.1")), page)?;
    for below in command.get_subcommands() {
        write_pages(below, &format!("{name}-{}", below.get_name()), folder)?;
    }
    Ok(())
}

/// What stands below the options of `--help`: paragraphs, and examples that keep their line breaks.
fn write_notes(command: &Command, page: &mut Vec<u8>) -> Result<()> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (notes, examples) = text.split_once("Examples:\n").unwrap_or((&text, ""));
    for paragraph in notes.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
        writeln!(page, ".PP\n{}", escaped(paragraph))?;
    }
    if !examples.is_empty() {
        let examples: Vec<&str> = examples.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
        writeln!(page, ".SH EXAMPLES\n.nf\n{}\n.fi", escaped(&examples.join("\n")))?;
    }
    Ok(())
}

/// Text as roff takes it: no requests, and `-` as what is typed.
fn escaped(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}
