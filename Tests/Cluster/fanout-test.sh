#!/bin/bash
# Tests pipeline/fanout.sh with a stand-in for the stages' programs, here and on a private Slurm cluster
# of two nodes (slurm-cluster.sh). Prints a line for each case; 1 if one failed, 77 with a reason
# where there can be no such cluster.
#
#   fanout-test.sh [CASE…]
# shellcheck disable=SC1003,SC2016,SC2094 # what stands in single quotes is for other shells
set -u
here=$(cd "$(dirname "$0")" && pwd -P)
fanout=$(readlink -f "$here/../../pipeline/fanout.sh")
tools="sbatch:slurm-wlm mpi_pmix.so:slurm-wlm-basic-plugins munged:munge mpirun:openmpi-bin ip:iproute2"
name="fanout-test"
# More cores than there are: nodes for several cases side by side.
export CPUS=20
# shellcheck source=Tests/Cluster/two-nodes.sh
. "$here/two-nodes.sh"

# stage [--nap SECONDS] [--fail SHARE:CODE] [--die SHARE] --output DIR [--share i/n] …
# The last one, without a share, wants all shards. Share DIE kills itself, once.
cat > "$work/stage" << 'END'
#!/bin/bash
share='' nap=0.2 fail='' die=''
arguments=("$@")
while [ $# -gt 0 ]; do
  case $1 in
    --share) share=$2; shift ;;
    --output) output=$2; shift ;;
    --nap) nap=$2; shift ;;
    --fail) fail=$2; shift ;;
    --die) die=$2; shift ;;
  esac
  shift
done
mkdir -p "$output"
i=${share%/*} n=${share#*/}
signals=0
trap 'signals=$((signals + 1)); kill $! 2> /dev/null' TERM INT
echo "${i:-last} begins on ${SLURMD_NODENAME:-$HOSTNAME}" >&2
sleep "$nap" &
while wait $!; kill -0 $! 2> /dev/null; do :; done
[ $signals = 0 ] || { echo "${i:-last} stopped by $signals" >> "$output/stopped"; exit 75; }
if [ -z "$share" ]; then
  [ ! -e "$output/shares" ] || for ((i = 0; i < $(cat "$output/shares"); i++)); do
    [ -e "$output/shard-$i" ] || { echo "error: no shard $i" >&2; exit 65; }
  done
  printf '%s\0' "${arguments[@]}" > "$output/arguments"
  printf '%s\n' "$PWD" "${VLSI_TEST:-}" > "$output/manifest.json"
  exit 0
fi
[ "${fail%:*}" != "$i" ] || { echo "error: shard $i is damaged" >&2; exit "${fail#*:}"; }
[ "$die" != "$i" ] || [ -e "$output/died" ] || { touch "$output/died"; kill -9 $$; }
echo "$n" > "$output/shares"
echo "${SLURMD_NODENAME:-$HOSTNAME} ${THREADS:-}" >> "$output/shard-$i"
END
chmod +x "$work/stage"
stage=$work/stage

# MARK: What the cases say

exec=()
slurm() { "${exec[@]}" "$cluster" exec env FANOUT=slurm FANOUT_POLL=1 "$@"; }
# For the background: the process is the script's own.
behind() { exec=(exec) && slurm "$@"; }
contains() { # file, pattern
  grep -q -- "$2" "$1" && return
  echo "line ${BASH_LINENO[0]}: $1 lacks $2:"
  cat "$1"
  exit 1
}
shards() { find "$1" -name 'shard-*' | wc -l; }
nothing_left() { # folder of logs: no job, no files but logs
  expect "" "$(find "$1" -type f ! -name '*.log')"
  expect "" "$("$cluster" exec squeue --noheader --name="$(sed -n 's/.* \(.*\) ended with .*/\1/p' "$1/fanout.log" |
    tail -n 1)")"
}

# MARK: Cases

case_shares() {
  slurm NODES=2 SHARES=4 "$fanout" shares runs/a/features/teacher "$stage" --nap 0.6 \
    --output runs/a/features/teacher 2> err
  expect 0 $?
  expect 4 "$(shards runs)"
  expect "n1 n2" "$(cat runs/a/features/teacher/shard-* | sort -u | xargs)"
  [ -e runs/a/features/teacher/manifest.json ] || expect "a manifest" none
  contains err '4 of 4 shares; logs: runs/a/.fanout/features-teacher/'
  contains err 'last begins on n'
  nothing_left runs/a/.fanout/features-teacher
}

