#!/bin/sh
# What a run needs from outside and where to get it, for `make distill-NAME` without it: NAME's preset
# says so in its header.
set -eu
preset=$2
cat <<END

TEACHER    the checkpoint to learn from: a folder with config.json, safetensors, tokenizer.json
STUDENT    the checkpoint that learns: the same family (or, with run.teacher_samples: own, another
           whose tokenizer gives the same ids)
DATASET    conversations about images: LLaVA, ShareGPT or OpenAI messages, JSON, JSON Lines or a
           WebDataset's tar; a folder of such, or several between blanks, each with its weight: a.json*0.5
IMAGES     the folder that its image paths start from
BENCHMARK  questions to score with, a TSV in VLMEvalKit's columns; may be left out

They are remembered by the run: name them once. From $preset:

END
sed -n '/^#/!q; s/^# \{0,1\}/  /; p' "$preset"
echo
