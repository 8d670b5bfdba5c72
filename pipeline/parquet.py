#!/usr/bin/env python3
"""Makes a WebDataset of Parquet files, as instruction sets come from the hub: pictures as bytes in
`images` or `image`, and `conversations`, `messages` or `texts` beside them.

    pip install pyarrow
    python pipeline/parquet.py data/*.parquet --output data.tar
    make distill-2b DATASET=data.tar ...

A converter of its own because no system package on Debian has a Parquet library with a C interface; what it
writes, vlsi-prepare reads by libarchive. Rows are read in small batches, so memory stays flat.
"""

import argparse
import base64
import io
import json
import pathlib
import sys
import tarfile

ENDINGS = [
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF8", "gif"),
]


def ending(picture):
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return "webp"
    return next((name for start, name in ENDINGS if picture.startswith(start)), None)


def pictures(value):
    """The bytes of all pictures in a cell: bytes, a struct that has them, or a list of either."""
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [picture for item in value for picture in pictures(item)]
    if isinstance(value, dict):
        return pictures(value.get("bytes"))
    return [bytes(value)] if isinstance(value, (bytes, bytearray, memoryview)) else []


def plain(value):
    """A cell as JSON; bytes that are no picture of the entry as base64."""
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def add(tar, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path, help="Parquet files, or folders of them")
    parser.add_argument("--output", required=True, type=pathlib.Path, help="the tar file to write")
    parser.add_argument("--batch", type=int, default=16, help="rows that are in memory at a time")
    arguments = parser.parse_args()
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        sys.exit("error: needs pyarrow: pip install pyarrow")
    files = []
    for path in arguments.files:
        found = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not found or not found[0].exists():
            sys.exit(f"error: {path}: no Parquet file there")
        files += found
    partial = arguments.output.with_name(arguments.output.name + ".partial")
    number = 0
    with tarfile.open(partial, "w") as tar:
        for path in files:
            for batch in parquet.ParquetFile(path).iter_batches(batch_size=arguments.batch):
                for row in batch.to_pylist():
                    shown = []
                    for name in ("images", "image"):
                        found = pictures(row.get(name))
                        if found:
                            shown, row[name] = shown or found, None
                    key = f"{number:09d}"
                    for place, picture in enumerate(shown):
                        kind = ending(picture)
                        # vlsi-prepare says what is wrong with the entry then.
                        add(tar, f"{key}.{place}.{kind or 'png'}", picture)
                    entry = {name: plain(value) for name, value in row.items() if value is not None}
                    add(tar, f"{key}.json", json.dumps(entry, ensure_ascii=False).encode())
                    number += 1
    partial.replace(arguments.output)
    print(f"{arguments.output}: {number} entries of {len(files)} files")


main()
