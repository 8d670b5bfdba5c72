#!/bin/sh
# A Python that reads shards, for the test that stock Python can: prints its path. Without one (no
# rights to install it, no package index in reach) it says so and prints nothing; the test is then
# skipped, visibly.
set -eu
folder=.build/python
if [ ! -e "$folder/ready" ]; then
  {
    if ! python3 -c 'import venv, ensurepip' 2> /dev/null && [ "$(id -u)" -eq 0 ] &&
      command -v apt-get > /dev/null; then
      apt-get install -y -qq python3-venv || { apt-get update -qq && apt-get install -y -qq python3-venv; }
    fi
    python3 -m venv "$folder" &&
      "$folder/bin/pip" install --quiet --disable-pip-version-check lmdb zstandard safetensors &&
      touch "$folder/ready"
  } >&2 || {
    echo "no Python with lmdb, zstandard and safetensors: one test will be skipped" >&2
    exit 0
  }
fi
echo "$PWD/$folder/bin/python"
