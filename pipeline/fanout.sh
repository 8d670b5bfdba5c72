#!/bin/bash
# Runs a stage's command where FANOUT says, and returns when it is done, with its exit code:
#
#   fanout.sh shares OUTPUT CMD…   in shares side by side (CMD… --share i/n), then once without
#   fanout.sh single OUTPUT CMD…   as it is
#   fanout.sh ranks  OUTPUT CMD…   as RANKS processes of MPI
#   fanout.sh status RUN           what of a run is queued and running under Slurm
#
# FANOUT=local:N   N processes on this machine       FANOUT=slurm   jobs       empty: the command itself
# SHARES=n         how many shares (default: N, or NODES)        RANKS=n   how many processes of MPI
# THREADS=n        of each process (default: its part of the cores; under Slurm a node of its own)
# NODES=n          Slurm: tasks at a time            PARTITION=name   SBATCH="further options"
# MPI=pmix         what srun takes for --mpi         FANOUT_POLL=10   seconds at most between two looks
#
# Under Slurm the logs and the job's id lie in runs/NAME/.fanout/ARTIFACT/. A signal cancels the job and
# ends with 75; after SIGKILL the same call waits for the job that still runs.
set -u

refuse() { printf 'error: %s\n' "$2" >&2; exit "$1"; }
# Variable, whether 1 or more where it is set.
check_number() {
  case ${!1:-1} in
    *[!0-9]* | 0* | ???????*) refuse 64 "$1: expected a whole number of 1 or more, found ${!1}" ;;
  esac
}

# What the exit code of a program stands for: done, again (75, or ended from outside), or the code of
# an error. Signals that a bug raises are 70, a program that is not there 66.
meaning() {
  case $1 in
    0) echo "done" ;;
    75 | 129 | 130 | 137 | 138 | 140 | 143 | 152) echo again ;;
    126 | 127) echo 66 ;;
    6[4-9] | 7[0-9]) echo "$1" ;;
    *) echo 70 ;;
  esac
}

# MARK: On this machine

# Each process has a group of its own: a terminal's Ctrl-C reaches this script alone, which tells every
# program once. A second signal would end it in the middle of its work.
has_threads() {
  local word
  for word; do case $word in --threads | --threads=*) return 0 ;; esac; done
  return 1
}
# The command, with the threads of one of $1 processes.
with_threads() {
  local parts=$1 cores each
  shift
  command=("$@")
  has_threads "$@" && return
  cores=$(nproc)
  each=$((cores / parts))
  command+=(--threads "${THREADS:-$((each > 0 ? each : 1))}")
}

signals=0
tell() { # from the trap: passes a signal on, each time
  signals=$((signals + 1))
  local pid
  for pid in "${told[@]}"; do kill -TERM -- "$pid" 2> /dev/null; done
}

# Share $1 in the background. Its messages begin with its number.
start_share() {
  (
    trap : INT TERM HUP
    { exec -- "${command[@]}" --share "$1/$SHARES" 2>&1 >&3 3>&- < /dev/null; } 3>&1 | {
      trap '' INT TERM HUP
      while IFS= read -r line || [ -n "$line" ]; do printf '[%s] %s\n' "$1/$SHARES" "$line"; done >&2
    }
    exit "${PIPESTATUS[0]}"
  ) &
  pids[$1]=$!
  told[$1]=-$!
}

local_shares() {
  local next=0 i code worst=0 interrupted=0
  declare -a pids=() told=()
  with_threads "$parts" "$@"
  set -m
  trap tell INT TERM HUP
  while [ "$next" -lt "$SHARES" ] || [ "${#pids[@]}" -gt 0 ]; do
    while [ "$signals" = 0 ] && [ "$next" -lt "$SHARES" ] && [ "${#pids[@]}" -lt "$parts" ]; do
      start_share "$next"
      next=$((next + 1))
    done
    [ "${#pids[@]}" -gt 0 ] || break
    # Until one is done, or a signal came.
    wait -n
    for i in "${!pids[@]}"; do
      kill -0 "${pids[i]}" 2> /dev/null && continue
      wait "${pids[i]}"
      code=$?
      unset "pids[i]" "told[i]"
      case $(meaning "$code") in
        done) ;;
        again) interrupted=1
          [ "$signals" != 0 ] || echo "$output: share $i/$SHARES was interrupted ($code)" >&2 ;;
        *)
          printf 'error: %s: share %s ended with %s\n' "$output" "$i/$SHARES" "$code" >&2
          code=$(meaning "$code")
          [ "$code" -le "$worst" ] || worst=$code ;;
      esac
    done
  done
  [ "$signals" = 0 ] || exit 75
  [ "$worst" = 0 ] || exit "$worst"
  [ "$interrupted" = 0 ] || exit 75
  trap - INT TERM HUP
  exec -- "${command[@]}"
}

