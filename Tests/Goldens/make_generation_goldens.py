#!/usr/bin/env python3
"""Makes Tests/Goldens/generation.json: what transformers' `generate` answers, greedily and by beam
search, with a tiny model of Qwen2-VL's real vocabulary, and what its logits warpers leave.

    pip install torch transformers
    python Tests/Goldens/make_generation_goldens.py      # writes Tests/Goldens/generation.json

The model's 151,936 rows would be 20 MB on disk, so its weights are a formula, here and in
Tests/Qwen2VLTests/FormulaModel.swift: number i of tensor NAME comes from SplitMix64's output
function of FNV-1a(NAME) + i, uniform with the standard deviation of `deviation`, rounded to
bfloat16; computed with in float32, the way a real checkpoint is used. So are the patches of images.

What is kept does not hang on rounding: the same ids come out in float64, or another seed is needed.
"""

import argparse
import json
import os
import pathlib
import random

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.generation import logits_process

VOCABULARY = 151_936
IM_START, IM_END, VISION_START, VISION_END, IMAGE, VIDEO = (
    151_644, 151_645, 151_652, 151_653, 151_655, 151_656)
TEXT = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=96, rms_norm_eps=1e-6, max_position_embeddings=256)
VISION = dict(depth=1, embed_dim=32, num_heads=2, mlp_ratio=2, patch_size=4)
ROPE = dict(rope_theta=1_000_000.0, mrope_section=[2, 2, 2])
PATCH = 3 * 2 * 4 * 4
NEW_TOKENS = 16
PROMPTS = 20


