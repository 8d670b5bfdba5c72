"""Makes Tests/Goldens/text: what the tokenizers library says about small inputs, for the tests of
Tokenization.

tokens.json and chat.json are about checkpoint/, a small tokenizer dressed as Qwen2-VL's; chat-FAMILY.json
has what the hub's template of that family makes of conversations, Qwen's over checkpoint/ too,
LLaVA-OneVision's over checkpoint-onevision/, the same vocabulary with <image> and <video> for added tokens.

Needs tokenizers, jinja2, transformers, trl (`pip install --no-deps trl`: see published.py).
"""

import json
import os
import pathlib
import random

os.environ["HF_HUB_OFFLINE"] = "1"

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

import published
from true_tokenizer import CHAT_TEMPLATE, PATTERN, SPECIAL

HERE = pathlib.Path(__file__).parent / "text"

# MARK: Text

WORDS = """the a red circle has 3 corners What is in this image? There are twelve, no 12.5% of
them: it's they're WE'VE I'LL he'D don'T 'sun 'S 'ſ 'RE 'lL naïve café Straße ŒUVRE Ελληνικά
ЖИЗНЬ и мир עברית العربية हिन्दी 中文字符 日本語テスト 한국어 ไทย 😀 👩‍👩‍👧 🇩🇪 ½ Ⅷ ² ٣ 𝟘 𝒜
<|im_end|> <|image_pad|> <|im_start <|vision_start|><|vision_end|> <image> {"k": [1, 2]} x=y+1;
// --> ### ... ?! ” “ … — http://a.b/c?d=e&f=%20 snake_case camelCase \\n \\t C:\\dir""".split()
GAPS = [" ", " ", " ", " ", "  ", "   ", "\n", "\n\n", " \n", "\r\n", "\t", " \t ", "\u00a0",
        "\u3000", "\u2028", "\u0085", "\u200b", "", "\n \n  ", "     "]
MARKS = ["e\u0301", "\u1100\u1161\u11a8", "q\u0307\u0323", "\u212b", "\u2126", "\ufb01",
         "\u0958", "\u1e9b\u0323", "A\u030a", "\u2000", "\u0344", "が", "か\u3099", "\ufeff",
         "\u200d", "\ufe0f", "\U0001d15e"]
RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x36F), (0x370, 0x5FF),
          (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x1FFF),
          (0x2000, 0x206F), (0x20A0, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x4FFF),
          (0xAC00, 0xAD00), (0xF900, 0xFAFF), (0xFB00, 0xFFEF), (0x1D400, 0x1D7FF),
          (0x1F300, 0x1F9FF), (0x20000, 0x20100), (0x2F800, 0x2FA1D)]


def line(rng):
    kind = rng.random()
    if kind < 0.6:
        parts = []
        for _ in range(rng.randint(1, 16)):
            parts += [rng.choice(WORDS), rng.choice(GAPS)]
        return "".join(parts)
    if kind < 0.75:
        return "".join(rng.choice(WORDS + GAPS + MARKS) for _ in range(rng.randint(1, 20)))
    if kind < 0.9:
        low, high = rng.choice(RANGES)
        return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 24)))
    out = []
    for _ in range(rng.randint(1, 20)):
        low, high = rng.choice(RANGES)
        out.append(chr(rng.randint(low, high)))
    return "".join(out)


