#!/usr/bin/env bash
# Runs the example with go test.
. "$(dirname "$0")/../testing.sh"

command -v go >/dev/null || { skip "there is no go" && exit; }
# Nothing is downloaded.
export GOPROXY=off GOTOOLCHAIN=local GOPATH=$lab/go GOFLAGS=-modcacherw
make_repos "$integrations/go/example"
cd "$code/sdk/greetings"
tests() { go test -count=1 -v ./...; }

check "go vet" go vet ./...

cold() {
    make_cold
    tests
    says "ok  	example.com/greetings"
    was_called 1 ""
}
check "cold: one restore, all pass" cold

warm_and_offline() {
    ASSETS_OFFLINE=1 without_remote tests
    says "ok  	example.com/greetings"
}
check "warm, offline, without the remote: all pass" warm_and_offline

broken() {
    fails_with 1 with_broken_manifest tests
    says 'error: `sdk/greetings/assets.json:'
    says "hint: "
    says 'no test was run: `'
    does_not_say "panic"
    does_not_say "=== RUN"
}
check "broken manifest: the error of assets, no stack trace" broken
finish
