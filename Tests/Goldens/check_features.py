#!/usr/bin/env python3
"""Checks a stored chain against transformers: samples -> the model -> features.

    python Tests/Goldens/check_features.py --model runs/tiny/model --samples runs/tiny/samples \\
        --features runs/tiny/features/student --limit 20

For each sample the stored pixels go through transformers' image processor and the stored ids through
transformers' model, every question of a shared prefix by itself; `hidden.K` and `hidden.last` of the
features must be the same to bfloat16's precision (1e-2 of a row's norm), their positions and labels
those of the supervised tokens. The records are read with lmdb, zstandard and safetensors alone.
Exit 0: everything holds. 1: something does not, said on standard error.
"""

import argparse
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import lmdb
import torch
import zstandard
from safetensors.torch import load
from transformers import Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil


def refuse(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def records(directory):
    for shard in sorted(pathlib.Path(directory).glob("shard-*.lmdb")):
        with lmdb.open(str(shard), subdir=False, readonly=True, lock=False) as file:
            with file.begin() as transaction:
                for key, value in transaction.cursor():
                    yield int.from_bytes(key, "big"), load(zstandard.decompress(value))


def conversations(sample):
    """(rows in the packed sample, of the prefix first) of every sequence the model sees alone."""
    segments = sample.get("segments")
    if segments is None:
        return [torch.arange(len(sample["input_ids"]))]
    prefix = (segments == 0).nonzero().flatten()
    questions = [int(q) for q in segments.unique() if q > 0]
    return [torch.cat([prefix, (segments == q).nonzero().flatten()]) for q in questions] or [prefix]


def run(model, processor, sample, rows):
    ids = sample["input_ids"].long()[rows][None]
    arguments = {"input_ids": ids, "use_cache": False, "output_hidden_states": True}
    grids = sample["image_grid"].reshape(-1, 3).long()
    if len(grids):
        images = [sample[f"pixels.{index}"].numpy() for index in range(len(grids))]
        # The stored pixels are resized already: only normalising and patches are left.
        ready = processor(images=images, return_tensors="pt", do_resize=False,
                          input_data_format="channels_last")
        if ready["image_grid_thw"].tolist() != grids.tolist():
            refuse(f"image_grid {grids.tolist()}, transformers {ready['image_grid_thw'].tolist()}")
        arguments |= {"pixel_values": ready["pixel_values"].float(), "image_grid_thw": grids,
                      "mm_token_type_ids": (ids == model.config.image_token_id).int()}
    with torch.no_grad():
        return model.model(**arguments)


def expected_labels(sample, rows):
    """(position that predicts, token predicted) of the supervised tokens among `rows`."""
    supervised = sample["supervised"][rows]
    return [(int(rows[at - 1]), int(sample["input_ids"][rows[at]]))
            for at in range(1, len(rows)) if supervised[at]]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["model", "samples", "features"]:
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--limit", type=int, default=20, help="samples to check")
    parser.add_argument("--tolerance", type=float, default=1e-2, help="of a row's norm")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = Qwen2VLForConditionalGeneration.from_pretrained(
        options.model, dtype=torch.float32, attn_implementation="eager").eval()
    processor = Qwen2VLImageProcessorPil.from_pretrained(options.model)
    features = dict(records(options.features))
    checked, positions, worst = 0, 0, {}
    for index, sample in records(options.samples):
        if checked == options.limit:
            break
        if index not in features:
            refuse(f"no features of sample {index}")
        record = features[index]
        places = {int(position): row for row, position in enumerate(record["positions"])}
        stored = dict(zip(record["positions"].tolist(), record["labels"].tolist()))
        wanted = {}
        for rows in conversations(sample):
            output = run(model, processor, sample, rows)
            pairs = expected_labels(sample, rows)
            wanted |= dict(pairs)
            inside = {int(row): at for at, row in enumerate(rows)}
            for name in [name for name in record if name.startswith("hidden.")]:
                layer = name.split(".")[1]
                states = (output.last_hidden_state if layer == "last"
                          else output.hidden_states[int(layer)])[0]
                for position, _ in pairs:
                    if position not in places:
                        refuse(f"sample {index}: no features of position {position}")
                    found, true = record[name][places[position]].float(), states[inside[position]]
                    difference = ((found - true).norm() / true.norm()).item()
                    worst[name] = max(worst.get(name, 0.0), difference)
        if wanted != stored:
            refuse(f"sample {index}: labels {stored}, expected {wanted}")
        checked, positions = checked + 1, positions + len(stored)
    print(json.dumps({"samples": checked, "positions": positions, "worst": worst}))
    bad = {name: value for name, value in worst.items() if not value <= options.tolerance}
    if bad or not worst:
        refuse(f"features differ from transformers: {bad}")


if __name__ == "__main__":
    main()
