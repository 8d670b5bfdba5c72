#!/usr/bin/env python3
"""Compares the answers of vlsi-generate with those of transformers, tokenizer and images included.

    pip install torch transformers pillow
    python Tests/Goldens/check_generation.py --model DIR "What is this?" photo.jpg other.png
    python Tests/Goldens/check_generation.py --model DIR --beams 5 "Tell me a story."

Works with any Qwen2-VL checkpoint that vlsi-generate reads, in float32 as it computes. Ends with 1
where the ids differ: then look whether two tokens were nearly as likely, as random weights make
them at times.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

PROGRAM = pathlib.Path(__file__).parents[2] / ".build" / "release" / "vlsi-generate"


def reference(options):
    model = Qwen2VLForConditionalGeneration.from_pretrained(
        options.model, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(options.model / "tokenizer.json"))
    processor = Qwen2VLImageProcessorPil.from_pretrained(options.model)
    inputs, pictures = {}, ""
    if options.images:
        images = [Image.open(path).convert("RGB") for path in options.images]
        inputs = processor(images=images, return_tensors="pt")
        for grid in inputs["image_grid_thw"]:
            pads = int(grid.prod()) // processor.merge_size**2
            pictures += "<|vision_start|>" + "<|image_pad|>" * pads + "<|vision_end|>"
    text = ("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
            f"{pictures}{options.prompt}<|im_end|>\n<|im_start|>assistant\n")
    ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)])
    stop = [tokenizer.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|endoftext|>")]
    found = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
        mm_token_type_ids=(ids == model.config.image_token_id).int(), num_beams=options.beams,
        max_new_tokens=options.tokens, eos_token_id=stop, pad_token_id=stop[1],
        top_k=None, top_p=None, temperature=None, **inputs)[0, ids.shape[1]:].tolist()
    return [token for token in found if token not in stop]


def ours(options):
    command = [PROGRAM, "--model", options.model, "--prompt", options.prompt, "--format", "json",
               "--beams", options.beams, "--max-new-tokens", options.tokens, "--quiet"]
    for path in options.images:
        command += ["--image", path]
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["answers"][0]["tokens"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=32, help="the longest answer")
    parser.add_argument("prompt")
    parser.add_argument("images", nargs="*")
    options = parser.parse_args()
    expected, found = reference(options), ours(options)
    print("transformers ", *expected)
    print("vlsi-generate", *found)
    sys.exit("the ids differ" if expected != found else 0)


if __name__ == "__main__":
    main()
