#!/usr/bin/env python3
"""Checks what this project saves against the libraries that will load it.

    # A checkpoint loads in transformers with no missing and no unexpected key:
    python Tests/Goldens/check_exports.py checkpoint runs/tiny/model
    # … and gives these logits (`logits` [n, V], made by the caller, beside the inputs):
    python Tests/Goldens/check_exports.py checkpoint runs/tiny/model --expected logits.safetensors
    # An adapter loads in PEFT onto its base, every tensor of it used, and gives these logits:
    python Tests/Goldens/check_exports.py adapter runs/tiny/adapter --base STUDENT --expected logits.safetensors
    # Its tokenizer, chat template and image processor load and fit the config:
    python Tests/Goldens/check_exports.py processor runs/tiny/model
    # The model card is one that huggingface_hub reads, scores included:
    python Tests/Goldens/check_exports.py card runs/tiny/model
    # The snippet on the card runs as it stands, on this picture:
    python Tests/Goldens/check_exports.py snippet runs/tiny/model --picture scene.png
    # Without --expected, a random prompt (with an image) is run and the logits' statistics printed.

The file of --expected is a safetensors file with `input_ids` int32 [n], `logits` [n, V] or [rows, V]
with `rows` int32, and where there are images `image_grid` int32 [I, 3] and `pixel_values`
[patches, C T P P]; of tiled images (LLaVA-OneVision) also `image_sizes` int32 [I, 2], the patches row
by row of every tile. Exit 0: everything holds. 1: something does not, said on standard error.
"""

import argparse
import json
import os
import pathlib
import re
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors import safe_open
from safetensors.torch import load_file


def import_torchvision():
    """Whether transformers' video processors find their library.

    PyPI's torchvision beside a CPU torch lacks its compiled operators, which nothing here calls:
    they are declared, so that it imports.
    """
    operators = torch.library.Library("torchvision", "DEF")
    for _ in range(50):
        try:
            import torchvision  # noqa: F401
            return True
        except ImportError:
            return False
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            operators.define(f"{missing[1]}(Tensor x) -> Tensor")
            for name in [name for name in sys.modules if name.startswith("torchvision")]:
                del sys.modules[name]
    return False


# Before transformers, which looks for it.
HAS_TORCHVISION = import_torchvision()

from transformers import AutoConfig, AutoModelForImageTextToText  # noqa: E402


