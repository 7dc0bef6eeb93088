#!/usr/bin/env bash
# Runs the example under pytest and xdist with the plugin as it is installed from its wheel.
. "$(dirname "$0")/../testing.sh"

make_repos "$integrations/pytest/example"
venv=$INTEGRATIONS_TEMP/venv
check "the plugin builds and installs" "$venv/bin/pip" install -q "$integrations/pytest"
pytest() { (cd "$code/sdk/greetings" && "$venv/bin/pytest" -p no:cacheprovider "$@"); }

cold_with_workers() {
    make_cold
    pytest -n 4
    says "4 workers"
    says "4 passed"
    was_called 1 "^restore"
    was_called 1 ""
}
check "cold, 4 workers: one restore, all pass" cold_with_workers

warm_and_offline() {
    without_remote pytest -n 4 --assets=offline
    says "4 passed"
    was_called 1 "^restore --offline"
}
check "warm, offline, without the remote: all pass" warm_and_offline

cold_and_offline() {
    make_cold
    fails_with 4 without_remote pytest -n 4 --assets=offline
    says "error: "
    says "no test was run"
    does_not_say "Traceback"
}
check "cold, offline: the error of assets, no stack trace" cold_and_offline

broken() {
    fails_with 4 with_broken_manifest pytest "$@"
    says 'error: `sdk/greetings/assets.json:'
    says "hint: "
    says "ended with exit code 2"
    does_not_say "Traceback"
    does_not_say "passed"
}
check "broken manifest, 4 workers: the error of assets, no stack trace" broken -n 4
check "broken manifest, one process: the error of assets, no stack trace" broken

from_the_root() {
    (cd "$code" && "$venv/bin/pytest" -p no:cacheprovider)
    says "4 passed"
    was_called 1 "^restore --all"
}
check "started above the packages: restores all of them" from_the_root

one_test() {
    (cd "$code" && "$venv/bin/pytest" -p no:cacheprovider "sdk/greetings/tests/test_greetings.py::test_greeting[hello]")
    says "1 passed"
    was_called 1 "^restore $code/sdk/greetings$"
}
check "one test by its id: restores its package" one_test

switched_off() {
    make_cold
    fails_with 1 pytest --assets=off
    was_called 0 "^restore"
    says "FileNotFoundError"
    "$ASSETS" restore "$code/sdk/greetings"
    pytest --assets=off
    says "4 passed"
}
check "off: takes what is on disk" switched_off

root_of_a_file() {
    mkdir -p "$code/sdk/greetings/more"
    cat >"$code/sdk/greetings/more/test_root_of.py" <<'PY'
def test_root_of(assets_root, assets_root_of):
    assert assets_root_of(__file__) == assets_root
PY
    pytest more
    says "1 passed"
}
check "assets_root_of: the root of a path" root_of_a_file

without_manifest() {
    mkdir -p "$lab/plain"
    echo 'def test_plain(): pass' >"$lab/plain/test_plain.py"
    echo 'def test_root(assets_root): pass' >"$lab/plain/test_root.py"
    (cd "$lab/plain" && "$venv/bin/pytest" -p no:cacheprovider test_plain.py)
    was_called 0 ""
    fails_with 1 "$venv/bin/pytest" -p no:cacheprovider "$lab/plain/test_root.py"
    says 'no `assets.json` in or above the tests'
    does_not_say "Traceback"
}
check "no manifest: nothing happens, and the fixture says why" without_manifest

program_is_missing() {
    export PATH=/usr/bin:/bin
    fails_with 4 pytest
    says 'ERROR: cannot find the `assets` program'
    says "hint: install it"
    export ASSETS_EXE=/missing/assets
    fails_with 4 pytest
    says 'ERROR: `ASSETS_EXE` is `/missing/assets`'
    does_not_say "Traceback"
}
check "without the program: says where it looked" program_is_missing

program_by_variable() {
    ASSETS_EXE=$ASSETS PATH=/usr/bin:/bin pytest
    says "5 passed"
}
check "ASSETS_EXE names the program" program_by_variable
finish
