"""Makes Tests/Goldens/images: what Pillow and transformers make of images of every kind.

    python make_image_goldens.py                 the committed files
    python make_image_goldens.py families        images/families.json alone: Qwen3-VL, LLaVA-OneVision
    python make_image_goldens.py --compare DIR   some 1,600 images in DIR, up to 12 megapixels, with
        what Pillow, its bicubic resize and transformers' Qwen2VLImageProcessorPil make of them; the
        test does this by itself where a Python is named:
        VLSI_TORCH_PYTHON=python swift test … --filter PillowTests

An image is opened and turned upright by Pillow, then given to transformers as it is, whose
processor lays what is transparent over white, as qwen-vl-utils does. (Its load_image, which fetches
images named by path or URL, drops the alpha before the processor sees it.)

Needs transformers (5.23 or later), pillow (13 or later: its resize goes down the columns first where
the height shrinks far more than the width, and differs from older ones in some of those pixels).
"""

import argparse
import base64
import io
import itertools
import json
import os
import pathlib
import random
import struct
import time
import zlib

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy
from PIL import Image, ImageOps
from transformers import LlavaOnevisionProcessor, Qwen3VLProcessor
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution
from transformers.image_transforms import convert_to_rgb
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil, smart_resize)

import published

HERE = pathlib.Path(__file__).parent / "images"

# MARK: Pictures

def picture(height, width, channels=3, seed=0):
    """A smooth picture with some noise and a hard edge."""
    rng = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    waves = [numpy.sin(x / (2 + c)) * 60 + numpy.cos(y / (3 + c)) * 60 for c in range(channels)]
    noise = rng.integers(-12, 12, (height, width, channels))
    edge = 90 * (x + 2 * y > width)[..., None]
    return (numpy.stack(waves, -1) + 96 + noise + edge).clip(0, 255).astype(numpy.uint8)


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


# MARK: PNG by hand: every colour type and depth, interlaced or not, every row filter