# The processes that process $1 started.
children() {
  local file line
  for file in /proc/[0-9]*/stat; do
    { read -r line < "$file"; } 2> /dev/null || continue
    # After the name in brackets: the state, the parent.
    # shellcheck disable=SC2086 # words
    set -- "$1" ${line##*) }
    [ "$3" != "$1" ] || { file=${file#/proc/}; echo "${file%/stat}"; }
  done
}

local_ranks() {
  local launcher version code pid openmpi=''
  declare -a start=() told=()
  for launcher in mpirun mpiexec mpirun.openmpi mpiexec.hydra mpiexec.mpich ''; do
    command -v "$launcher" > /dev/null || continue
    version=$("$launcher" --version 2>&1)
    case $version in
      *"Open MPI"* | *OpenRTE*) openmpi=yes; break ;;
      *HYDRA* | *MPICH* | *"Intel(R) MPI"*) break ;;
    esac
  done
  [ -n "$launcher" ] || refuse 64 \
    "RANKS=$RANKS: no mpirun on the PATH; expected Open MPI or MPICH. apt-get install openmpi-bin"
  with_threads "$RANKS" "$@"
  start=("$launcher" -n "$RANKS")
  if [ -n "$openmpi" ]; then
    # A slot is a core to it, not a thread of one.
    [ "$(lscpu -p=core,socket 2> /dev/null | grep -v '^#' | sort -u | grep -c .)" -ge "$RANKS" ] ||
      start+=(--oversubscribe)
    start+=(--bind-to none)
    [ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi
  set -m
  trap tell INT TERM HUP
  "${start[@]}" "${command[@]}" < /dev/null &
  pid=$!
  # Open MPI's mpirun does not pass SIGTERM on but ends its processes; MPICH's mpiexec does.
  if [ -n "$openmpi" ]; then
    trap 'mapfile -t told < <(children "$pid"); [ -n "${told[*]}" ] || told=("$pid"); tell' INT TERM HUP
  else
    told=("$pid")
  fi
  while wait "$pid"; code=$?; [ "$code" -gt 128 ] && kill -0 "$pid" 2> /dev/null; do :; done
  [ "$signals" = 0 ] || exit 75
  case $(meaning "$code") in
    done) exit 0 ;;
    again) exit 75 ;;
    *) exit "$(meaning "$code")" ;;
  esac
}

# MARK: Under Slurm

# What a user set for squeue and scancel would change what they say here, and what a job has that this
# is called in is not the new one's.
clear_environment() {
  local name
  unset "${!SQUEUE_@}" "${!SCANCEL_@}" SBATCH_WAIT
  for name in "${!SLURM_@}"; do
    case $name in
      SLURM_CONF | SLURM_CONF_SERVER | SLURM_CLUSTERS | SLURM_JWT) ;;
      *) unset "$name" ;;
    esac
  done
}

