#!/bin/bash
# A newcomer's trial: every command that README.md and docs/ show in a line of its own, as it stands there.
# Prints a line for each, with its time: ok, skipped and why, or FAILED with what it said; 1 if one failed.
#
#   newcomer.sh            beside the programs that are built, the embedded run made small: a minute or two
#   newcomer.sh --whole    on a fresh clone, which is built, with the embedded run as it is
#   newcomer.sh --bare     as --whole, in a bare Debian root with this machine's Swift (root, debootstrap)
#
# What the pages call models/7b, models/2b, data.json, images and POPE.tsv are small stand-ins here, and
# pipeline/2b.yaml has the embedded run's sizes: the commands are the pages', the hours are not.
# shellcheck disable=SC2016 # what stands in single quotes is for other shells
set -u
here=$(cd "$(dirname "$0")" && pwd -P)
repository=$(readlink -f "$here/..")
work=$(mktemp -d /tmp/newcomer.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 75' INT TERM HUP
clone=$work/vlsi
mode=${1:-quick}

# MARK: The bare root

if [ "$mode" = --bare ]; then
  skip() { echo "skipped: $*"; exit 77; }
  PATH=$PATH:/usr/sbin:/sbin
  [ "$(id -u)" = 0 ] || skip "needs root, for chroot"
  for tool in debootstrap unshare chroot swift; do
    command -v $tool > /dev/null || skip "needs $tool"
  done
  unshare --mount --pid --fork --mount-proc true 2> /dev/null || skip "no right to make namespaces"
  swift=$(readlink -f "$(command -v swift)")
  root=$work/root
  # What swift.org names for its toolchain on Debian 12, and git and make.
  packages=git,make,ca-certificates,binutils,gnupg2,libc6-dev,libcurl4-openssl-dev,libedit2,libgcc-12-dev
  packages=$packages,libncurses6,libpython3-dev,libsqlite3-0,libstdc++-12-dev,libxml2-dev,libz3-dev,tzdata,zlib1g-dev
  echo "a bare root, with git, make and what Swift needs"
  debootstrap --variant=minbase --include=$packages bookworm "$root" \
    ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} > "$work/debootstrap" 2>&1 || { tail -n 5 "$work/debootstrap"; exit 1; }
  for file in /etc/resolv.conf /etc/hosts; do cp $file "$root$file"; done
  cp -r /etc/apt/. "$root/etc/apt/"
  # Where git is told to find the packages in a folder of this machine, there too.
  for file in /etc/gitconfig ~/.gitconfig; do [ ! -e "$file" ] || cat "$file" >> "$root/etc/gitconfig"; done
  mirrors=$(git config --get-regexp '^url\..*\.insteadof$' |
    sed -n 's,^url\.\(/.*[^/]\)/*\.insteadof .*,\1,p' | sort -u)
  for folder in $mirrors; do mkdir -p "$root$folder"; done
  git clone -q "$repository" "$root/root/vlsi"
  mkdir -p "$root/opt/swift"
  mirrors=$mirrors unshare --mount --pid --fork --kill-child sh -c '
    mount --bind "$1" "$0/opt/swift" && mount -t proc proc "$0/proc" && mount --rbind /sys "$0/sys" &&
    mount --rbind /dev "$0/dev" && for folder in $mirrors; do mount --bind "$folder" "$0$folder" || exit; done &&
    exec env -i HOME=/root LANG=C.UTF-8 PATH=/opt/swift/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      chroot "$0" /root/vlsi/Tests/newcomer.sh --whole' "$root" "$(readlink -f "$(dirname "$swift")/..")"
  # The mounts have gone with their namespace: what is removed now is the root alone.
  exit $?
fi

# MARK: A clone

if [ "$mode" = --whole ]; then
  git clone -q "$repository" "$clone" || exit 1
else
  mkdir "$clone"
  (cd "$repository" && cp -r Makefile README.md LICENSE Package.swift Tests pipeline data docs "$clone")
  mkdir -p "$clone/Sources" "$clone/.build"
  ln -s "${BIN:-$repository/.build/release}" "$clone/.build/release"
  touch "$clone/.build/programs-built"
  # Few steps and few pictures; how good the model gets is not the question.
  sed -i -E -e 's/^( *steps: )[0-9]+/\14/' -e 's/^( *(schedule_offset|warmup_steps): )[0-9]+/\11/' \
    -e 's/^( *(train_images|test_questions|validation_questions): )[0-9]+/\140/' "$clone"/pipeline/tiny*.yaml
fi
cd "$clone" || exit 1
PATH=$clone/.build/release:$PATH

