#!/usr/bin/env bash
# Packs the npm package, installs it into an empty directory, and runs the example with npm, vitest and mocha.
. "$(dirname "$0")/../testing.sh"

command -v npm >/dev/null || { skip "there is no npm" && exit; }
make_repos "$integrations/npm/example"
system=$(node -p '`${process.platform}-${process.arch}`')
packed=$lab/packed
export npm_config_cache=$INTEGRATIONS_TEMP/npm npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false

packs() {
    node "$integrations/npm/pack.mjs" "$packed" "$system=$ASSETS"
    fails_with 2 node "$integrations/npm/pack.mjs" "$packed"
}
check "packs the launcher and a package with the program" packs

# A `--prefix` or the folders above would let npm take another directory for the project.
install() { (cd "$1" && npm install --silent "$packed"/*.tgz "${@:2}"); }
installs() {
    mkdir "$lab/empty"
    echo '{}' >"$lab/empty/package.json"
    install "$lab/empty"
    cd "$lab/empty"
    PATH=/usr/bin:/bin npx assets --version
    says "$("$ASSETS" --version)"
    fails_with 2 env PATH=/usr/bin:/bin npx assets restroe
    was_called 0 ""
}
check "npm install into an empty directory gives a working npx assets" installs

launcher() { # through PATH, without a package for this system
    "$integrations/npm/bin/assets.js" --version
    says "$("$ASSETS" --version)"
    was_called 1 "^--version"
    # Its own links on PATH are not the program.
    mkdir -p "$lab/links" "$lab/node_modules/.bin"
    ln -s "$integrations/npm/bin/assets.js" "$lab/links/assets"
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$integrations/npm/bin/assets.js" >"$lab/node_modules/.bin/assets"
    chmod +x "$lab/node_modules/.bin/assets"
    export PATH=$lab/links:$lab/node_modules/.bin:/usr/bin:/bin
    fails_with 127 assets --version
    says 'error: cannot find the `assets` program'
    ASSETS_EXE=/missing fails_with 127 assets --version
    says 'error: `ASSETS_EXE` is `/missing`'
    does_not_say "    at "
}
check "the launcher finds the program on PATH, but not itself" launcher

ends_alike() {
    printf '#!/bin/sh\necho "$#: $*"; case $1 in kill) kill -TERM $$;; *) exit "$1";; esac\n' >"$lab/program"
    chmod +x "$lab/program"
    export ASSETS_EXE=$lab/program
    fails_with 0 "$integrations/npm/bin/assets.js" 0 "a  b" ""
    says "3: 0 a  b "
    fails_with 6 "$integrations/npm/bin/assets.js" 6
    fails_with 143 "$integrations/npm/bin/assets.js" kill
}
check "the launcher passes arguments, exit codes and signals on" ends_alike

cd "$code/sdk/greetings"
export PATH=$lab/bin:$PATH
export ASSETS_EXE=$lab/bin/assets # to see the calls
check "the example installs" install "$code/sdk/greetings" mocha@12 vitest@5

cold() {
    make_cold
    npm test
    says "pass 4"
    was_called 1 "^restore"
}
check "npm test, cold: one restore, all pass" cold

warm_and_offline() {
    ASSETS_OFFLINE=1 without_remote npm test
    says "pass 4"
}
check "npm test, warm, offline, without the remote: all pass" warm_and_offline

broken() { # EXIT CODE, COMMAND
    fails_with "$1" with_broken_manifest "${@:2}"
    says 'error: `sdk/greetings/assets.json:'
    says "hint: "
    does_not_say "    at "
    does_not_say "hello"
}
check "npm test, broken manifest: the error of assets, no stack trace" broken 2 npm test

for runner in vitest mocha; do
    with_runner() {
        make_cold
        npm run "test:$runner"
        says "2 pass"
        was_called 1 ""
    }
    check "$runner, cold: one restore, all pass" with_runner
    offline_with_runner() {
        ASSETS_OFFLINE=1 without_remote npm run "test:$runner"
        says "2 pass"
    }
    check "$runner, warm, offline, without the remote: all pass" offline_with_runner
    check "$runner, broken manifest: the error of assets, no stack trace" broken 1 npm run "test:$runner"
done
finish
