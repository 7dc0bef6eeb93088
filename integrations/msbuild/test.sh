#!/usr/bin/env bash
# Builds the target that `dotnet test` builds, with the MSBuild that is here: dotnet's, or mono's xbuild.
. "$(dirname "$0")/../testing.sh"

if command -v dotnet >/dev/null; then
    build=(dotnet msbuild -nologo)
elif command -v xbuild >/dev/null; then
    build=(xbuild /nologo)
else
    skip "there is neither dotnet nor xbuild (Debian: mono-xbuild)"
    exit
fi
make_repos "$integrations/msbuild/example"
cd "$code/sdk/greetings"
tests() { "${build[@]}" /p:AssetsTargets="$integrations/msbuild/Assets.targets" Greetings.proj "$@"; }

cold() {
    make_cold
    tests
    says "recordings: hello"
    was_called 1 "^restore $code/sdk/greetings$"
}
check "cold: one restore before the tests" cold

warm_and_offline() {
    ASSETS_OFFLINE=1 without_remote tests
    says "recordings: hello"
}
check "warm, offline, without the remote: the tests run" warm_and_offline

broken() {
    fails_with 1 with_broken_manifest tests
    says '`sdk/greetings/assets.json:'
    says "hint: "
    does_not_say "recordings: hello"
}
check "broken manifest: the error of assets, and no test" broken

switched_off() {
    tests /p:RestoreAssets=false
    was_called 0 ""
}
check "RestoreAssets=false restores nothing" switched_off

without_manifest() {
    git rm -q assets.json
    tests
    was_called 0 ""
}
check "a project without an assets.json is left alone" without_manifest
finish
