"""Makes Tests/Goldens/scoring: awkward answers to the benchmarks of the field, and what VLMEvalKit
makes of them; or holds a program's figures against the kit's.

    make_scoring_goldens.py --vlmevalkit DIR
    make_scoring_goldens.py --vlmevalkit DIR --compare PROGRAM [--rows 600] [--seed 1]

DIR is a checkout of github.com/open-compass/VLMEvalKit; nothing of it is copied. Answers are scored as
the kit does without a judge. NAME.tsv is a table of predictions as the kit writes it, NAME.json has each
row's score and the figures; prompts.json what the kit asks, of Qwen2-VL and of others.

    make_scoring_goldens.py --vlmevalkit DIR --lmms-eval [--rows 600] [--seed 1]

With --lmms-eval, from PyPI, the two kits are held against each other on the same answers; where they
differ, they read answers by other rules. With --compare, PROGRAM is called as `PROGRAM --predictions NAME.tsv --output FOLDER` on more rows and
another seed, and its scores.json and predictions.jsonl must say the same.

Needs numpy, pandas, openpyxl, tabulate, tqdm, validators, pillow, huggingface_hub, sty.
"""

import argparse
import importlib
import importlib.util
import json
import math
import pathlib
import random
import string
import subprocess
import sys
import tempfile
import types

import numpy as np
import pandas as pd

HERE = pathlib.Path(__file__).parent / "scoring"

# MARK: The kit, without what it imports for models


def open_kit(folder):
    """The kit's modules by their own code, their packages' __init__ left out."""
    root = pathlib.Path(folder) / "vlmeval"
    assert root.is_dir(), f"{folder} is no checkout of VLMEvalKit"
    for name in ["vlmeval", "vlmeval.smp", "vlmeval.utils", "vlmeval.dataset", "vlmeval.dataset.utils",
                 "vlmeval.vlm", "vlmeval.vlm.qwen2_vl"]:
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    smp = sys.modules["vlmeval.smp"]
    for part in ["log", "misc", "vlm", "file"]:
        module = importlib.import_module(f"vlmeval.smp.{part}")
        for name, value in vars(module).items():
            if not name.startswith("__"):
                setattr(smp, name, value)
    utils = sys.modules["vlmeval.utils"]
    matching = importlib.import_module("vlmeval.utils.matching_util")
    utils.can_infer, utils.can_infer_lego = matching.can_infer, matching.can_infer_lego
    utils.track_progress_rich = lambda *_, **__: None
    sys.modules["vlmeval.dataset.utils"].DEBUG_MESSAGE = ""
    sys.modules["vlmeval.dataset.utils"].build_judge = None
    # One module looks for it at another place.
    sys.modules["vlmeval.dataset.smp"], sys.modules["vlmeval.dataset.smp.log"] = smp, sys.modules["vlmeval.smp.log"]
    kit = types.SimpleNamespace(load=smp.load)
    for name in ["multiple_choice", "yorn", "vqa_eval", "mathvista", "mmvet", "llavabench"]:
        setattr(kit, name, importlib.import_module(f"vlmeval.dataset.utils.{name}"))
    kit.mcq = importlib.import_module("vlmeval.dataset.image_mcq")
    kit.vqa = importlib.import_module("vlmeval.dataset.image_vqa")
    kit.base = importlib.import_module("vlmeval.dataset.image_base")
    kit.yorn_set = importlib.import_module("vlmeval.dataset.image_yorn")
    kit.qwen = importlib.import_module("vlmeval.vlm.qwen2_vl.prompt")
    return kit


# MARK: Rows

THINGS = ["a red circle", "two dogs", "the Eiffel Tower", "Paris", "photosynthesis", "blue", "3/11", "12",
          "Not sure", "die Straße", "北京", "赤い円", "مربع", "ice cream", "None of the above", "E. coli",
          "the answer is blue", "It's a cat's toy", "$45.00", "left of the house", "A", "Yes", "no"]
TALK = ["I think ", "The answer is ", "Answer: ", "the correct answer is **", "It must be (", "Option ",
        "Well, looking at the picture one sees many things, and so I would say ", "答案是", "Final: ", ""]
TAILS = ["", ".", ")", "**", " because it is so.", ", and not the other one, as anybody can see here.",
         "\nExplanation: it is.", "\t", "!", " I am sure of that, A is not it"]


