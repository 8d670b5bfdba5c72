"""What others make of the work that vlsi-bench measures.

usage: bench-peers.py ROW PEER FOLDER

`vlsi-bench --peers PYTHON` calls it, once for each row and peer, and reads the JSON that it prints: the
best seconds and the peak memory, or which packages are missing. FOLDER holds config.json, work.json
(the shapes) and features/ (the records). Weights and inputs are random.
"""
import inspect, json, os, random, resource, shutil, sys, time

ROW, PEER, FOLDER = sys.argv[1:]
WORK = json.load(open(f"{FOLDER}/work.json"))
PACKAGES = {
    "torch-bfloat16": "torch transformers peft",
    "torch-float32": "torch transformers peft",
    "lmdb": "numpy lmdb zstandard safetensors",
    "mosaicml": "numpy lmdb zstandard safetensors mosaicml-streaming",
}


def best(trial, prepare=lambda: None, trials=3):
    """The shortest time of `trial`; a first one does not count."""
    times = []
    for _ in range(trials + 1):
        prepare()
        start = time.perf_counter()
        trial()
        times.append(time.perf_counter() - start)
    return min(times[1:])


# MARK: Stages


def model(torch, dtype):
    """The model of config.json with random weights: its constructor's own take minutes."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(FOLDER)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    model = model.to_empty(device="cpu")
    block = torch.empty(1 << 20).uniform_(-1 / 32, 1 / 32)
    for weight in model.parameters():
        count = weight.numel()
        weight.data = block.repeat(count // len(block) + 1)[:count].view(weight.shape).to(dtype)
        weight.requires_grad_(False)
    for name, buffer in model.named_buffers():
        if "inv_freq" in name:
            steps = torch.arange(buffer.numel(), dtype=torch.float32) / buffer.numel()
            buffer.data = 1 / (1e6 if "language" in name else 1e4) ** steps
    return config, model


def sample(torch, config, dtype):
    """One picture and text behind it; the last tokens are the answer."""
    vision, (_, height, width) = config.vision_config, WORK["grid"]
    visual = height * width // vision.spatial_merge_size**2
    text = WORK["tokens"] - visual - 2
    ids = torch.cat([
        torch.tensor([config.vision_start_token_id]),
        torch.full((visual,), config.image_token_id),
        torch.tensor([config.vision_end_token_id]),
        torch.randint(0, 10_000, (text,)),
    ])[None]
    return dict(
        input_ids=ids, image_grid_thw=torch.tensor([WORK["grid"]]),
        pixel_values=torch.randn(
            height * width, 3 * vision.temporal_patch_size * vision.patch_size**2, dtype=dtype))


def answers(torch, config, net, inputs, trials=1):
    """Questions in batches, each with its picture: a batch goes on until its longest answer ends."""
    from transformers import GenerationConfig, StoppingCriteria

    work = WORK["answers"]
    lengths = work["lengths"]
    net.eval()

    def batch(numbers):
        ids = inputs["input_ids"].repeat(len(numbers), 1)
        ids[:, -work["own"] :] = torch.randint(0, 10_000, (len(numbers), work["own"]))
        given = dict(
            input_ids=ids, attention_mask=torch.ones_like(ids),
            image_grid_thw=inputs["image_grid_thw"].repeat(len(numbers), 1),
            pixel_values=inputs["pixel_values"].repeat(len(numbers), 1))
        if "mm_token_type_ids" in inputs:
            given["mm_token_type_ids"] = (ids == config.image_token_id).int()
        wanted = torch.tensor([lengths[number % len(lengths)] for number in numbers])

        class Lengths(StoppingCriteria):
            """What an end-of-answer token does, which random weights do not say."""

            def __call__(self, ids, scores, **rest):
                return ids.shape[1] - given["input_ids"].shape[1] >= wanted

        net.generate(
            **given, stopping_criteria=[Lengths()],
            generation_config=GenerationConfig(
                do_sample=False, max_new_tokens=max(lengths), pad_token_id=0))

    def trial():
        numbers = range(work["questions"])
        for first in range(0, len(numbers), work["batch"]):
            batch(numbers[first : first + work["batch"]])

    return best(trial, trials=trials)


def stage():
    import torch
    from torch.nn.functional import kl_div, log_softmax, silu

    torch.set_num_threads(WORK["threads"])
    narrow = PEER == "torch-bfloat16"
    # What learns is float32; products are bfloat16 as autocast makes them.
    dtype = torch.bfloat16 if narrow and ROW != "finetune" else torch.float32
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=narrow)
    config, net = model(torch, dtype)
    inputs = sample(torch, config, dtype)
    if "mm_token_type_ids" in inspect.signature(net.model.forward).parameters:  # transformers 5
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == config.image_token_id).int()
    layers, answer = WORK["target_layers"], WORK["supervised"]

    if ROW == "extract":
        def trial():
            with torch.no_grad():
                hidden = net.model(**inputs, output_hidden_states=True).hidden_states
                return [hidden[layer][:, -answer:] for layer in layers]
        return best(trial)

    if ROW.startswith("answers"):
        return answers(torch, config, net, inputs)

    decoder = net.model.language_model
    net.config.text_config.use_cache = False
    net.gradient_checkpointing_enable({"use_reentrant": False})
    net.train()
    if ROW == "finetune":
        for weight in decoder.parameters():
            weight.requires_grad_(True)
        optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-5)
        labels = inputs["input_ids"].clone()
        labels[:, :-answer] = -100

        def loss():
            return net(**inputs, labels=labels).loss
    else:
        from peft import LoraConfig, get_peft_model

        names = "q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj"
        net.enable_input_require_grads()
        get_peft_model(net, LoraConfig(
            r=WORK["lora_rank"], lora_alpha=WORK["lora_rank"],
            target_modules=rf".*language_model.*\.({names})"))
        learning = [weight for weight in net.parameters() if weight.requires_grad]
        for weight in learning:
            weight.data = weight.data.float()
        optimizer = torch.optim.AdamW(learning, lr=1e-5)
        d, count = config.text_config.hidden_size, WORK["teacher_layers"]
        verbalizers = [[torch.randn(d, d, dtype=dtype) / d**0.5 for _ in "gud"] for _ in layers]
        # A teacher as wide as the student. Its logits for every position are too much to store.
        teacher = torch.randn(count + 1, answer, d, dtype=dtype)

        def loss():
            with torch.no_grad():
                said = log_softmax(net.lm_head(teacher).float(), -1)
            hidden = net.model(**inputs, output_hidden_states=True).hidden_states

            def distance(vectors, targets):
                own = log_softmax(net.lm_head(vectors)[0].float(), -1)
                return [kl_div(own, one, log_target=True, reduction="batchmean") for one in targets]

            total = distance(hidden[-1][:, -answer:], said[-1:])[0]
            for i, (layer, (g, u, o)) in enumerate(zip(layers, verbalizers)):
                h = hidden[layer][:, -answer:]
                spoken = (silu(h @ g.T) * (h @ u.T)) @ o.T
                # The range in which a layer finds its partner.
                total = total + random.choice(
                    distance(spoken, said[i : count - len(layers) + i + 1]))
            return total

    def trial():
        with mixed:
            value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    return best(trial, trials=2)


# MARK: The store


def store():
    from glob import glob

    import lmdb, numpy, zstandard
    from safetensors import deserialize
    from safetensors.numpy import load, save

    shards = sorted(glob(f"{FOLDER}/features/*.lmdb"))
    packer = zstandard.ZstdCompressor(level=1, write_checksum=True)
    unpacker = zstandard.ZstdDecompressor()
    keys, records = [], []
    for path in shards:
        with lmdb.open(path, subdir=False, readonly=True, lock=False) as shard:
            for key, frame in shard.begin().cursor():
                keys.append(bytes(key))
                # NumPy has no bfloat16: its bits do.
                records.append({
                    name: numpy.frombuffer(
                        tensor["data"], "<u2" if tensor["dtype"] == "BF16" else "<i4")
                    for name, tensor in deserialize(unpacker.decompress(frame))})
    order = list(range(len(keys)))
    if ROW == "store-random":
        random.Random(6).shuffle(order)
    copy = f"{FOLDER}/{PEER}"

    def clear():
        shutil.rmtree(copy, ignore_errors=True)

    if PEER == "lmdb":
        def write():
            os.makedirs(copy)
            with lmdb.open(f"{copy}/all.lmdb", subdir=False, map_size=1 << 30) as shard:
                with shard.begin(write=True) as change:
                    for key, record in zip(keys, records):
                        change.put(key, packer.compress(save(record)), append=True)

        def read():
            with lmdb.open(f"{copy}/all.lmdb", subdir=False, readonly=True, lock=False) as shard:
                with shard.begin(buffers=True) as view:
                    for i in order:
                        load(unpacker.decompress(view.get(keys[i])))
    else:
        from streaming import MDSWriter, StreamingDataset

        def write():
            with MDSWriter(
                out=copy, columns={"record": "bytes"}, compression="zstd:1", hashes=["xxh3_128"],
                size_limit=1 << 24,
            ) as writer:
                for record in records:
                    writer.write({"record": save(record)})

        def read():
            dataset = StreamingDataset(local=copy, batch_size=1)
            for i in order:
                load(dataset[i]["record"])

    if ROW == "store-write":
        return best(write, clear)

    def pack_again():
        """mosaicml unpacks whole shards once, beside the packed ones."""
        clear()
        write()

    return best(read, pack_again)


try:
    found = {"seconds": store() if ROW.startswith("store") else stage()}
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
except ImportError as error:
    print(error, file=sys.stderr)
    found = {"missing": PACKAGES[PEER]}
print(json.dumps(found))
