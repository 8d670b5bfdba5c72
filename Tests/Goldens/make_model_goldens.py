#!/usr/bin/env python3
"""Makes Tests/Goldens/model: what transformers says about two tiny random Qwen2-VL checkpoints.

    pip install torch transformers peft safetensors pillow
    python Tests/Goldens/make_model_goldens.py            # writes Tests/Goldens/model
    python Tests/Goldens/make_model_goldens.py --output /elsewhere

Everything is float32 on one thread, from fixed seeds, with eager attention; positions come from the
model's own get_rope_index. The checkpoints are written by save_pretrained, so that config dialect
and tensor names are transformers' own. No weight, bias or norm keeps its initial value: nothing is
right by being zero or one.

model/index.json says what there is:
  models.M.parameters      [{name, shape}] under the hub's names; the order of `gradients`
  models.M.cases           names; a case's tensors are `CASE/NAME` in M-cases.safetensors
  models.M.packed          the cases that the packed batch and the ten training steps hold
  models.M.shared          questions that share a visual prefix of `prefix` tokens

Tensors of a case (n tokens, d wide, V words):
  input_ids int32 [n]; supervised uint8 [n], 1 where the token is a target; image_grid int32 [I, 3];
  pixels.K uint8 [H, W, 3]; pixel_values [patches, C T P P]; position_ids int32 [3, n];
  vision.0 the patch embedding, vision.K after block K [patches, d of the vision encoder];
  visual the merged visual tokens [tokens, d]; hidden.0 the embedded sequence, hidden.K the output
  of decoder block K, hidden.last after the final norm [n, d]; logits [n, V]; loss [1], the mean
  cross-entropy over the supervised tokens; gradient_norms [P]; gradients: of each parameter the flat
  gradient's every STRIDE-th value, STRIDE = 1 up to 64 values, else (count / 64) | 1; concatenated.
Sums over several cases: `packed/…`, `shared/…` (one mean over all supervised tokens).
`train.all/losses`, `train.language/losses` [11]: packed loss before and after each of ten AdamW steps
(1e-3, betas .9 .999, eps 1e-8, decay .01 on everything) with all parameters or without `visual.*`.
`generate/CASE` int32 [12]: greedy continuation of the case's first `prompt` tokens (in the index).
adapter/: PEFT's LoRA r 4, alpha 8 on model a; its tensors are `lora/…` in a-cases.safetensors.
"""

import argparse
import copy
import json
import os
import pathlib
import random
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import peft
import torch
import transformers
from safetensors.numpy import save_file
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

SHAPES = {
    # Tied head, float32 at rest.
    "a": dict(
        seed=29, vocabulary=160, dtype="float32", tied=True,
        text=dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                  intermediate_size=48, rms_norm_eps=1e-6, max_position_embeddings=512),
        rope=dict(rope_theta=1000000.0, mrope_section=[2, 1, 1]),
        vision=dict(depth=2, embed_dim=32, num_heads=2, mlp_ratio=2, patch_size=4),
    ),
    # Untied head, one key/value head for three, another rotary base and split, an epsilon that shows,
    # bfloat16 at rest
    # (rounded first, then computed in float32: the way a real checkpoint is used).
    "b": dict(
        seed=12, vocabulary=120, dtype="bfloat16", tied=False,
        text=dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
                  intermediate_size=80, rms_norm_eps=1e-3, max_position_embeddings=512),
        rope=dict(rope_theta=10000.0, mrope_section=[2, 3, 3]),
        vision=dict(depth=2, embed_dim=24, num_heads=3, mlp_ratio=3, patch_size=8),
    ),
}
GENERATED = 12
STEPS = 10


def special_tokens(vocabulary):
    base = vocabulary - 10
    return dict(bos=base, im_start=base + 1, im_end=base + 2, vision_start=base + 3,
                vision_end=base + 4, image=base + 5, video=base + 6)


