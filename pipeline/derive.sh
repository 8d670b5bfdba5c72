#!/bin/sh
# derive.sh PROGRAMS BASE PRESET BASELINE=PRESET… writes the preset of run $RUN: that of BASE with the
# settings in $SET. A run that is there must have been made with the same ones, or SET be empty.
set -euf
bin=$1 base=$2 preset=$3
shift 3
refuse() { printf 'error: %s\n' "$1" >&2; exit 64; }
[ -n "$RUN" ] || refuse "SET needs a name for the run that it makes: RUN=name"
case $RUN in
  *[!A-Za-z0-9._-]* | [!A-Za-z0-9]*) refuse "RUN: a name of letters, digits, . _ and - is expected, found $RUN" ;;
  *-sft | *-last-layer | *-teacher | *-student | *-dense | *-lookup)
    refuse "RUN: $RUN would be a part of another run: choose another ending" ;;
esac
[ ! -e "pipeline/$RUN.yaml" ] || refuse "RUN: pipeline/$RUN.yaml is a preset of its own: make it by that name"
folder=runs/$RUN
[ ! -e "$folder" ] || [ -e "$folder/preset.yaml" ] || refuse "RUN: $folder is there already and was not made so"

baselines=$*
set --
for word in $SET; do set -- "$@" --set "$word"; done
new=$folder/preset.yaml.new
"$bin/vlsi-plan" --quiet --preset "$preset" "$@" --write "$new" || {
  code=$?
  rmdir "$folder" 2> /dev/null || true
  exit $code
}
if [ -e "$folder/preset.yaml" ]; then
  if [ -n "$SET" ] && ! cmp -s "$new" "$folder/preset.yaml"; then
    printf 'error: RUN: %s was made with other settings:\n' "$folder" >&2
    diff "$folder/preset.yaml" "$new" | sed -n 's/^< /  there: /p; s/^> /  now:   /p' >&2
    rm "$new"
    echo "Choose another name, or remove it by make clean-$RUN." >&2
    exit 64
  fi
  rm "$new"
else
  for baseline in $baselines; do
    sed 's/^extends:.*/extends: preset.yaml/' "${baseline#*=}" > "$folder/preset-${baseline%%=*}.yaml"
  done
  [ ! -e "runs/$base/inputs" ] || cp "runs/$base/inputs" "$folder/inputs"
  mv "$new" "$folder/preset.yaml"
fi
