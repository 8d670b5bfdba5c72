#!/usr/bin/env python3
"""Makes Tests/Goldens/model: what transformers says about tiny random checkpoints of each model family.

    pip install torch 'transformers>=5.24' peft safetensors pillow      # no torchvision
    python Tests/Goldens/make_model_goldens.py            # writes Tests/Goldens/model
    python Tests/Goldens/make_model_goldens.py --models qwen3,onevision    # leaves the other models
    python Tests/Goldens/make_model_goldens.py --output /elsewhere

Everything is float32 on one thread, from fixed seeds, with eager attention; positions come from the
model's own get_rope_index. The checkpoints are written by save_pretrained, so that config dialect
and tensor names are transformers' own. No weight, bias or norm keeps its initial value: nothing is
right by being zero or one.

model/index.json says what there is:
  models.M.family          the config's model_type
  models.M.made_with       the versions that said it
  models.M.parameters      [{name, shape}] in the order of named_parameters, which is the order of
                           `gradients`, under the names of the published checkpoints. The tiny
                           checkpoint's file has the same ones, but for onevision: there the published
                           ones say vision_tower.vision_model.X, and save_pretrained vision_tower.X.
  models.M.cases           names; a case's tensors are `CASE/NAME` in M-cases.safetensors
  models.M.packed          the cases that the packed batch and the ten training steps hold
  models.M.shared          questions that share a visual prefix of `prefix` tokens

Tensors of a case (n tokens, d wide, V words):
  input_ids int32 [n]; supervised uint8 [n], 1 where the token is a target; image_grid int32 [I, 3];
  pixels.K uint8 [H, W, 3]; pixel_values [patches, C T P P]; position_ids int32 [3, n];
  vision.0 what the first block of the vision encoder is given, vision.K what block K puts out
  [patches, d of the vision encoder], in the order in which the reference computes (qwen2.5: the order
  of the windows, not of the patches; the other families': the patches');
  visual what the image tokens are replaced by [tokens, d]; hidden.0 the embedded sequence, hidden.K
  the output of decoder block K, hidden.last after the final norm [n, d]; logits [n, V]; loss [1], the
  mean cross-entropy over the supervised tokens; gradient_norms [P]; gradients: of each parameter the
  flat gradient's every STRIDE-th value, STRIDE = 1 up to 64 values, else (count / 64) | 1; concatenated.
Besides, of qwen3: deepstack.L what is added to the image tokens behind decoder block L + 1 [tokens, d].
  hidden.K is what `output_hidden_states` gives (checked here), and that is the block's output BEFORE
  the addition; block K + 1 sees hidden.K plus deepstack.(K - 1).
Otherwise, of onevision: pixels.K is the original image of any size, image_sizes int32 [I, 2] those
  sizes (H, W), pixel_values [tiles, 3, S, S] the tiles of all images, without the batch's padding,
  image_grid (tiles, rows, columns), rows and columns being those of ONE tile's patches, and
  position_ids three times 0, 1, 2... In `images_together` the images are given as those of one
  conversation, for which the processor pads each to a square and makes one tile of it; in every other
  case each image is cut into tiles (anyres), also the two of `two_images`: tiles = 1 tells them apart.
Sums over several cases: `packed/…`, `shared/…` (one mean over all supervised tokens).
`train.all/losses`, `train.language/losses` [11]: packed loss before and after each of ten AdamW steps
(1e-3, betas .9 .999, eps 1e-8, decay .01 on everything) with all parameters or without the vision part:
`visual.*`, or onevision's `vision_tower.*`, `multi_modal_projector.*` and `image_newline`.
`generate/CASE` int32 [12]: greedy continuation of the case's first `prompts.CASE` tokens (in the index).
`beams/CASE` int32 [12], not of a and b: the best of five beams (early_stopping no, length_penalty 1),
which ends before the first of the tokens `stops.CASE` (in the index) and is filled up with -1. Nothing
of this hangs on rounding: float64 gives the same, and beams also with weights a hundred-thousandth off.
But the gradients of onevision's vision_tower...k_proj.bias are zero (the bias adds the same to a query's
scores of all keys), so what is kept of them is rounding, some 1e-8 where the largest norm is near 100.
adapter/: PEFT's LoRA r 4, alpha 8 on model a; its tensors are `lora/…` in a-cases.safetensors;
adapter-M/ the same on model M, with a pattern as target_modules that matches the decoder blocks only.
"""

