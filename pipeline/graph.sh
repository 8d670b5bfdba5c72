#!/bin/sh
# Draws a run's graph with the state of each artifact: graph.sh runs/NAME EVALUATION…
set -eu
run=$1
shift
stale=" ${VLSI_STALE:-} "
mark() { # artifact
  case $stale in
    *" $run/$1 "*) [ -e "$run/$1/manifest.json" ] && { printf '[!] %s' "$1"; return; } ;;
  esac
  if [ -e "$run/$1/manifest.json" ] || [ -e "$run/$1/synthesis.json" ]; then
    printf '[x] %s' "$1"
  elif [ -d "$run/$1" ]; then
    printf '[~] %s' "$1"
  else
    printf '[ ] %s' "$1"
  fi
}
row() { printf '%-32s%s\n' "$1" "$2"; }

if [ -e "$run/data/synthesis.json" ]; then
  mark data
  printf '\n |\n'
fi
mark samples
printf '\n'
echo " |------------------------------."
row "$(mark features/teacher)" "$(mark features/student)"
row " |" " |"
row "$(mark verbalizers/teacher)" "$(mark verbalizers/student)"
row " |" " |"
row "$(mark targets)" " |"
echo " |------------------------------'"
mark adapter
printf '\n |\n'
mark model
for baseline in sft last-layer; do
  case " $* " in *" $baseline "*) printf '    %s' "$(mark compare/$baseline/model)" ;; esac
done
printf '\n |\n'
mark features/model
printf '\n'
for name in "$@"; do printf '%s\n' "$(mark "evaluation/$name")"; done
[ $# -eq 0 ] || echo " |"
mark report
printf '\n\n%s\n' "[x] finished   [!] finished, and stale   [~] begun   [ ] not yet      in $run"
