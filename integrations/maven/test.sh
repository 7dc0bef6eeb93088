#!/usr/bin/env bash
# Runs the example with Maven and the plugins that Debian packages.
. "$(dirname "$0")/../testing.sh"

plugins=/usr/share/maven-repo
if ! command -v mvn >/dev/null || ! [ -d "$plugins/org/codehaus/mojo/exec-maven-plugin/3.1.0" ]; then
    skip "there is no mvn, or not its plugins (Debian: libexec-maven-plugin-java, libsurefire-java, junit4)"
    exit
fi
make_repos "$integrations/maven/example"
cd "$code/sdk/greetings"
tests() { mvn -B -o -Dmaven.repo.local="$plugins" -Dstyle.color=never "$@"; }

cold() {
    make_cold
    tests test
    says "Tests run: 1, Failures: 0"
    was_called 1 "^restore $code/sdk/greetings"
}
check "cold: one restore, all pass" cold

warm_and_offline() {
    ASSETS_OFFLINE=1 without_remote tests test
    says "Tests run: 1, Failures: 0"
}
check "warm, offline, without the remote: all pass" warm_and_offline

broken() {
    fails_with 1 with_broken_manifest tests test
    says 'error: `sdk/greetings/assets.json:'
    says "hint: "
    does_not_say "Tests run"
    does_not_say "	at "
}
check "broken manifest: the error of assets, no stack trace" broken

skipped() {
    tests test -DskipTests
    was_called 0 ""
}
check "-DskipTests restores nothing" skipped
finish
