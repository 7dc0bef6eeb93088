#!/usr/bin/env bash
# Runs what is in integrations/ with the real runners against an assets repo on this machine: all, or those that are
# named. A line for each check; exit code 1 when one failed. Packages go to a temporary directory; what has no runner
# here is skipped and says so.
#
#   scripts/test-integrations.sh [NAME...]
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --quiet --locked
target=$(cargo metadata --no-deps --locked --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
export ASSETS=$target/release/assets
INTEGRATIONS_TEMP=$(mktemp -d)
export INTEGRATIONS_TEMP
trap 'rm -rf "$INTEGRATIONS_TEMP"' EXIT

python3 -m venv "$INTEGRATIONS_TEMP/venv"
"$INTEGRATIONS_TEMP/venv/bin/pip" install -q --disable-pip-version-check -r integrations/requirements.txt

if [ $# -eq 0 ]; then
    tests=(integrations/*/test.sh)
else
    tests=("${@/#/integrations/}")
    tests=("${tests[@]/%//test.sh}")
fi
failed=0
for test in "${tests[@]}"; do
    "$test" || failed=1
done
exit "$failed"
