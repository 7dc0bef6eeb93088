#!/bin/sh
# Says after how many runs the model of teams (tests/model) finds each of some defects. A defect is a patch that takes one
# repair back; each is built beside this work tree, which stays as it is. A history that breaks a promise without the
# patch too does not count. Exits with 1 when one was not found.
#
#   scripts/model-check.sh PATCH...           up to 2,000 runs of 60 steps for each
#   scripts/model-check.sh --runs N PATCH...  up to N runs
#   scripts/model-check.sh --seed N PATCH...  other histories
set -eu
cd "$(dirname "$0")/.."

usage() { sed -n 's/^#  //p' "$0" >&2; exit 2; }

runs=2000 seed=1
while [ $# -gt 0 ]; do
    case $1 in
        --runs) [ $# -gt 1 ] || usage; runs=$2; shift ;;
        --seed) [ $# -gt 1 ] || usage; seed=$2; shift ;;
        -*) usage ;;
        *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || usage

cargo test --quiet --test model --no-run
target=$(mkdir -p "${CARGO_TARGET_DIR:-target}/model-check" && cd "${CARGO_TARGET_DIR:-target}/model-check" && pwd)
tree=$(mktemp -d)
trap 'git worktree remove --force "$tree/src" 2>/dev/null || true; rm -rf "$tree"' EXIT
git worktree add --quiet --detach "$tree/src"
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi

cargo build --quiet
sound=$tree/assets
cp "${CARGO_TARGET_DIR:-target}/debug/assets" "$sound"
failed=''
for patch; do
    name=$(basename "$patch" .patch)
    git -C "$tree/src" checkout --quiet --force .
    if ! git -C "$tree/src" apply "$(cd "$(dirname "$patch")" && pwd)/$(basename "$patch")"; then
        printf '%-32s does not apply\n' "$name"; failed=1; continue
    fi
    if ! (cd "$tree/src" && CARGO_TARGET_DIR=$target cargo build --quiet); then
        printf '%-32s does not build\n' "$name"; failed=1; continue
    fi
    found=$(env ASSETS_BIN="$target/debug/assets" MODEL_SOUND_BIN="$sound" MODEL_STOP=1 MODEL_RUNS="$runs" MODEL_SEED="$seed" \
        cargo test --quiet --test model -- --nocapture 2>/dev/null | sed -n 's/^found in //p' | head -n 1)
    [ -n "$found" ] || { found="not found in $runs runs"; failed=1; }
    printf '%-32s %s\n' "$name" "$found"
done
[ -z "$failed" ]
