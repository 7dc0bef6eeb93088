#!/usr/bin/env bash
# Builds the wheel and installs it into an empty environment, in which the pytest plugin then finds the program.
. "$(dirname "$0")/../testing.sh"

venv=$INTEGRATIONS_TEMP/venv
fresh=$lab/venv

builds() { (cd "$integrations/wheel" && "$venv/bin/maturin" build --release --locked --out "$lab/wheels"); }
check "builds" builds

installs() {
    "$venv/bin/python" -m venv "$fresh"
    mkdir "$lab/empty"
    cd "$lab/empty"
    "$fresh/bin/pip" install -q --no-index "$lab"/wheels/*.whl
    export PATH=$fresh/bin:/usr/bin:/bin
    assets --version
    says "$("$ASSETS" --version)"
    fails_with 2 assets restroe
}
check "pip install into an empty environment gives a working assets" installs

make_repos "$integrations/pytest/example"
with_plugin() {
    "$fresh/bin/pip" install -q "$integrations/pytest"
    cd "$code/sdk/greetings"
    # The environment is not activated.
    PATH=/usr/bin:/bin "$fresh/bin/pytest"
    says "4 passed"
}
check "the pytest plugin finds it there" with_plugin
finish
