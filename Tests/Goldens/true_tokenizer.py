"""The true tokenizer of Qwen2-VL, and what the tokenizers library gives with it for varied text.

    python true_tokenizer.py make DIR       the tokenizer's files as the hub's Qwen2-VL has them:
        tokenizer.json, tokenizer_config.json, chat_template.json, vocab.json, merges.txt;
        with --onevision the special tokens are LLaVA-OneVision's
    python true_tokenizer.py expect DIR     texts with their ids into DIR/expected.bin, made from
        a seed and the Unicode tables; prints how long the library took, on one thread

The vocabulary is qwen.tiktoken of PyPI's dashscope (`pip install --no-deps dashscope`), or the
file given by --tiktoken. `expect` needs tokenizers as well. Both are called by the tests of
Tokenization, where VLSI_PYTHON names a Python that has them.
"""

import argparse
import base64
import importlib.util
import json
import os
import pathlib
import random
import struct
import sys
import time
import unicodedata

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
]
# LLaVA-OneVision's, which knows no vision tokens; Qwen2.5-VL's and Qwen3-VL's begin with Qwen2-VL's.
ONEVISION = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"]
CHAT_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    "{{ message['content'] }}<|im_end|>\n{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# MARK: The tokenizer


def ranks(path):
    if path is None:
        spec = importlib.util.find_spec("dashscope")
        if spec is None:
            sys.exit("no vocabulary: pip install --no-deps dashscope, or give --tiktoken FILE")
        path = pathlib.Path(spec.submodule_search_locations[0]) / "resources" / "qwen.tiktoken"
    found = {}
    for entry in pathlib.Path(path).read_bytes().splitlines():
        token, rank = entry.split()
        found[base64.b64decode(token)] = int(rank)
    if sorted(found.values()) != list(range(151643)):
        sys.exit(f"{path}: expected the 151,643 ranks of Qwen's vocabulary, found {len(found)}")
    return found


def merges(ranks):
    """The pair that each token is made from: its last two parts when it merges by rank."""
    result = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) == 1:
            continue
        parts = [bytes([b]) for b in token]
        while len(parts) > 2:
            best = min(range(len(parts) - 1),
                       key=lambda i: ranks.get(parts[i] + parts[i + 1], rank))
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        result.append(parts)
    return result


