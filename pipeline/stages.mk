# The graph: which artifact is made from which, and by which command line. DESIGN.md's names.
#
# The stem % is the run's name. A target is an artifact's manifest, which its program writes last;
# a stage depends on its inputs' manifests and on its slice of the preset (slices.mk). A program that
# finds its artifact complete renews the manifest's time; one that repairs a shard leaves it.

.SECONDEXPANSION:

# What the user brought, by run, as words of a command line; the embedded run brings its own.
brought = $(if $($1_$*),$(call quote,$($1_$*)))
teacher = $(or $(call brought,TEACHER),$(if $(EMBEDDED_$*),data/teacher,$(call lacking,TEACHER)))
student = $(or $(call brought,STUDENT),$(if $(EMBEDDED_$*),data/student,$(call lacking,STUDENT)))
dataset = $(or $(call brought,DATASET),$(if $(EMBEDDED_$*),runs/$*/data/train.json,$(call lacking,DATASET)))
benchmark = $(or $(call brought,BENCHMARK),$(if $(EMBEDDED_$*),runs/$*/data/test.tsv))
# Without, the programs take the folder of the data set or of the benchmark.
images_option = $(if $(IMAGES_$*), --images $(call brought,IMAGES))
lacking = $(shell pipeline/inputs.sh $* $(call preset,$*) >&2)$(error $* needs $1=…, as in: make distill-$* TEACHER=folder STUDENT=folder DATASET=data.json IMAGES=folder [BENCHMARK=test.tsv])

# The files whose change makes a stage run again, for run $1: the stamps of what the user brought.
stamp = runs/$1/$(SLICES)/files-$2
$(foreach n,$(ACTIVE),$(shell pipeline/follow.sh runs/$n/$(SLICES) \
  $(call quote,TEACHER=$(or $(TEACHER_$n),data/teacher)) \
  $(call quote,STUDENT=$(or $(STUDENT_$n),data/student)) \
  $(foreach i,DATASET IMAGES BENCHMARK,$(if $($i_$n),$(call quote,$i=$($i_$n))))))
teacher_files = $(call stamp,$1,TEACHER)
student_files = $(call stamp,$1,STUDENT)
embedded_data = $(if $(EMBEDDED_$1),runs/$1/data/synthesis.json)
dataset_files = $(if $(DATASET_$1),$(call stamp,$1,DATASET),$(embedded_data))
benchmark_files = $(if $(BENCHMARK_$1),$(call stamp,$1,BENCHMARK),$(embedded_data))

# Where a stage runs: fanout.sh spreads it as FANOUT says, in shares of its shards or over RANKS.
spread = $(if $(FANOUT),pipeline/fanout.sh $1 $(@D) )
shares = $(call spread,shares)
single = $(call spread,single)
ranks = $(if $(FANOUT)$(RANKS),pipeline/fanout.sh ranks $(@D) )

# Side by side, each stage takes its share of the cores, unless THREADS or the preset says more. What
# runs elsewhere, or in several processes, is told there; a preset's own number holds for each.
jobs = $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS)))
share = $(shell echo $$(($(HERE) / $(jobs) > 0 ? $(HERE) / $(jobs) : 1)))
threads = $(if $(THREADS), --threads $(THREADS),$(if $(THREADS_$*),$(if \
  $(FANOUT)$(RANKS), --threads $(THREADS_$*)),$(if $(jobs),$(if $(FANOUT),, --threads $(share)))))
# The common options with preset $1.
options = --preset $(call preset,$1)$(threads)$(if $(SEED), --seed $(SEED))$(foreach i,student teacher,$(if \
  $($(call upper,$i)_ID), --set run.$i_id=$(call quote,$($(call upper,$i)_ID))))
upper = $(if $(filter student,$1),STUDENT,TEACHER)

# Those of a stage that makes an artifact: what another run has made already is linked. FROM= names the
# run that is looked into, or none.
making = $(call options,$1)$(if $(filter none,$(FROM)),, --reuse runs$(if $(FROM),/$(FROM)))

# Finished artifacts with a file that is gone or changed: their stages look at them.
DAMAGED := $(foreach n,$(ACTIVE),$(shell pipeline/damaged.sh runs/$n))
$(DAMAGED): FORCE
.PHONY: FORCE

# MARK: Data

runs/%/data/synthesis.json: runs/%/$(SLICES)/data | $(BUILT)
	$(single)$(BIN)/vlsi-synthesize data $(call options,$*) --output $(@D)
	@touch $@

# With run.budget_hours: how many entries of the data set fit into them, found out once.
runs/%/budget: runs/%/$(SLICES)/budget $$(call dataset_files,$$*) | $(BUILT)
	$(survey)
	$(call before_run,--budget $@)
