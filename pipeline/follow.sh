#!/bin/sh
# Make follows what the user brings through a stamp, since no path with a blank can stand among its
# prerequisites: follow.sh FOLDER NAME=PATH… writes FOLDER/files-NAME anew where names, sizes or
# times of a checkpoint's files, or of the one file, are others now.
#
# What is gone leaves its stamp alone: a teacher may go once its targets are there.
set -eu
folder=$1
shift
mkdir -p "$folder"
for word; do
  path=${word#*=}
  stamp=$folder/files-${word%%=*}
  [ -e "$path" ] || { [ -e "$stamp" ] || touch -d @0 "$stamp"; continue; }
  case $path in /*) ;; *) path=./$path ;; esac
  if [ -d "$path" ]; then
    now=$(find -L "$path" -mindepth 1 -maxdepth 1 -type f \( -name '*.json' -o \
      -name '*.safetensors' -o -name '*.jinja' \) -printf '%T@ %s %p\n' | LC_ALL=C sort -n)
  else
    now=$(find -L "$path" -maxdepth 0 -printf '%T@ %s %p\n')
  fi
  [ -e "$stamp" ] && [ "$now" = "$(cat "$stamp")" ] && continue
  [ -e "$stamp" ] && first= || first=yes
  printf '%s\n' "$now" > "$stamp"
  # The first look at a run that is older than its stamps: as old as the newest file.
  newest=$(printf '%s\n' "$now" | sed -n '$ s/ .*//p')
  [ -z "$first" ] || [ -z "$newest" ] || touch -d "@$newest" "$stamp"
done
