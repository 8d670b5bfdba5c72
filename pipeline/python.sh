#!/bin/sh
# A Python for the tests that compare with others' libraries: prints its path. Without one (no
# rights to install it, no package index in reach) it says so and prints nothing; those tests are
# then skipped, visibly.
set -eu
folder=.build/python
# dashscope for the vocabulary that lies in it, tokenizers to compare with: neither needs its own. Of
# tensorboard its reader, which needs the three behind it.
packages="lmdb zstandard safetensors tokenizers==0.23.* dashscope tensorboard numpy protobuf absl-py"
ready=$folder/ready-$(echo "$packages" | cksum | cut -d ' ' -f 1)
if [ ! -e "$ready" ]; then
  {
    if ! python3 -c 'import venv, ensurepip' 2> /dev/null && [ "$(id -u)" -eq 0 ] &&
      command -v apt-get > /dev/null; then
      apt-get install -y -qq python3-venv || { apt-get update -qq && apt-get install -y -qq python3-venv; }
    fi
    python3 -m venv "$folder" &&
      "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps $packages &&
      touch "$ready"
  } >&2 || {
    echo "no Python with $packages: some tests will be skipped" >&2
    exit 0
  }
fi
echo "$PWD/$folder/bin/python"