def uniform(name, count):
    """`count` numbers in [-1/2, 1/2), multiples of 2^-24."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(count, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24) - np.float32(0.5)


def hub_name(name):
    return name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")


def deviation(name, shape):
    if "norm" in name or "ln_q" in name:
        return 0.3
    if name.endswith("bias"):
        return 0.3
    if "embed_tokens" in name:
        return 0.45
    return 1.2 / np.prod(shape[1:]) ** 0.5


def weights(name, shape):
    values = uniform(name, int(np.prod(shape))) * np.float32(deviation(name, shape) * 12**0.5)
    if ("norm" in name or "ln_q" in name) and name.endswith("weight"):
        values = values + np.float32(1)
    return torch.from_numpy(values.reshape(shape)).bfloat16()


def make_model(dtype):
    config = Qwen2VLConfig(
        text_config=dict(**TEXT, vocab_size=VOCABULARY, bos_token_id=None, eos_token_id=IM_END,
                         pad_token_id=None, rope_parameters=dict(rope_type="default", **ROPE)),
        vision_config=dict(**VISION, hidden_size=TEXT["hidden_size"], in_channels=3,
                           spatial_merge_size=2, temporal_patch_size=2),
        image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=VISION_START,
        vision_end_token_id=VISION_END, tie_word_embeddings=True)
    config._attn_implementation = "eager"
    model = Qwen2VLForConditionalGeneration(config).to(dtype).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights(hub_name(name), tuple(parameter.shape)).to(dtype))
    return model


def make_prompts():
    """Turns of random words, every other one about an image, every fifth about two."""
    draw = random.Random(7)
    prompts = []
    for number in range(PROMPTS):
        grids = [] if number % 2 else [[1, 2 * draw.randint(1, 3), 2 * draw.randint(1, 3)]]
        if number % 5 == 4:
            grids.append([1, 2 * draw.randint(1, 2), 4])
        ids = [IM_START]
        for grid in grids:
            ids += [VISION_START] + [IMAGE] * (grid[1] * grid[2] // 4) + [VISION_END]
        ids += [draw.randrange(151_643) for _ in range(draw.randint(3, 12))] + [IM_END, 198, IM_START]
        prompts.append({"ids": ids, "grids": grids})
    return prompts


def inputs(number, prompt, dtype):
    ids = torch.tensor([prompt["ids"]])
    found = dict(input_ids=ids, attention_mask=torch.ones_like(ids),
                 mm_token_type_ids=(ids == IMAGE).int())
    if prompt["grids"]:
        count = sum(h * w for _, h, w in prompt["grids"])
        pixels = uniform(f"prompt.{number}", count * PATCH) * np.float32(3)
        found["pixel_values"] = torch.from_numpy(pixels.reshape(count, PATCH)).to(dtype)
        found["image_grid_thw"] = torch.tensor(prompt["grids"])
    return found


def run(models, number, prompt, stop, **settings):
    """The ids after the prompt without the stop token; refuses what hangs on rounding."""
    answers = []
    for dtype, model in models.items():
        found = model.generate(
            **inputs(number, prompt, dtype), do_sample=False, max_new_tokens=NEW_TOKENS,
            eos_token_id=stop, pad_token_id=0, return_dict_in_generate=True, output_scores=True,
            **settings)
        ids = found.sequences[0, len(prompt["ids"]):].tolist()
        end = next((i for i, token in enumerate(ids) if stop and token in stop), None)
        score = found.sequences_scores[0].item() if settings.get("num_beams", 1) > 1 else None
        answers.append((ids[:end], end is not None, score, found))
    assert answers[0][:2] == answers[1][:2], f"prompt {number} hangs on rounding: {settings}"
    return answers[0]


def greedy_cases(models, prompts):
    cases = []
    for number, prompt in enumerate(prompts):
        penalty = 1.0 if number < 16 else 1.3
        whole = run(models, number, prompt, None, repetition_penalty=penalty)[0]
        # Half of the answers end before the longest, at one of two stop tokens.
        stop = [IM_END, whole[3 + number % 9]] if number % 4 < 2 else [IM_END]
        ids, stopped, _, _ = run(models, number, prompt, stop, repetition_penalty=penalty)
        cases.append({"prompt": number, "stop": stop, "repetition_penalty": penalty, "ids": ids,
                      "stopped": stopped})
    return cases


VARIANTS = [(0.0, False), (2.0, False), (-1.0, False), (1.0, True), (0.5, True), (1.0, "never"),
            (2.0, "never"), (0.0, "never"), (1.0, False, 1.2), (1.0, True, 1.3)]


def beam_cases(models, prompts):
    cases = []
    settings = [(number, 1.0, False, 1.0) for number in range(PROMPTS)]
    settings += [(2 * i, v[0], v[1], v[2] if len(v) > 2 else 1.0) for i, v in enumerate(VARIANTS)]
    for number, length_penalty, early, penalty in settings:
        chosen = dict(num_beams=5, length_penalty=length_penalty, early_stopping=early,
                      repetition_penalty=penalty)
        # Tokens of the five best answers: beams finish at different lengths.
        beams = run(models, number, prompts[number], None, num_return_sequences=5, **chosen)[3]
        tails = beams.sequences[:, len(prompts[number]["ids"]):]
        stop = [IM_END] + sorted({int(tails[row, 2 + 2 * row]) for row in range(number % 4 + 1)})
        ids, stopped, score, _ = run(models, number, prompts[number], stop, **chosen)
        early = {False: "no", True: "yes"}.get(early, early)
        cases.append({"prompt": number, "stop": stop, "length_penalty": length_penalty,
                      "early_stopping": early, "repetition_penalty": penalty, "ids": ids,
                      "stopped": stopped, "score": score})
    return cases


def warped_cases():
    """What stays of fixed scores after temperature, top-k and top-p, by rising id."""
    count = 2000
    cases = []
    for scale, temperature, top_k, top_p in [
        (4, 0.7, 20, None), (4, 1.5, None, 0.9), (1, 1.0, 50, 0.8), (12, 0.3, 5, 0.5),
        (4, 1.0, 1, None), (4, 2.0, None, 0.01), (0.1, 1.0, None, 0.95), (4, 1.0, 3000, 1.0),
    ]:
        scores = torch.from_numpy(uniform("scores", count) * np.float32(scale))[None]
        # Equal scores around the k-th.
        scores[0, 7] = scores[0, 11] = scores[0].topk(20).values[-1]
        warped = logits_process.TemperatureLogitsWarper(temperature)(None, scores)
        if top_k:
            warped = logits_process.TopKLogitsWarper(top_k)(None, warped)
        if top_p and top_p < 1:
            warped = logits_process.TopPLogitsWarper(top_p)(None, warped)
        kept = torch.nonzero(warped[0] > -torch.inf).flatten()
        probabilities = warped[0].double().softmax(-1)[kept]
        cases.append({
            "scale": scale, "temperature": temperature, "top_k": top_k, "top_p": top_p,
            "kept": len(kept), "first": kept[:50].tolist(), "id_sum": int(kept.sum()),
            "probabilities": [round(p, 10) for p in probabilities[:50].tolist()]})
    return {"count": count, "cases": cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path(__file__).parent / "generation.json")
    output = parser.parse_args().output
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    models = {dtype: make_model(dtype) for dtype in (torch.float32, torch.float64)}
    prompts = make_prompts()
    goldens = {
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__},
        "new_tokens": NEW_TOKENS, "prompts": prompts, "greedy": greedy_cases(models, prompts),
        "beams": beam_cases(models, prompts), "warped": warped_cases(),
    }
    for name in ("greedy", "beams"):
        print(name, [len(case["ids"]) for case in goldens[name]])
        print(name, sum(case["stopped"] for case in goldens[name]), "stopped,",
              len({token for case in goldens[name] for token in case["ids"]}), "different tokens")
    output.write_text(json.dumps(goldens) + "\n")


if __name__ == "__main__":
    main()
