#!/bin/sh
# Breaks things at many points (kills, cut networks, full disks, damaged files, crowds), runs each command once more, and
# prints what became of it. Exits with 1 when a recording was lost, something else changed, or it did not heal.
#
#   scripts/faults.sh                    below ten minutes on two cores
#   scripts/faults.sh --full             about one and three quarter hours
#   scripts/faults.sh --only kill,cut    some classes: kill, cut, disk, planted, races, model
#   scripts/faults.sh --seed 7           the same points again
set -eu
cd "$(dirname "$0")/.."

usage() { sed -n 's/^#  //p' "$0" >&2; exit 2; }

full='' only=kill,cut,disk,planted,races,model seeds=''
while [ $# -gt 0 ]; do
    case $1 in
        --full) full=1 ;;
        --only) [ $# -gt 1 ] || usage; only=$2; shift ;;
        --seed) [ $# -gt 1 ] || usage; seeds=$2; shift ;;
        *) usage ;;
    esac
    shift
done
for class in $(echo "$only" | tr , ' '); do
    case $class in kill | cut | disk | planted | races | model) ;; *) usage ;; esac
done
if [ -n "$full" ]; then
    seeds=${seeds:-1 2 3}
    kill=500 random=10000 cut=2800 answers=600 disk=950 planted=589 restores=100 pushes=50 model=2000
else
    seeds=${seeds:-$(date +%s)}
    kill=95 random=114 cut=60 answers=30 disk=76 planted=114 restores=4 pushes=2 model=60
fi

cargo test --quiet --test faults --test model --no-run
mkdir -p "${CARGO_TARGET_DIR:-target}"
tables=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
# Fewer waits for a disk that nobody pulls the plug of.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi

wanted() { case ,$only, in *,"$1",*) ;; *) return 1 ;; esac; }
run() { # SEED TEST NAME=COUNT
    printf '%s, seed %s\n' "$3" "$1" >&2
    env FAULTS_SEED="$1" "$3" cargo test --quiet --test faults -- --exact "$2" --test-threads=1 >&2 || failed=1
}
busy() {
    if wanted kill; then
        for seed in $seeds; do run "$seed" kill::at_a_system_call FAULTS_KILL=$kill; done
        run "$first" kill::after_a_while FAULTS_RANDOM=$random
    fi
    if wanted disk; then run "$first" disk::full FAULTS_DISK=$disk; fi
    if wanted planted; then run "$first" planted::planted FAULTS_PLANTED=$planted; fi
    if wanted races; then
        run "$first" races::restores FAULTS_RESTORES=$restores
        run "$first" races::pushes FAULTS_PUSHES=$pushes
    fi
}
histories() { # Random histories of teams: tests/model.
    printf 'MODEL_RUNS=%s, seed %s\n' "$model" "$first" >&2
    : >"$tables/faults.model.tsv"
    env MODEL_TABLE="$tables/faults.model.tsv" MODEL_SCRIPTS="$tables/model" MODEL_SEED="$first" MODEL_RUNS="$model" \
        MODEL_STEPS=60 cargo test --quiet --test model -- --nocapture >&2
}
waiting() {
    if wanted cut; then
        run "$first" network::cut FAULTS_CUT=$cut
        run "$first" network::wrong_answers FAULTS_ANSWERS=$answers
    fi
}
lane() ( # NAME: with a table of its own; fails when one of its tests did
    failed='' FAULTS_TABLE="$tables/faults.$1.tsv"
    export FAULTS_TABLE
    : >"$FAULTS_TABLE"
    "$1"
    [ -z "$failed" ]
)

first=${seeds%% *}
# A broken network is mostly waited for, beside what keeps the processors busy.
trap 'trap - TERM; kill 0' INT TERM
lane waiting &
beside=$!
failed=''
lane busy || failed=1
if wanted model; then histories || failed=1; fi
wait "$beside" || failed=1
trap - INT TERM

awk -F '\t' '
    BEGIN { printf "%-24s %8s %8s %8s %8s %8s %8s\n", "fault", "points", "struck", "healed", "lost", "phantom", "unhealed" }
    NF < 7 { printf "%-24s %s\n", $1, $2; next }
    { printf "%-24s %8d %8d %8d %8d %8d %8d\n", $1, $2, $3, $4, $5, $6, $7; for (i = 2; i <= 7; i++) sum[i] += $i }
    END { printf "%-24s %8d %8d %8d %8d %8d %8d\n", "all", sum[2], sum[3], sum[4], sum[5], sum[6], sum[7] }
' "$tables/faults.busy.tsv" "$tables/faults.waiting.tsv"
if wanted model; then
    awk -F '\t' '
        NR == 1 { printf "\n%d histories of %d steps by teams (tests/model), %d with a broken promise\n", $1, $2, $3; next }
        { printf "%8d  %s\n", $2, $1 }
    ' "$tables/faults.model.tsv"
fi
[ -z "$failed" ]
