"""Makes datasets/: what webdataset and pyarrow write of four entries with small pictures, and the same entries
as JSON with the pictures' paths, which must give the same samples.

    pip install webdataset pyarrow
    python Tests/Goldens/make_dataset_goldens.py && python pipeline/parquet.py \
      Tests/Goldens/datasets/cauldron.parquet --output Tests/Goldens/datasets/cauldron.tar
"""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as parquet
import webdataset

here = pathlib.Path(__file__).parent
output = here / "datasets"
output.mkdir(exist_ok=True)
names = ["grey.png", "exif6.jpg", "coarse.webp"]
bytes_of = {name: (here / "images" / name).read_bytes() for name in names}

entries = [
    {"id": "a", "image": names[0], "conversations": [
        {"from": "human", "value": "<image>\nwhat is it?"}, {"from": "gpt", "value": "a circle"}]},
    {"id": "b", "images": [names[1], names[2]], "conversations": [
        {"from": "human", "value": "<image> or <image>?"}, {"from": "gpt", "value": "the first"},
        {"from": "human", "value": "sure?"}, {"from": "gpt", "value": "yes"}]},
    {"id": "c", "conversations": [
        {"from": "human", "value": "no picture"}, {"from": "gpt", "value": "none"}]},
]
(output / "entries.json").write_text(json.dumps(entries, indent=1))

# Pictures under numbered endings, as webdataset's users name them; those of the entry by other names.
with webdataset.TarWriter(str(output / "webdataset.tar"), user="", group="", mtime=0) as writer:
    for number, entry in enumerate(entries):
        shown = [entry["image"]] if "image" in entry else entry.get("images", [])
        sample = {"__key__": f"shard/{number:06d}"}
        for place, name in enumerate(shown):
            sample[f"{place}.{name.rsplit('.', 1)[1]}"] = bytes_of[name]
        sample["json"] = json.dumps({k: v for k, v in entry.items() if k != "images"}).encode()
        sample["cls"] = b"7"
        writer.write(sample)

# The hub's collections: pictures as structs of bytes and path, questions as `texts`.
picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
text = pa.struct([("user", pa.string()), ("assistant", pa.string()), ("source", pa.string())])
rows = [
    {"images": [{"bytes": bytes_of[names[0]], "path": "x.png"}],
     "texts": [{"user": "what is it?", "assistant": "a circle", "source": "s"}]},
    {"images": [{"bytes": bytes_of[names[1]], "path": None}, {"bytes": bytes_of[names[2]], "path": None}],
     "texts": [{"user": "which?", "assistant": "the first", "source": "s"},
               {"user": "sure?", "assistant": "yes", "source": "s"}]},
    {"images": [], "texts": [{"user": "no picture", "assistant": "none", "source": "s"}]},
]
table = pa.Table.from_pylist(rows, schema=pa.schema([("images", pa.list_(picture)), ("texts", pa.list_(text))]))
parquet.write_table(table, output / "cauldron.parquet", row_group_size=2)
plain = [
    {"id": f"{number:09d}", "images": [[names[0]], names[1:3], []][number], "texts": row["texts"]}
    for number, row in enumerate(rows)
]
(output / "cauldron.json").write_text(json.dumps(plain, indent=1))
print(names)
