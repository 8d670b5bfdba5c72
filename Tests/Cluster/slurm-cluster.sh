#!/bin/bash
# A private Slurm cluster on this one machine, for the tests: a head and N nodes, each in namespaces
# of its own (net, pid, mount, uts, ipc), under one folder. Everything lives below one process: `down`
# ends that one and the kernel takes the rest, namespaces and interfaces included.
#
#   slurm-cluster.sh up N | down | exec CMD… | kill NODE | start NODE
#
# SLURM_CLUSTER=folder (default /tmp/slurm-cluster)   CPUS=n a node (default: the machine's)
# `exec` runs CMD as on a login node: sbatch, srun, squeue, … and `make FANOUT=slurm …` work there.
# `kill` is a node's power cut, `start` switches it on again. Needs root, slurm-wlm, munge, iproute2.
set -eu
PATH=$PATH:/usr/sbin:/sbin
self=$(readlink -f "$0")
dir=$(readlink -m "${SLURM_CLUSTER:-/tmp/slurm-cluster}")
net=10.211.0
# The daemons outlive this call: a lock that the caller holds by an open file must not live on in them.
shut() { local fd; for fd in /proc/self/fd/*; do fd=${fd##*/}; [ "$fd" -le 2 ] || eval "exec $fd>&-"; done; }
fail() { echo "slurm-cluster: $*" >&2; exit 1; }

# The head's first process, by id and start time: an id alone may be somebody else's by now.
born() { sed 's/.*) //' "/proc/$1/stat" 2> /dev/null | cut -d' ' -f20; }
head_id() {
  local id at
  { read -r id at < "$dir/head.id"; } 2> /dev/null || return 1
  [ -n "$at" ] && [ "$(born "$id")" = "$at" ] && echo "$id"
}
inside() { nsenter --target "$(head_id)" --net --uts --pid --mount -- "$@"; }
login() { SLURM_CONF=$dir/slurm.conf nsenter --target "$(head_id)" --net --uts -- "$@"; }