case_ranks() {
  slurm RANKS=2 "$fanout" ranks runs/a/adapter sh -c \
    'echo "rank $PMIX_RANK of $SLURM_NTASKS on $SLURMD_NODENAME" > rank-$PMIX_RANK' 2> err
  expect 0 $?
  expect "rank 0 of 2 on n1 rank 1 of 2 on n2" "$(cat rank-0 rank-1 | xargs)"
  # The rank that failed says how it ends, not the one that is ended for it.
  slurm RANKS=2 THREADS=1 "$fanout" ranks runs/a/adapter sh -c \
    '[ "$PMIX_RANK" = 1 ] || exec sleep 60; echo "error: bad" >&2; exit 65' 2> err
  expect 65 $?
  contains err 'error: bad'
  nothing_left runs/a/.fanout/adapter
}

case_power_cut() {
  behind THREADS=8 NODES=4 "$fanout" shares runs/a/samples "$stage" --nap 2 --output runs/a/samples 2> err &
  until_there 10 eval '[ "$(cat runs/a/.fanout/samples/*_*.log | grep -c begins)" = 4 ]'
  # Of the other cases' jobs, none begins on what is gone and not yet known to be.
  "$cluster" exec scontrol update nodename=n1 state=drain reason=test
  "$cluster" kill n1
  touch "$work/n1-is-off"
  wait $!
  expect 0 $?
  expect 4 "$(shards runs)"
  expect "n2 8" "$(cat runs/a/samples/shard-* | sort -u)"
  expect 6 "$(cat runs/a/.fanout/samples/*_*.log | grep -c '[0-3] begins')"
  [ -e runs/a/samples/manifest.json ] || expect "a manifest" none
  nothing_left runs/a/.fanout/samples
}

case_error() {
  slurm THREADS=1 SHARES=3 "$fanout" shares runs/a/samples "$stage" --fail 1:65 --output runs/a/samples 2> err
  expect 65 $?
  contains err 'error: runs/a/samples: share 1/3 ended with 65'
  contains err '  error: shard 1 is damaged'
  expect 2 "$(shards runs)"
  expect none "$(cat runs/a/samples/manifest.json 2> /dev/null || echo none)"
  expect 1 "$(grep -c submitted err)"
  nothing_left runs/a/.fanout/samples
}

case_killed_share() {
  slurm THREADS=1 SHARES=3 "$fanout" shares runs/a/samples "$stage" --die 2 --output runs/a/samples 2> err
  expect 0 $?
  contains err 'interrupted: 1 of 3 shares, once more'
  # The others are not made again.
  expect 3 "$(cat runs/a/samples/shard-* | wc -l)"
  nothing_left runs/a/.fanout/samples
}

case_no_progress() {
  slurm THREADS=1 "$fanout" single out/model "$stage" --nap 0 --output out/model \; 2> err
  expect 0 $?
  contains out/.fanout/model/fanout.log 'ended with 0'
  slurm THREADS=1 "$fanout" single out/model sh -c 'exit 75' 2> err
  expect 75 $?
  contains err 'error: out/model: interrupted 5 times without progress'
  expect 5 "$(grep -c submitted err)"
  nothing_left out/.fanout/model
}

case_ctrl_c() {
  # As a terminal does it: to the whole group.
  set -m
  behind THREADS=1 NODES=1 SHARES=2 "$fanout" shares runs/a/samples "$stage" --nap 60 --output runs/a/samples 2> err &
  set +m
  until_there 10 grep -rqs begins runs/a/.fanout/samples
  "$cluster" exec "$fanout" status a > shown
  expect "samples 0 RUNNING samples 1 PENDING" \
    "$(sed 's/\t[0-9]*_\[*\([0-9]\)[^\t]*/\t\1/' shown | cut -f 1-3 | sort | xargs)"
  kill -INT -- -$!
  wait $!
  expect 75 $?
  expect "0 stopped by 1" "$(cat runs/a/samples/stopped)"
  expect "" "$("$cluster" exec "$fanout" status a)"
  nothing_left runs/a/.fanout/samples
}