import argparse
import copy
import fnmatch
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
from safetensors.numpy import load_file, save_file
from transformers import (
    LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration, LlavaOnevisionProcessor,
    Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLConfig, Qwen2VLForConditionalGeneration,
    Qwen3VLConfig, Qwen3VLForConditionalGeneration)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

SHAPES = {
    # Tied head, float32 at rest.
    "a": dict(
        family="qwen2_vl", seed=29, vocabulary=160, dtype="float32", tied=True,
        text=dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                  intermediate_size=48, rms_norm_eps=1e-6, max_position_embeddings=512),
        rope=dict(rope_theta=1000000.0, mrope_section=[2, 1, 1]),
        vision=dict(depth=2, embed_dim=32, num_heads=2, mlp_ratio=2, patch_size=4),
        images=dict(one=(4, 6), two=[(2, 6), (6, 4)], turns=(4, 4), prefix=(4, 2)),
        adapter="adapter", beams=False,
    ),
    # Untied head, one key/value head for three, another rotary base and split, an epsilon that shows,
    # bfloat16 at rest
    # (rounded first, then computed in float32: the way a real checkpoint is used).
    "b": dict(
        family="qwen2_vl", seed=12, vocabulary=120, dtype="bfloat16", tied=False,
        text=dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
                  intermediate_size=80, rms_norm_eps=1e-3, max_position_embeddings=512),
        rope=dict(rope_theta=10000.0, mrope_section=[2, 3, 3]),
        vision=dict(depth=2, embed_dim=24, num_heads=3, mlp_ratio=3, patch_size=8),
        images=dict(one=(4, 6), two=[(2, 6), (6, 4)], turns=(4, 4), prefix=(4, 2)),
        adapter=None, beams=False,
    ),
    # Windows of 2 x 2 merged tokens: the images have one and several of them, ragged in height, in width,
    # in both and in neither. The language model's epsilon is not the vision encoder's.
    "qwen2.5": dict(
        family="qwen2_5_vl", seed=4, vocabulary=96, dtype="float32", tied=True,
        text=dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                  intermediate_size=40, rms_norm_eps=1e-2, max_position_embeddings=512),
        rope=dict(rope_theta=100.0, mrope_section=[1, 2, 1]),
        vision=dict(depth=4, hidden_size=24, num_heads=2, intermediate_size=28, patch_size=4,
                    window_size=16, fullatt_block_indexes=[1, 3]),
        images=dict(one=(6, 10), two=[(4, 6), (10, 2)], turns=(4, 8), prefix=(4, 4)),
        adapter="adapter-qwen2.5", beams=True,
    ),
    # A position grid of 5 x 5 for images larger and smaller than that, along one axis or both. Time has
    # the rotary frequencies 0, 3, 6 and 7 of 8: as in the published models, height and width end early.
    "qwen3": dict(
        family="qwen3_vl", seed=5, vocabulary=96, dtype="bfloat16", tied=False,
        text=dict(hidden_size=32, head_dim=16, num_hidden_layers=3, num_attention_heads=3,
                  num_key_value_heads=1, intermediate_size=40, rms_norm_eps=1e-2,
                  max_position_embeddings=512),
        rope=dict(rope_theta=100.0, mrope_section=[4, 2, 2], mrope_interleaved=True),
        vision=dict(depth=4, hidden_size=24, num_heads=2, intermediate_size=28, patch_size=4,
                    num_position_embeddings=25, deepstack_visual_indexes=[0, 2]),
        images=dict(one=(6, 10), two=[(2, 6), (4, 4)], turns=(8, 2), prefix=(4, 2)),
        adapter="adapter-qwen3", beams=True,
    ),
    # Tiles of 14 pixels, that is 3 x 3 patches of 4 and two pixels over; images in pixels. What is cut off
    # again and shrunk, in patches: one 6 x 9 to 4 x 9 to 2 x 6; two 6 x 6 to 6 x 4 to 5 x 3, and 3 x 6 to
    # 3 x 4, not shrunk; turns 6 x 3 to 4 x 3, not shrunk.
    "onevision": dict(
        family="llava_onevision", seed=15, vocabulary=80, dtype="float32", tied=False,
        text=dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                  intermediate_size=40, rms_norm_eps=1e-6, max_position_embeddings=512),
        rope=dict(rope_theta=1000.0),
        vision=dict(num_hidden_layers=2, hidden_size=24, num_attention_heads=2, intermediate_size=28,
                    patch_size=4, image_size=14),
        aspect_ratio="anyres_max_2", pinpoints=[[14 * h, 14 * w] for h in (1, 2, 3) for w in (1, 2, 3)],
        images=dict(one=(20, 50), two=[(19, 15), (10, 15)], turns=(15, 10), prefix=(8, 5),
                    together=[(20, 9), (12, 17)]),
        adapter="adapter-onevision", beams=True,
    ),
}
GENERATED = 12
STEPS = 10
BEAMS = 5
# Only the language model's: the encoders of qwen2.5 and onevision have modules of these names too.
DECODER_PROJECTIONS = (
    r"model\.language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)")


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
            elif "pos_embed" in name or "position_embedding" in name:
                parameter.copy_(0.5 * noise)
            elif "embed_tokens" in name:
                parameter.copy_(0.6 * noise)
            elif "lm_head" in name:
                parameter.copy_(0.3 * noise)
            else:
                parameter.copy_(noise * (1.2 / parameter[0].numel() ** 0.5))


