# The operations of tests/model as functions of bash: `step NUMBER OP WORDS...` does one. A word has %20 for a space.
set -u
BIN=${ASSETS_BIN:?ASSETS_BIN names the assets binary to try}
LAB=$(mktemp -d); LAB=$(cd "$LAB" && pwd -P); [ -n "${KEEP:-}" ] && echo "kept: $LAB" || trap 'rm -rf "$LAB"' EXIT
AR=$LAB/assets.git USERS=(ann bob cyd) FORM=() REPO=$AR NO=0
unset $(env | grep -o '^GIT_[A-Z_]*') $(env | grep -o '^ASSETS_[A-Z_]*') 2>/dev/null
export GIT_CONFIG_NOSYSTEM=1 ASSETS_SECRET_SCANNER=none ASSETS_NO_PROGRESS=1 ASSETS_JOBS=1
declare -A CHECKOUT TARGET TAGFORM
bad() { echo "DEFECT: $*"; exit 1; }
word() { local w=${1//%20/ }; w=${w//%2C/,}; printf '%s' "${w//%25/%}"; }
words() { local IFS=,; for w in $1; do [ "$w" = - ] || { word "$w"; echo; }; done; }
setup() { # USERS SHARED GIT URL DISKS
    SHARED=$2; [ "$3" = 1 ] && [ -x /usr/bin/git ] && PATH=/usr/bin:$PATH; [ "$4" = true ] && REPO=file://$AR
    GIT=$(command -v git); mkdir -p "$LAB/fault" "$LAB/labels"
    for ((u = 0; u < $1; u++)); do
        mkdir -p "$LAB/${USERS[u]}/home" "$LAB/${USERS[u]}/code"; as "$u"; config "$u" ''; git init -q "$LAB/${USERS[u]}/code"
        if [ "$5" = true ]; then
            mkdir "$LAB/${USERS[u]}/code/.assets"; mount -t tmpfs -o size=32m none "$LAB/${USERS[u]}/code/.assets" || { echo 'needs root'; exit 2; }
            trap 'umount -l "$LAB"/*/code/.assets; rm -rf "$LAB"' EXIT
        fi
    done
    git init -q --bare "$AR"
    for pair in uploadpack.allowFilter=true uploadpack.allowAnySHA1InWant=true gc.auto=0; do git -C "$AR" config "${pair%=*}" true; done
    git -C "$AR" config gc.auto 0
}
config() { printf '[user]\n\tname = %s\n\temail = %s@example.com\n[init]\n\tdefaultBranch = main\n[protocol "file"]\n\tallow = always\n%b' "${USERS[$1]}" "${USERS[$1]}" "$2" > "$LAB/${USERS[$1]}/home/.gitconfig"; }
as() { # USER: environment and folder of a user
    export HOME=$LAB/${USERS[$1]}/home; ME=${USERS[$1]}; CODE=$LAB/$ME/code
    if [ "$SHARED" = true ]; then export ASSETS_CACHE_DIR=$LAB/cache; else export ASSETS_CACHE_DIR=$LAB/$ME/cache; fi
    export GIT_AUTHOR_DATE="$((1767225600 + NO * 60)) +0000"; export GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE; cd "$CODE" 2>/dev/null || true
}
rev() { if [ -f "$LAB/labels/$1" ]; then cat "$LAB/labels/$1"; else git -C "$AR" rev-parse -q --verify "refs/heads/$1^{commit}" || git -C "$AR" rev-parse -q --verify "refs/tags/$1^{commit}" || git -C "$AR" rev-parse -q --verify "$1^{commit}"; fi; }
text() { # WHO PATH LARGE
    case $2 in *.gitignore) printf '# %s step %s %s\nlog/\ndir/\nb.json\n' "$1" "$NO" "$2"; return ;; esac
    printf '%s step %s %s\n' "$1" "$NO" "$2"; [ "${3:-false}" = true ] && for ((i = 0; i < 400; i++)); do echo 'more of it'; done; true; }
make_commit() { # BASE CHANGES: prints the commit
    local base='' index=$LAB/index; [ "$1" = - ] || { base=$(rev "$1") || return 1; }
    rm -f "$index"; export GIT_INDEX_FILE=$index; [ -z "$base" ] || git -C "$AR" read-tree "$base"
    words "$2" | while IFS= read -r change; do
        path=${change:1}
        if [ "${change:0:1}" = + ]; then
            blob=$(text team "$path" | git -C "$AR" hash-object -w --stdin)
            git -C "$AR" ls-files "$path/" | sed 's/^/0 0000000000000000000000000000000000000000\t/' | git -C "$AR" update-index --index-info
            git -C "$AR" update-index --add --replace --cacheinfo "100644,$blob,$path"
        else printf '0 0000000000000000000000000000000000000000\t%s\n' "$path" | git -C "$AR" update-index --index-info; fi
    done
    local tree; tree=$(git -C "$AR" write-tree); unset GIT_INDEX_FILE
    git -C "$AR" commit-tree "$tree" ${base:+-p "$base"} -m team
}
manifest() { # DIR TAGFORM TARGET PIN
    local name=AssetsRepoBranch key=SHA id="    \"AssetsRepoId\": \"X\",\n"; [ "$2" = true ] && { name=TagPrefix key=Tag id=''; }
    printf "{\n    // %s\n    \"AssetsRepo\": \"%s\",\n    \"AssetsRepoPrefixPath\": \"rec\",\n$id    \"%s\": \"%s\"" "$1" "$REPO" "$name" "$3"
    [ -z "$4" ] || printf ',\n    "%s": "%s"' "$key" "$4"; printf '\n}\n'
}
pin_of() { sed -n 's/.*"\(SHA\|Tag\)": "\(.*\)".*/\2/p' "$CODE/$1/assets.json"; }
checkout_of() { # DIR: the folder of its checkout
    if [ "${TAGFORM[$1]}" = true ]; then
        local hash; hash=$(printf '%s' "$REPO$1/assets.json" | sha1sum | cut -c1-40 | sed 's/../\\x&/g'); printf '%b' "$hash" | base64 | tr -cd 'A-Za-z0-9' | cut -c1-10
    else echo X; fi
}
slice_of() { echo "$CODE/.assets/$(checkout_of "$1")/rec/$1"; }
in_the_way() { local p=$1; while [ "$p" != / ]; do p=$(dirname "$p"); [ -f "$p" ] && return 0; done; return 1; }
put() { # DIR FILE LARGE: a recording
    local path; path=$(slice_of "$1")/$2; [ ! -d "$path" ] && ! in_the_way "$path" || return 0
    mkdir -p "$(dirname "$path")"; text "$ME" "rec/$1/$2" "${3:-false}" > "$path"
}
tidy() { (cd "$1" 2>/dev/null && d=$(dirname "$2") && [ "$d" != . ] && rmdir -p --ignore-fail-on-non-empty "$d" 2>/dev/null); true; }
a() { "$BIN" "$@"; }
flag() { [ "$1" = - ] || echo "--$1"; }
fault() { # writes a git that does harm: CALL NTH WHEN HARM WORDS...
    local call=$1 nth=$2 when=$3 harm=':'; shift 3; [ "$call" = any ] && call='*'
    case $1 in
        kill | kill-all) harm='kill -9 $PPID' ;;
        kill-git) harm='kill -9 $$' ;;
        write) local path; path=$(slice_of "$(word "$2")")/$(word "$3")
            [ -e "$CODE/.assets/$(checkout_of "$(word "$2")")/.git" ] && harm="mkdir -p '$(dirname "$path")' && printf '%s\n' '$(text "$ME" "rec/$(word "$2")/$(word "$3")")' > '$path'" ;;
        advance) local made; made=$(make_commit "$(word "$2")" "+$3"); echo "$made" > "$LAB/labels/c$NO"; harm="env -i $GIT --git-dir='$AR' update-ref 'refs/heads/$(word "$2")' $made $made^ 2>/dev/null" ;;
    esac
    local action="$harm; exec $GIT \"\$@\""; [ "$when" = after ] && action="$GIT \"\$@\"; rc=\$?; $harm; exit \$rc"
    [ "$when" = before ] && [ "$1" = kill-all ] && action="$harm; exit 137"
    echo 0 > "$LAB/fault/count"
    printf '#!/bin/sh\ncase "$1" in %s) ;; *) exec %s "$@" ;; esac\nn=$(($(cat %s/count) + 1)); echo $n > %s/count\n[ $n = %s ] || exec %s "$@"\n%s\n' "$call" "$GIT" "$LAB/fault" "$LAB/fault" "$nth" "$GIT" "$action" > "$LAB/fault/git"
    chmod +x "$LAB/fault/git"
}
run() { # VERB WORDS... [fault ...]
    local -a args=() harm=(); local verb=$1; shift
    while [ $# -gt 0 ] && [ "$1" != fault ]; do args+=("$1"); shift; done
    [ $# -gt 0 ] && { shift; harm=("$@"); }
    local -a dirs=(); case $verb in restore | reset | push) mapfile -t dirs < <(words "${args[0]}"); [ ${#dirs[@]} = 0 ] && dirs=(--all) ;; *) dirs=("$(word "${args[0]:-}")") ;; esac
    local -a call
    case $verb in
        restore) call=(restore $(flag "${args[1]}") "${dirs[@]}") ;;
        reset) call=(reset $([ "${args[1]}" = true ] && echo -y) "${dirs[@]}") ;;
        push) call=(push $([ "${args[1]}" = true ] && echo --ours) "${dirs[@]}") ;;
        pop) call=(stash pop $([ "${args[1]}" = true ] && echo --ours) "${dirs[@]}") ;;
        preview) call=(push --dry-run "${dirs[@]}") ;;
        list) call=(stash list "${dirs[@]}") ;;
        checkout) local r; r=$(word "${args[1]}"); [ -f "$LAB/labels/$r" ] && r=$(cat "$LAB/labels/$r"); call=(checkout $(flag "${args[2]}") "$r" "${dirs[@]}") ;;
        gc) call=(gc --yes) ;;
    esac
    echo "\$ assets ${call[*]} ${harm[*]:+   # while: ${harm[*]}}"
    case ${harm[0]:-} in
        '') a "${call[@]}"; RC=$? ;;
        full) head -c $(($(stat -f -c '%a * %S' "$CODE/.assets") - harm[1] * 1024)) /dev/zero > "$CODE/.assets/.filler"; a "${call[@]}"; RC=$?; rm -f "$CODE/.assets/.filler" ;;
        away) mv "$AR" "$AR.away"; a "${call[@]}"; RC=$?; mv "$AR.away" "$AR" ;;
        file-limit) /bin/sh -c "trap '' XFSZ; ulimit -f ${harm[1]}; exec \"\$@\"" sh "$BIN" "${call[@]}"; RC=$? ;;
        at) fault "${harm[@]:1}"; PATH=$LAB/fault:$PATH a "${call[@]}"; RC=$?; sleep 0.3 ;;
    esac
    echo "  exit $RC"
    local d; for d in "${!TAGFORM[@]}"; do local p; p=$(pin_of "$d"); [ "${TAGFORM[$d]}" = true ] && { [ -z "$p" ] || git -C "$AR" rev-parse -q --verify "refs/tags/$p^{commit}" > "$LAB/labels/p$NO.${d//\//_}"; } || [ -z "$p" ] || echo "$p" > "$LAB/labels/p$NO.${d//\//_}"; done
}
hand() { # DIR WHAT
    local X=$CODE/.assets/$(checkout_of "$1"); [ -e "$X/.git" ] || return 0
    # Not in the code repo around a checkout that has no HEAD.
    local g="env GIT_CEILING_DIRECTORIES=$CODE/.assets git -C $X"
    { case $2 in
        add) $g add -A ;; commit) $g add -A && $g commit -qm 'by hand' ;; amend) $g add -A && $g commit -q --amend -m 'by hand' ;;
        stash) $g stash -q -u ;; stash-pop) $g stash pop -q ;; reset-hard) $g reset -q --hard ;;
        reset-soft) $g add -A && $g commit -qm 'by hand' && $g reset -q --soft HEAD^ ;; rm-cached) $g rm -rq --cached "rec/$1" ;;
        log) $g log --all --oneline --stat ;; gc) $g gc -q --prune=now ;; pack-refs) $g pack-refs --all ;; branch) $g branch -f mine ;;
        index-gone) rm -f "$X/.git/index" ;; remove) rm -rf "$X" ;; head-gone) rm -f "$X/.git/HEAD" ;; switch*) local c; c=$(rev "${2#switch }") && $g checkout -q --detach "$c" ;; index-lock) : > "$X/.git/index.lock" ;; touch) find "$X" -path "$X/.git" -prune -o -type f -exec touch {} + ;;
    esac; } > /dev/null 2>&1
}
step() { # NUMBER OP WORDS...
    NO=$1; local op=$2; shift 2; as 0
    case $op in
        package) local d t f pin=''; d=$(word "$1") t=$(word "$3"); TAGFORM[$d]=$2 TARGET[$d]=$t
            [ "$4" = - ] || { if [ "$2" = true ]; then pin=$(git -C "$AR" rev-parse -q --verify "refs/tags/$(word "$4")" > /dev/null && word "$4"); else pin=$(rev "$(word "$4")"); fi; }
            for f in "$LAB"/*/code; do mkdir -p "$f/$d"; manifest "$d" "$2" "$t" "$pin" > "$f/$d/assets.json"; git -C "$f" add -f "$d/assets.json"; done ;;
        commit) local c; c=$(make_commit "$(word "$1")" "$4") || return 0; echo "$c" > "$LAB/labels/c$NO"
            [ "$2" = - ] || git -C "$AR" update-ref "refs/heads/$(word "$2")" "$c"; [ "$3" = - ] || git -C "$AR" update-ref "refs/tags/$(word "$3")" "$c" ;;
        consolidate) local main tip base tree c; main=$(rev main) || return 0
            while IFS= read -r b; do
                tip=$(git -C "$AR" rev-parse -q --verify "refs/heads/$b") || continue; git -C "$AR" merge-base --is-ancestor "$tip" "$main" && continue
                base=$(git -C "$AR" merge-base "$main" "$tip"); export GIT_INDEX_FILE=$LAB/index; rm -f "$LAB/index"; git -C "$AR" read-tree "$main"
                git -C "$AR" diff-tree -r --no-renames "$base" "$tip" | while IFS=$'\t' read -r meta path; do set -- $meta; printf '%s %s\t%s\n' "$([ "$2" = 000000 ] && echo 0 || echo "$2")" "$4" "$path"; done | sort | git -C "$AR" update-index --index-info
                tree=$(git -C "$AR" write-tree); unset GIT_INDEX_FILE; main=$(git -C "$AR" commit-tree "$tree" -p "$main" -p "$tip" -m team)
            done < <(words "$1")
            if [ "$2" != - ]; then git -C "$AR" update-ref refs/heads/main "$main"; main=$(make_commit main "+$2"); fi
            git -C "$AR" update-ref refs/heads/main "$main"; echo "$main" > "$LAB/labels/c$NO" ;;
        delete-branch) git -C "$AR" update-ref -d "refs/heads/$(word "$1")" ;;
        reset-branch) local c; c=$(rev "$(word "$2")") && git -C "$AR" update-ref "refs/heads/$(word "$1")" "$c" ;;
        delete-tag) git -C "$AR" update-ref -d "refs/tags/$(word "$1")" ;;
        *) local u=$1; shift; as "$u"; for_user "$op" "$@" ;;
    esac
}
for_user() { # OP WORDS...
    local op=$1; shift
    local d f; d=$(word "${1:-}") f=$(word "${2:-}")
    case $op in
        record) put "$d" "$f" "$3" ;;
        delete) rm -rf "$(slice_of "$d")/$f"; tidy "$(slice_of "$d")" "$f" ;;
        rename) local s t; s=$(slice_of "$d") t=$(word "$3"); [ -f "$s/$f" ] && [ ! -e "$s/$t" ] && ! in_the_way "$s/$t" && { mkdir -p "$(dirname "$s/$t")"; mv "$s/$f" "$s/$t"; tidy "$s" "$f"; } ;;
        to-folder) rm "$(slice_of "$d")/$f" 2>/dev/null && put "$d" "$f/part.json" ;;
        to-file) [ -d "$(slice_of "$d")/$f" ] && rm -r "$(slice_of "$d")/$f" && put "$d" "$f" ;;
        nested) local s; s=$(slice_of "$d"); [ -d "$s" ] && [ ! -e "$s/$f" ] && ! in_the_way "$s/$f" && { mkdir -p "$s/$f"; text "$ME" "rec/$d/$f/n.json" > "$s/$f/n.json"; git init -q "$s/$f"; } ;;
        revert) git -C "$CODE/.assets/$(checkout_of "$d")" checkout -q HEAD -- "rec/$d/$f" 2>/dev/null ;;
        run) run "$@" ;;
        cache-gone) rm -rf "$ASSETS_CACHE_DIR" ;;
        pin) local p old; old=$(pin_of "$d"); if [ "${TAGFORM[$d]}" = true ]; then p=$f; else p=$(rev "$f"); fi
            [ -z "$p" ] || if [ -n "$old" ]; then sed -i "s|$old|$p|" "$CODE/$d/assets.json"; else manifest "$d" "${TAGFORM[$d]}" "${TARGET[$d]}" "$p" > "$CODE/$d/assets.json"; fi ;;
        pull) local me=$CODE; d=$(word "$2"); cp "$LAB/${USERS[$1]}/code/$d/assets.json" "$me/$d/assets.json" ;;
        hand) hand "$d" "$f" ;;
        ignore) printf '%s\n' "$d" > "$HOME/ignore"; config "$(for i in 0 1 2; do [ "${USERS[i]}" = "$ME" ] && echo $i; done)" "[core]\n\texcludesFile = $HOME/ignore\n" ;;
    esac
    true
}
in_user() { for i in 0 1 2; do [ "${USERS[i]}" = "$1" ] && as $i; done; }
# Whether a text is on disk in the checkouts of a user, in a listed stash entry, or on the remote.
is_kept() { # USER TEXT
    in_user "$1"; grep -rqF --exclude-dir=.git --exclude-dir='*.broken-*' "$2" "$CODE/.assets" && return 0
    for ref in $(git -C "$AR" for-each-ref --format='%(refname)' refs/heads refs/tags); do for c in $(git -C "$AR" rev-list "$ref"); do git -C "$AR" grep -qF "$2" "$c" && return 0; done; done
    for x in "$CODE"/.assets/*/; do for ref in $(git -C "$x" for-each-ref --format='%(refname)' refs/assets/stash refs/stash 2>/dev/null); do GIT_NO_LAZY_FETCH=1 git -C "$x" grep -qF "$2" "$ref" && return 0; done; done
    return 1
}
tag() { pin_of "$1"; }
