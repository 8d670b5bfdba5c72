#!/usr/bin/env python3
"""Makes Tests/Goldens/dialects/VERSION: what one release of transformers saves for Qwen2-VL.

    for version in 4.45.2 4.49.0 4.52.4 4.57.1 5.24.0; do
      python -m venv /tmp/venv-$version
      /tmp/venv-$version/bin/pip install torch torchvision pillow transformers==$version
      /tmp/venv-$version/bin/python Tests/Goldens/make_dialect_goldens.py
    done

2b/ and 7b/ hold config.json and the processor's files as save_pretrained writes them, from the
hub's own config.json of those models, the tokenizer of data/tokenizer in the place of the true one;
what the tokenizer alone writes is left out. tiny/ is a model with weights, `formula` below in all
releases. Without torchvision the video processor is left out where a release has one: nothing here
reads it.

    /tmp/venv-$version/bin/pip install --no-deps trl
    /tmp/venv-$version/bin/python Tests/Goldens/make_dialect_goldens.py families [FAMILY]

with 4.57.1 and 5.24.0 makes dialects/families/VERSION, the same for the three other families, or the
one whose model_type is given: the smallest published size of each, and FAMILY-tiny with weights. This
needs torchvision in any case.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import torch
import transformers
from transformers import CONFIG_MAPPING, AutoTokenizer, Qwen2VLForConditionalGeneration
from transformers import Qwen2VLProcessor

import published

ROOT = pathlib.Path(__file__).resolve().parents[2]
try:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
        Qwen2VLImageProcessorPil as ImageProcessor)
except ImportError:
    from transformers import Qwen2VLImageProcessor as ImageProcessor

HUB = {"2b": published.CONFIGS["qwen2-vl-2b"], "7b": published.CONFIGS["qwen2-vl-7b"]}
TINY_TEXT = {
    "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1,
    "num_hidden_layers": 1, "vocab_size": 48, "max_position_embeddings": 256, "bos_token_id": 40,
    "eos_token_id": 41, "tie_word_embeddings": False,
}
TINY_TOKENS = {"vision_start_token_id": 42, "vision_end_token_id": 43, "image_token_id": 45,
               "video_token_id": 46, "torch_dtype": "float32"}
TINY_MROPE = {"type": "mrope", "mrope_section": [2, 1, 1]}
TINY = published.QWEN2_VL | TINY_TEXT | TINY_TOKENS | {
    "max_window_layers": 28, "vision_token_id": 44, "rope_scaling": TINY_MROPE,
    "vision_config": published.QWEN2_VISION | {
        "depth": 1, "embed_dim": 16, "num_heads": 2, "mlp_ratio": 2, "patch_size": 4,
        "spatial_patch_size": 4, "hidden_size": 16},
}

# The smallest of each family: the head is tied in all three, each config.json saying so elsewhere.
FAMILIES = {"qwen2_5_vl": "qwen2.5-vl-3b", "qwen3_vl": "qwen3-vl-2b",
            "llava_onevision": "llava-onevision-0.5b"}
TIED = TINY_TEXT | {"tie_word_embeddings": True}
SMALL = {"depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "patch_size": 4,
         "out_hidden_size": 16}
TINY_FAMILIES = {
    "qwen2_5_vl": published.QWEN25_VL | TINY_TEXT | TINY_TOKENS | {
        "vision_token_id": 44, "rope_scaling": TINY_MROPE,
        "vision_config": published.QWEN25_VISION | SMALL | {
            "spatial_patch_size": 4, "window_size": 16, "fullatt_block_indexes": [1]}},
    "qwen3_vl": published.CONFIGS["qwen3-vl-2b"] | TINY_TOKENS | {
        "text_config": published.QWEN3_TEXT | TIED | {
            "head_dim": 8, "num_hidden_layers": 2, "dtype": "float32", "rope_scaling": {
                "mrope_interleaved": True, "mrope_section": [2, 1, 1], "rope_type": "default"}},
        "vision_config": published.QWEN3_VISION | SMALL | {
            "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}},
    "llava_onevision": published.CONFIGS["llava-onevision-0.5b"] | {
        "image_token_index": 45, "video_token_index": 46, "torch_dtype": "float32",
        "image_grid_pinpoints": [[8, 8], [8, 16], [16, 8], [16, 16]],
        "text_config": published.CONFIGS["llava-onevision-0.5b"]["text_config"] | TIED | {
            "max_window_layers": 1, "torch_dtype": "float32"},
        "vision_config": published.SIGLIP | {
            "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2,
            "num_hidden_layers": 2, "patch_size": 4, "image_size": 8}},
}


def config(members):
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(members))
        return CONFIG_MAPPING[members["model_type"]].from_pretrained(folder)


def formula(values):
    """The same weights in every release, whatever their names and order are there."""
    steps = torch.arange(values.numel(), dtype=torch.float64)
    return ((steps * 37 + values.numel() * 11) % 101 / 101 - 0.5).reshape(values.shape) * 0.5


def processor():
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "data/tokenizer")
    # As the hub's preprocessor_config.json has it.
    images = ImageProcessor(min_pixels=3136, max_pixels=12845056)
    parts = {"image_processor": images, "tokenizer": tokenizer}
    try:
        from transformers import Qwen2VLVideoProcessor
        parts["video_processor"] = Qwen2VLVideoProcessor()
    except ImportError:
        pass
    return Qwen2VLProcessor(**parts, chat_template=tokenizer.chat_template)


def family_processor(family):
    """As the hub's files have it, but for the tokenizer."""
    names = {"qwen2_5_vl": ("Qwen2VL", "Qwen2_5_VL", "Qwen2VL"),
             "qwen3_vl": ("Qwen2VL", "Qwen3VL", "Qwen3VL"),
             "llava_onevision": ("LlavaOnevision",) * 3}[family]
    kinds = [names[0] + "ImageProcessorPil", names[0] + "ImageProcessor"]
    if family == "qwen3_vl" and not hasattr(transformers, kinds[0]):
        # As the hub's file says; the slow one of 4.57 does not heed `size`.
        kinds[0] = names[0] + "ImageProcessorFast"
    images = getattr(transformers, next(kind for kind in kinds if hasattr(transformers, kind)))
    others = {key: value for key, value in published.ONEVISION_PROCESSOR.items()
              if family == "llava_onevision" and key != "processor_class"}
    kept = {key: value for key, value in published.PREPROCESSORS[family].items()
            if key not in ("image_processor_type", "processor_class")}
    return getattr(transformers, names[1] + "Processor")(
        image_processor=images(**kept), tokenizer=AutoTokenizer.from_pretrained(ROOT / "data/tokenizer"),
        video_processor=getattr(transformers, names[2] + "VideoProcessor")(),
        chat_template=published.template(family), **others)