# What a user brings.
awk '/^[a-z]+:/ { keep = $1 != "synthesize:" } /^#/ || keep' pipeline/tiny.yaml > pipeline/2b.yaml
sed -i -E 's/^( *steps: )[0-9]+/\14/; s/^( *(schedule_offset|warmup_steps): )[0-9]+/\11/' pipeline/2b.yaml
mkdir -p models pictures
ln -s ../data/teacher models/7b
ln -s ../data/student models/2b
stand_ins() { # once there is a run
  [ -e data.json ] && return
  cp runs/tiny/data/train.json data.json
  mkdir -p images
  cp -r runs/tiny/data/images images/
  local png
  png=$(base64 -w 0 runs/tiny/data/images/test/00000.png)
  printf 'index\timage\tquestion\tanswer\tcategory\n1\t%s\tIs there a star?\tYes\tpopular\n' "$png" > POPE.tsv
  printf 'index\timage\tquestion\tanswer\n1\t%s\thow many stars are there?\t1\n' "$png" > ChartQA_TEST.tsv
  printf 'index\timage\tquestion\tA\tB\tanswer\tcategory\n1\t%s\twhere is the star?\ttop\tbottom\tB\tplace\n' \
    "$png" > MMBench_DEV_EN.tsv
}

# MARK: The pages

# The commands of a page: lines that begin with four blanks and a program, those that end in \ with the next,
# without the words that explain them.
commands() {
  awk '/^```/ { fenced = !fenced }
    !fenced && joined != "" { sub(/^ +/, ""); line = joined $0; joined = "" }
    !fenced && line == "" && /^    (make|vlsi-[a-z]+|\.build\/release\/vlsi-[a-z]+) / { line = substr($0, 5) }
    line ~ /\\$/ { sub(/ *\\$/, " ", line); joined = line; line = ""; next }
    line != "" { sub(/ +# .*/, "", line); if (match(line, /   +[^ -]/)) line = substr(line, 1, RSTART - 1); print line; line = "" }' "$1"
}

# Why a command is not run, and how it is known otherwise; nothing for those that are.
reason() {
  case $1 in
    *…* | *": error"* | */opt/vlsi*) echo "a form with something to fill in" ;;
    "make test" | "make bench"* | *vlsi-bench*) echo "takes minutes, and CI runs it" ;;
    "make install"* | "make tarball"* | "make deb"*) echo "Tests/Cluster/bare-root.sh" ;;
    *slurm*) echo "ClusterTests" ;;
    *qwen2-vl* | *models/72b* | *-trial* | *"/tmp/2b"* | *"--output data") echo "needs the hub's vocabulary: docs/REAL-SIZE.md" ;;
    *"--splits train --limit 400"*) echo "goes with the 72B trial" ;;
    *RANKS=*) command -v mpirun > /dev/null || echo "needs mpirun" ;;
    *pipeline/findings.txt*) [ "$mode" = quick ] && echo "shown with --whole" ;;
    *judged*) echo "needs a judge's file" ;;
  esac
}

failed=0
run() { # page, command
  local page=$1 command=$2 why begun=$SECONDS code
  why=$(reason "$command")
  if [ -n "$why" ]; then
    echo "skipped  $page: $command ($why)"
    return
  fi
  # Comparisons over seeds are shown; MakeTests and others run them small.
  case $command in "make ablate"*) command="make -n${command#make}" ;; esac
  case $command in
    *runs/a/*) cp -r runs/tiny runs/a && cp -r runs/2b runs/b ;;
  esac
  bash -c "$command" > "$work/said" 2>&1
  code=$?
  rm -rf runs/a runs/b
  case $code:$command in
    0:* | 1:*--diff*) echo "ok       $page: $command ($((SECONDS - begun)) s)" ;;
    *)
      echo "FAILED   $page: $command (code $code, $((SECONDS - begun)) s)"
      tail -n 15 "$work/said" | sed 's/^/    /'
      failed=$((failed + 1))
      ;;
  esac
}

for page in README.md docs/*.md; do
  while IFS= read -r command; do
    run "$page" "$command" < /dev/null
    [ ! -e runs/tiny/report/manifest.json ] || stand_ins
  done < <(commands "$page")
done

# A mistake or two: each is answered by what to do, and leaves nothing.
mistake() { # command, what is said
  bash -c "$1" > "$work/said" 2>&1 < /dev/null && { echo "FAILED   $1: no error"; failed=$((failed + 1)); return; }
  if grep -qF -- "$2" "$work/said"; then
    echo "ok       mistake: $1"
  else
    echo "FAILED   mistake: $1, without the words: $2"
    tail -n 5 "$work/said" | sed 's/^/    /'
    failed=$((failed + 1))
  fi
}
mistake "make distil-tiny" "no target distil-tiny"
mistake "make distill-7b" "needs DATASET="
mistake "make align-tiny SET=align.matching=unifrom RUN=x" "Did you mean uniform?"
mistake "vlsi-dump runs/nobody" "does not exist"
mistake "vlsi-dump runs/tiny/samples --recrod 1" "Did you mean"
mistake "vlsi-generate --model runs/tiny/nothing --prompt x" "no such"

[ "$failed" = 0 ] || { echo "$failed failed"; exit 1; }
echo "all commands of README.md and docs/ hold"
