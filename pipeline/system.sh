#!/bin/sh
# Makes sure that the system libraries are there: installs what lacks as root or with a
# passwordless sudo, else names it in one copyable line. Takes milliseconds when all is there.
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
command -v pkg-config > /dev/null || packages="$packages pkg-config"
[ -z "$packages" ] && exit 0

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
echo "Installing what this machine lacks:$packages"
install() {
  # shellcheck disable=SC2086 # both are lists of words
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    $packages > /dev/null
}
# A fresh machine has no package lists, or old ones.
install 2> /dev/null || { $sudo apt-get update -qq && install; }