def alphabet():
    """The printable character of each byte, GPT-2's."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = iter(range(256, 512))
    return [chr(b) if b in own else chr(next(rest)) for b in range(256)]


def make(folder, tiktoken, special=SPECIAL):
    characters = alphabet()
    word = lambda token: "".join(characters[b] for b in token)
    found = ranks(tiktoken)
    vocabulary = {word(token): rank for token, rank in found.items()}
    pairs = [" ".join(map(word, pair)) for pair in merges(found)]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True}
    added = {len(vocabulary) + i: token for i, token in enumerate(special)}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
             "use_regex": False}
    files = {
        "tokenizer.json": {
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": i, "content": t, **flags} for i, t in added.items()],
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated",
                 "invert": False}, level]},
            "post_processor": level, "decoder": level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": "", "end_of_word_suffix": "",
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocabulary, "merges": pairs}},
        "tokenizer_config.json": {
            "add_prefix_space": False,
            "added_tokens_decoder": {str(i): {"content": t, **flags} for i, t in added.items()},
            "additional_special_tokens": special[1:], "bos_token": None,
            "chat_template": CHAT_TEMPLATE, "clean_up_tokenization_spaces": False,
            "eos_token": "<|im_end|>", "errors": "replace", "model_max_length": 32768,
            "pad_token": "<|endoftext|>", "padding_side": "left", "split_special_tokens": False,
            "tokenizer_class": "Qwen2Tokenizer", "unk_token": None},
        "chat_template.json": {"chat_template": CHAT_TEMPLATE},
        "vocab.json": vocabulary,
    }
    if special is not SPECIAL:
        # Of another family, whose own template counts.
        del files["chat_template.json"], files["tokenizer_config.json"]["chat_template"]
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with open(folder / name, "w", encoding="utf-8") as out:
            # The hub's vocab.json is one line, byte for byte this one.
            line = name == "vocab.json"
            json.dump(content, out, ensure_ascii=False, indent=None if line else 2,
                      separators=(",", ":") if line else None)
    with open(folder / "merges.txt", "w", encoding="utf-8") as out:
        out.write("#version: 0.2\n" + "\n".join(pairs) + "\n")


# MARK: Varied text

PROSE = """The quick brown fox jumps over the lazy dog; what is shown in this image? There are
twelve red circles, no 12.5% of them, naïve café Straße ŒUVRE Ελληνικά γλώσσα ЖИЗНЬ и мир українська
עברית שָׁלוֹם العربية السَّلَام हिन्दी में लिखा বাংলা தமிழ் తెలుగు ქართული հայերեն አማርኛ ไทย ภาษา ລາວ မြန်မာ ខ្មែរ བོད་
中文字符 漢字 图像里有什么 日本語 テスト ひらがな ｶﾀｶﾅ 한국어 문장 tiếng Việt Türkçe İstanbul ﬁn Ǆ""".split()
GAPS = [" "] * 12 + ["  ", "\n", ", ", ". ", "\t", " - ", "\u00a0", "\u3000"]
SPACES = ["\t", "\n", "\v", "\f", "\r", "\r\n", "\x1c", "\x1f", " ", " ", " ", "  ", "\x85",
          "\xa0", "\u1680", "\u180e", "\u2000", "\u2003", "\u200a", "\u200b", "\u2028", "\u2029",
          "\u202f", "\u205f", "\u2060", "\u3000", "\ufeff"]
CODE = ["def f(x):", "    return x+1", "\tif (a != b) {", "}", "};", "// TODO: fix", "/* */", "#",
        "for i in range(10):", "std::vector<int> v{1, 2};", "x = y[i]->z;", "a&&b||!c", "snake_case",
        "camelCaseName", "CONST_VALUE", "0xDEADBEEF", "1e-5f", "\"a\\n\"", "'c'", "`${x}`", "<div/>",
        "</p>", "&nbsp;", "SELECT * FROM t;", "$HOME/bin", "C:\\dir\\x", "http://a.b/c?d=e&f=%20#g",
        "user@example.com", "{\"k\": [1, null]}", "===", "...", "=>", "lambda: 0", "#!/bin/sh", "@x"]
SUFFIXES = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'M", "'lL",
            "'D", "'ſ", "'ſt", "’s", "''s", "'", "'r", "'l", "'v", "'x", "'é", "'１", "'s's"]
EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇯🇵🇫🇷", "❤️", "☺", "1️⃣", "👨🏿‍🚀", "🧑🏻‍🤝‍🧑🏾", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "⚽", "🫠",
         "👁️‍🗨️", "\u200d", "\ufe0f", "\U0001f3fb"]
SINGLE = ["\u212b", "\u2126", "\u1e9b\u0323", "\u0344", "\u0958", "\u0387", "\uf900", "\ufb2c",
          "\U0001d15e", "\U0002f801", "\u0f73", "\u2adc", "\u1100\u1161\u11a8", "\uac00\u11a8",
          "\u1112\u1175", "\u1113\u1167", "\u0dd9\u0dcf\u0dca", "\u0b47\u0b3e", "\U0001109a\U000110ba"]
BROKEN = [b"\xff", b"\xc0\xaf", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
          b"\x80", b"\xe0\x80\x80", b"\xc3", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xbf\xbf"]


class Text:
    """Lines of many kinds, from a seed."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.assigned = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c))[0] in "LMNPSZC"
                         and unicodedata.category(chr(c)) not in ("Cs", "Cn", "Co")]
        self.marks = [c for c in self.assigned if unicodedata.combining(c)]
        self.digits = [c for c in self.assigned if unicodedata.category(c)[0] == "N"]
        self.bases = [c for c in self.assigned
                      if unicodedata.category(c)[0] == "L" and ord(c) < 0x2000]
        scripts = {}
        for c in self.assigned:
            if unicodedata.category(c)[0] in "LMN":
                scripts.setdefault(unicodedata.name(c, "-").split(" ")[0], []).append(c)
        self.scripts = [s for s in scripts.values() if len(s) > 15]
        self.kinds = [self.prose, self.script, self.emoji, self.combining, self.code, self.spaces,
                      self.contractions, self.numbers, self.specials, self.anything, self.mixture,
                      self.long, self.broken]
        self.weights = [30, 16, 5, 10, 10, 5, 6, 5, 5, 6, 10, 0.5, 6]

    def some(self, values, most):
        return [self.rng.choice(values) for _ in range(self.rng.randint(1, most))]

    def line(self):
        return self.rng.choices(self.kinds, self.weights)[0]()

    def joined(self, words):
        return "".join(w + self.rng.choice(GAPS) for w in words)

    def prose(self):
        return self.joined(self.some(PROSE, 24))

    def script(self):
        letters = self.rng.choice(self.scripts)
        words = ["".join(self.some(letters, 9)) for _ in range(self.rng.randint(1, 8))]
        return self.joined(words)

    def emoji(self):
        return "".join(self.some(EMOJI + [" ", "a", ", "], 12))

    def combining(self):
        parts = []
        for base in self.some(self.bases, 8):
            parts += [base] + (self.some(self.marks, 5) if self.rng.random() < 0.7 else [])
            if self.rng.random() < 0.2:
                parts.append(self.rng.choice(SINGLE + [" "]))
        return "".join(parts)

    def code(self):
        return "".join("    " * self.rng.randint(0, 3) + s + self.rng.choice(["\n", "\r\n", " "])
                       for s in self.some(CODE, 8))

    def spaces(self):
        return "".join(self.some(SPACES + ["a", "1", "."], 30))

    def contractions(self):
        return "".join(self.rng.choice(["I", "they", "don", "IT", "", " ", "é", "1", "\n"])
                       + self.rng.choice(SUFFIXES) + self.rng.choice(["", " ", "x", "."])
                       for _ in range(self.rng.randint(1, 8)))

    def numbers(self):
        return "".join(self.some(self.digits + list("0123456789" * 60) + list(" .,-") * 20, 20))

    def specials(self):
        cut = [s[: self.rng.randint(1, len(s))] for s in SPECIAL[:4]]
        return "".join(self.some(SPECIAL * 2 + cut + PROSE[:20] + [" ", "\n", "\u0301", "<", "|>"], 10))

    def anything(self):
        return "".join(self.some(self.assigned, 24))

    def mixture(self):
        return "".join(self.text(self.rng.choices(self.kinds[:9], self.weights[:9])[0]())
                       for _ in range(self.rng.randint(2, 4)))

    def text(self, part):
        start = self.rng.randrange(len(part) + 1)
        return part[start:start + 20]

    def long(self):
        unit = "".join(self.some(list("abcxyzÄéяж中") + ["'", "ab", "\u0301"], 6))
        return unit * self.rng.randint(20, 400)

    def broken(self):
        raw = bytearray(self.prose()[:60].encode())
        for _ in range(self.rng.randint(1, 5)):
            at = self.rng.randrange(len(raw) + 1)
            if self.rng.random() < 0.5:
                raw[at:at + self.rng.randint(0, 2)] = self.rng.choice(BROKEN)
            else:
                raw[at:at + 1] = bytes(self.rng.randrange(256) for _ in range(2))
        return bytes(raw)


