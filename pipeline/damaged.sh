#!/bin/sh
# damaged.sh RUN prints the manifests of the run's finished artifacts of which a file is gone or is
# another one than when it was last compared with its checksum (.verified, docs/ARTIFACTS.md): Make
# lets their stages look, which make again what is damaged and nothing else. Reads no file's bytes.
# Logs may change: they decide nothing.
find "$1" -name .verified -not -path '*/superseded-*' 2> /dev/null | while IFS= read -r notes; do
  folder=${notes%/*}
  [ -e "$folder/manifest.json" ] || continue
  known=$(sed -E -e '/ ((metrics|images)\.jsonl|events\.out\..*)$/d' -e 's/^([^ ]*) [^ ]* /\1 /' "$notes")
  [ -n "$known" ] || continue
  now=$(cd "$folder" && printf '%s\n' "$known" | cut -d' ' -f2- | tr '\n' '\0' |
    xargs -0 stat -c '%s-%.9Y %n' -- 2> /dev/null)
  [ "$now" = "$known" ] || printf '%s\n' "$folder/manifest.json"
done