def refuse(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def load_checkpoint(directory):
    """The model in float32; refuses missing, unexpected and misshapen tensors."""
    model, report = AutoModelForImageTextToText.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    wrong = {kind: sorted(map(str, names)) for kind, names in report.items() if names}
    if wrong:
        refuse(f"{directory}: transformers reports {json.dumps(wrong)[:2000]}")
    return model.eval()


def load_adapter(directory, model):
    """The model with the adapter; refuses tensors that PEFT would drop or invent."""
    import peft

    settings = peft.PeftConfig.from_pretrained(directory)
    wrapped = peft.get_peft_model(model, settings)
    with safe_open(pathlib.Path(directory) / "adapter_model.safetensors", framework="pt") as file:
        stored = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    wanted = {
        name.replace(".default.", "."): tuple(parameter.shape)
        for name, parameter in wrapped.named_parameters() if "lora_" in name
    }
    if stored != wanted:
        missing, extra = sorted(set(wanted) - set(stored)), sorted(set(stored) - set(wanted))
        shapes = [name for name in wanted if name in stored and wanted[name] != stored[name]]
        refuse(f"{directory}: missing {missing[:5]}, unexpected {extra[:5]}, other shape {shapes[:5]}")
    result = peft.set_peft_model_state_dict(
        wrapped, load_file(pathlib.Path(directory) / "adapter_model.safetensors"))
    if result.unexpected_keys or any("lora_" in name for name in result.missing_keys):
        refuse(f"{directory}: PEFT reports {result}")
    return wrapped.eval(), len(stored)


def check_processor(directory):
    """One turn with one image: the chat template's pads and the image's features fit together."""
    from PIL import Image
    from transformers import AutoTokenizer, AutoImageProcessor

    # Not AutoProcessor: the video part of it, which nothing here needs, asks for torchvision.
    tokenizer = AutoTokenizer.from_pretrained(directory)
    content = [{"type": "image"}, {"type": "text", "text": "what colour is it?"}]
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, return_dict=False)
    config = AutoConfig.from_pretrained(directory)
    wanted = [getattr(config, name, None) for name in (
        "vision_start_token_id", "image_token_id", "vision_end_token_id")]
    wanted = [token for token in wanted if token is not None]
    if not any(ids[start:start + len(wanted)] == wanted for start in range(len(ids))):
        refuse(f"{directory}: the chat template gives {tokenizer.decode(ids)!r}")
    if tokenizer.eos_token_id != config.text_config.eos_token_id:
        refuse(f"{directory}: turns end with {tokenizer.eos_token_id}")
    processor = AutoImageProcessor.from_pretrained(directory)
    features = processor(images=[Image.new("RGB", (80, 60))], return_tensors="pt")
    if is_tiled(config):
        tile, pinpoints = processor.size["height"], [list(size) for size in processor.image_grid_pinpoints]
        if [tile, pinpoints] != [config.vision_config.image_size, config.image_grid_pinpoints]:
            refuse(f"{directory}: tiles of {tile}, filling {pinpoints}")
        shape = features["pixel_values"].shape
    else:
        shape = features["image_grid_thw"][0].tolist()
        patches = [config.vision_config.patch_size, getattr(config.vision_config, "spatial_merge_size", 1)]
        if [processor.patch_size, processor.merge_size] != patches:
            refuse(f"{directory}: patches of {processor.patch_size}, merged by {processor.merge_size}")
    print(json.dumps({"tokens": len(ids), "patches": list(shape)}))


def check_card(directory):
    from huggingface_hub import ModelCard

    data = ModelCard.load(directory / "README.md").data
    for name, wanted in [("library_name", "transformers"), ("pipeline_tag", "image-text-to-text")]:
        if getattr(data, name) != wanted:
            refuse(f"{directory}: {name} is {getattr(data, name)!r}")
    if not isinstance(data.base_model, str) or not data.tags:
        refuse(f"{directory}: base_model {data.base_model!r}, tags {data.tags!r}")
    scores = {
        result.dataset_name: [result.metric_type, result.metric_value]
        for result in data.eval_results or []
    }
    print(json.dumps({"base_model": data.base_model, "tags": data.tags, "scores": scores}))


def check_snippet(directory, picture):
    import contextlib
    import io

    if not HAS_TORCHVISION:
        return print(json.dumps({"snippet": "not run: AutoProcessor needs torchvision"}))
    text = (directory / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    for old, new in [("PATH", directory), ("picture.png", picture)]:
        if f'"{old}"' not in code:
            refuse(f"{directory}: the card's snippet names no {old}")
        code = code.replace(f'"{old}"', repr(str(new)))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "README.md", "exec"), {})
    print(json.dumps({"snippet": said.getvalue().strip()}))


def is_tiled(config):
    """Whether images are seen in tiles (LLaVA-OneVision), not as one grid of patches."""
    return hasattr(config, "image_grid_pinpoints")


def random_inputs(config):
    """A short prompt around one image, from a fixed seed: 2 x 2 merged tokens, or one tile."""
    torch.manual_seed(0)
    vision = config.vision_config
    words = torch.randint(0, min(config.text_config.vocab_size, config.image_token_id - 8), (8,))
    if is_tiled(config):
        side = vision.image_size // vision.patch_size
        pads, around, frames = side * side + 1, [], 1
    else:
        side, frames = 2 * getattr(vision, "spatial_merge_size", 1), getattr(vision, "temporal_patch_size", 1)
        pads = 4
        around = [config.vision_start_token_id, config.vision_end_token_id]
    channels = getattr(vision, "in_channels", getattr(vision, "num_channels", 3))
    image = around[:1] + [config.image_token_id] * pads + around[1:]
    return {
        "input_ids": torch.cat([torch.tensor(image), words]).int(),
        "image_grid": torch.tensor([[1, side, side]]),
        "pixel_values": torch.randn(side * side, channels * frames * vision.patch_size**2),
    }