class Qwen2VL:
    """A family: a shape's model, and how samples are brought to it. The others say what differs."""

    config_class, model_class = Qwen2VLConfig, Qwen2VLForConditionalGeneration
    # The parameters that are not the language model's.
    vision = ("model.visual.",)
    hub_names = [("model.language_model.", "model."), ("model.visual.", "visual.")]
    normalization = {}
    # What parameters are multiplied by, and what is added then: see `sharpen`.
    sharpened = {}

    def __init__(self, shape):
        self.shape = shape
        self.tokens = special_tokens(shape["vocabulary"])
        self.processor = self.image_processor()

    def image_processor(self):
        return Qwen2VLImageProcessorPil(
            patch_size=self.shape["vision"]["patch_size"], merge_size=2, temporal_patch_size=2,
            min_pixels=1, max_pixels=10**6, **self.normalization)

    def text_config(self):
        return dict(
            **self.shape["text"], vocab_size=self.shape["vocabulary"], bos_token_id=self.tokens["bos"],
            eos_token_id=self.tokens["im_end"], pad_token_id=None,
            rope_parameters=dict(rope_type="default", **self.shape["rope"]))

    def vision_config(self):
        return dict(**self.shape["vision"], hidden_size=self.shape["text"]["hidden_size"], in_channels=3,
                    spatial_merge_size=2, temporal_patch_size=2)

    def config(self):
        return self.config_class(
            text_config=self.text_config(), vision_config=self.vision_config(),
            image_token_id=self.tokens["image"], video_token_id=self.tokens["video"],
            vision_start_token_id=self.tokens["vision_start"],
            vision_end_token_id=self.tokens["vision_end"], tie_word_embeddings=self.shape["tied"])

    def make_checkpoint(self, directory):
        torch.manual_seed(self.shape["seed"])
        model = self.model_class(self.config())
        model.generation_config.eos_token_id = self.tokens["im_end"]
        randomise(model, self.shape["seed"])
        self.sharpen(model)
        model.to(getattr(torch, self.shape["dtype"])).save_pretrained(directory)
        if self.shape["family"] != "qwen2_vl":
            self.processor.save_pretrained(directory)

    def sharpen(self, model):
        """Makes what the goldens are to tell apart show: the encoder's hidden states are small beside
        the 1e-6 of its norms, and GELUs sit near -2, where the tanh is not the exact form."""
        used = set()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                for pattern, (factor, shift) in self.sharpened.items():
                    if fnmatch.fnmatchcase(name, pattern):
                        parameter.mul_(factor).add_(shift)
                        used.add(pattern)
        assert used == set(self.sharpened)

    def load(self, directory, dtype=torch.float32):
        model = self.model_class.from_pretrained(directory, dtype=dtype, attn_implementation="eager")
        return model.eval()

    def hub_name(self, name):
        for ours, published in self.hub_names:
            if name.startswith(ours):
                return published + name.removeprefix(ours)
        return name

    def blocks(self, model):
        return model.model.visual.blocks

    def pixel_shape(self, size):
        return [patches * self.shape["vision"]["patch_size"] for patches in size]

    def image_ids(self, size, together):
        """The tokens that stand for an image of `size`, which is in patches."""
        return ([self.tokens["vision_start"]] + [self.tokens["image"]] * (size[0] * size[1] // 4)
                + [self.tokens["vision_end"]])

    def process(self, case):
        """What the model is given of the images, and what is kept of that."""
        processed = self.processor(images=case.images, return_tensors="pt", input_data_format="channels_last")
        grid = processed["image_grid_thw"]
        assert grid.tolist() == [[1, *size] for size in case.sizes], (grid, case.sizes)
        pixels = processed["pixel_values"].float()
        return dict(pixel_values=pixels, image_grid_thw=grid), dict(image_grid=grid, pixel_values=pixels)

    def inputs(self, case, length):
        ids = torch.tensor([case.ids[:length]])
        return dict(input_ids=ids, mm_token_type_ids=(ids == self.tokens["image"]).int(), **case.visual)

    def positions(self, model, case):
        """[3, 1, n]"""
        if not case.images:
            return torch.arange(len(case.ids)).expand(3, 1, -1)
        inputs = case.inputs()
        return model.model.get_rope_index(
            inputs["input_ids"], inputs["mm_token_type_ids"], image_grid_thw=inputs["image_grid_thw"])[0]

    def forward(self, model, case, **settings):
        return model(**case.inputs(), position_ids=self.positions(model, case), use_cache=False, **settings)


class Qwen25VL(Qwen2VL):
    config_class, model_class = Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    sharpened = {
        "*.patch_embed.*": (0.03, 0), "*.attn.proj.*": (0.03, 0), "*.blocks.*.down_proj.*": (0.03, 0),
        "*.merger.mlp.0.weight": (0.5, 0), "*.merger.mlp.0.bias": (1, -2),
        "*.merger.mlp.2.weight": (8, 0),
        # As large, with the head tied to it, it would make the model repeat each word for ever.
        "*.embed_tokens.weight": (0.4, 0)}

    def vision_config(self):
        return dict(**self.shape["vision"], out_hidden_size=self.shape["text"]["hidden_size"], in_channels=3,
                    spatial_merge_size=2, temporal_patch_size=2)


class Qwen3VL(Qwen25VL):
    config_class, model_class = Qwen3VLConfig, Qwen3VLForConditionalGeneration
    hub_names = []
    normalization = dict(image_mean=[0.5] * 3, image_std=[0.5] * 3)
    sharpened = {
        "*.patch_embed.*": (0.03, 0), "*.pos_embed.*": (0.03, 0), "*.attn.proj.*": (0.03, 0),
        "*.linear_fc1.weight": (0.5, 0), "*.linear_fc1.bias": (1, -2),
        "*.mlp.linear_fc2.weight": (0.24, 0), "*.mlp.linear_fc2.bias": (0.03, 0),
        "*merger*.linear_fc2.weight": (8, 0)}


class LlavaOnevision(Qwen2VL):
    config_class, model_class = LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration
    vision = ("model.vision_tower.", "model.multi_modal_projector.", "model.image_newline")
    hub_names = [
        ("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head."),
        ("model.vision_tower.", "vision_tower.vision_model."),
        ("model.multi_modal_projector.", "multi_modal_projector."), ("model.image_newline", "image_newline")]
    sharpened = {
        "*.patch_embedding.*": (0.03, 0), "*.position_embedding.*": (0.03, 0), "*.out_proj.*": (0.03, 0),
        "*.fc1.weight": (0.5, 0), "*.fc1.bias": (1, -2),
        "*.fc2.weight": (0.24, 0), "*.fc2.bias": (0.03, 0),
        "*.linear_1.weight": (8, 0), "*.linear_1.bias": (1, -2), "*.linear_2.weight": (8, 0)}

    def image_processor(self):
        side = self.shape["vision"]["image_size"]
        return LlavaOnevisionImageProcessorPil(
            size=dict(height=side, width=side), image_grid_pinpoints=self.shape["pinpoints"],
            image_mean=[0.5] * 3, image_std=[0.5] * 3)

    def config(self):
        return self.config_class(
            text_config=dict(model_type="qwen2", **self.text_config()),
            vision_config=dict(
                model_type="siglip_vision_model", vision_use_head=False, **self.shape["vision"]),
            image_token_index=self.tokens["image"], video_token_index=self.tokens["video"],
            image_grid_pinpoints=self.shape["pinpoints"], vision_aspect_ratio=self.shape["aspect_ratio"],
            tie_word_embeddings=self.shape["tied"])

    def blocks(self, model):
        return model.model.vision_tower.encoder.layers

    def pixel_shape(self, size):
        return size

    def tile_side(self):
        return self.shape["vision"]["image_size"] // self.shape["vision"]["patch_size"]

    def image_ids(self, size, together):
        """The tokens that stand for an image of `size`, which is in pixels."""
        count = self.tile_side() ** 2
        if together:
            return [self.tokens["image"]] * (count + 1)
        counter = object.__new__(LlavaOnevisionProcessor)  # it would want a tokenizer
        counter.image_processor = self.processor
        counter.num_image_tokens = count
        counter.vision_aspect_ratio = self.shape["aspect_ratio"]
        side = self.shape["vision"]["image_size"]
        return [self.tokens["image"]] * counter._get_number_of_features(*size, side, side)

    def process(self, case):
        images = [case.images] if case.together else case.images
        found = self.processor(images=images, return_tensors="pt", input_data_format="channels_last")
        tiles = [1 if case.together else self.tiles(size) for size in case.sizes]
        pixels = torch.cat([image[:count] for image, count in zip(found["pixel_values"], tiles)])
        side = self.tile_side()
        return dict(found), dict(
            image_grid=torch.tensor([[count, side, side] for count in tiles]),
            image_sizes=found["image_sizes"].int(), pixel_values=pixels)

    def tiles(self, size):
        """How many tiles the processor makes of an image of `size` alone: none of them is its padding."""
        blank = np.zeros((*size, 3), np.uint8)
        return self.processor(images=[blank], input_data_format="channels_last")["pixel_values"][0].shape[0]

    def inputs(self, case, length):
        return dict(input_ids=torch.tensor([case.ids[:length]]), **case.visual)

    def positions(self, model, case):
        return torch.arange(len(case.ids)).expand(3, 1, -1)

    def forward(self, model, case, **settings):
        return model(**case.inputs(), position_ids=torch.arange(len(case.ids))[None], use_cache=False,
                     **settings)


FAMILIES = {"qwen2_vl": Qwen2VL, "qwen2_5_vl": Qwen25VL, "qwen3_vl": Qwen3VL,
            "llava_onevision": LlavaOnevision}


class Case:
    """A sample: token ids with image tokens in place, the mask of targets, the images."""

    def __init__(self, family, draw, parts, together=False):
        self.family = family
        self.tokens = family.tokens
        self.together = together
        self.words = family.shape["vocabulary"] - 10
        self.ids, self.supervised, self.images, self.sizes = [], [], [], []
        for role, content in parts:
            self.add([self.tokens["im_start"], draw.randrange(3)], False)
            for item in content:
                if isinstance(item, int):
                    self.add([draw.randrange(self.words) for _ in range(item)], role == "assistant")
                else:
                    self.add_image(item, draw)
            self.add([self.tokens["im_end"]], role == "assistant")
        self.visual, self.kept = family.process(self) if self.images else ({}, {})

    def add(self, ids, supervised):
        self.ids += ids
        self.supervised += [int(supervised)] * len(ids)

    def add_image(self, size, draw):
        shape = (*self.family.pixel_shape(size), 3)
        values = np.random.default_rng(draw.randrange(10**6)).integers(0, 256, shape)
        self.images.append(values.astype(np.uint8))
        self.sizes.append(size)
        self.add(self.family.image_ids(size, self.together), False)

    def joined(self, other):
        """self's tokens and images, then the other's tokens (which hold no image)."""
        new = object.__new__(Case)
        new.__dict__.update(self.__dict__)
        new.ids = self.ids + other.ids
        new.supervised = self.supervised + other.supervised
        return new

    def inputs(self, length=None):
        return self.family.inputs(self, length)

    def targets(self):
        return [index for index, mark in enumerate(self.supervised) if mark]


def make_cases(family):
    draw = random.Random(family.shape["seed"])
    images = family.shape["images"]
    one, (first, second), several, prefix = (images[name] for name in ("one", "two", "turns", "prefix"))
    cases = {
        "one_image": Case(family, draw, [("user", [2, one, 5]), ("assistant", [4])]),
        "two_images": Case(family, draw, [("user", [first, 1, second, 4]), ("assistant", [5])]),
        "text_only": Case(family, draw, [("system", [3]), ("user", [6]), ("assistant", [6])]),
        "several_turns": Case(family, draw, [
            ("system", [2]), ("user", [several, 3]), ("assistant", [2]), ("user", [4]),
            ("assistant", [3]), ("user", [3]), ("assistant", [1])]),
    }
    if together := images.get("together"):
        cases["images_together"] = Case(
            family, draw, [("user", [*together, 3]), ("assistant", [3])], together=True)
    prefix = Case(family, draw, [("system", [2]), ("user", [prefix, 1])])
    questions = {
        f"question_{index}": Case(family, draw, [("user", [2 + index]), ("assistant", [4 - index])])
        for index in range(3)
    }
    shared = {name: prefix.joined(question) for name, question in questions.items()}
    return cases, shared, len(prefix.ids)


def total_loss(model, cases):
    """The mean next-token cross-entropy over all supervised tokens of all cases, each run alone."""
    total, count = 0.0, 0
    for case in cases:
        logits = case.family.forward(model, case).logits[0]
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


def record_hidden(model, case):
    """One forward pass with what each part puts out, and the output itself."""
    found, hooks = {}, []

    def keep(module, name):
        def hook(_, __, output):
            output = output if torch.is_tensor(output) else output[0]
            found[name] = output.detach().reshape(-1, output.shape[-1])
        hooks.append(module.register_forward_hook(hook))

    def keep_patches(_, arguments):
        found["vision.0"] = arguments[0].detach().reshape(-1, arguments[0].shape[-1])

    def keep_input(_, __, keywords):
        found["hidden.0"] = keywords["inputs_embeds"].detach()[0]

    language_model, blocks = model.model.language_model, case.family.blocks(model)
    hooks.append(language_model.register_forward_pre_hook(keep_input, with_kwargs=True))
    hooks.append(blocks[0].register_forward_pre_hook(keep_patches))
    for index, block in enumerate(blocks):
        keep(block, f"vision.{index + 1}")
    for index, block in enumerate(language_model.layers):
        keep(block, f"hidden.{index + 1}")
    keep(language_model.norm, "hidden.last")
    output = case.family.forward(model, case, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    for index, state in enumerate(output.hidden_states):
        name = "last" if index == len(language_model.layers) else index
        assert torch.equal(state[0], found[f"hidden.{name}"]), index
    if output.image_outputs is not None:
        found["visual"] = torch.cat(output.image_outputs.pooler_output).detach()
        for index, level in enumerate(getattr(output.image_outputs, "deepstack_features", [])):
            found[f"deepstack.{index}"] = torch.cat(level).detach()
    return output.logits[0], found


def measure(model, case, parameters):
    model.zero_grad(set_to_none=True)
    logits, found = record_hidden(model, case)
    loss = total_loss(model, [case])
    loss.backward()
    found |= {
        "input_ids": torch.tensor(case.ids).int(),
        "supervised": torch.tensor(case.supervised).byte(),
        "position_ids": case.family.positions(model, case)[:, 0].int(),
        "logits": logits.detach(), "loss": loss.detach().reshape(1),
    }
    for index, pixels in enumerate(case.images):
        found[f"pixels.{index}"] = torch.from_numpy(pixels)
    found |= case.kept
    found["image_grid"] = torch.as_tensor(case.kept.get("image_grid", [])).int().reshape(-1, 3)
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


def continuation(model, case, prompt, **settings):
    inputs = case.inputs(prompt)
    # Without a mask, generate would take every token 0 for padding.
    return model.generate(
        **inputs, attention_mask=torch.ones_like(inputs["input_ids"]), do_sample=False,
        max_new_tokens=GENERATED, pad_token_id=0, return_dict_in_generate=True, **settings)


def logits_of(model, case, prompt, ids):
    """The whole pass over `ids` in place of the case's; these are the prompt and what was generated."""
    special = [case.tokens["image"], case.tokens["video"]]
    assert not set(special) & set(ids[prompt:]), "generates an image: take another seed"
    whole = copy.copy(case)
    whole.ids = ids
    with torch.no_grad():
        return case.family.forward(model, whole).logits[0]


def generate(model, case, prompt):
    """Greedy decoding; refuses a prompt on which two words are nearly as likely."""
    found = continuation(
        model, case, prompt, min_new_tokens=GENERATED, eos_token_id=None, output_logits=True)
    for logits in found.logits:
        best = logits[0].topk(2).values
        assert best[0] - best[1] > 1e-3, "too close a choice: take another seed"
    ids = found.sequences[0].tolist()
    logits = logits_of(model, case, prompt, ids)
    assert logits[prompt - 1:-1].argmax(-1).tolist() == ids[prompt:], "cache and whole pass differ"
    return found.sequences[0, prompt:].int()


def blurred(model, seed):
    """Weights a hundred-thousandth off."""
    generator = torch.Generator().manual_seed(seed)
    model = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 1e-5 * torch.randn(parameter.shape, generator=generator))
    return model


def beam_search(models, case, prompt):
    """The best of five beams, and the tokens it stops at: the ordinary one, and one that the best beam
    without them holds, so that beams end at different lengths. All models say the same."""
    settings = dict(num_beams=BEAMS, early_stopping=False, length_penalty=1.0)
    free = continuation(models[0], case, prompt, eos_token_id=None, **settings)
    stop = sorted({case.tokens["im_end"], free.sequences[0, prompt + 2 + len(case.ids) % 7].item()})
    answers = []
    for model in models:
        found = continuation(model, case, prompt, eos_token_id=stop, output_scores=True, **settings)
        ids = found.sequences[0].tolist()
        end = next((i for i in range(prompt, len(ids)) if ids[i] in stop), len(ids))
        ids = ids[:end + 1]
        chances = logits_of(model, case, prompt, ids)[prompt - 1:-1].double().log_softmax(-1)
        score = chances.gather(1, torch.tensor(ids[prompt:])[:, None]).mean().item()
        assert abs(score - found.sequences_scores[0].item()) < 1e-4, "search and whole pass differ"
        answers.append(ids[prompt:end])
    assert all(answer == answers[0] for answer in answers), "hangs on rounding: take another seed"
    return torch.tensor(answers[0] + [-1] * (GENERATED - len(answers[0]))).int(), stop


def measure_adapter(family, directory, cases, output):
    """LoRA as PEFT saves it, with A and B random so that the adapter changes the model."""
    torch.manual_seed(21)
    projections = DECODER_PROJECTIONS
    if output.name == "adapter":
        projections = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    wrapped = peft.get_peft_model(family.load(directory), peft.LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM",
        target_modules=projections))
    wrapped.eval()
    learned = {n: p for n, p in wrapped.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for parameter in learned.values():
            parameter.copy_(0.15 * torch.randn(parameter.shape))
    wrapped.peft_config["default"].base_model_name_or_path = "tiny"
    wrapped.save_pretrained(output)
    (output / "README.md").unlink(missing_ok=True)
    settings = json.loads((output / "adapter_config.json").read_text())
    if isinstance(settings["target_modules"], list):
        settings["target_modules"].sort()  # PEFT keeps a set: its order differs from run to run
    (output / "adapter_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    model = wrapped.base_model.model
    found = {}
    for name in ["two_images", "several_turns"]:
        logits, _ = record_hidden(model, cases[name])
        found[f"{name}/logits"] = logits.detach()
    found |= measure_sum(model, list(cases.values()), list(learned.values()))
    found["losses"] = train(model, list(cases.values()), list(learned.values()))
    names = [n.replace(".default", "") for n in learned]
    assert sorted(names) == sorted(load_file(output / "adapter_model.safetensors"))
    assert len(names) == 14 * family.shape["text"]["num_hidden_layers"]
    return {f"lora/{k}": v for k, v in found.items()}, [
        {"name": n, "shape": list(p.shape)} for n, p in zip(names, learned.values())]


def measure_model(model_name, shape, output):
    """The model's checkpoint, goldens and adapter; returns its entry of the index."""
    family = FAMILIES[shape["family"]](shape)
    directory = output / model_name
    shutil.rmtree(directory, ignore_errors=True)
    family.make_checkpoint(directory)
    model = family.load(directory)
    cases, shared, prefix = make_cases(family)
    parameters = dict(model.named_parameters())
    tensors = {}
    for name, case in (cases | shared).items():
        for key, value in measure(model, case, parameters.values()).items():
            if name in cases or key in ("input_ids", "supervised", "image_grid", "image_sizes",
                                        "position_ids", "pixels.0", "pixel_values", "hidden.last", "loss"):
                tensors[f"{name}/{key}"] = value
    for name, group in {"packed": cases, "shared": shared}.items():
        for key, value in measure_sum(model, group.values(), parameters.values()).items():
            tensors[f"{name}/{key}"] = value
    prompts = {name: case.targets()[0] for name, case in cases.items()}
    for name, prompt in prompts.items():
        tensors[f"generate/{name}"] = generate(model, cases[name], prompt)
    for variant in ["all", "language"]:
        losses, exact = [
            train(fresh, list(cases.values()), [
                p for n, p in fresh.named_parameters()
                if variant == "all" or not n.startswith(family.vision)])
            for fresh in (family.load(directory), family.load(directory, torch.float64))]
        assert torch.allclose(losses, exact, rtol=1e-5), "hangs on rounding: take another seed"
        tensors[f"train.{variant}/losses"] = losses
    entry = {
        "family": shape["family"],
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__,
                      "peft": peft.__version__},
        "directory": model_name, "cases": list(cases), "packed": list(cases),
        "shared": {"prefix": prefix, "questions": list(shared)}, "prompts": prompts,
        "parameters": [
            {"name": family.hub_name(n), "shape": list(p.shape)} for n, p in parameters.items()],
    }
    if shape["beams"]:
        models = [model, family.load(directory, torch.float64), blurred(model, 1), blurred(model, 2)]
        entry["stops"] = {}
        for name, prompt in prompts.items():
            tensors[f"beams/{name}"], entry["stops"][name] = beam_search(models, cases[name], prompt)
    if shape["adapter"]:
        found, entry["adapter"] = measure_adapter(family, directory, cases, output / shape["adapter"])
        tensors |= found
    save_file({k: np.ascontiguousarray(v.detach().numpy()) for k, v in sorted(tensors.items())},
              output / f"{model_name}-cases.safetensors")
    print(model_name, {k: round(v.item(), 5) for k, v in tensors.items() if k.endswith("/loss")})
    print(model_name, "steps", [round(x, 5) for x in tensors["train.all/losses"].tolist()])
    return entry


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parent / "model")
    parser.add_argument("--models", default=",".join(SHAPES), help="the models to make, others stay")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "index.json"
    models = json.loads(path.read_text())["models"] if path.exists() else {}
    for name in options.models.split(","):
        models[name] = measure_model(name, SHAPES[name], options.output)
    index = {"models": {name: models[name] for name in SHAPES if name in models}}
    path.write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
