#!/bin/bash
# Tests the pipeline's own programs on a private Slurm cluster of two nodes (slurm-cluster.sh): a small
# tiny run by make, spread over the nodes and trained by two ranks, with a node switched off while
# shares are made and a rank killed while it trains. Prints a line for each case; 1 if one failed, 77
# with a reason where there can be no such cluster.
#
#   pipeline-test.sh PROGRAMS [CASE…]     PROGRAMS: the folder of the built programs
set -u
here=$(cd "$(dirname "$0")" && pwd -P)
root=$(readlink -f "$here/../..")
programs=$(readlink -f "${1:?the folder of the programs}")
# Who was switched off is taken for dead soon.
export VLSI_LOCK_PATIENCE=5
tools="sbatch:slurm-wlm mpi_pmix.so:slurm-wlm-basic-plugins munged:munge mpirun:openmpi-bin ip:iproute2"
name="pipeline-test"
export CPUS=2
# shellcheck source=Tests/Cluster/two-nodes.sh
. "$here/two-nodes.sh"

# The graph as a user has it, with a preset that takes seconds.
shop="$work/a run's folder"
mkdir -p "$shop"
cp -r "$root/Makefile" "$root/Package.swift" "$root/pipeline" "$root/data" "$shop"
cd "$shop" || exit 1
touch built
rm -f pipeline/tiny-*.yaml
sed -i -e 's/train_images: .*/train_images: 400/' -e 's/test_questions: .*/test_questions: 64/' \
  -e 's/validation_questions: .*/validation_questions: 30/' -e 's/samples_per_shard: .*/samples_per_shard: 32/' \
  -e 's/^  steps: 200/  steps: 30/' -e 's/^  steps: 1100/  steps: 60/' -e 's/^  steps: 100$/  steps: 20/' \
  -e 's/^  accumulation: 1/  accumulation: 2/' -e 's/^  samples_per_batch: 16/  samples_per_batch: 8/' \
  -e 's/schedule_offset: .*/schedule_offset: 60/' -e 's/schedule_steps: .*/schedule_steps: 80/' \
  pipeline/tiny.yaml
run() { make BIN="$programs" BUILT=built COMPARE=0 "$@"; }
slurm() { "$cluster" exec env FANOUT_POLL=1 make BIN="$programs" BUILT=built COMPARE=0 THREADS=1 "$@"; }
content() { sed -n 's/.*"content": *"\([^"]*\)".*/\1/p' "$1/manifest.json"; }
# The content of an artifact of the run as one process made it, and as it is now.
same() { expect "$(content "plain/$1")" "$(content "runs/tiny/$1")"; }

# What one process makes: the measure for all that follows.
run THREADS=1 target-tiny evaluate-tiny > plain.log 2>&1 || { cat plain.log; echo "FAILED plain"; exit 1; }
mkdir plain && mv runs/tiny/* plain/ && rm -rf runs

case_spread() {
  slurm distill-tiny FANOUT=slurm NODES=2 RANKS=2 > log 2>&1 || { tail -n 40 log; exit 1; }
  for artifact in samples features/teacher features/student verbalizers/teacher targets evaluation/student; do
    same $artifact
  done
  grep -q '2 ranks of 1 thread' runs/tiny/.fanout/adapter/*.log || expect "2 ranks" none
  expect 2 "$(grep -l 'share [01]-of-2' runs/tiny/.fanout/features-teacher/*.log | wc -l)"
  # Nothing is done twice.
  slurm distill-tiny FANOUT=slurm NODES=2 RANKS=2 > again 2>&1
  grep -q 'Nothing to do' again || { cat again; exit 1; }
  run status-tiny > status 2>&1
  grep -q 'runs/tiny/model: finished' status || { cat status; exit 1; }
}

case_power_cut() {
  rm -rf runs/tiny/features/teacher
  slurm runs/tiny/features/teacher/manifest.json FANOUT=slurm NODES=2 SHARES=4 > log 2>&1 &
  until_there 20 eval 'grep -l n1 runs/tiny/features/teacher/.lock-*-of-4'
  "$cluster" kill n1
  wait $! || { tail -n 40 log; exit 1; }
  "$cluster" start n1
  same features/teacher
}

# The processes of a program on any node.
processes() { pgrep -f "^$programs/$1 " | sort; }

case_killed_rank() {
  rm -rf runs/tiny/adapter runs/tiny/model
  sed -i -e 's/^  steps: 60/  steps: 160/' -e 's/^  lora_rank/  checkpoint_minutes: 0.02\n&/' pipeline/tiny.yaml
  slurm align-tiny FANOUT=slurm RANKS=2 > log 2>&1 &
  until_there 30 eval '[ -e runs/tiny/adapter/unfinished/state.safetensors ]'
  kill -9 "$(processes vlsi-align | tail -n 1)"
  wait $! || { tail -n 40 log; exit 1; }
  grep -q 'once more' log || { cat log; exit 1; }
  grep -q 'continuing after step' log || { cat log; exit 1; }
  expect 160 "$(wc -l < runs/tiny/adapter/metrics.jsonl)"
}

failed=0 all=0 begun=$SECONDS
shift
[ $# -gt 0 ] || set -- spread power_cut killed_rank
for name; do
  all=$((all + 1))
  before=${EPOCHREALTIME/./}
  if said=$(case_"$name" 2>&1); then
    printf 'ok %s (%s s)\n' "$name" "$(((${EPOCHREALTIME/./} - before) / 1000000))"
  else
    failed=$((failed + 1))
    printf 'FAILED %s\n%s\n' "$name" "$said"
  fi
done
echo "$((all - failed)) of $all in $((SECONDS - begun)) s"
[ "$failed" = 0 ]
