# For the `test.sh` beside each integration, which sources it: a place to work in, an assets repo with recordings of
# the package `sdk/greetings`, a code repo that pins them, and checks that print a line each.
#
# shellcheck shell=bash
set -euo pipefail

integrations=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=${integrations%/*}
# The folder for all that is installed, kept between the tests of one run.
: "${INTEGRATIONS_TEMP:?run scripts/test-integrations.sh}"
# The program under test.
: "${ASSETS:?run scripts/test-integrations.sh}"
about=${0%/test.sh}
about=${about##*/}
lab=$INTEGRATIONS_TEMP/lab/$about
code=$lab/code
failures=0

# Tools that the real home holds.
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
export PIP_CACHE_DIR=${PIP_CACHE_DIR:-$HOME/.cache/pip} PIP_DISABLE_PIP_VERSION_CHECK=1
export GOCACHE=${GOCACHE:-$HOME/.cache/go-build}
mkdir -p "$lab/home" "$lab/bin" "$lab/tmp"
export HOME=$lab/home TMPDIR=$lab/tmp ASSETS_CACHE_DIR=$lab/cache GIT_CONFIG_NOSYSTEM=1 NO_COLOR=1
unset ASSETS_EXE PROXY_ASSETS_FOLDER TEST_PROXY_FOLDER GIT_TOKEN GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
printf '[user]\n\tname = Test\n\temail = test@example.com\n[init]\n\tdefaultBranch = main\n' >"$HOME/.gitconfig"

# `assets` on PATH writes down how it is called.
cat >"$lab/bin/assets" <<SH
#!/bin/sh
printf '%s\n' "\$*" >>"$lab/calls"
exec "$ASSETS" "\$@"
SH
chmod +x "$lab/bin/assets"
export PATH=$lab/bin:$PATH

# Makes the assets repo and a code repo whose package `sdk/greetings` is the example DIRECTORY.
make_repos() { # DIRECTORY
    local seed=$lab/seed name
    git init -q --bare "$lab/assets.git"
    git -C "$lab/assets.git" config uploadpack.allowFilter true
    git init -q "$seed"
    mkdir -p "$seed/recordings/sdk/greetings/tests/recordings"
    for name in hello goodbye thanks sorry; do
        echo "{\"request\": \"GET /$name\"}" >"$seed/recordings/sdk/greetings/tests/recordings/$name.json"
    done
    git -C "$seed" add -A
    git -C "$seed" commit -q -m "Recordings"
    git -C "$seed" push -q "$lab/assets.git" main
    git init -q "$code"
    mkdir "$code/sdk"
    cp -r "$1" "$code/sdk/greetings"
    cat >"$code/sdk/greetings/assets.json" <<JSON
{
  "AssetsRepo": "$lab/assets.git",
  "AssetsRepoPrefixPath": "recordings",
  "SHA": "$(git -C "$seed" rev-parse HEAD)"
}
JSON
    git -C "$code" add -A
    git -C "$code" commit -q -m "Greetings"
}

# As if nothing had ever been restored.
make_cold() { rm -rf "$code/.assets" "$ASSETS_CACHE_DIR"; }

# Runs a command with the assets repo out of reach, until the check ends.
without_remote() {
    mv "$lab/assets.git" "$lab/away.git"
    "$@"
}

# Runs a command with a broken manifest, until the check ends.
with_broken_manifest() {
    local manifest=$code/sdk/greetings/assets.json
    cp "$manifest" "$lab/manifest"
    echo '{ "AssetsRepo": ' >"$manifest"
    "$@"
}

put_back() {
    [ ! -e "$lab/away.git" ] || mv "$lab/away.git" "$lab/assets.git"
    [ ! -e "$lab/manifest" ] || mv "$lab/manifest" "$code/sdk/greetings/assets.json"
}

# Runs a command of the test and says what came of it. What it prints is in $lab/output, and how `assets` was called in
# $lab/calls.
check() { # NAME COMMAND...
    local name=$1 status
    shift
    : >"$lab/calls"
    # Not before `||`: there the shell would go on after a command that fails.
    set +e
    (set -e && "$@") >"$lab/output" 2>&1 </dev/null
    status=$?
    set -e
    put_back
    if [ "$status" -eq 0 ]; then
        echo "ok    $about: $name"
    else
        echo "FAIL  $about: $name (exit code $status)"
        sed 's/^/      | /' "$lab/output"
        failures=$((failures + 1))
    fi
}

skip() { echo "skip  $about: $1"; }

# For the commands of a test. Each ends it when it does not hold.
fails_with() { # CODE COMMAND...
    local want=$1 status=0
    shift
    "$@" || status=$?
    [ "$status" -eq "$want" ] || { echo "exit code $status, not $want: $*" && exit 1; }
}
says() { grep -qF -e "$1" "$lab/output" || { echo "it does not say: $1" && exit 1; }; }
does_not_say() { ! grep -qF -e "$1" "$lab/output" || { echo "it says: $1" && exit 1; }; }
was_called() { # TIMES PATTERN
    local seen
    seen=$(grep -c -e "$2" "$lab/calls" || true)
    [ "$seen" -eq "$1" ] || { echo "called $seen times, not $1, as '$2':" && cat "$lab/calls" && exit 1; }
}

finish() { exit $((failures > 0)); }
