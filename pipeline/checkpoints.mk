# The making of the embedded checkpoints, from random weights: `make teacher-tiny` and
# `make student-tiny` write data/teacher and data/student, by the presets tiny-teacher.yaml and
# tiny-student.yaml. Nobody needs to: both are in the repository.
#
# Trainings with the same program, one after the other. First a model with one decoder block learns
# to see: at every visual token it names what is in that cell (preset NAME-dense). Without, it would
# stay at guessing from the question for very long; with more blocks, these would do the seeing and
# leave none for the questions. Then its vision encoder, before a language model of full depth, learns
# to look things up in scenes of few objects, where there is a preset NAME-lookup: what an object is,
# where it is, whether it is there. Last it learns to answer everything, on right answers.

# MARK: Data and random weights; the stem is tiny-teacher or tiny-student

runs/%/pretrain/init/config.json: | $(BUILT)
	$(BIN)/vlsi-synthesize checkpoint $(call options,$*) --like $* --layers 1 --output $(@D)

runs/%/pretrain/data/synthesis.json: runs/%/$(SLICES)/data | $(BUILT)
	$(BIN)/vlsi-synthesize data $(call options,$*) --splits pretrain --output $(@D)
	@touch $@

runs/%/pretrain/samples/dense/manifest.json: runs/%/pretrain/data/synthesis.json \
    runs/%/pretrain/init/config.json runs/%/$(SLICES)/samples | $(BUILT)
	$(BIN)/vlsi-prepare $(call options,$*) --dataset runs/$*/pretrain/data/pretrain-dense.json \
	  --images runs/$*/pretrain/data --model runs/$*/pretrain/init --output $(@D)
	@touch $@

runs/%/pretrain/samples/questions/manifest.json: runs/%/pretrain/data/synthesis.json \
    runs/%/pretrain/init/config.json runs/%/$(SLICES)/samples | $(BUILT)
	$(BIN)/vlsi-prepare $(call options,$*) --dataset runs/$*/pretrain/data/pretrain.json \
	  --images runs/$*/pretrain/data --model runs/$*/pretrain/init --output $(@D)
	@touch $@

runs/%/pretrain/samples/lookup/manifest.json: runs/%/pretrain/data/synthesis.json \
    runs/%/pretrain/init/config.json runs/%/$(SLICES)/samples | $(BUILT)
	$(BIN)/vlsi-prepare $(call options,$*) --dataset runs/$*/pretrain/data/pretrain-lookup.json \
	  --images runs/$*/pretrain/data --model runs/$*/pretrain/init --output $(@D)
	@touch $@

# MARK: To see, to look up, to answer

runs/%/pretrain/seeing/manifest.json: runs/%/pretrain/samples/dense/manifest.json \
    runs/%/$(SLICES)/dense.model | $(BUILT)
	$(BIN)/vlsi-finetune $(call options,$*-dense) --model runs/$*/pretrain/init \
	  --samples runs/$*/pretrain/samples/dense --output $(@D)
	@touch $@

runs/%/pretrain/start/config.json: runs/%/pretrain/seeing/manifest.json
	$(BIN)/vlsi-synthesize checkpoint $(call options,$*) --like $* --vision runs/$*/pretrain/seeing \
	  --output $(@D)

runs/%/pretrain/looking/manifest.json: runs/%/pretrain/start/config.json \
    runs/%/pretrain/samples/lookup/manifest.json runs/%/$(SLICES)/lookup.model | $(BUILT)
	$(BIN)/vlsi-finetune $(call options,$*-lookup) --model runs/$*/pretrain/start \
	  --samples runs/$*/pretrain/samples/lookup --output $(@D)
	@touch $@

# What run $1 starts to answer from.
looks_up = $(filter $1-lookup,$(PRESETS))
before_answers = runs/$1/pretrain/$(if $(looks_up),looking/manifest.json,start/config.json)

runs/%/pretrain/model/manifest.json: $$(call before_answers,$$*) \
    runs/%/pretrain/samples/questions/manifest.json runs/%/$(SLICES)/model | $(BUILT)
	$(BIN)/vlsi-finetune $(call options,$*) --model $(<D) \
	  --samples runs/$*/pretrain/samples/questions --output $(@D)
	@touch $@

# Named, so that Make does not take them for intermediate files and remove them.
pretraining = $(patsubst %,runs/$1/pretrain/%,init/config.json data/synthesis.json \
  samples/dense/manifest.json samples/questions/manifest.json seeing/manifest.json \
  start/config.json $(if $(looks_up),samples/lookup/manifest.json looking/manifest.json))
$(foreach n,$(ACTIVE),$(eval pretrained-$n: $(call pretraining,$n)))

# What a checkpoint is, without the training's log and manifest.
define install
@mkdir -p data/$1
cp $(<D)/*.safetensors $(addprefix $(<D)/,config.json generation_config.json \
	  preprocessor_config.json tokenizer.json tokenizer_config.json) data/$1/
@echo "data/$1 is renewed; make evaluate-$* scores it"
endef

MAKEABLE := $(patsubst %-teacher,%,$(filter %-teacher,$(PRESETS)))
.PHONY: $(MAKEABLE:%=teacher-%) $(MAKEABLE:%=student-%)
$(MAKEABLE:%=teacher-%): teacher-%: runs/%-teacher/pretrain/model/manifest.json
	$(call install,teacher)
$(MAKEABLE:%=student-%): student-%: runs/%-student/pretrain/model/manifest.json
	$(call install,student)
