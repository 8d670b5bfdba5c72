"""Makes Tests/Goldens/shapes.json: the tensors of every published size of the four families.

For each: `tensors` and `parameters`, the counts, and `sha256` of the sorted lines "NAME [a, b, c]", each
with a line break behind it, under the hub's names, from transformers on the meta device (none of the
sizes is loaded). Without the head where it is tied, as it is not saved.

    python make_shape_goldens.py            writes the file
    python make_shape_goldens.py NAME       prints the lines of one size

Needs torch, transformers (4.57 and 5.24 give the same).
"""

import hashlib
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

import published

# What transformers calls a module, and what the hub's files call it.
QWEN2 = [("model.visual.", "visual."), ("model.language_model.", "model.")]
NAMES = {
    "qwen2_vl": QWEN2, "qwen2_5_vl": QWEN2, "qwen3_vl": [],
    "llava_onevision": [
        ("model.vision_tower.vision_model.", "vision_tower.vision_model."),
        # transformers 5 has one level less.
        ("model.vision_tower.", "vision_tower.vision_model."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("model.image_newline", "image_newline"),
        ("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head.")],
}


def hub_name(name, family):
    for inside, outside in NAMES[family]:
        if name.startswith(inside):
            return outside + name[len(inside):]
    return name


def shapes(name):
    family = published.FAMILY[name]
    members = dict(published.CONFIGS[name])
    config = AutoConfig.for_model(members.pop("model_type"), **members)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    text = members.get("text_config", members)
    tied = text.get("tie_word_embeddings", False)
    assert tied == (model.lm_head.weight is model.get_input_embeddings().weight), name
    return {hub_name(inside, family): list(values.shape)
            for inside, values in model.state_dict().items()
            if not (tied and inside == "lm_head.weight")}


def lines(tensors):
    return "".join(sorted(f"{name} {shape}\n" for name, shape in tensors.items()))


def main():
    found = {}
    for name in published.CONFIGS:
        tensors = shapes(name)
        found[name] = {
            "tensors": len(tensors),
            "parameters": sum(torch.Size(shape).numel() for shape in tensors.values()),
            "sha256": hashlib.sha256(lines(tensors).encode()).hexdigest()}
        print(name, found[name])
    path = pathlib.Path(__file__).parent / "shapes.json"
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(lines(shapes(sys.argv[1])), end="")
    else:
        main()