# Of OUTPUT: the folder of its logs, and what its jobs are called.
name_output() {
  local inside=${output#"$PWD"/}
  while [ "${inside#./}" != "$inside" ]; do inside=${inside#./}; done
  case $inside in
    runs/*/?*)
      label=${inside#runs/}
      logs=runs/${label%%/*}/.fanout/$(printf '%s' "${label#*/}" | tr / -)
      ;;
    *)
      label=${output##*/}
      case $output in
        */*) logs=${output%/*}/.fanout/$label ;;
        *) logs=./.fanout/$label ;;
      esac
      ;;
  esac
  case $logs in [./]* | runs/*) ;; *) logs=./$logs ;; esac
  # By name a job is found again: a digest of what it does is a part of it.
  label=$(printf '%s' "$label" | LC_ALL=C tr -c 'A-Za-z0-9._-' - | cut -c 1-60)
  label+=.$(printf '%s\0' "$(pwd -P)" "$mode" "$output" "${SHARES:-}" "${RANKS:-}" "$@" |
    cksum | cut -d ' ' -f 1)
}

# To the terminal, and to the log that is the lock too.
say() {
  printf '%s: %s\n' "$output" "$*" >&2
  printf '%(%F %T)T %s\n' -1 "$*" >&9
}
fault() {
  printf 'error: %s: %s\n' "$output" "$*" >&2
  printf '%(%F %T)T error: %s\n' -1 "$*" >&9
}
leave() {
  printf '%(%F %T)T %s ended with %s\n' -1 "$label" "$1" >&9
  exit "$1"
}
# Signals are heard at once. The lock does not live on in what waits.
patiently() {
  "$@" 9>&- &
  waiting=$!
  wait "$waiting"
  waiting=''
}

# One call at a time works on an artifact; the next one waits, and takes over how it ended. Where the
# file system has no locks, both wait for one job.
take_turn() {
  local before ended
  exec 9>> "$logs/fanout.log" || refuse 73 "$logs: cannot write there"
  command -v flock > /dev/null || return 0
  before=$(wc -c < "$logs/fanout.log")
  flock --nonblock 9
  [ $? = 1 ] || return 0
  printf '%s: %s\n' "$output" "another call works on it: waits for that" >&2
  flock 9 &
  waiting=$!
  wait "$waiting"
  waiting=''
  ended=$(tail -c "+$((before + 1))" "$logs/fanout.log" | sed -n "s/^.* $label ended with //p" | tail -n 1)
  case $ended in
    '' | 75) ;;
    0) exit 0 ;;
    *) refuse "$ended" "$output: the other call ended with $ended; see $logs/fanout.log" ;;
  esac
}

# Ends job and script.
stop() {
  trap '' INT TERM HUP
  [ -z "$waiting" ] || kill "$waiting" 2> /dev/null
  [ -n "$job$submitting" ] || exit 75
  say "interrupted: cancels ${job:+job $job}${submitting:+what was submitted}"
  # Programs get SIGTERM once, and the cluster's KillWait to stop in order.
  local which=${job:-"--name=$submitting"} left
  left=$(exec 9>&-; scancel "$which" 2>&1) || case $left in
    *"Invalid job id"* | *"already complet"*) ;;
    *) fault "$left; try: scancel $which" ;;
  esac
  [ -z "$job" ] || for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
    left=$(exec 9>&-; squeue --all --noheader --job="$job" 2> /dev/null)
    [ -n "$left" ] || break
    patiently sleep 0.4
  done
  rm -f -- "$logs/job" "$logs/${job:-none}"_*.code
  leave 75
}

# What each task runs. Quoted here, read once by its shell, in letters of ASCII alone.
script() {
  local LC_ALL=C variable
  echo '#!/bin/bash'
  for variable in $(compgen -A export VLSI_); do
    printf 'export %s=%q\n' "$variable" "${!variable}"
  done
  printf 'at=%q\n' "$logs"
  # Slurm takes no such letter in the path of a log.
  case $PWD$logs in *\\*) echo 'log=yes' ;; esac
  cat << 'END'
at+=/${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}_${SLURM_ARRAY_TASK_ID:-0}
[ -z "${log:-}" ] || exec >> "$at.log" 2>&1
rm -f -- "$at".code "$at".rank*.code
# Slurm tells the program itself, which stops in order.
trap : TERM INT HUP
END
  case $task in
    ranks)
      # srun gives the highest code, that of a rank which it ended because another failed.
      printf 'srun --mpi=%q --kill-on-bad-exit=1 --cpu-bind=none --export=ALL ' "${MPI:-pmix}"
      [ -z "${THREADS:-}" ] || printf -- '--cpus-per-task=%s ' "$THREADS"
      cat << 'END'
/bin/bash -c 'trap : TERM INT HUP; "$@"; code=$?
  [ $code = 0 ] || echo $code > "$0.rank$SLURM_PROCID.code"; exit $code' "$at" \
END
      ;;
    *) printf 'command -- ' ;;
  esac
  printf '%q ' "${command[@]}"
  # shellcheck disable=SC2016 # for the task's shell
  [ "$task" != shares ] || printf -- '--share "$SLURM_ARRAY_TASK_ID"/%s' "$SHARES"
  cat << 'END'

code=$?
error=0
for file in "$at".rank*.code; do
  { read -r rank < "$file"; } 2> /dev/null || continue
  [ "$rank" -ge 64 ] && [ "$rank" -le 78 ] && [ "$rank" != 75 ] && [ "$rank" -gt "$error" ] && error=$rank
  rm -f -- "$file"
done
[ "$error" = 0 ] || code=$error
echo "$code" > "$at.code"
exit "$code"
END
}

# Submits the tasks $todo of the command; their job is $job.
submit() {
  local options extra text until=$((SECONDS + 300)) pattern
  case $logs in /*) pattern=$logs ;; *) pattern=$PWD/$logs ;; esac
  pattern=${pattern//%/%%}
  options=(--parsable --requeue --open-mode=append --chdir="$PWD")
  read -ra extra <<< "${SBATCH:-}"
  case $task in
    shares)
      options+=(--array="$todo${NODES:+%$NODES}" --output="$pattern/%A_%a.log" --ntasks=1 --nodes=1) ;;
    single) options+=(--output="$pattern/%j_0.log" --ntasks=1 --nodes=1) ;;
    ranks)
      options+=(--output="$pattern/%j_0.log" --ntasks="$RANKS")
      [ -n "${THREADS:-}" ] || options+=(--nodes="$RANKS" --ntasks-per-node=1) ;;
  esac
  case $pattern in *\\*) options+=(--output=/dev/null) ;; esac
  if [ -n "${THREADS:-}" ]; then
    options+=(--cpus-per-task="$THREADS")
  else
    # A whole node has its memory too.
    options+=(--exclusive)
    case " ${SBATCH:-}" in *" --mem"*) ;; *) options+=(--mem=0) ;; esac
  fi
  [ -z "${PARTITION:-}" ] || options+=(--partition="$PARTITION")
  options+=("${extra[@]}" --job-name="$name")
  rm -f -- "$logs"/*.code
  while :; do
    submitting=$name
    if text=$(exec 9>&-; script | sbatch "${options[@]}" 2>&1); then
      job=$(sed -n 's/^\([0-9][0-9]*\)\(;.*\)\{0,1\}$/\1/p' <<< "$text" | tail -n 1)
      [ -n "$job" ] || { fault "sbatch gave no job: $text"; leave 74; }
      submitting=
      break
    fi
    case $text in
      *"ontact"*"controller"* | *"timed out"* | *"onnection"* | *"emporar"*) ;;
      *) submitting=; fault "sbatch refuses: ${text//$'\n'/; }. Look at PARTITION, NODES, THREADS, SBATCH"
        leave 64 ;;
    esac
    [ "$SECONDS" -lt "$until" ] || { fault "Slurm does not answer: ${text//$'\n'/; }"; leave 74; }
    say "Slurm does not answer, tries again: ${text%%$'\n'*}"
    patiently sleep 5
    # It may have heard all the same.
    find_job && return
  done
  printf '%s %s %s\n' "$job" "$name" "$todo" > "$logs/job"
  say "Slurm job $job submitted${1:+, $1}; logs: $logs/${job}_*.log"
}

# Whether a job called $name is queued or runs: then $job, and in $todo the tasks that it has. One that
# is being cancelled is waited for.
find_job() {
  local text until=$((SECONDS + 300)) warned='' id called tasks
  while :; do
    if text=$(exec 9>&-; squeue --all --noheader --name="$name" --format='%F|%T' 2>&1); then
      text=$(grep -E '^[0-9]+\|[A-Z_]+$' <<< "$text")
      [ -n "$text" ] || return 1
      if grep -qv COMPLETING <<< "$text"; then
        job=$(grep -v COMPLETING <<< "$text" | sort -n | tail -n 1)
        job=${job%%|*}
        submitting=
        { read -r id called tasks < "$logs/job"; } 2> /dev/null &&
          [ "$id $called" = "$job $name" ] && todo=$tasks
        printf '%s %s %s\n' "$job" "$name" "$todo" > "$logs/job"
        return 0
      fi
      [ -n "$warned" ] || say "waits for the end of job ${text%%|*}"
    else
      [ "$SECONDS" -lt "$until" ] || { fault "Slurm does not answer: ${text//$'\n'/; }"; leave 74; }
      [ -n "$warned" ] || say "Slurm does not answer, tries again: ${text%%$'\n'*}"
    fi
    warned=yes
    patiently sleep 1
  done
}

# What squeue says of a job's tasks, as three lines: what does not change by counting, a sentence, and
# the reason why nothing goes on, if so. Then how many are left.
read -r -d '' summary << 'AWK'
BEGIN { FS = "|" }
function say(state, where) {
  text = text (text == "" ? "" : ", ") (tasks > 1 ? count[state] " " : "") state (where == "" ? "" : " on" where)
  # Those two come and go.
  sub(/ \((Priority|Resources)\)$/, "", state)
  if (!(state in told)) signature = signature state ";"
  told[state]
}
NF != 3 { next }
{
  left++
  state = "running"
  if ($1 == "PENDING" || $1 ~ /REQUEUE|HOLD|SPECIAL/) state = "waiting" ($2 == "None" ? "" : " (" $2 ")")
  else if ($1 == "SUSPENDED" || $1 == "STOPPED") state = "suspended"
  if (!(state in count)) order[++states] = state
  count[state]++
  if (state == "running" && $3 != "" && !(($3) in seen)) { seen[$3]; if (++nodes <= 8) on = on " " $3 }
  if ($2 ~ /JobHeldAdmin|JobHoldMaxRequeue|launch failed/ || $1 ~ /HOLD|SPECIAL/) { held++; why = $2 }
  else if ($2 ~ /^(PartitionNodeLimit|PartitionConfig|BadConstraints|InvalidAccount|InvalidQOS)$/) { never++; why = $2 }
}
END {
  if ("running" in count) say("running", on (nodes > 8 ? " …" : ""))
  for (i = 1; i <= states; i++) if (order[i] != "running") say(order[i], "")
  print signature
  print text
  print (left && held == left ? "held " why : left && never == left ? "never " why : "")
  print left + 0
}
AWK

# What the log of a job of one task says beyond what was shown.
show_log() {
  local log=$logs/${job}_0.log size
  [ -n "$shown" ] && { size=$(wc -c < "$log"); } 2> /dev/null && [ "$size" -gt "$shown" ] || return 0
  tail -c "+$((shown + 1))" -- "$log" | head -c "$((size - shown))" >&2
  shown=$size
}

# Until no task of $job is in the queue. A look that fails says nothing: the controller may be busy, or
# start again.
follow() {
  local pause=0.2 text lines before='' begun=$SECONDS said=$SECONDS silent='' never=0 ready=''
  while :; do
    if text=$(exec 9>&-; squeue --all --noheader --array --job="$job" --format='%T|%r|%N' 2>&1); then
      silent=
      mapfile -t lines < <(awk -v tasks="$tasks" "$summary" <<< "$text")
      [ "${lines[3]}" != 0 ] || break
      [ "$task" != shares ] || ready=", $((SHARES - lines[3])) of $SHARES shares done"
      case ${lines[0]} in
        # Not yet looked at, most likely.
        "waiting;") [ $((SECONDS - begun)) -ge 5 ] || lines[0]=$before ;;
      esac
      if [ "${lines[0]}" != "$before" ]; then
        say "job $job: ${lines[1]}$ready"
        before=${lines[0]} said=$SECONDS
      elif [ $((SECONDS - said)) -ge 60 ] && [ -n "$ready" ]; then
        say "job $job: ${lines[1]}$ready"
        said=$SECONDS
      fi
      case ${lines[2]} in
        held*)
          fault "job $job is held (${lines[2]#held }): nobody will start it. Look at its node and logs in" \
            "$logs, then scontrol release $job and run this again, or scancel $job"
          leave 74 ;;
        never*)
          # It may be so for a moment, while nodes come and go.
          never=$((never + 1))
          [ "$never" -lt 8 ] || {
            scancel "$job" 9>&-
            fault "Slurm would never start job $job (${lines[2]#never }); cancelled. Look at PARTITION," \
              "RANKS, THREADS, SBATCH"
            rm -f -- "$logs/job"
            leave 64; } ;;
        *) never=0 ;;
      esac
    else
      case $text in *"Invalid job id"*) break ;; esac
      [ -n "$silent" ] || say "Slurm does not answer, waits: ${text%%$'\n'*}"
      silent=yes
    fi
    show_log
    patiently sleep "$pause"
    pause=$(LC_ALL=C awk -v p="$pause" -v most="${FANOUT_POLL:-10}" \
      'BEGIN { p *= 1.4; print (p < most ? p : most) }')
  done
  show_log
}

# What became of the tasks of $job: their numbers in again, cancelled and failed, the worst code. The
# tasks' files decide; Slurm knows of those that could write none, as long as it remembers.
judge() {
  local i code record what
  declare -A state=() ended=()
  again=() cancelled=() failed=() worst=0
  while read -r i what code; do
    state[$i]=$what ended[$i]=$code
  done < <(scontrol --oneliner show job "$job" 2> /dev/null 9>&- | LC_ALL=C awk '{
    task = 0; what = ""; code = ""
    for (i = 1; i <= NF; i++) {
      if ($i ~ /^ArrayTaskId=/) task = substr($i, 13)
      else if ($i ~ /^JobState=/ && what == "") what = substr($i, 10)
      else if ($i ~ /^ExitCode=/ && code == "") code = substr($i, 10)
    }
    if (what != "") print task, what, code }')
  for i in $(numbers "$todo"); do
    record=$logs/${job}_$i code=
    { read -r code < "$record.code"; } 2> /dev/null
    case ${code:-x}:${state[$i]:-}:${ended[$i]:-} in
      x:COMPLETED:*) code=0 ;;
      x:FAILED:0:53) code=launch ;;
      x:FAILED:0:*) code=$((128 + ${ended[$i]#0:})) ;;
      x:FAILED:*) code=${ended[$i]%%:*} ;;
      [1-9]*:OUT_OF_MEMORY:* | x:OUT_OF_MEMORY:*) code=memory ;;
      75:CANCELLED:* | 1[2-5][0-9]:CANCELLED:* | x:CANCELLED:*) code=cancelled ;;
      x:*) code=75 ;;
    esac
    case $code in
      launch) what="could not begin; can its node write to $logs?" code=74 ;;
      memory) what="ran out of memory; try SBATCH=--mem=…" code=74 ;;
      cancelled) cancelled+=("$i"); continue ;;
      *) what="ended with $code" code=$(meaning "$code") ;;
    esac
    case $code in
      done) continue ;;
      again) again+=("$i"); continue ;;
    esac
    [ "$code" -le "$worst" ] || worst=$code
    failed+=("$i")
    [ "${#failed[@]}" -le 5 ] || continue
    case $task in
      shares) fault "share $i/$SHARES $what; the end of its log $record.log:" ;;
      *) fault "the job $what; its log is $record.log" ;;
    esac
    [ -n "$shown" ] || tail -n 5 -- "$record.log" 2> /dev/null | sed 's/^/  /' >&2
  done
  [ "${#failed[@]}" -le 5 ] || fault "and $((${#failed[@]} - 5)) more shares"
  rm -f -- "$logs/${job}"_*.code "$logs/job"
}

# 0-3 or 1,5 as words.
numbers() {
  case $1 in
    *-*) seq "${1%-*}" "${1#*-}" ;;
    *) tr , '\n' <<< "$1" ;;
  esac
}

# What an interrupted task leaves is progress when this changes.
mark() {
  find "$output" -type f ! -name '.*' ! -name '*.partial' ! -name '*.jsonl' -printf '%p %s\n' 2> /dev/null |
    sort | cksum
}

# Task kind $1, job name $2: submitted, or found, and waited for, until all of it is done.
complete() {
  local fruitless=0 before now open
  task=$1 name=$2
  todo=0
  [ "$task" != shares ] || todo=0-$((SHARES - 1))
  tasks=$(numbers "$todo" | grep -c .)
  open=$tasks before=$(mark)
  while :; do
    shown=0
    [ "$task" != shares ] || shown=
    if find_job; then
      say "Slurm job $job is there already: waits for it"
      # Its end is shown when it fails.
      shown=
    else
      if [ "$task" = shares ]; then submit "$tasks of $SHARES shares"; else submit ""; fi
    fi
    follow
    judge
    job=
    [ "${#failed[@]}" = 0 ] || leave "$worst"
    [ "${#cancelled[@]}" = 0 ] || { fault "somebody cancelled the job. Run this again to continue"; leave 75; }
    [ "${#again[@]}" != 0 ] || return 0
    now=$(mark)
    if [ "$now" = "$before" ] && [ "${#again[@]}" -ge "$open" ]; then
      fruitless=$((fruitless + 1))
    else
      fruitless=1
    fi
    before=$now open=${#again[@]}
    [ "$fruitless" -lt 5 ] || {
      fault "interrupted 5 times without progress; the logs are in $logs. Run this again to continue"
      leave 75; }
    todo=$(IFS=,; echo "${again[*]}") tasks=$open
    if [ "$task" = shares ]; then say "interrupted: $open of $SHARES shares, once more"
    else say "interrupted: once more"; fi
  done
}

under_slurm() {
  local tool
  for tool in sbatch squeue scancel scontrol; do
    command -v "$tool" > /dev/null || refuse 64 \
      "FANOUT=slurm: no $tool on the PATH; expected Slurm's programs, as where its users log in"
  done
  clear_environment
  name_output "$@"
  mkdir -p -- "$logs" || refuse 73 "$logs: cannot make this folder"
  command=("$@") job='' submitting='' waiting=''
  trap stop INT TERM HUP
  take_turn
  if [ "$mode" = shares ]; then
    # The last job first: where it is there, the shares are done.
    name=$label.last todo=0
    find_job || complete shares "$label"
    job=
    complete single "$label.last"
  else
    complete "$mode" "$label"
  fi
  leave 0
}

# MARK: What there is

show_status() {
  local run=$1 file id name text rest
  [ -d "$run" ] || run=runs/$run
  for file in "$run"/.fanout/*/job; do
    { read -r id name _ < "$file"; } 2> /dev/null || continue
    rest=${file%/job}
    if text=$(squeue --all --noheader --job="$id" --name="$name" --format='%i|%T|%M|%R' 2>&1); then
      grep '|' <<< "$text" | sed "s|^|${rest##*/}\||" | tr '|' '\t'
    else
      case $text in
        *"Invalid job id"*) ;;
        *) refuse 74 "Slurm does not answer: ${text%%$'\n'*}" ;;
      esac
    fi
  done
  return 0
}

