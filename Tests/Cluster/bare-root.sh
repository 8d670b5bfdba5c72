#!/bin/bash
# Proves what docs/INSTALL.md says in a bare Debian root: the installed programs and graph, with the
# libraries that the page names and nothing of Swift, make what the ordinary programs make, to the byte.
# Prints a line for each promise; 1 if one failed, 77 with a reason where there can be no such root.
#
#   bare-root.sh [FOLDER]     FOLDER keeps the bare root for the next call; else everything goes
#
# RUN=tiny makes the whole embedded run, not a small one. DEBIAN_MIRROR=address
# shellcheck disable=SC1003,SC1091,SC2016 # what stands in single quotes is for other shells
set -u
here=$(cd "$(dirname "$0")" && pwd -P)
repository=$(readlink -f "$here/../..")
skip() { echo "skipped: $*"; exit 77; }
PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" = 0 ] || skip "needs root, for chroot"
for tool in debootstrap unshare chroot swift make; do
  command -v $tool > /dev/null || skip "needs $tool"
done
unshare --mount --pid --fork --mount-proc true 2> /dev/null || skip "no right to make namespaces"
suite=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME")
[ -n "$suite" ] || skip "needs a Debian: its libraries are those that the programs are linked with"

work=$(mktemp -d /tmp/bare-root.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 75' INT TERM HUP
kept=$(readlink -m "${1:-$work}")
root=$work/root
# A path with all that a shell takes apart.
prefix="/opt/it's \$HOME"
share=$prefix/share/vlsi
run=${RUN:-small}

failed=0
# What is promised, and the command that shows it; what it says is shown when it failed.
promise() {
  local what=$1 begun=$SECONDS
  shift
  if "$@" > "$work/said" 2>&1; then
    echo "ok $what ($((SECONDS - begun)) s)"
  else
    echo "FAILED $what ($((SECONDS - begun)) s)"
    tail -n 20 "$work/said" | sed 's/^/    /'
    failed=$((failed + 1))
    return 1
  fi
}
# In the bare root, with a kernel's folders and nothing of this environment.
inside() {
  unshare --mount --pid --fork --kill-child sh -c 'mount -t proc proc "$0/proc" &&
    mount --rbind /sys "$0/sys" && mount -t tmpfs tmpfs "$0/dev/shm" &&
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
      chroot "$0" "$@"' "$root" "$@"
}
# The page's apt line, as one.
apt_line=$(sed -n '/^ *apt-get install/,/[^\\]$/p' "$repository/docs/INSTALL.md" | tr -d '\\' | xargs)

# MARK: A root

if [ ! -e "$kept/bare/complete" ]; then
  rm -rf "$kept/bare"
  mkdir -p "$kept"
  debootstrap --variant=minbase "$suite" "$kept/bare" \
    "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" > "$work/said" 2>&1 || {
    tail -n 3 "$work/said"
    skip "debootstrap could not make a root"
  }
  touch "$kept/bare/complete"
fi
cp -a "$kept/bare" "$root"

# MARK: Installing

install_it() { make -C "$repository" install PREFIX="$prefix" DESTDIR="$root"; }
facts() { find "$root$prefix" -type f -printf '%p %s %m %T@\n' | sort; }
twice() {
  local before
  before=$(facts)
  install_it && [ "$(facts)" = "$before" ]
}
programs=("$repository"/Sources/vlsi-*)
programs=("${programs[@]##*/}")
all_there() { [ "$(ls "$root$prefix/bin")" = "$(printf '%s\n' "${programs[@]}" | sort)" ]; }

promise "make install" install_it || exit 1
promise "a second time changes nothing" twice
promise "every program, and nothing else" all_there
echo "   programs: $(du -ch "$root$prefix"/bin/* | tail -n 1 | cut -f 1), share: $(du -sh "$root$share" | cut -f 1)"

# MARK: Libraries

# What the programs are linked with, as the bare root has it.
linked() {
  inside ldd "${programs[@]/#/$prefix/bin/}" > "$work/linked"
  [ "$(grep -c libopenblas "$work/linked")" = "${#programs[@]}" ]
}
no_swift() {
  linked && ! grep -iE 'swift|foundation|dispatch|blocksruntime' "$work/linked" &&
    ! inside sh -c 'command -v swift'
}
says_what_lacks() {
  local said code
  said=$(inside "$prefix/bin/vlsi-plan" --version 2>&1)
  code=$?
  echo "$code: $said"
  [ $code = 127 ] && [[ $said == *"error while loading shared libraries: lib"*"No such file"* ]]
}
versions() {
  local name version
  version=$(sed -n 's/.* static let current = "\(.*\)"/\1/p' "$repository/Sources/Artifacts/Version.swift")
  for name in "${programs[@]}"; do
    echo "$name: $(inside "$@" "$prefix/bin/$name" --version 2>&1)"
  done | sort > "$work/versions"
  cat "$work/versions"
  [ "$(printf "%s: $version\n" "${programs[@]}" | sort)" = "$(cat "$work/versions")" ]
}
# shellcheck disable=SC2086 # words
download() { inside apt-get update -q && inside $apt_line --download-only; }
unpacked() {
  local lib=/opt/libraries/usr/lib/x86_64-linux-gnu
  inside sh -ec 'for package in /var/cache/apt/archives/*.deb; do dpkg -x "$package" /opt/libraries; done'
  versions env LD_LIBRARY_PATH="$lib:$lib/openblas-pthread"
}
# shellcheck disable=SC2086
complete() { inside $apt_line && linked && ! grep 'not found' "$work/linked"; }

promise "nothing of Swift is linked, and none is there" no_swift
promise "the loader names a library that is missing, with 127" says_what_lacks
sed 's/^/   /' "$work/said"
promise "the packages of docs/INSTALL.md are there" download || exit 1
promise "unpacked in a folder, they do" unpacked
rm -rf "$root/opt/libraries"
promise "installed, they are all that is needed" complete || exit 1
promise "every program says its version" versions
echo "   $(inside readlink -f /usr/lib/x86_64-linux-gnu/libopenblas.so.0) there," \
  "$(readlink -f /usr/lib/x86_64-linux-gnu/libopenblas.so.0) here"

# MARK: A run

# A preset as somebody may add one.
cat > "$root$share/pipeline/small.yaml" << 'END'
extends: tiny.yaml
synthesize: {train_images: 60, test_questions: 60, validation_questions: 30}
verbalize: {steps: 20}
align: {steps: 20}
finetune: {steps: 10}
report: {title: "A small run"}
END
ordinary=$work/ordinary
mkdir -p "$ordinary"
cp -R "$root$share"/{Makefile,pipeline,data} "$ordinary"
ln -s "$repository/.build/release" "$ordinary/bin"

# All that decides something: times and paths are in manifests, logs and the report's page.
digests() {
  (cd "$1/runs/$run" && find . -type f ! -path '*/.*' ! -name manifest.json ! -name '*.jsonl' \
    ! -name README.md ! -path './report/*' ! -name inputs -exec sha256sum {} + | sort -k 2)
  (cd "$1/runs/$run" && grep -rH -o --include=manifest.json --exclude-dir=report \
    '"content" *: *"[0-9a-f]*"' . | sort)
}
same() {
  digests "$root$share" > "$work/there"
  digests "$ordinary" > "$work/here"
  [ -s "$work/there" ] && diff "$work/here" "$work/there"
}
as_a_user() {
  mkdir -p "$root/home/own" && chown 1000:1000 "$root/home/own"
  inside chroot --userspec=1000:1000 / sh -ec 'cd /home/own
    ln -s "$0/Makefile" "$0/pipeline" "$0/data" .
    make prepare-small' "$share" &&
    [ -e "$root/home/own/runs/small/samples/manifest.json" ]
}
ranks() {
  inside apt-get install -y -q --no-install-recommends openmpi-bin &&
    inside make -C "$share" RANKS=2 redo-align-small &&
    [ -e "$root$share/runs/small/adapter/manifest.json" ]
}

promise "make distill-$run there" inside make -C "$share" "distill-$run" || exit 1
promise "the ordinary programs are built" make -C "$repository" build &&
  promise "make distill-$run here, with those" make -C "$ordinary" BIN=bin "distill-$run" &&
  promise "both are the same to the byte" same &&
  echo "   $(wc -l < "$work/there") files and fingerprints"
promise "make verify-$run there" inside make -C "$share" "verify-$run"
promise "a user's own folder, with links" as_a_user
[ "$run" = tiny ] || promise "two processes, with an MPI that came later" ranks
echo "$failed failed, in $SECONDS s"
[ $failed = 0 ]
