"""What PyTorch's own bfloat16 changes in the golden models: hidden states, logits, loss and gradients
of the sample text_only, against float32. The figures stand in PrecisionParityTests.

    python Tests/Goldens/measure_bfloat16.py
"""

import pathlib
import statistics

import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

ROOT = pathlib.Path(__file__).parent / "model"


def measured(name, ids, dtype):
    model = AutoModelForImageTextToText.from_pretrained(ROOT / name, dtype=dtype).eval()
    found = model(input_ids=ids, labels=ids, output_hidden_states=True)
    found.loss.backward()
    gradients = {n: p.grad.float() for n, p in model.named_parameters() if p.grad is not None}
    return found.hidden_states[-1].float(), found.logits.float(), found.loss.item(), gradients


def main():
    print("model        hidden   logits   loss     gradients: median, largest")
    for cases in sorted(ROOT.glob("*-cases.safetensors")):
        name = cases.name.removesuffix("-cases.safetensors")
        ids = next(
            (v for k, v in load_file(cases).items() if k == "text_only/input_ids"), None)
        if ids is None or not (ROOT / name / "config.json").exists():
            continue
        ids = ids.long().reshape(1, -1)
        exact = measured(name, ids, torch.float32)
        rounded = measured(name, ids, torch.bfloat16)
        hidden, logits = (
            ((one - other).abs().max() / one.abs().max()).item()
            for one, other in zip(exact[:2], rounded[:2]))
        largest = max(g.norm() for g in exact[3].values())
        differences = [
            ((g - rounded[3][n]).norm() / g.norm()).item()
            for n, g in exact[3].items() if g.norm() > 1e-6 * largest]
        print(
            f"{name:12} {hidden:.4f}   {logits:.4f}   {abs(exact[2] - rounded[2]):.5f}  "
            f"{statistics.median(differences):.4f}, {max(differences):.4f}")


if __name__ == "__main__":
    main()
