#!/usr/bin/env bash
# Runs the scripts of the GitHub action and of the Azure DevOps template, as bash runs them there. The cache and the rest
# is theirs.
. "$(dirname "$0")/../testing.sh"

make_repos "$integrations/pytest/example"
cd "$code"
python=$INTEGRATIONS_TEMP/venv/bin/python
export GITHUB_ENV=$lab/github-env GITHUB_OUTPUT=$lab/github-output RUNNER_TEMP=$lab/runner PIPELINE_WORKSPACE=$lab/agent
unset ASSETS_CACHE_DIR
root=$(assets config locate sdk/greetings)

run_step() { # FILE WORD
    "$python" "$integrations/ci/script_of.py" "$integrations/$1" "$2" >"$lab/step"
    bash --noprofile --norc -eo pipefail "$lab/step"
}

github() { # PATHS
    rm -rf .assets "$GITHUB_ENV" "$GITHUB_OUTPUT"
    run_step github-action/action.yml ASSETS_CACHE_DIR
    [ "$(cat "$GITHUB_ENV")" = "ASSETS_CACHE_DIR=$lab/runner/assets-cache" ]
    cmp "$GITHUB_ENV" "$GITHUB_OUTPUT"
    : >"$GITHUB_OUTPUT"
    export ASSETS_CACHE_DIR=$lab/runner/assets-cache
    PATHS=$1 run_step github-action/action.yml "assets restore"
    printf 'roots<<END_OF_ROOTS\n%s\nEND_OF_ROOTS\n' "$root" | cmp - "$GITHUB_OUTPUT"
    [ -e "$root/sdk/greetings/tests/recordings/hello.json" ]
    [ -d "$ASSETS_CACHE_DIR" ]
    was_called 1 "^restore $2$"
}
check "GitHub action: every package" github "" "--all"
check "GitHub action: those that are named" github $'sdk/greetings\n' "sdk/greetings"
from_cache() { without_remote github "" "--all"; }
check "GitHub action: from the cache alone, without the remote" from_cache
broken() { PATHS='' fails_with 2 with_broken_manifest run_step "$1" "assets restore"; says "error: "; }
check "GitHub action: a broken manifest fails the step" broken github-action/action.yml

azure() { # PATHS
    rm -rf .assets
    run_step azure-pipelines/restore-assets.yml setvariable
    says "##vso[task.setvariable variable=ASSETS_CACHE_DIR]$lab/agent/assets-cache"
    export ASSETS_CACHE_DIR=$lab/agent/assets-cache
    PATHS=$1 run_step azure-pipelines/restore-assets.yml "assets restore"
    [ -e "$root/sdk/greetings/tests/recordings/hello.json" ]
    [ -d "$ASSETS_CACHE_DIR" ]
    was_called 1 "^restore $2$"
}
check "Azure DevOps: every package" azure "" "--all"
check "Azure DevOps: those that are named" azure $'sdk/greetings\n' "sdk/greetings"
check "Azure DevOps: a broken manifest fails the step" broken azure-pipelines/restore-assets.yml
finish