budget = $(if $(BUDGET_$1),runs/$1/budget)
entries = $(if $(BUDGET_$*), --entries $$(cat runs/$*/budget))

runs/%/samples/manifest.json: runs/%/$(SLICES)/samples $$(call dataset_files,$$*) \
    $$(call budget,$$*) | $(BUILT)
	$(shares)$(BIN)/vlsi-prepare $(call making,$*)$(entries) --dataset $(dataset)$(images_option) \
	  --model $(student) --output $(@D)

# Those of a teacher of another family: the same conversations, by its own processor.
runs/%/samples-teacher/manifest.json: runs/%/$(SLICES)/samples $$(call dataset_files,$$*) \
    $$(call teacher_files,$$*) $$(call budget,$$*) | $(BUILT)
	$(shares)$(BIN)/vlsi-prepare $(call making,$*)$(entries) --dataset $(dataset)$(images_option) \
	  --model $(teacher) --output $(@D)
teacher_samples = runs/$1/samples$(if $(OWN_$1),-teacher)

# A sample of the data set, to check and to plan with: what is there now, not what was.
define survey
@rm -rf runs/$*/.survey runs/$*/.survey-teacher
$(if $(OWN_$*),$(BIN)/vlsi-prepare $(call options,$*) --spread 256 --dataset $(dataset)$(images_option) \
	  --model $(teacher) --output runs/$*/.survey-teacher)
$(BIN)/vlsi-prepare $(call options,$*) --spread 256 --dataset $(dataset)$(images_option) \
	  --model $(student) --output runs/$*/.survey
endef

own_survey = $(if $(OWN_$*), --teacher-samples runs/$*/.survey-teacher)

# MARK: The teacher's and the student's branch

runs/%/features/teacher/manifest.json: $$(call teacher_samples,$$*)/manifest.json \
    runs/%/$(SLICES)/features-teacher $$(call teacher_files,$$*) | $(BUILT)
	$(shares)$(BIN)/vlsi-extract $(call making,$*) --role teacher --model $(teacher) \
	  --samples $(call teacher_samples,$*) --output $(@D)

runs/%/features/student/manifest.json: runs/%/samples/manifest.json \
    runs/%/$(SLICES)/features-student $$(call student_files,$$*) | $(BUILT)
	$(shares)$(BIN)/vlsi-extract $(call making,$*) --role student --model $(student) \
	  --samples runs/$*/samples --output $(@D)

runs/%/verbalizers/teacher/manifest.json: runs/%/features/teacher/manifest.json \
    runs/%/$(SLICES)/verbalizers | $(BUILT)
	$(ranks)$(BIN)/vlsi-verbalize $(call making,$*) --model $(teacher) \
	  --features runs/$*/features/teacher --output $(@D)

runs/%/verbalizers/student/manifest.json: runs/%/features/student/manifest.json \
    runs/%/$(SLICES)/verbalizers | $(BUILT)
	$(ranks)$(BIN)/vlsi-verbalize $(call making,$*) --model $(student) \
	  --features runs/$*/features/student --output $(@D)

runs/%/targets/manifest.json: runs/%/features/teacher/manifest.json \
    runs/%/verbalizers/teacher/manifest.json runs/%/$(SLICES)/targets \
    $$(if $$(OWN_$$*),runs/%/samples/manifest.json) $$(call student_files,$$*) | $(BUILT)
	$(shares)$(BIN)/vlsi-target $(call making,$*) --teacher $(teacher) --student $(student) \
	  $(if $(OWN_$*),--samples runs/$*/samples )--features runs/$*/features/teacher --verbalizers runs/$*/verbalizers/teacher \
	  --output $(@D)

# MARK: The student learns

# The student's features where they hold visual embeddings: no later stage encodes an image again.
# Once verbalizers are made of them they may go; then images are encoded.
seen = runs/$*/features/student
seen_option = $(if $(VISUAL_$*),$(if $(shell [ -e $(seen)/manifest.json ] || \
  [ ! -e runs/$*/verbalizers/student/manifest.json ] && echo yes), --features $(seen)))

runs/%/adapter/manifest.json: runs/%/samples/manifest.json \
    runs/%/verbalizers/student/manifest.json runs/%/targets/manifest.json \
    runs/%/$(SLICES)/adapter | $(BUILT)
	$(ranks)$(BIN)/vlsi-align $(call making,$*) --student $(student) --samples runs/$*/samples$(seen_option) \
	  --verbalizers runs/$*/verbalizers/student --targets runs/$*/targets --output $(@D)

