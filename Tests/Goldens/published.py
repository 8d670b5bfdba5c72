"""The published sizes of the four families, as the hub's files have them.

    python published.py DIR     DIR/NAME/{config,preprocessor_config,generation_config}.json

NAME is a key of CONFIGS; FAMILY[NAME] its model_type. Read by the makers of the goldens beside it. The
numbers are those of Qwen/Qwen2-VL-*-Instruct, Qwen/Qwen2.5-VL-*-Instruct, Qwen/Qwen3-VL-*-Instruct and
llava-hf/llava-onevision-qwen2-*-ov-hf; Qwen's come to the parameters that the hub tells.

`template` needs trl (`pip install --no-deps trl`).
"""

import importlib.util
import json
import pathlib
import sys

# MARK: Qwen2-VL, Qwen2.5-VL

QWEN2_TOKENS = {
    "bos_token_id": 151643, "eos_token_id": 151645, "vision_start_token_id": 151652,
    "vision_end_token_id": 151653, "vision_token_id": 151654, "image_token_id": 151655,
    "video_token_id": 151656,
}
QWEN2_TEXT = {
    "attention_dropout": 0.0, "hidden_act": "silu", "initializer_range": 0.02,
    "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768,
    "torch_dtype": "bfloat16", "transformers_version": "4.41.2", "use_cache": True,
    "use_sliding_window": False, "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
}
QWEN2_VL = QWEN2_TOKENS | QWEN2_TEXT | {
    "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl",
    "max_position_embeddings": 32768,
}
QWEN2_VISION = {
    "depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "num_heads": 16, "in_chans": 3,
    "patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14, "temporal_patch_size": 2,
}
QWEN25_VL = QWEN2_TOKENS | QWEN2_TEXT | {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl",
    "max_position_embeddings": 128000,
}
QWEN25_VISION = {
    "depth": 32, "hidden_act": "silu", "hidden_size": 1280, "intermediate_size": 3420,
    "num_heads": 16, "in_chans": 3, "patch_size": 14, "spatial_merge_size": 2,
    "spatial_patch_size": 14, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31],
    "tokens_per_second": 2, "temporal_patch_size": 2,
}


def text(hidden, layers, heads, key_values, feed_forward, vocabulary, tied):
    return {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": key_values, "intermediate_size": feed_forward,
            "vocab_size": vocabulary, "tie_word_embeddings": tied}


def qwen2_vl(shape, window_layers):
    return QWEN2_VL | shape | {
        "max_window_layers": window_layers,
        "vision_config": QWEN2_VISION | {"hidden_size": shape["hidden_size"]}}


def qwen25_vl(shape, window_layers, vision):
    return QWEN25_VL | shape | {
        "max_window_layers": window_layers,
        "vision_config": QWEN25_VISION | {"out_hidden_size": shape["hidden_size"]} | vision}


# MARK: Qwen3-VL

QWEN3_TEXT = {
    "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 151643,
    "dtype": "bfloat16", "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu",
    "initializer_range": 0.02, "max_position_embeddings": 262144, "model_type": "qwen3_vl_text",
    "rms_norm_eps": 1e-06, "rope_theta": 5000000, "use_cache": True,
    "rope_scaling": {
        "mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"},
}
QWEN3_VISION = {
    "hidden_act": "gelu_pytorch_tanh", "in_channels": 3, "initializer_range": 0.02,
    "model_type": "qwen3_vl", "num_heads": 16, "num_position_embeddings": 2304, "patch_size": 16,
    "spatial_merge_size": 2, "temporal_patch_size": 2,
}
QWEN3_SMALL = QWEN3_VISION | {
    "deepstack_visual_indexes": [5, 11, 17], "depth": 24, "hidden_size": 1024,
    "intermediate_size": 4096}
QWEN3_LARGE = QWEN3_VISION | {
    "deepstack_visual_indexes": [8, 16, 24], "depth": 27, "hidden_size": 1152,
    "intermediate_size": 4304}


