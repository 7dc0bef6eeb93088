#!/bin/sh
# Shows the main job from nothing: builds `assets`, makes an assets repo and a code repo with three packages in both
# forms, and then restores, re-records, pushes, and restores in a second clone. Everything stays in target/demo.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
demo=$root/target/demo

bold='' plain=''
if [ -t 2 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain" >&2; }
run() { printf '$ %s\n' "$*" >&2; "$@"; }
expect() { # FILE CONTENT
    [ "$(cat "$1")" = "$2" ] || { echo "demo: $1 should hold: $2" >&2; exit 1; }
}

say "1. Build"
run cargo build --release --quiet
PATH=$root/target/release:$PATH

rm -rf "$demo"
mkdir -p "$demo/home"
export HOME="$demo/home" ASSETS_CACHE_DIR="$demo/cache" GIT_CONFIG_NOSYSTEM=1
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE PROXY_ASSETS_FOLDER TEST_PROXY_FOLDER GIT_TOKEN || true
git config --global user.name "Demo"
git config --global user.email "demo@example.com"
git config --global init.defaultBranch main

say "2. An assets repo: recordings of three packages, 'core' and 'tables' pinned by commit, 'storage' by tag"
assets_repo=$demo/assets.git
git init -q --bare "$assets_repo"
git -C "$assets_repo" config uploadpack.allowFilter true
git init -q "$demo/seed"
for package in core tables storage; do
    folder=$demo/seed/python/sdk/$package/tests/recordings
    mkdir -p "$folder"
    for n in 1 2 3; do echo "{\"test\": \"$package $n\", \"take\": 1}" >"$folder/test_$n.json"; done
done
git -C "$demo/seed" add -A
git -C "$demo/seed" commit -q -m "First recordings"
first=$(git -C "$demo/seed" rev-parse HEAD)
echo '{"test": "tables 1", "take": 2}' >"$demo/seed/python/sdk/tables/tests/recordings/test_1.json"
git -C "$demo/seed" commit -q -a -m "Record tables again"
second=$(git -C "$demo/seed" rev-parse HEAD)
tag=python/storage_$(echo "$first" | cut -c1-10)
git -C "$demo/seed" tag "$tag" "$first"
git -C "$demo/seed" push -q "$assets_repo" main "$tag"

say "3. A code repo that pins them"
code=$demo/code
git init -q "$code"
mkdir -p "$code/sdk/core" "$code/sdk/tables" "$code/sdk/storage"
cat >"$code/sdk/core/assets.json" <<JSON
{
  "AssetsRepo": "$assets_repo",
  "AssetsRepoPrefixPath": "python",
  "SHA": "$first"
}
JSON
cat >"$code/sdk/tables/assets.json" <<JSON
{
  // comments survive every push
  "AssetsRepo": "$assets_repo",
  "AssetsRepoPrefixPath": "python",
  "AssetsRepoBranch": "auto/tables",
  "SHA": "$second"
}
JSON
cat >"$code/sdk/storage/assets.json" <<JSON
{
  "AssetsRepo": "$assets_repo",
  "AssetsRepoPrefixPath": "python",
  "TagPrefix": "python/storage",
  "Tag": "$tag"
}
JSON
git -C "$code" add -A
git -C "$code" commit -q -m "Pin recordings"
cd "$code"

say "4. Restore all three: each line on stdout is a folder that a test proxy starts in"
run assets restore sdk/core sdk/tables sdk/storage
tables=$(assets config locate sdk/tables)/sdk/tables/tests/recordings
storage=$(assets config locate sdk/storage)/sdk/storage/tests/recordings
expect "$tables/test_1.json" '{"test": "tables 1", "take": 2}'
expect "$storage/test_3.json" '{"test": "storage 3", "take": 1}'

say "5. Again: nothing to do, no process started, no request sent"
run assets restore sdk/tables

say "6. Record: one file changed, one new, one gone"
echo '{"test": "tables 2", "take": 2}' >"$tables/test_2.json"
echo '{"test": "tables 4", "take": 1}' >"$tables/test_4.json"
rm "$tables/test_3.json"
echo '{"test": "storage 1", "take": 2}' >"$storage/test_1.json"

say "7. Push: the branch form goes to a branch, the tag form makes a new tag; the pins move"
run assets push -m "Record tables and storage again" sdk/tables sdk/storage
run git diff --unified=0 -- sdk
git commit -q -a -m "Move the pins"

say "8. A colleague clones the code repo and restores"
git clone -q "$code" "$demo/colleague"
cd "$demo/colleague"
run assets restore sdk/tables sdk/storage
tables=$(assets config locate sdk/tables)/sdk/tables/tests/recordings
storage=$(assets config locate sdk/storage)/sdk/storage/tests/recordings
expect "$tables/test_2.json" '{"test": "tables 2", "take": 2}'
expect "$tables/test_4.json" '{"test": "tables 4", "take": 1}'
expect "$storage/test_1.json" '{"test": "storage 1", "take": 2}'
[ ! -e "$tables/test_3.json" ] || { echo "demo: test_3.json should be gone" >&2; exit 1; }

say "Done. Look around in target/demo:"
cat >&2 <<END
  code/        the code repo      code/.assets/      its recordings
  colleague/   the second clone   assets.git/        the assets repo: git log --all --graph
  cache/       the object store that both clones share
END
