#!/bin/sh
# Makes sure that the system libraries are there: installs what lacks as root or with a
# passwordless sudo, else names it in one copyable line. Takes milliseconds when all is there.
#
#   system.sh [tests]    tests: what those of MPI and Slurm need too, which are skipped without it
set -eu

if ! command -v swift > /dev/null; then
  echo "error: swift is not on the PATH; expected Swift 6. See https://swift.org/install" >&2
  exit 66
fi

packages=""
need() { # package, then places where its header may lie
  package=$1
  shift
  for header in "$@"; do
    for found in /usr/include/$header /usr/include/*/$header /usr/local/include/$header; do
      [ -e "$found" ] && return
    done
  done
  packages="$packages $package"
}
need libopenblas-dev cblas.h openblas/cblas.h openblas*/cblas.h
need libdnnl-dev dnnl.h
need liblmdb-dev lmdb.h
need libzstd-dev zstd.h
need libxxhash-dev xxhash.h
need libturbojpeg0-dev turbojpeg.h
need libspng-dev spng.h
need libwebp-dev webp/demux.h
need libgif-dev gif_lib.h
need libarchive-dev archive.h
need libprotobuf-c-dev protobuf-c/protobuf-c.h
command -v pkg-config > /dev/null || packages="$packages pkg-config"
# Services that these bring would be started on a machine that runs such: there it is its owner's to say.
if [ "${1:-}" = tests ]; then
  extra=""
  for tool in mpirun.openmpi:openmpi-bin mpiexec.mpich:mpich sbatch:slurm-wlm munged:munge ip:iproute2; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${tool%%:*}" > /dev/null || extra="$extra ${tool#*:}"
  done
  case $extra in *slurm-wlm*) extra="$extra slurm-wlm-basic-plugins" ;; esac
  if [ -n "$extra" ]; then
    if [ "$(id -u)" -eq 0 ] && [ ! -d /run/systemd/system ] && command -v apt-get > /dev/null; then
      optional=$extra
    else
      echo "Tests of MPI and Slurm are skipped; they need:$extra" >&2
    fi
  fi
fi
[ -z "$packages${optional:-}" ] && exit 0

if ! command -v apt-get > /dev/null; then
  echo "error: these libraries are missing (Debian's names):$packages" >&2
  exit 66
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
    sudo="sudo -n"
  else
    echo "error: system libraries are missing. Install them once, then make again:" >&2
    echo "  sudo apt-get install -y --no-install-recommends$packages" >&2
    exit 66
  fi
fi
echo "Installing what this machine lacks:$packages${optional:-}"
install() {
  # shellcheck disable=SC2086 # both are lists of words
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "$@" > /dev/null
}
# A fresh machine has no package lists, or old ones.
# shellcheck disable=SC2086 # lists of words
[ -z "$packages" ] || install $packages 2> /dev/null || { $sudo apt-get update -qq && install $packages; }
# shellcheck disable=SC2086
[ -z "${optional:-}" ] || install $optional 2> /dev/null ||
  { $sudo apt-get update -qq && install $optional; } || echo "Could not install:$optional" >&2
