"""Makes Tests/Goldens/text: what the tokenizers library, transformers and Pillow say about small
inputs, for the tests of Tokenization and Imaging.

Needs transformers, tokenizers, pillow (13 or later), numpy, jinja2.
"""

import base64
import io
import json
import pathlib
import random
import struct
import zlib

import numpy
from PIL import Image, ImageOps
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, trainers
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


def small_tokenizer():
    tokenizer = dress(Tokenizer(models.BPE()))
    trainer = trainers.BpeTrainer(
        vocab_size=420, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=[])
    rng = random.Random(7)
    tokenizer.train_from_iterator([" ".join(rng.sample(WORDS, 20)) for _ in range(200)], trainer)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
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


# MARK: Images

def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width, height, depth, color, rows, interlace=False, extra=b"", filters=None):
    """A PNG by hand: `rows` are packed scanlines, pass by pass where interlaced."""
    raw = b"".join(bytes([0]) + r for r in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlace))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
            + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def adam7(array):
    """Passes of an array [h, w, bytes per pixel], as rows."""
    rows = []
    for x, y, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
                         (1, 0, 2, 2), (0, 1, 1, 2)]:
        part = array[y::dy, x::dx]
        if part.size:
            rows += [r.tobytes() for r in part]
    return rows


def picture(height, width, channels=3, seed=0):
    """A smooth picture with some noise."""
    rng = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    waves = [numpy.sin(x / (2 + c)) * 60 + numpy.cos(y / (3 + c)) * 60 for c in range(channels)]
    noise = rng.integers(-12, 12, (height, width, channels))
    return (numpy.stack(waves, -1) + 128 + noise).clip(0, 255).astype(numpy.uint8)


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def images():
    folder = HERE / "images"
    folder.mkdir(parents=True, exist_ok=True)
    rgb = Image.fromarray(picture(17, 22))
    grey = rgb.convert("L")
    rgba = Image.fromarray(picture(17, 22, 4))
    palette = rgb.quantize(13)
    clear = palette.copy()
    wide = numpy.random.default_rng(3).integers(0, 65536, (9, 11)).astype(">u2")
    wide[0, :4] = [0, 200, 255, 256]
    deep = numpy.random.default_rng(4).integers(0, 65536, (9, 11, 4)).astype(">u2")
    low = numpy.random.default_rng(5).integers(0, 256, (9, 2)).astype(numpy.uint8)
    small = picture(13, 10)
    exif = lambda n: b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([n]) \
        + b"\0\0\0\0\0\0"
    files = {
        "rgb.png": saved(rgb, "PNG"), "grey.png": saved(grey, "PNG"),
        "rgba.png": saved(rgba, "PNG"), "la.png": saved(rgba.convert("LA"), "PNG"),
        "palette.png": saved(palette, "PNG"),
        "palette-clear.png": saved(clear, "PNG", transparency=2),
        "rgb-clear.png": saved(rgb, "PNG", transparency=tuple(rgb.getpixel((0, 0)))),
        "bits1.png": saved(grey.convert("1"), "PNG"),
        "bits2.png": png(8, 9, 2, 0, [r.tobytes() for r in low]),
        "bits4.png": png(4, 9, 4, 0, [r.tobytes() for r in low]),
        "palette4-short.png": png(4, 9, 4, 3, [r.tobytes() for r in low],
                                  extra=chunk(b"PLTE", bytes(range(30)))),
        "grey16.png": png(11, 9, 16, 0, [r.tobytes() for r in wide]),
        "rgb16.png": png(11, 9, 16, 2, [r.tobytes() for r in deep[..., :3]]),
        "la16.png": png(11, 9, 16, 4, [r.tobytes() for r in deep[..., :2]]),
        "rgba16.png": png(11, 9, 16, 6, [r.tobytes() for r in deep]),
        "gamma.png": png(10, 13, 8, 2, [r.tobytes() for r in small],
                         extra=chunk(b"gAMA", struct.pack(">I", 100000))),
        "interlaced.png": png(10, 13, 8, 2, adam7(small), interlace=True),
        "interlaced-1x3.png": png(1, 3, 8, 2, adam7(small[:3, :1]), interlace=True),
        "interlaced16.png": png(11, 9, 16, 0, adam7(wide.view(numpy.uint8).reshape(9, 11, 2)),
                                interlace=True),
        "rotated.png": png(10, 13, 8, 2, [r.tobytes() for r in small],
                           extra=chunk(b"eXIf", exif(6)[6:])),
        "rgb.jpg": saved(rgb, "JPEG", quality=85),
        "rgb444.jpg": saved(rgb, "JPEG", quality=95, subsampling=0),
        "progressive.jpg": saved(rgb, "JPEG", quality=70, progressive=True),
        "grey.jpg": saved(grey, "JPEG", quality=85),
        "cmyk.jpg": saved(rgb.convert("CMYK"), "JPEG", quality=90),
        "lossy.webp": saved(rgb, "WEBP", quality=80),
        "lossless.webp": saved(rgba, "WEBP", lossless=True, exact=True),
        "rotated.webp": saved(rgb, "WEBP", lossless=True, exif=exif(8)),
    }
    for n in range(1, 9):
        files[f"exif{n}.jpg"] = saved(rgb.crop((0, 0, 20, 12)), "JPEG", quality=90, exif=exif(n))
    expected = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        expected.append({"file": name, "width": image.width, "height": image.height,
                         "rgb": base64.b64encode(image.tobytes()).decode()})
    whole = files["rgb.png"]
    spoilt = bytearray(whole)
    spoilt[len(whole) // 2] ^= 255
    jpeg = files["rgb444.jpg"]
    bad = {
        "cut.png": whole[: len(whole) // 2], "spoilt.png": bytes(spoilt),
        "cut.jpg": jpeg[: len(jpeg) * 2 // 3], "header.jpg": jpeg[:20],
        "cut.webp": files["lossless.webp"][:200], "empty.png": b"", "text.png": b"hello, world",
        "huge.png": png(60000, 60000, 8, 2, [b""]), "zero.png": png(0, 5, 8, 2, [b""]),
        "bomb.png": png(12000, 12000, 8, 2, [b""]),
        "short.png": png(40, 40, 8, 2, [bytes(120)] * 20),
        "filter.png": (b"\x89PNG\r\n\x1a\n"
                       + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 2, 0, 0, 0))
                       + chunk(b"IDAT", zlib.compress(bytes([9]) + bytes(6)))
                       + chunk(b"IEND", b"")),
    }
    for name, data in bad.items():
        (folder / ("bad-" + name)).write_bytes(data)
    (HERE / "images.json").write_text(json.dumps(expected) + "\n")


def formula(height, width):
    """The picture that the tests make too, without a file."""
    y, x, c = numpy.mgrid[0:height, 0:width, 0:3]
    return ((x * 7 + y * 13 + c * 29 + x * y // 3 + (x * x) // (y + 1)) % 256).astype(numpy.uint8)


def resizes():
    cases = []
    for h, w, nh, nw in [(23, 37, 28, 56), (23, 37, 11, 13), (23, 37, 23, 13), (23, 37, 40, 37),
                         (1, 1, 28, 28), (2, 300, 28, 140), (300, 2, 28, 28), (64, 64, 28, 84),
                         (427, 640, 420, 644), (768, 1024, 196, 280), (333, 500, 5, 7),
                         # Either side of the border between Pillow 13's two orders.
                         (80, 40, 60, 30), (80, 40, 59, 30), (40, 40, 29, 35), (40, 40, 30, 35)]:
        image = Image.fromarray(formula(h, w)).resize((nw, nh), Image.Resampling.BICUBIC)
        data = image.tobytes()
        case = {"from": [h, w], "to": [nh, nw], "crc": zlib.crc32(data)}
        if len(data) < 1000:
            case["rgb"] = base64.b64encode(data).decode()
        cases.append(case)
    return cases


def processors():
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
        Qwen2VLImageProcessorPil, smart_resize)

    cases = []
    for (h, w), options in [
        ((64, 64), {"patch_size": 8, "size": {"shortest_edge": 16, "longest_edge": 4096}}),
        ((20, 33), {"patch_size": 4, "size": {"shortest_edge": 16, "longest_edge": 4096}}),
        ((100, 41), {"patch_size": 8, "merge_size": 1, "temporal_patch_size": 1,
                     "size": {"shortest_edge": 64, "longest_edge": 2048},
                     "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.5]}),
        ((56, 84), {}), ((30, 200), {}), ((427, 640), {}), ((900, 1400), {}),
    ]:
        processor = Qwen2VLImageProcessorPil(**options)
        out = processor(images=Image.fromarray(formula(h, w)), return_tensors="np")
        values = out["pixel_values"].astype(numpy.float32).reshape(-1)
        step = max(1, len(values) // 400)
        if step > 1:
            step |= 1
        cases.append({
            "image": [h, w], "options": options, "config": json.loads(processor.to_json_string()),
            "grid": out["image_grid_thw"].tolist()[0], "count": len(values), "step": step,
            "values": [float(f"{v:.9g}") for v in values[::step]],
            "sum": float(values.astype(numpy.float64).sum()),
        })
    rng = random.Random(5)
    sizes = []
    while len(sizes) < 300:
        h, w = (round(2 ** rng.uniform(0, 12)) for _ in range(2))
        factor = rng.choice([8, 16, 28])
        low, high = sorted((rng.choice([16, 256, 3136, 50000]),
                            rng.choice([4096, 100352, 1003520, 12845056])))
        try:
            new = list(smart_resize(h, w, factor, low, high))
        except ValueError:
            new = None
        if new and 0 in new:
            continue
        sizes.append([h, w, factor, low, high, new])
    return cases, sizes


def processing():
    cases, sizes = processors()
    (HERE / "processing.json").write_text(
        json.dumps({"resize": resizes(), "process": cases, "sizes": sizes}) + "\n")


if __name__ == "__main__":
    HERE.mkdir(parents=True, exist_ok=True)
    tokens()
    chat()
    images()
    processing()