case_killed_script() {
  local first second again
  again=("$fanout" shares runs/a/samples "$stage" --nap 4 --output runs/a/samples)
  behind THREADS=1 SHARES=2 "${again[@]}" 2> err &
  first=$!
  until_there 10 eval '[ "$(cat runs/a/.fanout/samples/*_*.log | grep -c begins)" = 2 ]'
  # Another call of the same waits for the first, and becomes it when that is gone.
  behind THREADS=1 SHARES=2 "${again[@]}" 2> err2 &
  second=$!
  until_there 5 grep -qs 'another call' err2
  kill -KILL $first
  wait $first 2> /dev/null
  until_there 5 grep -qs 'is there already' err2
  # And a third one ends as the second does.
  slurm THREADS=1 SHARES=2 "${again[@]}" 2> err3
  expect 0 $?
  wait $second
  expect 0 $?
  expect 0 "$(grep -c submitted err3)"
  expect 2 "$(grep -c submitted runs/a/.fanout/samples/fanout.log)"
  expect 2 "$(cat runs/a/samples/shard-* | wc -l)"
  nothing_left runs/a/.fanout/samples
}

case_quoting() {
  local folder='it'\''s a "folder" with ü, %j, $HOME and \' words
  words=(--output "out put's" -x -- "two  blanks" 'it'\''s' '"' 'ü 漢' '$HOME `id`' '*' '' 'a\nb\' '!' '~' '#')
  mkdir "$folder" && cd "$folder" || exit 1
  VLSI_TEST="of two words" FANOUT='' "$fanout" single "out put's" "$stage" "${words[@]}" 2> err
  expect 0 $?
  mv "out put's" locally
  # Whatever a site does with the environment.
  VLSI_TEST="of two words" slurm SBATCH_EXPORT=NONE SBATCH="--comment=a* --nice=1" THREADS=1 SHARES=2 \
    "$fanout" shares "out put's" "$stage" "${words[@]}" 2> err
  expect 0 $?
  cmp locally/arguments "out put's/arguments" || exit 1
  cmp locally/manifest.json "out put's/manifest.json" || exit 1
  expect 2 "$(shards "out put's")"
  contains ".fanout/out put's/fanout.log" 'ended with 0'
  FANOUT=local:2 "$fanout" shares "out put's" "$stage" "${words[@]}" --threads 1 2> err
  expect 0 $?
}

case_held() {
  behind THREADS=1 SBATCH=--begin=now+60 "$fanout" single runs/a/model "$stage" --output runs/a/model 2> err &
  until_there 10 test -s runs/a/.fanout/model/job
  "$cluster" exec scontrol hold "$(cut -d ' ' -f 1 runs/a/.fanout/model/job)"
  wait $!
  expect 74 $?
  contains err 'error: runs/a/model: job [0-9]* is held (JobHeldAdmin)'
  "$cluster" exec scancel "$(cut -d ' ' -f 1 runs/a/.fanout/model/job)"
}

case_local() {
  FANOUT=local:3 THREADS=2 "$fanout" shares runs/a/samples "$stage" --output runs/a/samples 2> err
  expect 0 $?
  expect 3 "$(shards runs)"
  contains err '^\[0/3\] 0 begins'
  expect "--output runs/a/samples --threads 2" "$(tr '\0' ' ' < runs/a/samples/arguments | xargs)"
  # All are waited for; errors come before interruptions.
  FANOUT=local:2 SHARES=4 "$fanout" shares runs/a/targets "$stage" --fail 0:65 --die 1 --output runs/a/targets 2> err
  expect 65 $?
  expect 2 "$(shards runs/a/targets)"
  contains err 'error: runs/a/targets: share 0/4 ended with 65'
  FANOUT=local:2 "$fanout" shares runs/a/model "$stage" --fail 1:75 --output runs/a/model 2> err
  expect 75 $?
  FANOUT=local:2 "$fanout" single runs/a/model sh -c 'exit 66'
  expect 66 $?
}

case_local_signal() {
  set -m
  FANOUT=local:2 SHARES=4 "$fanout" shares runs/a/samples "$stage" --nap 60 --output runs/a/samples 2> err &
  set +m
  until_there 10 grep -qs '1 begins' err
  kill -INT -- -$!
  wait $!
  expect 75 $?
  expect "0 stopped by 1 1 stopped by 1" "$(sort runs/a/samples/stopped | xargs)"
  FANOUT=local:2 RANKS=2 "$fanout" ranks runs/a/adapter "$stage" --nap 60 --output runs/a/adapter 2> err2 &
  until_there 10 eval '[ "$(grep -c begins err2)" = 2 ]'
  kill -TERM $!
  wait $!
  expect 75 $?
  expect "last stopped by 1 last stopped by 1" "$(xargs < runs/a/adapter/stopped)"
}

case_local_ranks() {
  FANOUT='' RANKS=3 "$fanout" ranks runs/a/adapter sh -c 'echo "rank $PMIX_RANK $*"' sh > out 2> err
  expect 0 $?
  expect "rank 0 --threads 1 rank 1 --threads 1 rank 2 --threads 1" "$(sort out | xargs)"
  FANOUT=local:2 RANKS=2 "$fanout" ranks runs/a/adapter sh -c \
    '[ "$PMIX_RANK" = 1 ] || exec sleep 60; exit 65' 2> err
  expect 65 $?
}

case_bad_values() {
  refused() { # code, pattern, settings…
    local code=$1 pattern=$2
    shift 2
    "$cluster" exec env "$@" "$fanout" shares runs/a/samples "$stage" --output runs/a/samples 2> err
    expect "$code" $?
    contains err "^error: .*$pattern"
    expect "" "$(find runs -type f ! -name '*.log' 2> /dev/null)"
  }
  refused 64 'expected local:N' FANOUT=local:0
  refused 64 'expected local:N, slurm or nothing, found foo' FANOUT=foo
  refused 64 'expected local:N' FANOUT=local
  refused 64 'NODES: expected a whole number of 1 or more, found x' FANOUT=slurm NODES=x
  refused 64 'RANKS: expected' FANOUT=slurm RANKS=-1
  refused 64 'THREADS: expected' FANOUT=local:2 THREADS=0
  refused 64 'sbatch refuses: .*nvalid partition.* PARTITION' FANOUT=slurm PARTITION=none
  refused 64 'sbatch refuses: .*unrecognized option' FANOUT=slurm SBATCH=--nonsense
  refused 64 'no sbatch on the PATH' FANOUT=slurm PATH=/nowhere
  FANOUT=local:2 RANKS=2 PATH=/nowhere "$fanout" ranks runs/a/adapter true 2> err
  expect 64 $?
  contains err 'no mpirun on the PATH'
  "$fanout" shares 2> err
  expect 64 $?
  expect "" "$("$fanout" status a)"
}

# MARK: Running them

# In a folder of its own; what it says is shown when it failed.
begin() {
  local begun
  mkdir -p "$work/$1"
  begun=$(date +%s%N)
  # What a case that fails leaves running is told to end.
  if (trap 'for pid in $(jobs -p); do kill -- "$pid" && wait "$pid"; done' EXIT
    cd "$work/$1" && "case_$1") > "$work/$1.out" 2>&1; then
    echo "ok $1" > "$work/$1.result"
  else
    echo "FAILED $1" > "$work/$1.result"
  fi
  echo $((($(date +%s%N) - begun) / 100000000)) > "$work/$1.tenths"
}
failed=0 total=0
tell() {
  local tenths
  total=$((total + 1))
  tenths=$(cat "$work/$1.tenths")
  echo "$(cat "$work/$1.result") ($((tenths / 10)).$((tenths % 10)) s)"
  grep -q '^ok' "$work/$1.result" && return
  failed=$((failed + 1))
  sed 's/^/    /' "$work/$1.out"
  find "$work/$1" -type f -name 'err*' -size +0 -exec sed 's/^/    | /' {} +
}
together() {
  local name pids=()
  for name; do
    begin "$name" &
    pids+=($!)
  done
  wait "${pids[@]}"
  for name; do tell "$name"; done
}

if [ $# -gt 0 ]; then
  for name; do together "$name"; done
else
  together shares
  together ranks
  begin power_cut &
  off=$!
  together bad_values local
  until_there 20 test -e "$work/n1-is-off" -o -e "$work/power_cut.result"
  together error killed_share ctrl_c
  together killed_script quoting local_ranks
  together no_progress held local_signal
  wait $off
  tell power_cut
fi
echo "$((total - failed)) of $total in $SECONDS s"
[ $failed = 0 ]
