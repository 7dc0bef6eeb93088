#!/usr/bin/env bash
# Runs what is in integrations/ with the real runners against an assets repo on this machine: all, or those that are
# named. A line for each check; exit code 1 when one failed. Packages go to a temporary directory; what has no runner
# here is skipped and says so.
#
#   scripts/test-integrations.sh [NAME...]
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release --quiet --locked
ASSETS=$(cargo metadata --no-deps --locked --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/assets
INTEGRATIONS_TEMP=$(mktemp -d)
trap 'rm -rf "$INTEGRATIONS_TEMP"' EXIT
export ASSETS INTEGRATIONS_TEMP

python3 -m venv "$INTEGRATIONS_TEMP/venv"
"$INTEGRATIONS_TEMP/venv/bin/pip" install -q --disable-pip-version-check -r integrations/requirements.txt

[ $# -gt 0 ] || set -- $(cd integrations && ls -d */test.sh | sed 's,/test.sh,,')
failed=0
for name in "$@"; do
    "integrations/$name/test.sh" || failed=1
done
exit "$failed"