def randomise(model, seed):
    """Weights large enough that attention is not flat; norms and biases away from one and zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name or "ln_q" in name:
                parameter.copy_(0.2 * noise if name.endswith("bias") else 1 + 0.3 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.3 * noise)
            elif "embed_tokens" in name:
                parameter.copy_(0.6 * noise)
            elif "lm_head" in name:
                parameter.copy_(0.3 * noise)
            else:
                parameter.copy_(noise * (1.2 / parameter[0].numel() ** 0.5))


def make_checkpoint(shape, directory):
    tokens = special_tokens(shape["vocabulary"])
    config = Qwen2VLConfig(
        text_config=dict(
            **shape["text"], vocab_size=shape["vocabulary"], bos_token_id=tokens["bos"],
            eos_token_id=tokens["im_end"], pad_token_id=None,
            rope_parameters=dict(rope_type="default", **shape["rope"])),
        vision_config=dict(
            **shape["vision"], hidden_size=shape["text"]["hidden_size"], in_channels=3,
            spatial_merge_size=2, temporal_patch_size=2),
        image_token_id=tokens["image"], video_token_id=tokens["video"],
        vision_start_token_id=tokens["vision_start"], vision_end_token_id=tokens["vision_end"],
        tie_word_embeddings=shape["tied"])
    torch.manual_seed(shape["seed"])
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokens["im_end"]
    randomise(model, shape["seed"])
    model.to(getattr(torch, shape["dtype"])).save_pretrained(directory)


def load(directory):
    model = Qwen2VLForConditionalGeneration.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def hub_name(name):
    name = name.replace("base_model.model.", "").replace("model.language_model.", "model.")
    return name.replace("model.visual.", "visual.")


class Case:
    """A sample: token ids with image tokens in place, the mask of targets, the images."""

    def __init__(self, shape, draw, parts):
        self.tokens = special_tokens(shape["vocabulary"])
        self.words = shape["vocabulary"] - 10
        self.processor = Qwen2VLImageProcessorPil(
            patch_size=shape["vision"]["patch_size"], merge_size=2, temporal_patch_size=2,
            min_pixels=1, max_pixels=10**6)
        self.ids, self.supervised, self.images, self.grids, self.patches = [], [], [], [], []
        for role, content in parts:
            self.add([self.tokens["im_start"], draw.randrange(3)], False)
            for item in content:
                if isinstance(item, int):
                    self.add([draw.randrange(self.words) for _ in range(item)], role == "assistant")
                else:
                    self.add_image(item, draw, shape["vision"]["patch_size"])
            self.add([self.tokens["im_end"]], role == "assistant")

    def add(self, ids, supervised):
        self.ids += ids
        self.supervised += [int(supervised)] * len(ids)

    def add_image(self, patches, draw, patch_size):
        height, width = patches[0] * patch_size, patches[1] * patch_size
        values = np.random.default_rng(draw.randrange(10**6)).integers(0, 256, (height, width, 3))
        pixels = values.astype(np.uint8)
        processed = self.processor(images=[pixels], return_tensors="pt", input_data_format="channels_last")
        grid = processed["image_grid_thw"][0].tolist()
        assert grid == [1, *patches], (grid, patches)
        self.images.append(pixels)
        self.grids.append(grid)
        self.patches.append(processed["pixel_values"].float())
        count = patches[0] * patches[1] // 4
        self.add([self.tokens["vision_start"]] + [self.tokens["image"]] * count
                 + [self.tokens["vision_end"]], False)

    def joined(self, other):
        """self's tokens and images, then the other's tokens (which hold no image)."""
        new = object.__new__(Case)
        new.__dict__.update(self.__dict__)
        new.ids = self.ids + other.ids
        new.supervised = self.supervised + other.supervised
        return new

    def inputs(self, length=None):
        ids = torch.tensor([self.ids[:length]])
        found = dict(input_ids=ids, mm_token_type_ids=(ids == self.tokens["image"]).int())
        if self.images:
            found["pixel_values"] = torch.cat(self.patches)
            found["image_grid_thw"] = torch.tensor(self.grids)
        return found

    def positions(self, model):
        if not self.images:
            return torch.arange(len(self.ids)).expand(3, 1, -1)
        inputs = self.inputs()
        return model.model.get_rope_index(
            inputs["input_ids"], inputs["mm_token_type_ids"], image_grid_thw=inputs["image_grid_thw"])[0]

    def targets(self):
        return [index for index, mark in enumerate(self.supervised) if mark]


def make_cases(shape):
    draw = random.Random(shape["seed"])
    cases = {
        "one_image": Case(shape, draw, [("user", [2, (4, 6), 5]), ("assistant", [4])]),
        "two_images": Case(shape, draw, [("user", [(2, 6), 1, (6, 4), 4]), ("assistant", [5])]),
        "text_only": Case(shape, draw, [("system", [3]), ("user", [6]), ("assistant", [6])]),
        "several_turns": Case(shape, draw, [
            ("system", [2]), ("user", [(4, 4), 3]), ("assistant", [2]), ("user", [4]),
            ("assistant", [3]), ("user", [3]), ("assistant", [1])]),
    }
    prefix = Case(shape, draw, [("system", [2]), ("user", [(4, 2), 1])])
    questions = {
        f"question_{index}": Case(shape, draw, [("user", [2 + index]), ("assistant", [4 - index])])
        for index in range(3)
    }
    shared = {name: prefix.joined(question) for name, question in questions.items()}
    return cases, shared, len(prefix.ids)


def total_loss(model, cases):
    """The mean next-token cross-entropy over all supervised tokens of all cases, each run alone."""
    total, count = 0.0, 0
    for case in cases:
        logits = model(**case.inputs(), position_ids=case.positions(model), use_cache=False).logits[0]
        targets = case.targets()
        picked = logits[[index - 1 for index in targets]]
        labels = torch.tensor([case.ids[index] for index in targets])
        total = total + torch.nn.functional.cross_entropy(picked, labels, reduction="sum")
        count += len(targets)
    return total / count


def sliced(values):
    flat = values.detach().reshape(-1)
    stride = 1 if flat.numel() <= 64 else (flat.numel() // 64) | 1
    return flat[::stride]


def gradients(parameters):
    found = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    return {
        "gradients": torch.cat([sliced(gradient) for gradient in found]),
        "gradient_norms": torch.tensor([gradient.double().norm() for gradient in found]).float(),
    }


def record_hidden(model, inputs, positions):
    """One forward pass with what each part puts out, and the output itself."""
    base = model.model if hasattr(model.model, "language_model") else model.model.model
    found, hooks = {}, []

    def keep(module, name):
        def hook(_, __, output):
            if not torch.is_tensor(output):
                output = output.pooler_output if name == "visual" else output[0]
            found[name] = output.detach().reshape(-1, output.shape[-1])
        hooks.append(module.register_forward_hook(hook))

    def keep_input(_, __, keywords):
        found["hidden.0"] = keywords["inputs_embeds"].detach()[0]

    hooks.append(base.language_model.register_forward_pre_hook(keep_input, with_kwargs=True))
    keep(base.visual.patch_embed, "vision.0")
    keep(base.visual, "visual")
    for index, block in enumerate(base.visual.blocks):
        keep(block, f"vision.{index + 1}")
    for index, block in enumerate(base.language_model.layers):
        keep(block, f"hidden.{index + 1}")
    keep(base.language_model.norm, "hidden.last")
    logits = model(**inputs, position_ids=positions, use_cache=False).logits[0]
    for hook in hooks:
        hook.remove()
    return logits, found


def measure(model, case, parameters):
    model.zero_grad(set_to_none=True)
    positions = case.positions(model)
    logits, found = record_hidden(model, case.inputs(), positions)
    loss = total_loss(model, [case])
    loss.backward()
    found |= {
        "input_ids": torch.tensor(case.ids).int(),
        "supervised": torch.tensor(case.supervised).byte(),
        "image_grid": torch.tensor(case.grids).int().reshape(-1, 3),
        "position_ids": positions[:, 0].int(),
        "logits": logits.detach(), "loss": loss.detach().reshape(1),
    }
    for index, pixels in enumerate(case.images):
        found[f"pixels.{index}"] = torch.from_numpy(pixels)
    if case.images:
        found["pixel_values"] = torch.cat(case.patches)
    return found | gradients(parameters)


def measure_sum(model, cases, parameters):
    model.zero_grad(set_to_none=True)
    loss = total_loss(model, cases)
    loss.backward()
    return {"loss": loss.detach().reshape(1)} | gradients(parameters)


def train(model, cases, parameters):
    optimizer = torch.optim.AdamW(
        parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, foreach=False)
    losses = []
    for step in range(STEPS + 1):
        model.zero_grad(set_to_none=True)
        loss = total_loss(model, cases)
        losses.append(loss.item())
        if step < STEPS:
            loss.backward()
            optimizer.step()
    return torch.tensor(losses)


def generate(model, case, prompt):
    """Greedy decoding; refuses a prompt on which two words are nearly as likely."""
    inputs = case.inputs(prompt)
    # Without a mask, generate would take every token 0 for padding.
    found = model.generate(
        **inputs, attention_mask=torch.ones_like(inputs["input_ids"]), do_sample=False, max_new_tokens=GENERATED, min_new_tokens=GENERATED,
        eos_token_id=None, pad_token_id=0, return_dict_in_generate=True, output_logits=True)
    for logits in found.logits:
        best = logits[0].topk(2).values
        assert best[0] - best[1] > 1e-3, "too close a choice: take another seed"
    whole = copy.copy(case)
    whole.ids = found.sequences[0].tolist()
    with torch.no_grad():
        logits = model(**whole.inputs(), position_ids=whole.positions(model), use_cache=False).logits[0]
    assert logits[prompt - 1:-1].argmax(-1).tolist() == whole.ids[prompt:], "cache and whole pass differ"
    return found.sequences[0, prompt:].int()


def measure_adapter(directory, cases, output):
    """LoRA as PEFT saves it, with A and B random so that the adapter changes the model."""
    torch.manual_seed(21)
    wrapped = peft.get_peft_model(load(directory), peft.LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]))
    wrapped.eval()
    learned = {n: p for n, p in wrapped.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for parameter in learned.values():
            parameter.copy_(0.15 * torch.randn(parameter.shape))
    wrapped.peft_config["default"].base_model_name_or_path = "tiny"
    wrapped.save_pretrained(output)
    (output / "README.md").unlink(missing_ok=True)
    settings = json.loads((output / "adapter_config.json").read_text())
    settings["target_modules"].sort()  # PEFT keeps a set: its order differs from run to run
    (output / "adapter_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    model = wrapped.base_model.model
    found = {}
    for name in ["two_images", "several_turns"]:
        logits, _ = record_hidden(model, cases[name].inputs(), cases[name].positions(model))
        found[f"{name}/logits"] = logits.detach()
    found |= measure_sum(model, list(cases.values()), list(learned.values()))
    found["losses"] = train(model, list(cases.values()), list(learned.values()))
    names = [n.replace(".default", "") for n in learned]
    return {f"lora/{k}": v for k, v in found.items()}, [
        {"name": n, "shape": list(p.shape)} for n, p in zip(names, learned.values())]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parent / "model")
    output = parser.parse_args().output
    torch.set_num_threads(1)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    index = {
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__,
                      "peft": peft.__version__},
        "models": {},
    }
    for model_name, shape in SHAPES.items():
        directory = output / model_name
        make_checkpoint(shape, directory)
        model = load(directory)
        cases, shared, prefix = make_cases(shape)
        parameters = dict(model.named_parameters())
        tensors = {}
        for name, case in (cases | shared).items():
            for key, value in measure(model, case, parameters.values()).items():
                if name in cases or key in ("input_ids", "supervised", "image_grid", "position_ids",
                                            "pixels.0", "pixel_values", "hidden.last", "loss"):
                    tensors[f"{name}/{key}"] = value
        for name, group in {"packed": cases, "shared": shared}.items():
            for key, value in measure_sum(model, group.values(), parameters.values()).items():
                tensors[f"{name}/{key}"] = value
        prompts = {name: case.targets()[0] for name, case in cases.items()}
        for name, prompt in prompts.items():
            tensors[f"generate/{name}"] = generate(model, cases[name], prompt)
        for variant in ["all", "language"]:
            fresh = load(directory)
            learned = [p for n, p in fresh.named_parameters() if variant == "all" or ".visual." not in n]
            tensors[f"train.{variant}/losses"] = train(fresh, list(cases.values()), learned)
        entry = {
            "directory": model_name, "cases": list(cases), "packed": list(cases),
            "shared": {"prefix": prefix, "questions": list(shared)}, "prompts": prompts,
            "parameters": [{"name": hub_name(n), "shape": list(p.shape)} for n, p in parameters.items()],
        }
        if model_name == "a":
            found, entry["adapter"] = measure_adapter(directory, cases, output / "adapter")
            tensors |= found
        save_file({k: np.ascontiguousarray(v.detach().numpy()) for k, v in sorted(tensors.items())},
                  output / f"{model_name}-cases.safetensors")
        index["models"][model_name] = entry
        print(model_name, {k: round(v.item(), 5) for k, v in tensors.items() if k.endswith("/loss")})
        print(model_name, "steps", [round(x, 5) for x in tensors["train.all/losses"].tolist()])
    (output / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