configure() {
  local n=$1 cpus=${CPUS:-$(nproc)} mem
  mem=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  mkdir -p "$dir"/{log,run,state,tmp} && chmod 755 "$dir"
  [ -s "$dir/munge.key" ] || (umask 077 && head -c 128 /dev/urandom > "$dir/munge.key")
  { echo "127.0.0.1 localhost"; echo "$net.1 head"
    for i in $(seq "$n"); do echo "$net.$((10 + i)) n$i"; done; } > "$dir/hosts"
  # PMIx would use /tmp, under one name on all nodes: each node has a file system of its own here.
  echo "PMIxCliTmpDirBase=$dir/tmp" > "$dir/mpi.conf"
  cat > "$dir/slurm.conf" <<CONF
ClusterName=private
SlurmctldHost=head($net.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
# No cgroups: processes are found in /proc, nobody is bound.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
# All nodes are one machine: what the file says holds, whatever slurmd finds.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
# Lost nodes are noticed in seconds, come back by themselves, their jobs are queued again: after
# cred_expire, which is two minutes unless said.
SlurmdTimeout=4
MessageTimeout=2
TCPTimeout=1
ReturnToService=2
JobRequeue=1
KillWait=15
UnkillableStepTimeout=10
MaxArraySize=10001
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,sched_interval=1,bf_interval=1,batch_sched_delay=0
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
$(for i in $(seq "$n"); do
  echo "NodeName=n$i NodeAddr=$net.$((10 + i)) CPUs=$cpus RealMemory=$mem State=UNKNOWN"; done)
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
}

# Slurm's PMIx asks for libpmix.so, which Debian has under its number alone where there are no headers.
pmix_by_name() {
  local lib
  lib=$(echo /usr/lib/*/pmix2/lib)
  [ -e "$lib/libpmix.so.2" ] && [ ! -e "$lib/libpmix.so" ] || return 0
  mkdir -p "$dir/pmix"
  cp -Rn "$lib/." "$dir/pmix"
  ln -sfn libpmix.so.2 "$dir/pmix/libpmix.so"
  mount --bind "$dir/pmix" "$lib"
}

# The head's first process; its end is the cluster's.
be_head() {
  shut
  hostname head
  mount --bind "$dir/hosts" /etc/hosts
  mount --bind /dev/null /etc/resolv.conf
  pmix_by_name
  ip link set lo up
  ip link add br0 type bridge && ip addr add $net.1/24 dev br0 && ip link set br0 up
  munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" \
    --pid-file="$dir/run/munged.pid" --log-file="$dir/log/munged.log" --seed-file="$dir/run/munge.seed"
  for i in $(seq "$1"); do "$self" _start "n$i"; done
  # After the nodes: one that is not there yet at slurmctld's first ping costs its next ping.
  slurmctld -f "$dir/slurm.conf" -c
  # bash reaps whom its children leave behind.
  while :; do sleep 3600 & wait $! || :; done
}

# Inside the head's namespaces: a node, and the wire to it.
start_node() {
  local node=$1 id
  id=$(cat "$dir/run/$node.id" 2> /dev/null) && [ -d "/proc/$id" ] && return 0
  ip link del "to-$node" 2> /dev/null || :
  ip link add "to-$node" type veth peer name "at-$node"
  ip link set "to-$node" master br0 up
  rm -f "$dir/run/$node.fifo"; mkfifo "$dir/run/$node.fifo"
  (shut; exec unshare --net --uts --pid --ipc --mount --fork --kill-child --mount-proc \
    "$self" _node "$node") < /dev/null > "$dir/log/$node.log" 2>&1 &
  echo $! > "$dir/run/$node.id"
  # The node waits for its wire; its namespace is that of the process which has it open.
  read -r id < "$dir/run/$node.fifo"
  ip link set "at-$node" netns "$(pgrep -P "$(cat "$dir/run/$node.id")")"
  echo wired > "$dir/run/$node.fifo"
}

be_node() {
  shut
  hostname "$1"
  mount -t tmpfs -o mode=1777 tmpfs /dev/shm
  mount -t tmpfs -o mode=1777 tmpfs "$dir/tmp"
  mkdir -p "$dir/spool.$1"
  echo $$ > "$dir/run/$1.fifo"
  read -r _ < "$dir/run/$1.fifo"
  ip link set lo up
  ip link set "at-$1" name eth0
  ip addr add "$net.$((10 + ${1#n}))/24" dev eth0 && ip link set eth0 up
  slurmd -f "$dir/slurm.conf" -N "$1" -c
  while :; do sleep 3600 & wait $! || :; done
}

up() {
  local n=$1 tool outer id=
  case $n in [1-9] | [1-9][0-9]) ;; *) fail "up N, with N of 1 to 99" ;; esac
  [ "$(id -u)" = 0 ] || fail "needs root, for namespaces"
  for tool in slurmctld slurmd munged srun ip unshare nsenter; do
    command -v $tool > /dev/null || fail "no $tool: apt-get install slurm-wlm munge iproute2"; done
  ! head_id > /dev/null || fail "is up: down first"
  configure "$n"
  rm -rf "$dir"/run/* "$dir"/state/* "$dir"/spool.* "$dir/head.id"
  (shut; SLURM_CLUSTER=$dir exec setsid unshare --net --uts --pid --ipc --mount --fork --kill-child \
    --mount-proc "$self" _head "$n") < /dev/null > "$dir/log/head.log" 2>&1 &
  outer=$!
  for _ in $(seq 100); do id=$(pgrep -P $outer) && break; sleep 0.05; done
  [ -n "$id" ] || fail "did not start: $(tail -n 3 "$dir/log/head.log")"
  echo "$id $(born "$id")" > "$dir/head.id"
  for _ in $(seq 300); do
    [ "$(login sinfo -h -N -o %T 2> /dev/null | grep -c -E '^(idle|mixed|allocated)$')" != "$n" ] || return 0
    head_id > /dev/null || fail "died: $(tail -n 3 "$dir/log/head.log")"
    sleep 0.1
  done
  fail "nodes are not up: $(login sinfo -N 2>&1; tail -n 3 "$dir"/log/*.log)"
}

down() {
  local id
  id=$(head_id) || return 0
  kill -9 "$id"
  while [ -n "$(born "$id")" ]; do sleep 0.05; done
  rm -f "$dir/head.id" "$dir/munge.socket"*
}

case ${1:-} in
  up) up "${2:?up N}" ;;
  down) down ;;
  # This process becomes CMD: its signals reach it, and its exit code is this one's.
  exec) shift; id=$(head_id) || fail "is down"
    SLURM_CONF=$dir/slurm.conf exec nsenter --target "$id" --net --uts -- "$@" ;;
  kill) head_id > /dev/null || fail "is down"; inside sh -c "kill -9 \$(cat '$dir/run/$2.id')" ;;
  start) head_id > /dev/null || fail "is down"; SLURM_CLUSTER=$dir inside "$self" _start "$2" ;;
  _head) be_head "$2" ;;
  _node) be_node "$2" ;;
  _start) start_node "$2" ;;
  *) sed -n '2,/^set/{/^#/s/^# \?//p}' "$self" >&2; exit 64 ;;
esac
