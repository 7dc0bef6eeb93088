#!/usr/bin/env bash
# Runs shims/assets.bat under wine's cmd with an `assets.exe` that records its arguments. The shims for other shells are
# tested by tests/it/shims.rs.
#
# shellcheck disable=SC2016 # backticks are how messages quote
. "$(dirname "$0")/../testing.sh"

wine=$(command -v wine64 || ls /usr/lib/wine/wine64 2>/dev/null || true)
if [ -z "$wine" ] || ! command -v go >/dev/null; then
    skip "assets.bat needs wine and, for a program that it can start, go"
    exit
fi
# No messages, no display, and no question about programs that are not needed here.
export WINEPREFIX=$lab/wine WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
unset DISPLAY
trap '"$(dirname "$wine")/wineserver" -k || true' EXIT

exe=$lab/assets.exe
check "a program for Windows builds" env GOOS=windows CGO_ENABLED=0 go build -o "$exe" "$integrations/shims/record.go"
check "wine starts" "$wine" cmd /c exit 0

# Wine loses a percent sign in the path of a batch file.
repo="$lab/it's a & (x)! ^ repo"
shim="$repo/eng/common/testproxy/assets.bat"
mkdir -p "$repo/.git" "$repo/.tools/assets" "${shim%/*}" "$lab/bare"
cp "$project/shims/assets.bat" "$shim"
tool="$repo/.tools/assets/assets.exe"

windows() { printf 'Z:%s' "$1" | tr / '\\'; }

# Runs lines as a batch file of their own.
batch() { # LINE...
    printf '%s\r\n' '@echo off' "$@" >"$lab/driver.bat"
    (cd "$lab" && "$wine" cmd /c driver.bat) | tr -d '\r'
}

# What a line of arguments becomes when FILE is called with it.
arguments() { # FILE LINE
    batch "$3 \"$(windows "$1")\" $2" | sed 1d
}

# The lines of arguments, as somebody would type them into a batch file, that reach a program unchanged.
passes=(
    'restore sdk\core'
    '"a b" "" c'
    '"a ""b"" c" "d \"e\" f" \"'
    '"x&y" "x|y" "<z>"'
    '"a^b" "a^^b"'
    'hi! "hi!" !PATH!'
    '* ? [a] ~ # @ $ `'
    'a;b,c=d'
    '(x) "(x)" -m "say (hi)"'
)
# Where a batch file cannot do better: cmd reads carets and ampersands outside of quotes a second time, as in every batch
# file, and wine, unlike Windows, percent signs too.
as_any_batch_file=('"100%%"' '50%% %%PATH%%' 'a^^b')

passes_arguments() { # CALL
    local line
    cp "$exe" "$tool"
    printf '@"%s" %%*\r\n' "$(windows "$exe")" >"$lab/thinnest.bat"
    for line in "${passes[@]}"; do
        arguments "$exe" "$line" "" >"$lab/want"
        arguments "$shim" "$line" "$1" >"$lab/seen"
        diff "$lab/want" "$lab/seen" || { echo "other arguments: $line" && exit 1; }
    done
    for line in "${as_any_batch_file[@]}"; do
        arguments "$lab/thinnest.bat" "$line" "$1" >"$lab/want"
        arguments "$shim" "$line" "$1" >"$lab/seen"
        diff "$lab/want" "$lab/seen" || { echo "other arguments: $line" && exit 1; }
    done
}
check "assets.bat passes arguments unchanged" passes_arguments ""
check "the same through call" passes_arguments call

exit_codes() {
    local code
    for code in 0 1 6 130 255; do
        RECORD_EXIT=$code fails_with "$code" batch "\"$(windows "$shim")\" restore"
    done
    # As npm, Maven and MSBuild call it. (After `call` and before `&&` wine forgets the code of any program.)
    RECORD_EXIT=6 fails_with 6 batch "cd /d \"$(windows "$repo")\"" 'cmd /c eng\common\testproxy\assets.bat restore' 'echo then %ERRORLEVEL%'
    says "then 6"
}
check "assets.bat passes exit codes" exit_codes

# Which program starts, in the order of the search: each is taken away when it was seen.
search() {
    local home="$lab/user profile" dir
    mkdir -p "$lab/p 1" "$lab/p&2" "$lab/cargo/bin" "$home/.cargo/bin"
    for dir in "$lab" "$repo/.tools/assets" "$lab/p 1" "$lab/p&2" "$lab/cargo/bin" "$home/.cargo/bin" "${shim%/*}"; do
        [ "$dir" = "$lab" ] || cp "$exe" "$dir"
    done
    starts() { # PROGRAM [LINE...]
        batch "${@:2}" 'set "PATH=;Z:\missing;'"$(windows "${shim%/*}");\"$(windows "$lab/p 1")\";$(windows "$lab/p&2")\"" \
            "set \"USERPROFILE=$(windows "$home")\"" "\"$(windows "$shim")\"" >"$lab/started"
        [ "$(cat "$lab/started")" = "$(windows "$1")" ] || { cat "$lab/started" && echo "not $1" && exit 1; }
    }
    starts "$exe" "set \"ASSETS_EXE=$(windows "$exe")\""
    starts "$exe" "set ASSETS_EXE=\"$(windows "$exe")\""
    starts "$tool"
    for dir in "$lab/p 1" "$lab/p&2" "$lab/cargo/bin" "$home/.cargo/bin"; do
        rm "$tool"
        # A directory is not the program.
        mkdir "$tool"
        tool=$dir/assets.exe
        if [ "$dir" = "$lab/cargo/bin" ]; then
            starts "$tool" "set \"CARGO_HOME=$(windows "$lab/cargo")\""
        else
            starts "$tool" "set CARGO_HOME="
        fi
    done
}
check "assets.bat searches in order, not in its own directory" search

not_found() {
    cp "$shim" "$lab/bare"
    fails_with 127 batch 'set "PATH="' 'set "CARGO_HOME="' 'set "USERPROFILE="' "\"$(windows "$lab/bare/assets.bat")\" restore"
    says 'error: cannot find the `assets` program'
    says ".tools\\assets\\assets.exe in a code repo, but nothing above $(windows "$lab/bare") holds .git"
    says "neither CARGO_HOME nor USERPROFILE is set"
    fails_with 127 batch "set \"ASSETS_EXE=$(windows "$lab")\"" "\"$(windows "$shim")\""
    says "error: \`ASSETS_EXE\` is \"$(windows "$lab")\", which is not an .exe file"
    does_not_say "Syntax error"
}
check "assets.bat says where it looked" not_found
finish
