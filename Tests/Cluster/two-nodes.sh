# shellcheck shell=bash
# Read by the tests of this folder: a private Slurm cluster of two nodes in a folder $work, gone with the
# test, and what tests say of it. Ends with 77 and a reason where there can be no such cluster.
#
#   tools="COMMAND:PACKAGE …"  name=NAME  CPUS=n a node      here=FOLDER, before it is read

skip() { echo "skipped: $*"; exit 77; }
PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" = 0 ] || skip "needs root, for namespaces"
lacking=''
for tool in ${tools:?}; do
  case $tool in
    *.so:*) found=$(find /usr/lib /usr/lib64 -name "${tool%%:*}" 2> /dev/null | head -n 1) ;;
    *) found=$(command -v "${tool%%:*}") ;;
  esac
  [ -n "$found" ] || lacking+=" ${tool##*:}"
done
[ -z "$lacking" ] || skip "apt-get install -y --no-install-recommends$lacking"
unshare --net --uts --pid --ipc --mount --fork --mount-proc true 2> /dev/null ||
  skip "no right to make namespaces"

work=$(mktemp -d "/tmp/${name:?}.XXXXXX")
export SLURM_CLUSTER=$work/cluster
cluster=${here:?}/slurm-cluster.sh
finish() {
  for pid in $(jobs -p); do kill -- "$pid" 2> /dev/null; done
  "$cluster" down
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 75' INT TERM HUP
"$cluster" up 2 || { echo "FAILED the cluster does not start"; exit 1; }

expect() { # what is expected, found
  [ "$1" = "$2" ] && return
  echo "line ${BASH_LINENO[0]}: expected $1, found $2"
  exit 1
}
until_there() { # seconds, command
  local until=$((SECONDS + $1))
  shift
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $until ] || { echo "line ${BASH_LINENO[0]}: in vain: $*"; exit 1; }
    sleep 0.05
  done
}
