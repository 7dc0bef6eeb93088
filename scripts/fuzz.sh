#!/bin/sh
# Fuzzes what reads strangers' bytes: scripts/fuzz.sh [SECONDS for each target] [TARGET...]
# Needs a nightly toolchain and `cargo install cargo-fuzz`. An input that fails is kept below fuzz/artifacts; copied to
# fuzz/seeds/<target>, it is tried by every `cargo test` from then on.
set -eu
cd "$(dirname "$0")/.."

seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- manifest names git_output

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz or a nightly toolchain is not installed: rustup toolchain install nightly && cargo install cargo-fuzz" >&2
    echo "without them: cargo test --lib fuzzing:: (the same targets, with inputs from a seed)" >&2
    exit 1
fi
for target in "$@"; do
    echo "== $target, $seconds s"
    mkdir -p "fuzz/corpus/$target"
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -max_len=4096 -print_final_stats=1
done