# MARK: The command line

mode=${1:-}
case $mode in
  shares | single | ranks)
    [ "$#" -ge 3 ] || refuse 64 "fanout.sh $mode: expected OUTPUT and a command" ;;
  status)
    [ "$#" = 2 ] || refuse 64 "fanout.sh status: expected a run"
    unset "${!SQUEUE_@}"
    show_status "$2"
    exit 0 ;;
  *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2; exit 64 ;;
esac
output=$2
shift 2
while [ "$output" != / ] && [ "${output%/}" != "$output" ]; do output=${output%/}; done
for word in NODES SHARES RANKS THREADS FANOUT_POLL; do check_number "$word"; done

# One rank, or no number, is a process like any other.
[ "$mode" != ranks ] || [ "${RANKS:-1}" != 1 ] || mode=single
case ${FANOUT:-} in
  '') [ "$mode" = ranks ] && local_ranks "$@" ;;
  local:*)
    parts=${FANOUT#local:}
    case $parts in
      *[!0-9]* | 0* | '' | ?????*) refuse 64 "FANOUT: expected local:N with N of 1 or more, found $FANOUT" ;;
    esac
    SHARES=${SHARES:-$parts}
    case $mode in
      shares) [ "$SHARES" = 1 ] || local_shares "$@" ;;
      ranks) local_ranks "$@" ;;
    esac
    ;;
  slurm)
    # One share is the whole.
    SHARES=${SHARES:-${NODES:-1}}
    [ "$mode:$SHARES" != shares:1 ] || mode=single
    under_slurm "$@"
    ;;
  *) refuse 64 "FANOUT: expected local:N, slurm or nothing, found $FANOUT" ;;
esac
exec -- "$@"
