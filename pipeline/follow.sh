#!/bin/sh
# Make follows what the user brings through a stamp, since no path with a blank can stand among its
# prerequisites: follow.sh FOLDER NAME=PATH… writes FOLDER/files-NAME anew where names, sizes or
# times of a checkpoint's files, or of the one file, are others now. BENCHMARK may be several files
# between blanks; the pictures that one names count too, below IMAGES=FOLDER or its own folder.
#
# What is gone leaves its stamp alone: a teacher may go once its targets are there.
set -eu
folder=$1
shift
mkdir -p "$folder"
images=
look() { # file or folder
  case $1 in /*) set -- "$1" ;; *) set -- "./$1" ;; esac
  if [ -d "$1" ]; then
    find -L "$1" -mindepth 1 -maxdepth 1 -type f \( -name '*.json' -o \
      -name '*.safetensors' -o -name '*.jinja' -o -name '*.jsonl' -o -name '*.ndjson' -o \
      -name '*.tar' -o -name '*.tar.*' -o -name '*.tgz' \) -printf '%T@ %s %p\n'
  else
    find -L "$1" -maxdepth 0 -printf '%T@ %s %p\n'
  fi
}
# The pictures that a table names, unless it holds them.
pictures() {
  head -n 1 -- "$1" | tr '\t' '\n' | grep -q '^image\r\{0,1\}$' && return
  base=${images:-$(dirname -- "$1")}
  awk -F '\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /^image_path\r?$/) place = i; next }
    place && $place != "" && !seen[$place]++ { sub(/\r$/, "", $place); print $place }' "$1" |
    sed "s|^\([^/]\)|$(printf '%s' "$base" | sed 's/[&|\\]/\\&/g')/\1|" |
    xargs -r -d '\n' stat -L -c '%.9Y %s %n' 2> /dev/null || true
}
for word; do
  path=${word#*=}
  stamp=$folder/files-${word%%=*}
  case $word in
    IMAGES=*) images=$path; continue ;;
    BENCHMARK=*)
      if [ -e "$path" ]; then
        now=$(look "$path"; pictures "$path")
      else
        now=$(for file in $path; do [ -e "$file" ] && look "$file" && pictures "$file"; done)
      fi
      now=$(printf '%s\n' "$now" | LC_ALL=C sort -n)
      path=$folder # known to be there
      [ -n "$now" ] || { [ -e "$stamp" ] || touch -d @0 "$stamp"; continue; }
      ;;
    DATASET=*)
      now=
      if [ ! -e "$path" ]; then
        set -f
        now=$(for file in $path; do
          [ -e "$file" ] || file=${file%\**}
          [ ! -e "$file" ] || look "$file"
        done | LC_ALL=C sort -n)
        set +f
        [ -z "$now" ] || path=$folder # known to be there
      fi
      ;;
    *) now= ;;
  esac
  [ -e "$path" ] || { [ -e "$stamp" ] || touch -d @0 "$stamp"; continue; }
  [ -n "$now" ] || now=$(look "$path" | LC_ALL=C sort -n)
  [ -e "$stamp" ] && [ "$now" = "$(cat "$stamp")" ] && continue
  [ -e "$stamp" ] && first= || first=yes
  printf '%s\n' "$now" > "$stamp"
  # The first look at a run that is older than its stamps: as old as the newest file.
  newest=$(printf '%s\n' "$now" | sed -n '$ s/ .*//p')
  [ -z "$first" ] || [ -z "$newest" ] || touch -d "@$newest" "$stamp"
done