runs/%/model/manifest.json: runs/%/adapter/manifest.json runs/%/$(SLICES)/model | $(BUILT)
	$(ranks)$(BIN)/vlsi-finetune $(call making,$*) --model $(student) --adapter runs/$*/adapter \
	  --samples runs/$*/samples$(seen_option) --output $(@D)

# MARK: Two baselines, by presets that extend the run's own: NAME-sft and NAME-last-layer

runs/%/compare/sft/model/manifest.json: runs/%/samples/manifest.json \
    runs/%/$(SLICES)/sft.model $$(call student_files,$$*) \
    | $$(if $$(VISUAL_$$*),runs/%/verbalizers/student/manifest.json) $(BUILT)
	$(ranks)$(BIN)/vlsi-finetune $(call making,$*-sft) --model $(student) \
	  --samples runs/$*/samples$(seen_option) --output $(@D)

runs/%/compare/last-layer/adapter/manifest.json: runs/%/samples/manifest.json \
    runs/%/verbalizers/student/manifest.json runs/%/targets/manifest.json \
    runs/%/$(SLICES)/last-layer.adapter | $(BUILT)
	$(ranks)$(BIN)/vlsi-align $(call making,$*-last-layer) --student $(student) \
	  --samples runs/$*/samples$(seen_option) --verbalizers runs/$*/verbalizers/student \
	  --targets runs/$*/targets --output $(@D)

runs/%/compare/last-layer/model/manifest.json: runs/%/compare/last-layer/adapter/manifest.json \
    runs/%/$(SLICES)/last-layer.model | $(BUILT)
	$(ranks)$(BIN)/vlsi-finetune $(call making,$*-last-layer) --model $(student) \
	  --adapter runs/$*/compare/last-layer/adapter --samples runs/$*/samples$(seen_option) \
	  --output $(@D)

# MARK: Scores and the report

# The distilled student's layers, heard on the first samples: the report sets them beside the
# student's of before.
HEARD := 64
runs/%/features/model/manifest.json: runs/%/model/manifest.json runs/%/samples/manifest.json \
    runs/%/$(SLICES)/features-student | $(BUILT)
	$(single)$(BIN)/vlsi-extract $(call making,$*) --role student --limit $(HEARD) --model runs/$*/model \
	  --samples runs/$*/samples$(seen_option) --output $(@D)

define evaluate
$(shares)$(BIN)/vlsi-evaluate $(call making,$*) --model $1 --benchmark $(benchmark)$(images_option) \
	  --output $(@D)
endef

runs/%/evaluation/teacher/manifest.json: runs/%/$(SLICES)/evaluation \
    $$(call benchmark_files,$$*) $$(call teacher_files,$$*) | $(BUILT)
	$(call evaluate,$(teacher))

runs/%/evaluation/student/manifest.json: runs/%/$(SLICES)/evaluation \
    $$(call benchmark_files,$$*) $$(call student_files,$$*) | $(BUILT)
	$(call evaluate,$(student))

runs/%/evaluation/model/manifest.json: runs/%/$(SLICES)/evaluation \
    $$(call benchmark_files,$$*) runs/%/model/manifest.json | $(BUILT)
	$(call evaluate,runs/$*/model)

runs/%/evaluation/sft/manifest.json: runs/%/$(SLICES)/evaluation \
    $$(call benchmark_files,$$*) runs/%/compare/sft/model/manifest.json | $(BUILT)
	$(call evaluate,runs/$*/compare/sft/model)

runs/%/evaluation/last-layer/manifest.json: runs/%/$(SLICES)/evaluation \
    $$(call benchmark_files,$$*) runs/%/compare/last-layer/model/manifest.json | $(BUILT)
	$(call evaluate,runs/$*/compare/last-layer/model)

# Which models of run $1 are asked: none without a benchmark.
# Stripped: a blank between two that are not there would count as something.
baselines = $(strip $(foreach b,sft last-layer,$(if $(filter $1-$b,$(PRESETS)),$b)))
asked = $(strip $(if $(call benchmark_files,$1),teacher student model \
  $(if $(filter 1,$(COMPARE)),$(call baselines,$1))))
evaluations = $(patsubst %,runs/$1/evaluation/%/manifest.json,$(call asked,$1))

runs/%/report/manifest.json: runs/%/model/manifest.json runs/%/features/model/manifest.json \
    runs/%/$(SLICES)/report $$(call evaluations,$$*) $$(wildcard runs/$$*/*/table-*.json) | $(BUILT)
	$(single)$(BIN)/vlsi-report $(call options,$*) --run runs/$* --output $(@D)
