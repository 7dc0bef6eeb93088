#!/bin/sh
# Finds the `assets` program and becomes it: `eng/common/testproxy/assets restore`.
#
# This runs in front of every test run: the way to `exec` uses only what is built into the shell and starts no
# process (but `readlink`, when the shim was called through a symlink). Variables are named `shim_*`, because
# assigning to one that the caller has exported would change it for the program.
#
# ASSETS_SHIM says what happened before: one `+` per shim, the process id, how far the search went. `exec` keeps
# the process id, so a shim that reads its own id there was taken for the program, as another copy of this file on
# PATH or through a script that calls it; it goes on where that search stopped. The `+` end all other loops.
#
# shellcheck disable=SC2016 # backticks are how messages quote
# shellcheck disable=SC3013 # `-ef` is older in every sh than in POSIX (2024), and `readlink` would be a process

# Sets shim_exe to the program in directory $1. Fails if there is none.
shim_find() {
    if [ "${OS-}" = Windows_NT ]; then
        # First, because `assets` beside it may be for another system. Not elsewhere: in WSL it would start too.
        shim_exe=${1%/}/assets.exe
        if shim_usable; then return 0; fi
    fi
    shim_exe=${1%/}/assets
    shim_usable
}

shim_usable() { [ -f "$shim_exe" ] && [ -x "$shim_exe" ]; }

# Whether shim_exe is this file, or lies beside it, however its directory is spelled.
shim_own() { [ "$shim_exe" -ef "$shim_self" ] || [ "${shim_exe%/*}/." -ef "$shim_home/." ]; }

# Becomes shim_exe. $1: how far the search went; then the arguments.
shim_run() {
    case $shim_depth in
    ++++++++)
        shim_fail "error: \`$shim_exe\` is not the \`assets\` program: it starts this shim again" \
            'hint: set `ASSETS_EXE` to the path of the `assets` binary'
        ;;
    esac
    ASSETS_SHIM=$shim_depth+$$:$1
    export ASSETS_SHIM
    shift
    # Without a slash, `exec` would search PATH; a leading dash would be an option.
    case $shim_exe in
    -*) shim_exe=./$shim_exe ;;
    */* | [A-Za-z]:\\* | \\\\*) ;;
    *) shim_exe=./$shim_exe ;;
    esac
    exec "$shim_exe" "$@"
}

shim_fail() {
    printf '%s\n' "$@" >&2
    exit 127
}

shim_before=${ASSETS_SHIM-}
shim_depth=${shim_before%%[!+]*}
case $shim_before in
"$shim_depth$$:"*) shim_done=${shim_before##*:} ;;
*) shim_done= ;;
esac

# 1. ASSETS_EXE
if [ -n "${ASSETS_EXE-}" ]; then
    shim_exe=$ASSETS_EXE
    if ! shim_usable; then
        shim_fail "error: \`ASSETS_EXE\` is \`$ASSETS_EXE\`, which is not an executable file" \
            'hint: set it to the path of the `assets` binary, or unset it'
    fi
    shim_run '' "$@"
fi

# The directory of this file, and the root of its code repo as `<directory>/../..`, so that no `cd` has to be
# undone and the kernel resolves symlinked directories.
shim_self=$0
case $shim_self in
*/*) ;;
*)
    # `sh assets`: in the current directory, or for bash also on PATH.
    if [ -f "./$shim_self" ] || ! shim_self=$(command -v -- "$0"); then shim_self=./$0; fi
    ;;
esac
while [ -h "$shim_self" ] && shim_link=$(readlink -- "$shim_self" 2>/dev/null); do
    case $shim_link in
    /*) shim_self=$shim_link ;;
    *) shim_self=${shim_self%/*}/$shim_link ;;
    esac
done
shim_home=${shim_self%/*}
shim_root=$shim_home
shim_tools=
while [ -z "$shim_tools" ]; do
    if [ -e "$shim_root/.git" ]; then
        shim_tools=$shim_root/.tools/assets
    elif [ "$shim_root/." -ef "$shim_root/.." ] || ! [ -d "$shim_root/.." ]; then
        break
    else
        shim_root=$shim_root/..
    fi
done

# 2. the code repo
if [ -z "$shim_done" ] && [ -n "$shim_tools" ] && shim_find "$shim_tools"; then
    shim_run 0 "$@"
fi

# 3. PATH: an empty element is the current directory, but an empty PATH has no element
shim_at=0
shim_rest=${PATH:+$PATH:}
while [ -n "$shim_rest" ]; do
    shim_dir=${shim_rest%%:*}
    shim_rest=${shim_rest#*:}
    shim_at=$((shim_at + 1))
    if [ "$shim_at" -gt "${shim_done:-0}" ] && shim_find "${shim_dir:-.}" && ! shim_own; then
        shim_run "$shim_at" "$@"
    fi
done

# 4. cargo
shim_cargo=${CARGO_HOME:-${HOME:+$HOME/.cargo}}
shim_at=$((shim_at + 1))
if [ -n "$shim_cargo" ] && [ "$shim_at" -gt "${shim_done:-0}" ] && shim_find "$shim_cargo/bin" && ! shim_own; then
    shim_run "$shim_at" "$@"
fi

shim_real() { CDPATH='' cd -P -- "$1/." && pwd -P; }
if [ -n "$shim_tools" ]; then
    shim_tools="\`$(shim_real "$shim_root")/.tools/assets/assets\`"
else
    shim_tools="\`.tools/assets/assets\` in a code repo, but nothing above \`$(shim_real "$shim_home")\` holds \`.git\`"
fi
if [ -n "$shim_cargo" ]; then
    shim_cargo="\`$shim_cargo/bin/assets\`"
else
    shim_cargo="cargo's \`bin\` directory, but neither \`CARGO_HOME\` nor \`HOME\` is set"
fi
shim_fail 'error: cannot find the `assets` program' \
    '  searched: `ASSETS_EXE`, which is not set' \
    "            $shim_tools" \
    "            \`PATH\`, which is \`${PATH-}\`" \
    "            $shim_cargo" \
    'hint: install it with `cargo install assets-sync --locked`' \
    'hint: or put the binary into `.tools/assets/` at the root of the code repo' \
    'hint: or set `ASSETS_EXE` to its path'
