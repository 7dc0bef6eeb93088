#!/bin/sh
# Writes docs/reference.md from the help of the binary: scripts/reference.sh [BINARY] > docs/reference.md
# Without BINARY it is built.
set -eu
cd "$(dirname "$0")/.."
if [ $# -eq 0 ]; then
    cargo build --quiet
    set -- "${CARGO_TARGET_DIR:-target}/debug/assets"
fi
binary=$1
# Nobody's settings, and lines of one width.
help() { env -i COLUMNS=100 "$binary" "$@" -h; }

# The commands below one, by the section of its help.
commands() { help "$@" | awk '/^Commands:/ { on = 1; next } /^[^ ]/ { on = 0 } on && $1 != "" && $1 != "help" { print $1 }'; }

# A help without the options that every command has.
own() {
    help "$@" | awk '
        /^Global options/ { skip = 1; next }
        /^[^ ]/ { skip = 0 }
        skip || /^ +-[hV], / { next }
        { lines[++count] = $0 }
        END {
            # A section that lost all its options loses its title.
            for (i = 1; i <= count; i++)
                if (!(lines[i] == "Options:" && (i == count || lines[i + 1] == ""))) print lines[i]
        }' | cat -s
}

block() { printf '```text\n%s\n```\n' "$1"; }

cat <<'END'
# Reference

Written by `scripts/reference.sh` from what `assets help` says.

END
block "$(help)"
for command in $(commands); do
    printf '\n## assets %s\n\n' "$command"
    block "$(own "$command")"
    for inner in $(commands "$command"); do
        printf '\n### assets %s %s\n\n' "$command" "$inner"
        block "$(own "$command" "$inner")"
    done
done
