#!/bin/sh
# Writes the man pages, one for each command, to target/man or to the folder that is named. Look at one with
# `man target/man/assets-restore.1`.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-target/man}
cargo run --quiet --locked --example man -- "$folder"
ls "$folder"/assets.1 "$folder"/assets-*.1