def chatter(rng):
    return rng.choice([
        "", " ", "\n", "nothing", "Sorry, I can't help with images of people yet.", "Z", "z", "??",
        "I can't process this file.", "Cannot determine the answer", "no idea", "Unknown", "A or B",
        "A, B", "A B C D", "(a)", "b", "c.", "A cat sits on a mat", "😀", "ſure", "Failed to obtain answer via API.",
        "A" * 50, "I'm sorry, but without the image provided I cannot say", "the answer is d", "Answer is  *C",
        "对", "はい", "NA", "null", "nan", "None", "0", "-1", "E", "F.", "B:", "#C", "{D}", "A*", "[B]"])


def choice_answer(rng, options, right):
    letters = list(options)
    kind = rng.random()
    letter = right if rng.random() < 0.6 else rng.choice(letters)
    text = str(options[letter])
    if kind < 0.3:
        return rng.choice(["{}", "({})", "{}.", "{}:", "{})", " {} ", "**{}**", "{}\n", "{}。"]).format(letter)
    if kind < 0.55:
        return rng.choice(TALK) + letter + rng.choice(TAILS)
    if kind < 0.7:
        return rng.choice([text, text.upper(), text.lower(), text + ".", "It is " + text, text[:3], f"{letter}. {text}",
                           text + " or " + str(options[rng.choice(letters)])])
    if kind < 0.78:
        return letter.lower()
    return chatter(rng)


def choice_row(rng, number, most=4):
    count = rng.randint(2, most)
    options = dict(zip(string.ascii_uppercase, rng.sample(THINGS, count)))
    right = rng.choice(list(options))
    row = {"index": number, "question": rng.choice(["What is this?", "Which one?", "图中是什么?", "Pick \"one\"\tnow"]),
           "hint": rng.choice([None, None, "look closely"]), **options, "answer": right,
           "category": rng.choice(["x", "attribute_reasoning", "k, l"]),
           "l2-category": rng.choice(["one", "logic_reasoning"])}
    return row, options, right


def choices(split=None, most=4):
    def make(rng, count):
        rows = []
        for number in range(count):
            row, options, right = choice_row(rng, number, most)
            if split:
                row["split"] = rng.choice(split)
            rows.append({**row, "prediction": choice_answer(rng, options, right)})
        return rows
    return make


