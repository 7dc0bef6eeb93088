#!/bin/sh
# Puts the shims into a language repo: `eng/common/testproxy/assets`, `assets.sh` and `assets.bat`, and beside them the
# schema that a new assets.json names for editors. Also brings those that are there up to date; what else is there it
# leaves alone.
#
#   scripts/install-shims.sh REPO
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -ne 1 ]; then
    echo "usage: scripts/install-shims.sh REPO" >&2
    exit 2
fi
if ! [ -e "$1/.git" ]; then
    echo "error: \`$1\` is not the root of a git repository" >&2
    echo "hint: name the root of the language repo, the directory that holds \`.git\`" >&2
    exit 2
fi

folder=$1/eng/common/testproxy
mkdir -p "$folder"
for from in shims/assets shims/assets.sh shims/assets.bat schema/assets.schema.json; do
    file=$folder/${from##*/}
    mode=755
    case $from in schema/*) mode=644 ;; esac
    if [ -f "$file" ] && [ ! -h "$file" ] && cmp -s "$here/$from" "$file" && { [ $mode = 644 ] || [ -x "$file" ]; }; then
        echo "unchanged $file"
        continue
    fi
    # Renamed into place: a shell that is just reading the old one goes on with it.
    cp "$here/$from" "$file.new"
    chmod $mode "$file.new"
    mv -f "$file.new" "$file"
    echo "installed $file"
done
# A Windows checkout would turn the lines of the scripts, a Linux checkout those of assets.bat.
attributes=$folder/.gitattributes
# The last line may lack its end.
if [ -s "$attributes" ] && [ -n "$(tail -c 1 "$attributes")" ]; then echo >>"$attributes"; fi
for line in "assets text eol=lf" "assets.sh text eol=lf" "assets.bat text eol=crlf"; do
    if ! [ -f "$attributes" ] || ! grep -qxF "$line" "$attributes"; then
        printf '%s\n' "$line" >>"$attributes"
    fi
done
# Git on Windows does not see the right to execute.
git -C "$1" add --chmod=+x -- eng/common/testproxy/assets eng/common/testproxy/assets.sh eng/common/testproxy/assets.bat
git -C "$1" add -- eng/common/testproxy/.gitattributes eng/common/testproxy/assets.schema.json
echo "staged: look with \`git diff --cached\`, then commit"