def save(output, processor):
    with tempfile.TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        for file in pathlib.Path(folder).iterdir():
            if "process" in file.name or file.name.startswith("chat_template"):
                shutil.copy(file, output)


def save_tiny(output, model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(formula(parameter))
    model.save_pretrained(output, safe_serialization=True)


def families(output, wanted):
    from transformers import AutoModelForImageTextToText

    for family in wanted or FAMILIES:
        name = FAMILIES[family]
        shutil.rmtree(output / name, ignore_errors=True)
        shutil.rmtree(output / f"{family}-tiny", ignore_errors=True)
        config(published.CONFIGS[name]).save_pretrained(output / name)
        save(output / name, family_processor(family))
        (output / name / "video_preprocessor_config.json").unlink(missing_ok=True)
        model = AutoModelForImageTextToText.from_config(config(TINY_FAMILIES[family]))
        save_tiny(output / f"{family}-tiny", model)


def main():
    dialects = ROOT / "Tests/Goldens/dialects"
    output = dialects / transformers.__version__
    if sys.argv[1:2] == ["families"]:
        output = dialects / "families" / transformers.__version__
        families(output, sys.argv[2:])
    else:
        shutil.rmtree(output, ignore_errors=True)
        for name, members in HUB.items():
            config(members).save_pretrained(output / name)
            save(output / name, processor())
        save_tiny(output / "tiny", Qwen2VLForConditionalGeneration(config(TINY)))
    print(transformers.__version__, *sorted(str(p.relative_to(output)) for p in output.rglob("*.*")))


if __name__ == "__main__":
    main()
