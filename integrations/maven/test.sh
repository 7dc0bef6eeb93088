#!/usr/bin/env bash
# Runs the example with Maven and the plugins that Debian packages.
. "$(dirname "$0")/../testing.sh"

plugins=/usr/share/maven-repo
# Maven's own bindings of `mvn test` for a jar, the exec plugin of the example and JUnit.
needed=(
    org/apache/maven/plugins/maven-resources-plugin
    org/apache/maven/plugins/maven-compiler-plugin
    org/apache/maven/plugins/maven-surefire-plugin
    org/codehaus/mojo/exec-maven-plugin/3.1.0
    junit/junit
)
missing=()
command -v mvn >/dev/null || missing+=(mvn)
for plugin in "${needed[@]}"; do
    [ -d "$plugins/$plugin" ] || missing+=("$plugin")
done
if [ ${#missing[@]} -gt 0 ]; then
    skip "not on this machine: ${missing[*]} (Debian: maven libmaven-resources-plugin-java libmaven-compiler-plugin-java libsurefire-java libexec-maven-plugin-java junit4)"
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