def circular(rng, count):
    rows = []
    for number in range(count // 3):
        row, options, right = choice_row(rng, number)
        letters, texts = list(options), list(options.values())
        knows = rng.random() < 0.6
        for turn in range(len(letters)):
            turned = texts[turn:] + texts[:turn]
            now = dict(zip(letters, turned))
            gold = letters[(letters.index(right) - turn) % len(letters)]
            said = choice_answer(rng, now, gold) if not knows or rng.random() < 0.1 else gold
            rows.append({**row, "index": number + turn * 1000000, **now, "answer": gold,
                         "split": "dev", "prediction": said})
    return sorted(rows, key=lambda row: row["index"])


def mmmu(rng, count):
    rows = choices(["dev", "validation"], 6)(rng, count)
    for row in rows:
        if rng.random() < 0.2:
            for letter in "ABCDEF":
                row.pop(letter, None)
            row["answer"] = rng.choice(["42", "photosynthesis", "Paris", "1/3"])
            row["prediction"] = rng.choice([row["answer"], "It is " + row["answer"], "A", "B", "Other Answers", chatter(rng)])
    return rows


def cvbench(flat):
    def make(rng, count):
        rows = choices()(rng, count)
        for row in rows:
            row["split"] = "2D" if flat else "3D"
            row["source"] = rng.choice(["ADE20K", "COCO"]) if flat else "Omni3D"
            row["prompt"] = "Select: " + row["question"]
        return rows
    return make


def yes_no_answer(rng, right):
    word = right if rng.random() < 0.7 else rng.choice(["Yes", "No"])
    return rng.choice([word, word.lower(), word.upper() + ".", word + ", it is", f"({word})", f"**{word}**",
                       f"The answer is {word.lower()}!", "Yes and no", "not sure", "Yes/No", "no-one",
                       word + "\nnow", "yes.no", "Know", "是", "", "none", f"{word} , 1,000 of them", "nope", word + "…",
                       chatter(rng)])


def pope(rng, count):
    rows = []
    for number in range(count):
        right = rng.choice(["Yes", "No"])
        rows.append({"index": number, "question": "Is there a dog in the image?", "answer": right,
                     "category": rng.choice(["random", "popular", "adversarial", "random,popular"]),
                     "image_path": f"{number // 6}.jpg", "prediction": yes_no_answer(rng, right)})
    return rows


MME = ["OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position", "posters", "scene",
       "code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation"]


def mme(rng, count):
    rows = []
    for number in range(count):
        right = ["Yes", "No"][number % 2]
        task = MME[number // 2 % len(MME)]
        rows.append({"index": number, "question": "Is it? Please answer yes or no.", "answer": right, "category": task,
                     "image_path": f"{task}/{number // 2}.jpg", "prediction": yes_no_answer(rng, right)})
    return rows


def hallusion(rng, count):
    rows = []
    for number in range(count):
        kind, part = rng.choice([("VD", "illusion"), ("VS", "map"), ("VS", "chart")])
        right = rng.choice(["Yes", "No"])
        rows.append({"index": f"{kind}_{part}_{number}_{number // 8}_{number % 2}_{number // 2 % 4}", "category": kind,
                     "l2-category": part, "question": "Are both the same?", "answer": right,
                     "prediction": right if rng.random() < 0.5 else yes_no_answer(rng, right)})
    return rows


NUMBERS = ["12", "12.5", "0", "100", "1,234", "45%", "0.45", "$3", "1e3", "-7", "2007", "３", "5_0", "inf", "3 km",
           "12.0", "½", " 8", ".5", "5.", "0x1F", "--1", "1e400", "٣"]
WORDS = ["red", "Red", "two dogs", "Straße", "the house", "don't know", "dont", "O'Clock", "USA", "U.S.A.", "e.coli",
         "New York, NY", "北京", "yes", "one", "none", "a b c", "semi-colon; here", "x/y", "café", "CAFÉ", "ok...", "1.5.2"]


def spoken(rng, gold):
    number = None
    try:
        number = float(str(gold).strip("%$ ").replace(",", ""))
    except ValueError:
        pass
    options = [gold, gold.lower(), gold.upper(), gold + ".", " " + gold, gold + "\n", "the " + gold, gold[:-1], gold + "s",
               gold.replace(" ", "  "), rng.choice(NUMBERS), rng.choice(WORDS), f"{gold}%", f"It is {gold}",
               "a very long answer that goes on and on and says nothing at all of any use to anybody"]
    if number is not None and math.isfinite(number):
        options += [str(number * 1.04), str(number * 1.06), f"{number:.3f}", f"{number:,.0f}", f"{number / 100}"] * 2
    return rng.choice([gold, gold, chatter(rng)] + options)


def short(split=None, golds=1, kinds=(NUMBERS, WORDS)):
    def make(rng, count):
        rows = []
        for number in range(count):
            accepted = [rng.choice(rng.choice(kinds)) for _ in range(golds)]
            if golds == 10:
                accepted = [rng.choice(accepted[:3]) for _ in range(10)]
            row = {"index": number, "question": "How many?", "prediction": spoken(rng, rng.choice(accepted)),
                   "answer": accepted[0] if golds == 1 else repr(accepted), "image_path": f"{number // 2}.png"}
            if golds == 1 and rng.random() < 0.1:
                row["answer"] = rng.choice(["[2007, 2008]", "['a', 'b']", "[Yes, No]", "(1, 2)", "[0.5]"])
            if split:
                row["split"] = rng.choice(split)
            rows.append(row)
        return rows
    return make


def mathvista(judged):
    def make(rng, count):
        rows = []
        for number in range(count):
            row = {"index": number, "question": "What?", "task": rng.choice(["figure question answering", "geometry"]),
                   "skills": repr(rng.sample(["algebraic reasoning", "statistical reasoning", "logic"], 2))}
            kind = rng.choice(["choice", "integer", "float", "list"])
            if kind == "choice":
                options = dict(zip(string.ascii_uppercase, rng.sample(THINGS, 4)))
                right = rng.choice("ABCD")
                row.update(question_type="multi_choice", answer_type="text", choices=repr(list(options.values())),
                           answer=options[right], answer_option=right, prediction=choice_answer(rng, options, right))
            else:
                gold = {"integer": str(rng.randint(0, 20)), "float": f"{rng.randint(0, 50) / 10}", "list": "[1, 2]"}[kind]
                row.update(question_type="free_form", answer_type=kind, answer=gold, prediction=spoken(rng, gold))
            if judged:
                row["res"] = row.get("answer_option", row["answer"]) if rng.random() < 0.7 else rng.choice(["A", "7", "x"])
                row["log"] = "Succeed"
            rows.append(row)
        return rows
    return make


def mmvet(rng, count):
    return [{"index": number, "question": "Why?", "answer": "x <OR> y", "category": rng.choice(["rec", "ocr,math", "rec,know,gen", "spat"]),
             "prediction": rng.choice(WORDS), "score": rng.randint(0, 10) / 10} for number in range(count)]


def llavabench(rng, count):
    return [{"index": number, "question": "Describe.", "category": rng.choice(["conv", "detail", "complex"]), "gpt4_ans": "x",
             "caption": "y", "prediction": rng.choice(WORDS), "gpt4_score": rng.randint(7, 10),
             "score": rng.randint(1, 10)} for number in range(count)]


# MARK: What the kit says


def choice_rows(kit, data, name):
    """Each row's option and whether it is right."""
    prepared = kit.multiple_choice.MMMU_preproc(data.copy()) if "MMMU" in name else data
    for _, item in prepared.iterrows():
        item = item.copy()
        gold = item["answer"]
        if "MMMU" in name and gold not in string.ascii_uppercase:
            gold = "A"
        found = kit.multiple_choice.extract_answer_from_item(None, item, name)["opt"]
        yield item["index"], float(found == gold), found


def figure(name, value, column=None, group=None, split=None):
    return {"name": name, "column": column, "group": group, "split": split, "value": float(value)}


def accuracies(kit, data, name="accuracy"):
    """The kit's report_acc, which knows groups by abbreviations."""
    long = {short: full for full, short in kit.multiple_choice.MMB_abbrs.items()}
    table = kit.multiple_choice.report_acc(data.copy())
    groups = {**{g: "category" for g in set(data["category"])}, **{g: "l2-category" for g in set(data["l2-category"])}}
    for _, row in table.iterrows():
        split = None if row["split"] == "none" else row["split"]
        for key, value in row.items():
            if key == "split" or pd.isna(value):
                continue
            group = long.get(key, key)
            yield figure(name, 100 * value, *((None, None) if key == "Overall" else (groups[group], group)), split)


def score_choices(kit, data, name):
    rows = list(choice_rows(kit, data, name))
    data["hit"] = [score for _, score, _ in rows]
    if "CV-Bench" in name and all(data["split"] == "2D"):
        table = kit.mcq.CVBench.report_accuracy(None, data).iloc[0]
        figures = [figure("accuracy", 100 * table["Overall"])]
        figures += [figure("accuracy", 100 * table[s], "source", s) for s in set(data["source"])]
        return rows, figures
    return rows, list(accuracies(kit, data))


def score_circular(kit, data, name):
    rows = list(choice_rows(kit, data, name))
    data["hit"] = [score for _, score, _ in rows]
    data["GT"] = data["answer"]
    data["g_index"] = [int(i % 1e6) for i in data["index"]]
    first = data[data["index"] == data["g_index"]].copy()
    whole = first.copy()
    whole["hit"] = [(kit.multiple_choice.prefetch_circular_group(data[data["g_index"] == i]) or {"hit": 0})["hit"]
                    for i in first["index"]]
    return rows, [*accuracies(kit, whole), *accuracies(kit, data, "accuracy, vanilla"),
                  *accuracies(kit, first, "accuracy, first order")]


def score_yes_no(kit, data, name):
    data["extracted"] = [kit.yorn.YOrN_Extraction(text) for text in data["prediction"]]
    data["score"] = data["answer"] == data["extracted"]
    rows = list(zip(data["index"], data["score"].astype(float), data["extracted"]))
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.pkl"
        data.to_pickle(path)
        rating = {"POPE": kit.yorn.POPE_rating, "MME": kit.yorn.MME_rating}.get(name, kit.yorn.Hallusion_rating)
        table = rating(path)
    if name == "MME":
        row = table.iloc[0]
        figures = [figure(key, row[key]) for key in ["perception", "reasoning"]]
        return rows, figures + [figure("score", row[task], "category", task) for task in MME]
    names = {"Overall": "F1", "acc": "accuracy"} if name == "POPE" else {}
    figures = []
    for _, row in table.iterrows():
        group = None if row["split"] == "Overall" else row["split"]
        column = group and ("category" if name == "POPE" or group in set(data["category"]) else "l2-category")
        figures += [figure(names.get(key, key), value, column, group) for key, value in row.items() if key != "split"]
    return rows, figures


def score_short(kit, data, name):
    method = "vqa_score" if "TextVQA" in name else "relaxed_accuracy" if "ChartQA" in name else "anls"
    results = [kit.vqa_eval.process_line(row, method=method) for _, row in data.iterrows()]
    hits = kit.vqa_eval.hit_calculate(results, name)
    label = "ANLS" if method == "anls" else "accuracy"
    figures = [figure(label, 100 * np.mean(hits))]
    for split in set(data["split"]) if "split" in data else []:
        figures.append(figure(label, 100 * np.mean([h for h, s in zip(hits, data["split"]) if s == split]), split=split))
    return [(i, float(h), None) for i, h in zip(data["index"], hits)], figures


def score_mathvista(kit, data, name):
    judged = "log" in data
    if not judged:
        found = [kit.mathvista.post_check(row, prefetch=True) for _, row in data.iterrows()]
        data["res"] = [str(f) if f else "" for f in found]
        data["log"] = ["Prefetch succeed" if f else "" for f in found]
    scores = [float(kit.mathvista.post_check(row, prefetch=False)) for _, row in data.iterrows()]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.pkl"
        data.to_pickle(path)
        table = kit.mathvista.MathVista_acc(path)
    label = "accuracy" if judged else "accuracy without a judge"
    figures = []
    for _, row in table.iterrows():
        key = row["Task&Skill"]
        column = None if key == "Overall" else "task" if key in set(data["task"]) else "skills"
        figures.append(figure(label, row["acc"], column, column and key))
    return [(i, s, None) for i, s in zip(data["index"], scores)], figures


def score_judged(kit, data, name):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.pkl"
        data.to_pickle(path)
        if name == "MMVet":
            table = kit.mmvet.MMVet_acc(path)[0]
            figures = [figure("score", row["acc"], *((None, None) if row["Category"] == "Overall" else ("capability", row["Category"])))
                       for _, row in table.iterrows() if row["tot"]]
            return [(i, float(s), None) for i, s in zip(data["index"], data["score"])], figures
    table = kit.llavabench.LLaVABench_score(data)
    figures = []
    for _, row in table.iterrows():
        where = (None, None) if row["split"] == "overall" else ("category", row["split"])
        figures += [figure("relative score", row["Relative Score (main)"], *where), figure("score", row["VLM Score"], *where),
                    figure("reference score", row["GPT4 Score"], *where)]
    return [(i, s / 10, None) for i, s in zip(data["index"], data["score"])], figures


BENCHMARKS = {
    "MMBench_DEV_EN": (circular, score_circular), "MMBench_DEV_CN": (circular, score_circular),
    "AI2D_TEST": (choices(), score_choices), "Q-Bench1_VAL": (choices(["val"]), score_choices),
    "MMStar": (choices(["val", "other"]), score_choices), "SEEDBench2_Plus": (choices(), score_choices),
    "BLINK": (choices(), score_choices), "RealWorldQA": (choices(), score_choices),
    "CV-Bench-2D": (cvbench(True), score_choices), "CV-Bench-3D": (cvbench(False), score_choices),
    "MMMU_DEV_VAL": (mmmu, score_choices), "POPE": (pope, score_yes_no), "MME": (mme, score_yes_no),
    "HallusionBench": (hallusion, score_yes_no), "ChartQA_TEST": (short(["test_human", "test_augmented"]), score_short),
    "DocVQA_VAL": (short(["val"], 3), score_short), "InfoVQA_VAL": (short(None, 2), score_short),
    "TextVQA_VAL": (short(None, 10, (WORDS, WORDS, NUMBERS)), score_short),
    "MathVista_MINI": (mathvista(False), score_mathvista), "MathVista_MINI_judged": (mathvista(True), score_mathvista),
    "MMVet": (mmvet, score_judged), "LLaVABench": (llavabench, score_judged),
}


def told(kit, name, count, seed, folder):
    """Writes the table, and returns what the kit says of it once it has read it."""
    make, score = BENCHMARKS[name]
    rows = make(random.Random(f"{name} {seed}"), count)
    path = pathlib.Path(folder) / f"{name}.tsv"
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False)
    data = kit.load(str(path))
    data["prediction"] = [str(text) for text in data["prediction"]]
    if "answer" in data and name not in ("MMVet",):
        data["answer"] = [str(text) for text in data["answer"]]
    rows, figures = score(kit, data, name)
    return path, {
        "benchmark": name,
        "rows": [{"index": str(i), "score": float(s), "extracted": e} for i, s, e in rows],
        "metrics": sorted(figures, key=lambda f: json.dumps([f["name"], f["split"], f["column"], f["group"]])),
    }


# MARK: Prompts

def prompts(kit):
    """What the kit asks in some rows of each benchmark: of Qwen2-VL, and of models without words of their own."""
    out = []
    for name, (make, _) in BENCHMARKS.items():
        if name.endswith("judged"):
            continue
        kinds = {"POPE": "Y/N", "MME": "Y/N", "HallusionBench": "Y/N"}
        kind = "MCQ" if BENCHMARKS[name][1] in (score_choices, score_circular) else kinds.get(name, "VQA")
        sys.modules["vlmeval.dataset"].DATASET_TYPE = lambda *_, **__: kind
        for number, row in enumerate(make(random.Random(name), 24)[:8]):
            row = {key: value for key, value in row.items() if key != "prediction" and value is not None}
            count = 1 + number % 3 if name in ("MMMU_DEV_VAL", "BLINK") else 1
            if name == "MMMU_DEV_VAL" and number % 2:
                row["question"] += " <image 1>" + (" and <image 2> here" if count > 1 else "")
            images = [f"{i}.png" for i in range(count)]
            line = pd.Series({**row, "image_path": images})
            qwen = kit.qwen.Qwen2VLPromptMixin()
            qwen.set_dump_image(lambda _: images)
            owner = (kit.mcq.CVBench if "CV-Bench" in name else kit.mcq.MMMUDataset if "MMMU" in name
                     else kit.mcq.ImageMCQDataset if kind == "MCQ" else kit.yorn_set.ImageYORNDataset if kind == "Y/N"
                     else kit.vqa.ImageVQADataset if BENCHMARKS[name][1] is score_short else kit.base.ImageBaseDataset)
            concrete = type("Concrete", (owner,), {"evaluate": lambda *_: None})
            own = concrete.__new__(concrete)
            own.meta_only, own.dataset_name = True, name
            default = own.build_prompt(line)
            own_words = qwen.build_prompt(line, name) if qwen.use_custom_prompt(name) else default
            parts = lambda messages: [{"image": images.index(m["value"])} if m["type"] == "image" else {"text": m["value"]}
                                      for m in messages]
            out.append({"benchmark": name, "row": {k: str(v) for k, v in row.items()}, "images": count,
                        "qwen2_vl": parts(own_words), "benchmark_words": parts(default)})
    return out


# MARK: Modes


def write(kit):
    HERE.mkdir(exist_ok=True)
    for name in BENCHMARKS:
        _, golden = told(kit, name, 120, 0, HERE)
        text = json.dumps({**golden, "rows": None, "metrics": None})
        for key in ["rows", "metrics"]:
            lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in golden[key])
            text = text.replace(f'"{key}": null', f'"{key}": [\n{lines}\n]')
        (HERE / f"{name}.json").write_text(text + "\n")
    lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in prompts(kit))
    (HERE / "prompts.json").write_text(f"[\n{lines}\n]\n")