def dress(tokenizer):
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def small_tokenizer(special=SPECIAL):
    tokenizer = dress(Tokenizer(models.BPE()))
    trainer = trainers.BpeTrainer(
        vocab_size=420, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=[])
    rng = random.Random(7)
    tokenizer.train_from_iterator([" ".join(rng.sample(WORDS, 20)) for _ in range(200)], trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.add_tokens([AddedToken("<seg>", special=False, normalized=True)])
    return tokenizer


def tokens():
    tokenizer = small_tokenizer()
    folder = HERE / "checkpoint"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(text, ensure_ascii=False) + "\n")
    # With these two the folder is a checkpoint as far as vlsi-prepare looks at it.
    special = {t: tokenizer.token_to_id(t) for t in SPECIAL}
    (folder / "config.json").write_text(json.dumps({
        "model_type": "qwen2_vl", "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 48,
        "vocab_size": 440, "rope_theta": 1e6, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
        "max_position_embeddings": 512, "rope_scaling": {"type": "mrope", "mrope_section": [4, 2, 2]},
        "image_token_id": special["<|image_pad|>"], "video_token_id": special["<|video_pad|>"],
        "vision_start_token_id": special["<|vision_start|>"],
        "vision_end_token_id": special["<|vision_end|>"],
        "bos_token_id": special["<|endoftext|>"], "eos_token_id": special["<|im_end|>"],
        "vision_config": {"depth": 1, "embed_dim": 16, "num_heads": 2, "mlp_ratio": 2,
                          "patch_size": 8, "temporal_patch_size": 2, "spatial_merge_size": 2,
                          "in_chans": 3, "hidden_size": 32},
    }, indent=1) + "\n")
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "patch_size": 8, "temporal_patch_size": 2, "merge_size": 2, "min_pixels": 256,
        "max_pixels": 4096}) + "\n")
    rng = random.Random(1)
    texts = [line(rng) for _ in range(240)]
    texts += ["", " ", "\n", "a" * 300, "ab" * 100, " " * 70, "\n" * 50, "x <seg> y<seg><seg>",
              "<|im_start|>user\nhi<|im_end|>\n", "<<|im_end|>>", "'", "''s", "it's", "IT'S'",
              "a'ſb", "1234", "½½", " \u0301", "e\u0301<|im_end|>\u0301",
              # What Foundation's normalisation joins or leaves apart wrongly; marks out of order.
              "\u1113\u1167", "\u1101\u1176", "\U0002006f\u0303\u0368", "\uacc4\u11b1",
              "\u0dd9\u0dcf\u0dca", "\u09c7\u09be", "a\u0323\u0307\u0301\u031b", "\U0001d15e"]
    cases = [{"text": t, "ids": tokenizer.encode(t).ids} for t in texts]
    for case in cases:
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(case["text"]).ids
        tokenizer.encode_special_tokens = False
        if plain != case["ids"]:
            case["plain"] = plain
    decode = []
    for ids in [c["ids"] for c in cases[:40]] + [[rng.randrange(440) for _ in range(12)]
                                                for _ in range(40)]:
        decode.append({"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=False),
                       "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
    (HERE / "tokens.json").write_text(
        json.dumps({"encode": cases, "decode": decode}, ensure_ascii=False) + "\n")


# MARK: Chat


def chat():
    import jinja2

    template = jinja2.Environment().from_string(CHAT_TEMPLATE)
    tokenizer = Tokenizer.from_file(str(HERE / "checkpoint" / "tokenizer.json"))
    text = lambda t: {"type": "text", "text": t}
    image = {"type": "image"}
    user = lambda *parts: {"role": "user", "content": list(parts)}
    answer = lambda t: {"role": "assistant", "content": [text(t)]}
    conversations = [
        ([user(image, text("What is this?")), answer("A red circle.")], [4]),
        ([user(text("Two plus two?")), answer("4"), user(text("And three?")), answer("It's 7.\n")],
         []),
        ([{"role": "system", "content": [text("Be brief.")]},
          user(image, text(" and "), image, text("\nCompare them.")), answer(" The first.")],
         [1, 6]),
        ([user(text("Look:"), image)], [2]),
        ([user(text("\n\nodd\n"), image, text("\n")), answer("yes"), user(image), answer("no")],
         [3, 3]),
    ]
    cases = []
    for messages, counts in conversations:
        prompt = messages[-1]["role"] == "user"
        rendered = template.render(messages=messages, add_generation_prompt=prompt)
        for count in counts:
            rendered = rendered.replace("<|image_pad|>", "<|x|>" * count, 1)
        rendered = rendered.replace("<|x|>", "<|image_pad|>")
        cases.append({"messages": messages, "counts": counts, "prompt": prompt,
                      "ids": tokenizer.encode(rendered).ids})
    (HERE / "chat.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n")


# MARK: Other families

ONEVISION_SPECIAL = SPECIAL[:3] + ["<image>", "<video>"]


def onevision_checkpoint():
    """As little as vlsi-prepare looks at: pictures of 16 x 16 with 4 x 4 patches."""
    tokenizer = small_tokenizer(ONEVISION_SPECIAL)
    folder = HERE / "checkpoint-onevision"
    folder.mkdir(parents=True, exist_ok=True)
    text = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(text, ensure_ascii=False) + "\n")
    special = {t: tokenizer.token_to_id(t) for t in ONEVISION_SPECIAL}
    pinpoints = [[height, width] for height in (16, 32, 48) for width in (16, 32, 48)]
    whole = published.CONFIGS["llava-onevision-0.5b"]
    files = {
        "config.json": whole | {
            "image_token_index": special["<image>"], "video_token_index": special["<video>"],
            "image_grid_pinpoints": pinpoints, "text_config": whole["text_config"] | {
                "bos_token_id": special["<|endoftext|>"], "eos_token_id": special["<|im_end|>"],
                "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                "num_key_value_heads": 1, "intermediate_size": 48, "vocab_size": 432,
                "max_position_embeddings": 512, "max_window_layers": 2},
            "vision_config": whole["vision_config"] | {
                "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2,
                "num_hidden_layers": 1, "image_size": 16, "patch_size": 4}},
        "preprocessor_config.json": published.PREPROCESSORS["llava_onevision"] | {
            "image_grid_pinpoints": pinpoints, "size": {"height": 16, "width": 16}},
        "processor_config.json": published.ONEVISION_PROCESSOR | {"num_image_tokens": 16},
        "chat_template.json": {"chat_template": published.template("llava_onevision")},
    }
    for name, members in files.items():
        (folder / name).write_text(json.dumps(members, indent=1) + "\n")


def family_conversations():
    text = lambda t: {"type": "text", "text": t}
    image = {"type": "image"}
    turn = lambda role, *parts: {
        "role": role, "content": [text(p) if isinstance(p, str) else p for p in parts]}
    user = lambda *parts: turn("user", *parts)
    answer = lambda *parts: turn("assistant", *parts)
    system = lambda *parts: turn("system", *parts)
    return [
        ([user(image, "What is this?"), answer("A red circle.")], [4]),
        ([user("What is this?", image), answer("A red circle.")], [4]),
        ([user("Two plus two?"), answer("4"), user("And three?"), answer("It's 7.\n")], []),
        ([system("Be brief."), user(image, " and ", image, "\nCompare them."), answer(" The first.")],
         [1, 6]),
        ([system("You are a helpful assistant."), user("Hello there")], []),
        ([system("Be", " brief.\n"), user("One.", "Two."), answer("x", " y"), user("More?")], []),
        ([user("Look:", image)], [2]),
        ([user(image, image, image)], [2, 1, 3]),
        ([user("\n\nodd\n", image, "\n"), answer("yes"), user(image), answer("no")], [3, 3]),
        ([user(" leading"), answer("trailing "), user(image, ""), answer("a\n\nb"), user("", image, "c")],
         [2, 5]),
        ([user("e\u0301", image, "\u0301 naïve 中文 😀 12.5%")], [1]),
    ]


def family_chat():
    onevision_checkpoint()
    for family in ["qwen2_5_vl", "qwen3_vl", "llava_onevision"]:
        folder = "checkpoint-onevision" if family == "llava_onevision" else "checkpoint"
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HERE / folder / "tokenizer.json"))
        token = "<image>" if family == "llava_onevision" else "<|image_pad|>"
        cases = []
        for messages, counts in family_conversations():
            prompt = messages[-1]["role"] == "user"
            rendered = tokenizer.apply_chat_template(
                messages, chat_template=published.template(family), tokenize=False,
                add_generation_prompt=prompt)
            parts = rendered.split(token)
            assert len(parts) == len(counts) + 1
            for at, count in enumerate(counts):
                parts[at] += token * count
            ids = tokenizer("".join(parts), add_special_tokens=False)["input_ids"]
            cases.append({"messages": messages, "counts": counts, "prompt": prompt, "ids": ids})
        (HERE / f"chat-{family}.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    HERE.mkdir(parents=True, exist_ok=True)
    tokens()
    chat()
    family_chat()
