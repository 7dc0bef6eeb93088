//! The whole program against real git, real servers on loopback and real terminals.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod bad_input;
mod bad_manifest;
mod broken_settings;
mod checkout;
mod cli;
mod deletions;
mod diff;
mod docs;
mod doctor;
mod dry_run;
mod fleet;
mod fleet_interrupted;
mod fleet_selection;
mod gc;
mod init;
mod interrupt;
mod isolation;
mod killed;
mod network;
mod nothing_lost;
mod old_servers;
mod other_repo;
mod paths;
mod push;
mod push_again;
mod push_limits;
mod push_lost;
mod push_nested;
mod push_pins;
mod push_races;
mod push_refused;
mod pushing;
mod reftable;
mod reset_manifest;
mod restore;
mod restore_heals;
mod restore_options;
mod schema;
mod secrets;
mod sha256;
mod shims;
mod shims_installed;
mod stash;
mod status;
mod stores;
mod strangers;

mod support;
mod tag_form;
mod terminal;
mod token;
mod troubleshooting;
#[cfg(unix)]
mod unreadable;