def qwen3_vl(shape, vision):
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"], "image_token_id": 151655,
        "model_type": "qwen3_vl", "text_config": QWEN3_TEXT | shape,
        "tie_word_embeddings": shape["tie_word_embeddings"], "transformers_version": "4.57.0.dev0",
        "video_token_id": 151656,
        "vision_config": vision | {"out_hidden_size": shape["hidden_size"]},
        "vision_end_token_id": 151653, "vision_start_token_id": 151652}


# MARK: LLaVA-OneVision

SIDES = [384, 768, 1152, 1536, 1920, 2304]
PINPOINTS = [[height, width] for height in SIDES for width in SIDES]
SIGLIP = {
    "hidden_size": 1152, "image_size": 384, "intermediate_size": 4304,
    "model_type": "siglip_vision_model", "num_attention_heads": 16, "num_hidden_layers": 26,
    "patch_size": 14, "vision_use_head": False,
}


def llava_onevision(shape, base, others):
    """config.json keeps only what differs from Qwen2's own values, some of them in `others`."""
    text_config = {
        "_name_or_path": base, "architectures": ["Qwen2ForCausalLM"], "bos_token_id": 151643,
        "eos_token_id": 151645, "model_type": "qwen2", "rope_theta": 1000000.0,
        "torch_dtype": "bfloat16"} | shape | others
    if not text_config["tie_word_embeddings"]:
        del text_config["tie_word_embeddings"]
    return {
        "architectures": ["LlavaOnevisionForConditionalGeneration"], "ignore_index": -100,
        "image_grid_pinpoints": PINPOINTS, "image_token_index": 151646,
        "model_type": "llava_onevision", "projector_hidden_act": "gelu",
        "text_config": text_config, "tie_word_embeddings": False, "torch_dtype": "float16",
        "transformers_version": "4.45.0.dev0", "use_image_newline_parameter": True,
        "video_token_index": 151647, "vision_aspect_ratio": "anyres_max_9",
        "vision_config": SIGLIP, "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full"}


# MARK: All

CONFIGS = {
    "qwen2-vl-2b": qwen2_vl(text(1536, 28, 12, 2, 8960, 151936, True), 28),
    "qwen2-vl-7b": qwen2_vl(text(3584, 28, 28, 4, 18944, 152064, False), 28),
    "qwen2-vl-72b": qwen2_vl(text(8192, 80, 64, 8, 29568, 152064, False), 80),
    "qwen2.5-vl-3b": qwen25_vl(text(2048, 36, 16, 2, 11008, 151936, True), 70, {}),
    "qwen2.5-vl-7b": qwen25_vl(text(3584, 28, 28, 4, 18944, 152064, False), 28, {}),
    # The largest has a wider vision encoder, which divides among eight devices.
    "qwen2.5-vl-72b": qwen25_vl(
        text(8192, 80, 64, 8, 29568, 152064, False), 80, {"intermediate_size": 3456}),
    "qwen3-vl-2b": qwen3_vl(text(2048, 28, 16, 8, 6144, 151936, True), QWEN3_SMALL),
    "qwen3-vl-4b": qwen3_vl(text(2560, 36, 32, 8, 9728, 151936, True), QWEN3_SMALL),
    "qwen3-vl-8b": qwen3_vl(text(4096, 36, 32, 8, 12288, 151936, False), QWEN3_LARGE),
    "qwen3-vl-32b": qwen3_vl(text(5120, 64, 64, 8, 25600, 151936, False), QWEN3_LARGE),
    # Two rows for <image> and <video>, then up to a multiple of 64.
    "llava-onevision-0.5b": llava_onevision(
        text(896, 24, 14, 2, 4864, 152000, True), "Qwen/Qwen2-0.5B-Instruct",
        {"max_window_layers": 24, "sliding_window": 32768}),
    "llava-onevision-7b": llava_onevision(
        text(3584, 28, 28, 4, 18944, 152128, False), "Qwen/Qwen2-7B-Instruct",
        {"sliding_window": 131072}),
    "llava-onevision-72b": llava_onevision(
        text(8192, 80, 64, 8, 29568, 152128, False), "Qwen/Qwen2-72B-Instruct",
        {"max_window_layers": 80, "sliding_window": 131072}),
}
FAMILY = {name: config["model_type"] for name, config in CONFIGS.items()}

CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711]}
HALVES = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
PREPROCESSORS = {
    "qwen2_vl": {
        "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2,
        "merge_size": 2, **CLIP, "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor"},
    "qwen2_5_vl": {
        "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2,
        "merge_size": 2, **CLIP, "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor"},
    "qwen3_vl": {
        "size": {"longest_edge": 16777216, "shortest_edge": 65536}, "patch_size": 16,
        "temporal_patch_size": 2, "merge_size": 2, **HALVES,
        "processor_class": "Qwen3VLProcessor",
        "image_processor_type": "Qwen2VLImageProcessorFast"},
    "llava_onevision": {
        "do_convert_rgb": True, "do_normalize": True, "do_pad": True, "do_rescale": True,
        "do_resize": True, "image_grid_pinpoints": PINPOINTS, **HALVES,
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "processor_class": "LlavaOnevisionProcessor", "resample": 3,
        "rescale_factor": 0.00392156862745098, "size": {"height": 384, "width": 384}},
}
# OneVision's processor_config.json.
ONEVISION_PROCESSOR = {
    "image_token": "<image>", "num_image_tokens": 729, "processor_class": "LlavaOnevisionProcessor",
    "video_token": "<video>", "vision_feature_select_strategy": "full"}

QWEN_GENERATION = {"bos_token_id": 151643, "pad_token_id": 151643, "do_sample": True,
                   "eos_token_id": [151645, 151643]}
GENERATION = {
    "qwen2_vl": QWEN_GENERATION | {
        "temperature": 0.01, "top_p": 0.001, "top_k": 1, "transformers_version": "4.37.0"},
    "qwen2_5_vl": QWEN_GENERATION | {
        "repetition_penalty": 1.05, "temperature": 0.000001, "transformers_version": "4.49.0"},
    "qwen3_vl": QWEN_GENERATION | {
        "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.0, "temperature": 0.7,
        "transformers_version": "4.56.0"},
    "llava_onevision": {
        "_from_model_config": True, "bos_token_id": 151643, "eos_token_id": 151645,
        "transformers_version": "4.45.0.dev0"},
}

# MARK: Chat templates

ONEVISION_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + ' '}}"
    "{# Render all images first #}{% for content in message['content'] | "
    "selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}"
    "{# Render all video then #}{% for content in message['content'] | "
    "selectattr('type', 'equalto', 'video') %}{{ '<video>' }}{% endfor %}"
    "{# Render all text next #}{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ '\\n' + content['text'] }}{% endfor %}{% else %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% generation %}{{ '\\n' + content['text'] }}{% endgeneration %}{% endfor %}{% endif %}"
    "{{'<|im_end|>'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% endif %}"
)


def template(family):
    """The hub's chat template: Qwen's from an installed trl, which keeps copies of them."""
    if family == "llava_onevision":
        return ONEVISION_TEMPLATE
    file = {"qwen2_vl": "qwen2_5_vl"}.get(family, family) + ".jinja"
    place = importlib.util.find_spec("trl").submodule_search_locations[0]
    return (pathlib.Path(place) / "chat_templates" / file).read_text()


def write(folder, name):
    family = FAMILY[name]
    files = {"config.json": CONFIGS[name], "preprocessor_config.json": PREPROCESSORS[family],
             "generation_config.json": GENERATION[family]}
    if family == "llava_onevision":
        files["processor_config.json"] = ONEVISION_PROCESSOR
    folder = pathlib.Path(folder) / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, members in files.items():
        (folder / file).write_text(json.dumps(members, indent=2) + "\n")


if __name__ == "__main__":
    for name in CONFIGS:
        write(sys.argv[1], name)
