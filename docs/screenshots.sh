#!/bin/sh
# Takes the README's two pictures of a report with headless Chromium and ImageMagick:
#
#     make distill-tiny && docs/screenshots.sh runs/tiny
set -eu
run=${1:-runs/tiny}
page=$run/report/index.html
[ -e "$page" ] || { echo "no report at $page: make distill-tiny" >&2; exit 66; }
for program in chromium convert; do
  command -v $program > /dev/null || { echo "needs $program: apt-get install chromium imagemagick" >&2; exit 69; }
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

take() { # NAME CSS: the page with these rules added, cut to what is drawn, in 128 colours
  sed "s|</style>|$2 h2 { margin-top: 1rem }</style>|" "$page" > "$scratch/page.html"
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1060,2600 \
    --blink-settings=preferredColorScheme=1 --user-data-dir="$scratch/profile" \
    --screenshot="$scratch/page.png" "file://$scratch/page.html" 2> "$scratch/log" ||
    { cat "$scratch/log" >&2; exit 70; }
  convert "$scratch/page.png" -trim -bordercolor '#fbfaf7' -border 24 +dither -colors 128 \
    -define png:compression-level=9 -strip "PNG8:docs/$1.png"
  echo "docs/$1.png: $(($(wc -c < "docs/$1.png") / 1000)) kB"
}

hide="section, nav, footer { display: none }"
take report-scores "$hide #scores { display: block } body { padding-bottom: 0 }"
take report-layers "$hide #matches, #speech { display: block } header, #matches .wide, \
.said ~ .said ~ .said { display: none }"