def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def filtered(row, above, step, kind):
    left = numpy.concatenate([numpy.zeros(step, numpy.int32), row[:-step]])[:len(row)]
    corner = numpy.concatenate([numpy.zeros(step, numpy.int32), above[:-step]])[:len(row)]
    if kind == 4:
        guess = left + above - corner
        a, b, c = abs(guess - left), abs(guess - above), abs(guess - corner)
        predicted = numpy.where((a <= b) & (a <= c), left, numpy.where(b <= c, above, corner))
    else:
        predicted = [0, left, above, (left + above) // 2][kind]
    return bytes([kind]) + ((row - predicted) % 256).astype(numpy.uint8).tobytes()


def png(samples, depth, color, interlace=False, extra=b"", after=b"", filters=range(5)):
    """`samples` [height, width, channels], of `depth` bits each."""
    height, width, channels = samples.shape
    passes = [(0, 0, 1, 1)] if not interlace else [
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
        (0, 1, 1, 2)]
    raw = []
    kinds = itertools.cycle(filters)
    for x, y, dx, dy in passes:
        part = samples[y::dy, x::dx]
        if not part.size:
            continue
        above = None
        for line in part.reshape(part.shape[0], -1):
            if depth == 16:
                row = line.astype(">u2").view(numpy.uint8)
            else:
                bits = (line[:, None] >> numpy.arange(depth - 1, -1, -1)) & 1
                row = numpy.packbits(bits.reshape(-1).astype(numpy.uint8))
            row = row.astype(numpy.int32)
            above = numpy.zeros_like(row) if above is None else above
            raw.append(filtered(row, above, max(1, channels * depth // 8), next(kinds)))
            above = row
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlace))
    body = zlib.compress(b"".join(raw), 9)
    half = len(body) // 2
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", body[:half])
            + chunk(b"IDAT", body[half:]) + after + chunk(b"IEND", b""))


def deep(p, channels, depth, seed=5):
    """The picture with samples of any depth, low bits included."""
    rng = numpy.random.default_rng(seed)
    p = numpy.concatenate([p, p[..., ::-1]], -1)[..., :channels].astype(numpy.int64)
    if depth < 8:
        return p >> (8 - depth)
    if depth == 8:
        return p
    wide = p * 256 + rng.integers(0, 256, p.shape)
    wide.reshape(-1)[::7] >>= 8  # some below 256
    return wide


def palette_chunk(entries):
    return chunk(b"PLTE", bytes((i * 37 + c * 91) % 256 for i in range(entries) for c in range(3)))


def key(*samples):
    return chunk(b"tRNS", struct.pack(f">{len(samples)}H", *samples))


def exif(orientation, order=">"):
    mark = b"MM" if order == ">" else b"II"
    return b"Exif\0\0" + mark + struct.pack(
        order + "HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def xmp(orientation):
    return (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/>'
            b"</x:xmpmeta>" % orientation)


def profile(orientation):
    block = exif(orientation)
    text = block.hex()
    lines = "\n".join(text[i:i + 72] for i in range(0, len(text), 72))
    return chunk(b"zTXt", b"Raw profile type exif\0\0"
                 + zlib.compress(f"\nexif\n{len(block):8}\n{lines}\n".encode()))


def itxt(packet):
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)


# MARK: Other formats by hand

def adobe(data, transform):
    """The JPEG with another colour transform in its Adobe marker; None drops the marker."""
    at = data.index(b"\xff\xee\x00\x0eAdobe")
    if transform is None:
        return data[:at] + data[at + 16:]
    return data[:at + 15] + bytes([transform]) + data[at + 16:]


def sampled(image, luma):
    """A square 4:2:2 JPEG whose header names other sampling factors of as many blocks."""
    side = max(16, min(image.size) // 16 * 16)
    data = bytearray(saved(image.resize((side, side)), "JPEG", quality=90, subsampling="4:2:2"))
    at = data.index(b"\xff\xc0") + 10
    assert data[at + 1] == 0x21
    data[at + 1] = luma
    return bytes(data)


def gif_frame(data, size, screen, left=0, top=0):
    """The GIF with another screen, its first frame at another place."""
    at = data.index(b"," + struct.pack("<HHHH", 0, 0, *size))
    return (data[:6] + struct.pack("<HH", *screen) + data[10:at + 1]
            + struct.pack("<HH", left, top) + data[at + 5:])


def webp_frame(data, width, height):
    """The animated WebP with a canvas of this size, its frames at (4, 2)."""
    data = bytearray(data)
    at = data.index(b"VP8X") + 12
    data[at:at + 6] = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    at = data.find(b"ANMF")
    while at >= 0:
        data[at + 8:at + 14] = b"\2\0\0\1\0\0"
        at = data.find(b"ANMF", at + 1)
    return bytes(data)


def local_palette(data):
    """The GIF with its palette moved from the screen to the frame."""
    entries = 3 << ((data[10] & 7) + 1)
    palette = data[13:13 + entries]
    rest = data[13 + entries:]
    at = rest.index(b",")
    return (data[:10] + bytes([data[10] & 0x70]) + data[11:13] + rest[:at + 9]
            + bytes([rest[at + 9] | 0x80 | (data[10] & 7)]) + palette + rest[at + 10:])


# MARK: Kinds

def kinds():
    """Every kind of file, made of a picture [height, width, 3]."""
    image = Image.fromarray
    alpha = lambda p: image(numpy.concatenate([p, 255 - p[..., :1]], -1))
    grey = lambda p: image(p).convert("L")
    table = {
        "rgb.jpg": lambda p: saved(image(p), "JPEG", quality=85),
        "rgb444.jpg": lambda p: saved(image(p), "JPEG", quality=95, subsampling=0),
        "rgb422.jpg": lambda p: saved(image(p), "JPEG", quality=75, subsampling=1),
        "rgb440.jpg": lambda p: sampled(image(p), 0x12),
        "coarse.jpg": lambda p: saved(image(p), "JPEG", quality=8),
        "fine.jpg": lambda p: saved(image(p), "JPEG", quality=100),
        "restart.jpg": lambda p: saved(image(p), "JPEG", restart_marker_blocks=2),
        "progressive.jpg": lambda p: saved(image(p), "JPEG", quality=70, progressive=True),
        "progressive444.jpg": lambda p: saved(
            image(p), "JPEG", quality=90, progressive=True, subsampling=0),
        "adobe-rgb.jpg": lambda p: saved(image(p), "JPEG", quality=90, keep_rgb=True),
        "grey.jpg": lambda p: saved(grey(p), "JPEG", quality=85),
        "grey-progressive.jpg": lambda p: saved(grey(p), "JPEG", progressive=True),
        "cmyk.jpg": lambda p: saved(image(p).convert("CMYK"), "JPEG", quality=90),
        "cmyk-plain.jpg": lambda p: adobe(
            saved(image(p).convert("CMYK"), "JPEG", quality=90), None),
        "ycck.jpg": lambda p: adobe(saved(image(p).convert("CMYK"), "JPEG", quality=90), 2),
        "exif-little.jpg": lambda p: saved(image(p), "JPEG", exif=exif(6, "<")),
        "stray.jpg": lambda p: saved(image(p), "JPEG")[:-2] + b"\0\1\2\xff\xd9",
        "trailing.jpg": lambda p: saved(image(p), "JPEG") + bytes(50),
        "xmp.jpg": lambda p: saved(image(p), "JPEG", xmp=xmp(8)),
        "exif-before-xmp.jpg": lambda p: saved(image(p), "JPEG", xmp=xmp(8), exif=exif(3)),
        "palette.png": lambda p: saved(image(p).quantize(13), "PNG"),
        "palette-clear.png": lambda p: saved(image(p).quantize(13), "PNG", transparency=2),
        "palette-alpha.png": lambda p: saved(
            image(p).quantize(9), "PNG", transparency=bytes(range(0, 99, 11))),
        "palette4-short.png": lambda p: png(deep(p, 1, 4), 4, 3, extra=palette_chunk(10)),
        "rgb-clear.png": lambda p: saved(
            image(p), "PNG", transparency=tuple(int(v) for v in p[0, 0])),
        "grey-clear.png": lambda p: saved(grey(p), "PNG", transparency=77),
        "grey1-clear.png": lambda p: png(deep(p, 1, 1), 1, 0, extra=key(1)),
        "grey2-clear.png": lambda p: png(deep(p, 1, 2), 2, 0, extra=key(0)),
        "grey16-clear.png": lambda p: png(deep(p, 1, 16), 16, 0, extra=key(255)),
        "rgb16-clear.png": lambda p: png(
            deep(p, 3, 16), 16, 2, extra=key(*(int(v) for v in p[0, 0]))),
        "indexed2-clear.png": lambda p: png(
            deep(p, 1, 2), 2, 3, extra=palette_chunk(4) + chunk(b"tRNS", bytes([9, 0, 200]))),
        "gamma.png": lambda p: png(
            deep(p, 3, 8), 8, 2, extra=chunk(b"gAMA", struct.pack(">I", 100000))),
        "rotated.png": lambda p: png(deep(p, 3, 8), 8, 2, extra=chunk(b"eXIf", exif(6)[6:])),
        "rotated-after.png": lambda p: png(deep(p, 3, 8), 8, 2, after=chunk(b"eXIf", exif(7)[6:])),
        "rotated-text.png": lambda p: png(deep(p, 3, 8), 8, 2, extra=profile(8)),
        "rotated-xmp.png": lambda p: png(deep(p, 3, 8), 8, 2, extra=itxt(xmp(5))),
        "no-end.png": lambda p: png(deep(p, 3, 8), 8, 2)[:-12],
        "animated.png": lambda p: saved(
            image(p), "PNG", save_all=True, append_images=[image(255 - p)]),
        "lossy.webp": lambda p: saved(image(p), "WEBP", quality=80),
        "coarse.webp": lambda p: saved(image(p), "WEBP", quality=5),
        "lossy-alpha.webp": lambda p: saved(alpha(p), "WEBP", quality=80),
        "lossless.webp": lambda p: saved(alpha(p), "WEBP", lossless=True, exact=True),
        "lossless-rgb.webp": lambda p: saved(image(p), "WEBP", lossless=True),
        "rotated.webp": lambda p: saved(image(p), "WEBP", lossless=True, exif=exif(8)),
        "xmp.webp": lambda p: saved(image(p), "WEBP", quality=80, xmp=xmp(2)),
        "animated-alpha.webp": lambda p: saved(
            alpha(p), "WEBP", save_all=True, append_images=[alpha(255 - p)], lossless=True),
        "animated.webp": lambda p: saved(
            image(p), "WEBP", save_all=True, append_images=[image(255 - p)], quality=70),
        "offset.webp": lambda p: webp_frame(saved(
            image(p), "WEBP", save_all=True, append_images=[image(255 - p)], lossless=True),
            p.shape[1] + 9, p.shape[0] + 5),
        "offset-alpha.webp": lambda p: webp_frame(saved(
            alpha(p), "WEBP", save_all=True, append_images=[alpha(255 - p)], lossless=True),
            p.shape[1] + 9, p.shape[0] + 5),
        "palette.gif": lambda p: saved(image(p).quantize(13), "GIF", interlace=0),
        "interlaced.gif": lambda p: saved(image(p).quantize(200), "GIF", interlace=1),
        "grey.gif": lambda p: saved(grey(p), "GIF"),
        "clear.gif": lambda p: saved(image(p).quantize(13), "GIF", transparency=3),
        "local.gif": lambda p: local_palette(saved(image(p).quantize(30), "GIF")),
        "animated.gif": lambda p: saved(
            image(p).quantize(60), "GIF", save_all=True,
            append_images=[image(255 - p).quantize(60)]),
        "offset.gif": lambda p: gif_frame(
            saved(image(p).quantize(13), "GIF"), p.shape[1::-1],
            (p.shape[1] + 9, p.shape[0] + 5), 4, 3),
        "offset-clear.gif": lambda p: gif_frame(
            saved(image(p).quantize(13), "GIF", transparency=3), p.shape[1::-1],
            (p.shape[1] + 9, p.shape[0] + 5), 4, 3),
        "overhang.gif": lambda p: gif_frame(
            saved(image(p).quantize(13), "GIF"), p.shape[1::-1], (3, 2), 1, 2),
    }
    for n in range(1, 9):
        table[f"exif{n}.jpg"] = lambda p, n=n: saved(
            image(p), "JPEG", quality=90, exif=exif(n))
    # Colour types and depths of the standard; a palette of all the entries there can be.
    for name, color, channels, depths in [
        ("grey", 0, 1, [1, 2, 4, 8, 16]), ("rgb", 2, 3, [8, 16]), ("indexed", 3, 1, [1, 2, 4, 8]),
        ("la", 4, 2, [8, 16]), ("rgba", 6, 4, [8, 16]),
    ]:
        for depth, interlace in itertools.product(depths, [False, True]):
            label = name + ("" if depth == 8 else str(depth)) + ("-interlaced" if interlace else "")
            table[label + ".png"] = lambda p, a=(depth, color, interlace), c=channels: png(
                deep(p, c, a[0]), *a, extra=palette_chunk(1 << a[0]) if a[1] == 3 else b"")
    return table


# MARK: The reference

def upright(file):
    return ImageOps.exif_transpose(Image.open(file))


def rgb(image):
    return Image.fromarray(convert_to_rgb(image, return_numpy=True))


# MARK: The committed files

def images():
    HERE.mkdir(parents=True, exist_ok=True)
    for old in HERE.iterdir():
        old.unlink()
    files = {name: make(picture(13, 18)) for name, make in kinds().items()}
    for name in ["rgb-interlaced.png", "grey1-interlaced.png", "rgb.jpg", "interlaced.gif"]:
        for height, width in [(1, 1), (3, 1), (1, 9)]:
            files[f"{height}x{width}-{name}"] = kinds()[name](picture(height, width))
    expected = []
    for name, data in files.items():
        (HERE / name).write_bytes(data)
        image = rgb(upright(io.BytesIO(data)))
        expected.append({"file": name, "width": image.width, "height": image.height,
                         "crc": zlib.crc32(image.tobytes())})
    (HERE / "expected.json").write_text(json.dumps(expected) + "\n")
    for name, data in damaged(files).items():
        (HERE / ("bad-" + name)).write_bytes(data)


def damaged(files):
    whole = files["rgb.png"]
    spoilt = bytearray(whole)
    spoilt[len(whole) // 2] ^= 255
    header = lambda width, height: struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    claim = lambda width, height, rows: (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header(width, height))
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    half = lambda name: files[name][: len(files[name]) * 2 // 3]
    jpeg, gif, webp = files["rgb444.jpg"], files["palette.gif"], files["animated.webp"]
    frame = jpeg.index(b"\xff\xc0") + 5
    scan = jpeg.index(b"\xff\xda") + 14
    size = lambda *numbers: struct.pack(">HH", *numbers)
    at = webp.index(b"VP8X") + 12
    return {
        "cut.png": half("rgb.png"), "spoilt.png": bytes(spoilt), "empty.png": b"",
        "text.png": b"hello, world", "huge.png": claim(60000, 60000, b""),
        "zero.png": claim(0, 5, b""), "bomb.png": claim(12000, 12000, b""),
        "short.png": claim(40, 40, bytes(121) * 20), "filter.png": claim(2, 1, bytes([9] + [0] * 6)),
        "text-bomb.png": png(
            deep(picture(3, 3), 3, 8), 8, 2,
            extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(17 << 20), 9))),
        "cut.jpg": half("rgb444.jpg"), "header.jpg": jpeg[:20], "no-end.jpg": jpeg[:-2],
        "spoilt.jpg": jpeg[:scan] + b"\xff\x00" * 20 + jpeg[scan + 40:],
        "huge.jpg": jpeg[:frame] + size(65000, 65000) + jpeg[frame + 4:],
        "bomb.jpg": jpeg[:frame] + size(9000, 9000) + jpeg[frame + 4:],
        "zero.jpg": jpeg[:frame] + size(0, 0) + jpeg[frame + 4:],
        "cut.webp": half("lossless.webp"), "cut-animated.webp": half("animated.webp"),
        "huge.webp": webp[:at] + b"\x1f\x4e\0\x1f\x4e\0" + webp[at + 6:],
        "cut.gif": half("palette.gif"), "header.gif": gif[:12], "none.gif": gif[:13] + b";",
        "huge.gif": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "zero.gif": gif_frame(gif, (18, 13), (18, 13)).replace(
            struct.pack("<HHHH", 0, 0, 18, 13), struct.pack("<HHHH", 0, 0, 0, 0)),
    }


def formula(height, width):
    """The picture that the tests make too, without a file."""
    y, x, c = numpy.mgrid[0:height, 0:width, 0:3]
    return ((x * 7 + y * 13 + c * 29 + x * y // 3 + (x * x) // (y + 1)) % 256).astype(numpy.uint8)


def resizes():
    cases = []
    for h, w, nh, nw in [(23, 37, 28, 56), (23, 37, 11, 13), (23, 37, 23, 13), (23, 37, 40, 37),
                         (1, 1, 28, 28), (2, 300, 28, 140), (300, 2, 28, 28), (64, 64, 28, 84),
                         (427, 640, 420, 644), (768, 1024, 196, 280), (333, 500, 5, 7),
                         # One pixel wide, where a vector reaches into the rows below.
                         (3, 1, 4, 28), (5, 1, 5, 2), (6, 1, 6, 3), (7, 2, 7, 1), (9, 3, 9, 40),
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


# MARK: Other families

SHAPES = [(1, 1), (3, 1), (8, 8), (28, 28), (31, 200), (200, 31), (64, 64), (97, 1531), (1531, 97),
          (384, 384), (385, 383), (427, 640), (640, 427), (768, 1024), (1201, 733), (1500, 2000)]
# In one sample with others: padded to a square, not tiled.
SQUARES = [(1, 1), (8, 8), (31, 200), (200, 31), (385, 383), (427, 640), (768, 1024)]


def sampled_values(values):
    values = values.astype(numpy.float32).reshape(-1)
    step = max(1, len(values) // 200) | 1
    return {"count": len(values), "step": step,
            "values": [float(f"{v:.9g}") for v in values[::step]],
            "sum": float(values.astype(numpy.float64).sum())}


def settings(family):
    """The hub's preprocessor_config.json without the names of classes."""
    return {key: value for key, value in published.PREPROCESSORS[family].items()
            if key not in ("image_processor_type", "processor_class")}


def processor_of(kind, images, **members):
    """The class's own counting, without the video processor, which needs torchvision."""
    processor = kind.__new__(kind)
    processor.__dict__.update(image_processor=images, image_token="i", **members)
    return processor


def random_shapes(seed):
    rng = random.Random(seed)
    return [tuple(round(2 ** rng.uniform(0, 12.3)) for _ in range(2)) for _ in range(300)]


def qwen3_images():
    images = Qwen2VLImageProcessorPil(**settings("qwen3_vl"))
    processor = processor_of(Qwen3VLProcessor, images)
    cases, sizes = [], []
    for shape in SHAPES:
        out = images(images=Image.fromarray(formula(*shape)), return_tensors="np")
        grid = out["image_grid_thw"].tolist()[0]
        cases.append({
            "image": shape, "resized": [grid[1] * 16, grid[2] * 16], "grid": grid,
            "tokens": len(processor.replace_image_token(out, 0)),
            **sampled_values(out["pixel_values"])})
    for height, width in random_shapes(9):
        try:
            new = smart_resize(height, width, 32, 65536, 16777216)
        except ValueError:
            new = None
        sizes.append([height, width, new])
    return {"config": settings("qwen3_vl"), "process": cases, "sizes": sizes}


def onevision_images():
    images = LlavaOnevisionImageProcessorPil(**settings("llava_onevision"))
    members = {key: value for key, value in published.ONEVISION_PROCESSOR.items()
               if key != "processor_class"} | {"image_token": "i"}
    processor = processor_of(LlavaOnevisionProcessor, images)
    processor.__dict__.update(members, vision_aspect_ratio="anyres_max_9")

    def layout(height, width):
        """The pinpoint, the size before padding; rows and columns left of the tiles; all tokens."""
        best = select_best_resolution((height, width), images.image_grid_pinpoints)
        inner = get_patch_output_size(
            numpy.empty((3, height, width), numpy.uint8), best, input_data_format="channels_first")
        features, rows = processor._get_unpadded_features(
            height, width, 27, 27, best[0] // 384, best[1] // 384)
        tokens = processor._get_number_of_features(height, width, 384, 384)
        return {"pinpoint": list(best), "inner": [int(n) for n in inner],
                "rows": rows, "columns": features // rows, "tokens": tokens}

    cases, squares, sizes = [], [], []
    for shape in SHAPES:
        out = images(images=Image.fromarray(formula(*shape)), return_tensors="np")
        case = {"image": shape, **layout(*shape), "tiles": out["pixel_values"].shape[1]}
        assert case["tokens"] == len(processor.replace_image_token(out, 0))
        cases.append(case | sampled_values(out["pixel_values"]))
    for shape in SQUARES:
        pair = [Image.fromarray(formula(*shape)), Image.fromarray(formula(5, 5))]
        out = images(images=[pair], return_tensors="np")
        squares.append({"image": shape, "tokens": len(processor.replace_image_token(out, 0)),
                        **sampled_values(out["pixel_values"][0])})
    for shape in random_shapes(11):
        sizes.append([*shape, *numpy.hstack(list(layout(*shape).values())).tolist()])
    return {"config": settings("llava_onevision"), "process": cases, "squares": squares,
            "sizes": sizes}


def families():
    """Qwen3-VL's and LLaVA-OneVision's processing with the hub's settings.

    `sizes` are [height, width, resized or none] for Qwen3-VL, for LLaVA-OneVision
    [height, width, pinpoint (2), size before padding (2), rows, columns, tokens].
    """
    (HERE / "families.json").write_text(json.dumps(
        {"qwen3_vl": qwen3_images(), "llava_onevision": onevision_images()}) + "\n")


# MARK: The large comparison

NORMAL = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
          "image_mean": [0.48145466, 0.4578275, 0.40821073],
          "image_std": [0.26862954, 0.26130258, 0.27577711],
          "image_processor_type": "Qwen2VLImageProcessor"}
CONFIGS = [
    {**NORMAL, "min_pixels": 3136, "max_pixels": 28 * 28 * 60},
    {**NORMAL, "size": {"shortest_edge": 3136, "longest_edge": 28 * 28 * 40}},
    {**NORMAL, "min_pixels": 28 * 28 * 24, "max_pixels": 28 * 28 * 30,
     "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]},
    # As the published checkpoints have it, and as Qwen2-VL's class has it.
    {**NORMAL, "min_pixels": 3136, "max_pixels": 12845056},
    {**NORMAL, "size": {"shortest_edge": 3136, "longest_edge": 28 * 28 * 1280}},
]
SIZES = [(1, 1), (1, 2), (3, 1), (2, 7), (8, 8), (17, 22), (16, 16), (57, 131), (100, 333),
         (240, 180), (427, 640), (1, 200), (200, 1), (201, 1), (2, 399), (5, 1000), (1000, 5)]
LARGE = [(1536, 2048), (1201, 733), (3000, 4000)]
LARGE_KINDS = ["rgb.jpg", "progressive.jpg", "exif6.jpg", "cmyk.jpg", "rgba.png", "lossy.webp",
               "lossless-rgb.webp", "interlaced.gif"]


def compare(folder):
    folder = pathlib.Path(folder)
    processors = []
    for number, config in enumerate(CONFIGS):
        place = folder / f"processor{number}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "preprocessor_config.json").write_text(json.dumps(config))
        processors.append(Qwen2VLImageProcessorPil.from_pretrained(place))
    table = kinds()
    work = [(name, size) for name in table for size in SIZES]
    work += [(name, size) for name in LARGE_KINDS for size in LARGE]
    index = []
    for number, (name, (height, width)) in enumerate(work):
        case = {"kind": name, "file": f"{number}-{name}", "size": f"{width} x {height}",
                "processor": 4 if (height, width) in LARGE else number % 4}
        path = folder / case["file"]
        path.write_bytes(table[name](picture(height, width, seed=number)))
        processor = processors[case["processor"]]
        opened = upright(path)
        image = rgb(opened)
        case["decoded"] = zlib.crc32(image.tobytes())
        size = processor.size
        factor = processor.patch_size * processor.merge_size
        try:
            h, w = smart_resize(
                image.height, image.width, factor, size["shortest_edge"], size["longest_edge"])
        except ValueError:
            index.append(case)
            continue
        resized = image.resize((w, h), Image.Resampling.BICUBIC)
        (folder / f"{number}.rgb").write_bytes(resized.tobytes())
        out = processor(images=opened, return_tensors="np")
        out["pixel_values"].astype("<f4").tofile(folder / f"{number}.values")
        case.update(pixels=f"{number}.rgb", values=f"{number}.values", resized=[h, w],
                    grid=out["image_grid_thw"][0].tolist())
        index.append(case)
    (folder / "index.json").write_text(json.dumps({"cases": index, "timings": timings(folder)}))


def photograph(height, width):
    """Colours whose energy falls with frequency as in photographs."""
    rng = numpy.random.default_rng(1)
    frequency = numpy.hypot(numpy.fft.fftfreq(height)[:, None], numpy.fft.rfftfreq(width))
    frequency[0, 0] = numpy.inf
    layers = []
    for _ in range(3):
        noise = rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)
        layer = numpy.fft.irfft2(noise / frequency ** 1.1, (height, width))
        layers.append(layer / layer.std())
    colours = [128 + 50 * (0.8 * layers[0] + 0.4 * layer) for layer in layers]
    return Image.fromarray(numpy.stack(colours, -1).clip(0, 255).astype(numpy.uint8))


def timings(folder):
    """Pillow's milliseconds on one thread, the best of nine, for a photograph of 3 megapixels."""
    photo = photograph(1536, 2048)
    found = []
    for name, options in [("photo.jpg", {"quality": 90}), ("upright.jpg", {"exif": exif(6)}),
                          ("photo.png", {}), ("photo.webp", {"quality": 85}), ("photo.gif", {})]:
        path = folder / name
        photo.save(path, **options)
        image = rgb(upright(path))
        h, w = smart_resize(image.height, image.width, 28, 3136, 800000)
        found.append({
            "file": name,
            "decode": best(lambda: upright(path).convert("RGB")),
            "resize": best(lambda: image.resize((w, h), Image.Resampling.BICUBIC))})
    return found


def best(work):
    def once():
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) * 1000

    return min(once() for _ in range(9))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["families"])
    parser.add_argument("--compare", metavar="DIR")
    arguments = parser.parse_args()
    if arguments.compare:
        compare(arguments.compare)
    elif arguments.what == "families":
        families()
    else:
        images()
        processing()
        families()