def compare(kit, program, count, seed):
    bad = 0
    print(f"{'benchmark':24} {'rows':>5} {'figures':>8} {'largest difference':>20} {'rows that differ':>17}")
    with tempfile.TemporaryDirectory() as folder:
        for name in BENCHMARKS:
            path, golden = told(kit, name, count, seed, folder)
            output = f"{folder}/{name}"
            done = subprocess.run([program, "--predictions", str(path), "--output", output, "--quiet"],
                                  capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            lines = [json.loads(line) for line in open(f"{output}/predictions.jsonl", encoding="utf-8")]
            ours = {line["index"]: line for line in lines}
            metrics = json.load(open(f"{output}/scores.json", encoding="utf-8"))["benchmarks"][0]["metrics"]
            known = {tuple(m.get(k) for k in ("name", "column", "group", "split")): m["value"] for m in metrics}
            differ = [row for row in golden["rows"]
                      if row["index"] not in ours or abs(ours[row["index"]]["score"] - row["score"]) > 1e-6]
            largest = max(abs(known.get((f["name"], f["column"], f["group"], f["split"]), math.inf) - f["value"])
                          for f in golden["metrics"])
            print(f"{name:24} {len(golden['rows']):5} {len(golden['metrics']):8} {largest:20.2e} {len(differ):17}")
            for row in differ[:5]:
                print("   ", row, {k: ours.get(row["index"], {}).get(k) for k in ("prediction", "answer", "score", "extracted")})
            bad += bool(differ) or largest > 1e-6
    return bad


def lmms_scores(name, data):
    """lmms-eval's own score of each row, by its own functions, without the package's __init__."""
    from unittest import mock
    spec = importlib.util.find_spec("lmms_eval")
    root = pathlib.Path(spec.submodule_search_locations[0])

    def part(path):
        # What else its files import is not called.
        stubs = {key: mock.MagicMock() for key in ["sacrebleu", "evaluate", "lmms_eval", "lmms_eval.api.registry",
                                                   "lmms_eval.tasks", "lmms_eval.tasks._task_utils", "yaml", "loguru",
                                                   "lmms_eval.tasks._task_utils.file_utils", "lmms_eval.api"]}
        stubs["lmms_eval.api.registry"].register_metric = lambda **_: lambda function: function
        stubs["lmms_eval.api.registry"].register_aggregation = lambda _: lambda function: function
        with mock.patch.dict(sys.modules, stubs):
            found = importlib.util.spec_from_file_location(path.replace("/", "_"), root / f"{path}.py")
            module = importlib.util.module_from_spec(found)
            found.loader.exec_module(module)
        return module

    if name == "POPE":
        judge = part("tasks/pope/utils").pope_process_results
        return [judge({"answer": r["answer"], "question_id": 0}, [r["prediction"]])["pope_accuracy"]["score"]
                for _, r in data.iterrows()]
    if name == "MME":
        read = part("tasks/mme/utils").parse_pred_ans
        return [float(read(r["prediction"]) == r["answer"].lower()) for _, r in data.iterrows()]
    if name == "ChartQA_TEST":
        judge = part("tasks/chartqa/utils").relaxed_correctness
        return [float(judge(r["prediction"], r["answer"])) for _, r in data.iterrows()]
    if name in ("DocVQA_VAL", "InfoVQA_VAL"):
        judge = part("api/metrics").anls
        return [judge(eval(r["answer"]), [r["prediction"]])["anls"] for _, r in data.iterrows()]
    process = part("tasks/_task_utils/vqa_eval_metric").EvalAIAnswerProcessor()
    scores = []
    for _, r in data.iterrows():
        golds, said = [process(gold) for gold in eval(r["answer"])], process(r["prediction"])
        hits = [min(1, sum(g == said for j, g in enumerate(golds) if j != i) / 3) for i in range(len(golds))]
        scores.append(float(np.mean(hits)))
    return scores


def against_lmms(kit, count, seed):
    print(f"{'benchmark':14} {'rows':>5} {'VLMEvalKit':>11} {'lmms-eval':>10} {'rows that differ':>17}")
    with tempfile.TemporaryDirectory() as folder:
        for name in ["POPE", "MME", "ChartQA_TEST", "DocVQA_VAL", "InfoVQA_VAL", "TextVQA_VAL"]:
            path, golden = told(kit, name, count, seed, folder)
            data = kit.load(str(path))
            for column in ["prediction", "answer"]:
                data[column] = [str(text) for text in data[column]]
            own = dict(zip(data["index"].astype(str), lmms_scores(name, data)))
            said = dict(zip(data["index"].astype(str), zip(data["prediction"], data["answer"])))
            differ = [row for row in golden["rows"] if abs(own[row["index"]] - row["score"]) > 1e-6]
            mean = [100 * np.mean(list(values)) for values in ([r["score"] for r in golden["rows"]], own.values())]
            print(f"{name:14} {len(own):5} {mean[0]:11.2f} {mean[1]:10.2f} {len(differ):17}")
            for row in differ[:6]:
                print("   ", said[row["index"]], "VLMEvalKit", row["score"], "lmms-eval", own[row["index"]])


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--vlmevalkit", required=True, metavar="DIR")
    options.add_argument("--compare", metavar="PROGRAM")
    options.add_argument("--lmms-eval", action="store_true")
    options.add_argument("--rows", type=int, default=600)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    opened = open_kit(asked.vlmevalkit)
    if asked.compare:
        sys.exit(1 if compare(opened, asked.compare, asked.rows, asked.seed) else 0)
    if asked.lmms_eval:
        against_lmms(opened, asked.rows, asked.seed)
    else:
        write(opened)