def expect(folder, lines, seed):
    # Before the library is there: it reads both when it starts its threads.
    os.environ.update(RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    from tokenizers import Tokenizer

    text = Text(seed)
    raw = [line if isinstance(line, bytes) else line.encode()
           for line in (text.line() for _ in range(lines))]
    texts = [line.decode("utf-8", errors="replace") for line in raw]
    start = time.perf_counter()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    loading = time.perf_counter() - start
    # Its fastest way counts: its caches warm, without offsets.
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        found = tokenizer.encode_batch_fast(texts)
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        for line in texts:
            tokenizer.encode(line)
        seconds.append(time.perf_counter() - start)
    cases = [(r, e.ids) for r, e in zip(raw, found)]
    with open(folder / "expected.bin", "wb") as out:
        for line, ids in cases:
            decoded = tokenizer.decode(ids, skip_special_tokens=False).encode()
            for part in (line, struct.pack(f"<{len(ids)}i", *ids), decoded):
                out.write(struct.pack("<I", len(part)) + part)
    rng = random.Random(seed)
    with open(folder / "decoded.bin", "wb") as out:
        for _ in range(max(200, lines // 20)):
            ids = [rng.randrange(151657) for _ in range(rng.randint(1, 20))]
            for part in (struct.pack(f"<{len(ids)}i", *ids),
                         tokenizer.decode(ids, skip_special_tokens=False).encode(),
                         tokenizer.decode(ids, skip_special_tokens=True).encode()):
                out.write(struct.pack("<I", len(part)) + part)
    print(json.dumps({"seconds": min(seconds), "loading": loading}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "expect"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tiktoken", help="qwen.tiktoken, else that of an installed dashscope")
    parser.add_argument("--onevision", action="store_true", help="LLaVA-OneVision's special tokens")
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.what == "make":
        make(arguments.folder, arguments.tiktoken, ONEVISION if arguments.onevision else SPECIAL)
    else:
        expect(arguments.folder, arguments.lines, arguments.seed)
