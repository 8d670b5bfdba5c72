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
"""

import json
import pathlib
import shutil
import tempfile

import torch
import transformers
from transformers import AutoTokenizer, Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers import Qwen2VLProcessor

ROOT = pathlib.Path(__file__).resolve().parents[2]
try:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
        Qwen2VLImageProcessorPil as ImageProcessor)
except ImportError:
    from transformers import Qwen2VLImageProcessor as ImageProcessor

# config.json as the hub has it.
SHARED = {
    "architectures": ["Qwen2VLForConditionalGeneration"], "attention_dropout": 0.0,
    "bos_token_id": 151643, "eos_token_id": 151645, "vision_start_token_id": 151652,
    "vision_end_token_id": 151653, "vision_token_id": 151654, "image_token_id": 151655,
    "video_token_id": 151656, "hidden_act": "silu", "initializer_range": 0.02,
    "max_position_embeddings": 32768, "max_window_layers": 28, "model_type": "qwen2_vl",
    "num_hidden_layers": 28, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
    "sliding_window": 32768, "torch_dtype": "bfloat16", "transformers_version": "4.41.2",
    "use_cache": True, "use_sliding_window": False,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
}
VISION = {
    "depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "num_heads": 16, "in_chans": 3,
    "patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14, "temporal_patch_size": 2,
}
HUB = {
    "2b": SHARED | {
        "hidden_size": 1536, "intermediate_size": 8960, "num_attention_heads": 12,
        "num_key_value_heads": 2, "tie_word_embeddings": True, "vocab_size": 151936,
        "vision_config": VISION | {"hidden_size": 1536}},
    "7b": SHARED | {
        "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28,
        "num_key_value_heads": 4, "tie_word_embeddings": False, "vocab_size": 152064,
        "vision_config": VISION | {"hidden_size": 3584}},
}
TINY = SHARED | {
    "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1,
    "num_hidden_layers": 1, "vocab_size": 48, "max_position_embeddings": 256, "bos_token_id": 40,
    "eos_token_id": 41, "vision_start_token_id": 42, "vision_end_token_id": 43,
    "vision_token_id": 44, "image_token_id": 45, "video_token_id": 46, "torch_dtype": "float32",
    "tie_word_embeddings": False, "rope_scaling": {"type": "mrope", "mrope_section": [2, 1, 1]},
    "vision_config": VISION | {
        "depth": 1, "embed_dim": 16, "num_heads": 2, "mlp_ratio": 2, "patch_size": 4,
        "spatial_patch_size": 4, "hidden_size": 16},
}


def config(members):
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(members))
        return Qwen2VLConfig.from_pretrained(folder)


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


def main():
    output = ROOT / "Tests/Goldens/dialects" / transformers.__version__
    shutil.rmtree(output, ignore_errors=True)
    for name, members in HUB.items():
        config(members).save_pretrained(output / name)
        with tempfile.TemporaryDirectory() as folder:
            processor().save_pretrained(folder)
            for file in pathlib.Path(folder).iterdir():
                if "process" in file.name or file.name.startswith("chat_template"):
                    shutil.copy(file, output / name)
    model = Qwen2VLForConditionalGeneration(config(TINY))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(formula(parameter))
    model.save_pretrained(output / "tiny", safe_serialization=True)
    print(transformers.__version__, *sorted(str(p.relative_to(output)) for p in output.rglob("*.*")))


if __name__ == "__main__":
    main()