def tiles(config, grid, pixels):
    """The images [I, most tiles, C, S, S] whose tiles were cut into `pixels`, each filled up with blank
    tiles; what fills no patch at a tile's lower and right edge is blank too."""
    size, patch = config.vision_config.image_size, config.vision_config.patch_size
    images = torch.zeros(len(grid), int(grid[:, 0].max()), pixels.shape[1] // patch**2, size, size)
    start = 0
    for image, (count, rows, columns) in zip(images, grid.tolist()):
        part = pixels[start:start + count * rows * columns]
        start += len(part)
        part = part.reshape(count, rows, columns, -1, patch, patch).permute(0, 3, 1, 4, 2, 5)
        image[:count, :, :rows * patch, :columns * patch] = part.reshape(
            count, -1, rows * patch, columns * patch)
    return images


def run(model, config, inputs):
    ids = inputs["input_ids"].long()[None]
    arguments = {"input_ids": ids, "use_cache": False}
    if inputs.get("image_grid") is not None and inputs["image_grid"].numel():
        grid, pixels = inputs["image_grid"].long(), inputs["pixel_values"].float()
        if is_tiled(config):
            # One tile each: the images of a conversation with several, which are not cut.
            sizes, alone = inputs.get("image_sizes"), "image_sizes" in inputs
            arguments |= {
                "pixel_values": tiles(config, grid, pixels),
                "image_sizes": sizes if alone else torch.full((len(grid), 2), config.vision_config.image_size),
                "batch_num_images": torch.tensor([1] * len(grid) if alone else [max(len(grid), 2)]),
            }
        else:
            arguments |= {"image_grid_thw": grid, "pixel_values": pixels}
            arguments["mm_token_type_ids"] = (ids == config.image_token_id).int()
    with torch.no_grad():
        return model(**arguments).logits[0]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["checkpoint", "adapter", "processor", "card", "snippet"])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--base", type=pathlib.Path, help="the checkpoint under the adapter")
    parser.add_argument("--expected", type=pathlib.Path, help="inputs and logits, safetensors")
    parser.add_argument("--picture", type=pathlib.Path, help="what the snippet looks at")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="of the largest logit")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.kind in ("processor", "card"):
        return {"processor": check_processor, "card": check_card}[options.kind](options.directory)
    if options.kind == "snippet":
        return check_snippet(options.directory, options.picture)
    if options.kind == "adapter" and options.base is None:
        refuse("an adapter needs --base")
    base = options.base if options.kind == "adapter" else options.directory
    model = load_checkpoint(base)
    config = model.config
    report = {"parameters": sum(p.numel() for p in model.parameters())}
    if options.kind == "adapter":
        model, report["adapter_tensors"] = load_adapter(options.directory, model)
    inputs = load_file(options.expected) if options.expected else random_inputs(config)
    logits = run(model, config, inputs)
    if not bool(torch.isfinite(logits).all()):
        refuse("logits are not finite")
    report["largest_logit"] = logits.abs().max().item()
    if "logits" in inputs:
        if "rows" in inputs:
            logits = logits[inputs["rows"].long()]
        if logits.shape != inputs["logits"].shape:
            refuse(f"logits: expected {list(inputs['logits'].shape)}, found {list(logits.shape)}")
        worst = ((logits - inputs["logits"]).abs().max() / logits.abs().max()).item()
        report["relative_difference"] = worst
        if not worst <= options.tolerance:
            refuse(f"logits differ by {worst:.2e} of the largest; expected at most {options.tolerance}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
