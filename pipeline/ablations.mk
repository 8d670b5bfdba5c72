# Comparisons over seeds: `make ablate-NAME` trains every cell of a list (ablations.txt: the paper's
# tables) with every seed, from the run's own samples and features, and ends in one table. What it
# makes lies in a folder of the run with the list's name; interrupted, it goes on where it stopped.
#
#   make ablate-tiny CELLS="matching sft" SEEDS="0 1 2" ABLATIONS=pipeline/ablations.txt SPLIT=test
#   make ablation-table-tiny      the table of what is done, the rest marked as not run

ABLATIONS ?= pipeline/ablations.txt
ablations = runs/$1/$(basename $(notdir $(ABLATIONS)))
# Comparisons or cells of the list, all when empty.
CELLS ?=
SEEDS ?= 0 1 2
# Which held-out questions of an embedded run: choose settings on validation, report on test.
SPLIT ?= test

# Rules for run $1: only when they are asked for, since they are many.
# What the user brought enters them by name, never as text: a path may hold anything.
ablation_rules = $(shell $(call in_environment,$1) awk -v run=$1 -v preset=$(call preset,$1) -v bin=$(BIN) -v list=$(ABLATIONS) \
  -v wanted="$(CELLS)" -v seeds="$(SEEDS)" -v embedded=$(EMBEDDED_$1) \
  -v run_student='$$(own_student)' -v run_teacher='$$(own_teacher)' -v dataset='$$(own_dataset)' \
  -v benchmark='$$(own_benchmark)' -v images='$$(own_images)' \
  -v student_files=$(call student_files,$1) -v teacher_files=$(call teacher_files,$1) \
  -v dataset_files=$(call dataset_files,$1) -v held_out=$(held_out_$1) -v split_name=$(SPLIT) \
  -v threads='$(if $(THREADS), --threads $(THREADS),$(if $(THREADS_$1),,$$(if $$(jobs), --threads $$(share))))' \
  -f pipeline/ablations.awk && echo written)
own_student = $(call own_or,STUDENT,data/student)
own_teacher = $(call own_or,TEACHER,data/teacher)
own_dataset = $(call own_or,DATASET)
own_benchmark = $(call own_or,BENCHMARK,runs/$(ABLATED)/data/$(SPLIT).tsv)
own_images = $(if $(IMAGES_$(ABLATED)), --images $(call own_or,IMAGES))
own_or = $(if $($1_$(ABLATED)),$(call quote,$($1_$(ABLATED))),$2)
# The files of a checkpoint that a cell of the list names.
checkpoint = $(wildcard $(addprefix $1/,*.json *.safetensors))
# Where there are slices already, and so the programs that write them.
ABLATED := $(strip $(foreach n,$(patsubst ablated-%,%,$(filter ablated-%,$(MAKECMDGOALS))),\
  $(if $(wildcard runs/$n/$(SLICES)/slices.mk),$n)))
$(foreach n,$(ABLATED),\
  $(eval held_out_$n := $(call benchmark_files,$n))\
  $(if $(held_out_$n),,$(error $n needs BENCHMARK=test.tsv: cells are compared by their scores))\
  $(if $(call ablation_rules,$n),,$(error nothing is run)))
include $(foreach n,$(ABLATED),$(call ablations,$n)/rules.mk)

ablation_goals = $(addprefix $1-,$(RUNS))
.PHONY: $(call ablation_goals,ablate) $(call ablation_goals,ablated) $(call ablation_goals,ablation-table)

# A cell that fails does not keep the others from being made; the table comes in any case.
$(call ablation_goals,ablate): ablate-%: | $(BUILT)
	@$(MAKE) --no-print-directory $(side_by_side) --keep-going ablated-$*; code=$$?; \
	$(MAKE) --no-print-directory ablation-table-$* && exit $$code

$(call ablation_goals,ablated):
	@:

# What Make would still run is not run yet, or was made with other settings than today's.
$(call ablation_goals,ablation-table): ablation-table-%: | $(BUILT)
	@mkdir -p $(call ablations,$*)
	@$(MAKE) --no-print-directory --dry-run CELLS= ablated-$* > $(call ablations,$*)/pending
	@sed -n 's/.* --output \([^ ]*\)$$/\1/p' $(call ablations,$*)/pending | \
	  awk -F '\t' 'FILENAME == "-" { pending[$$1]; next } !($$3 in pending)' \
	    - $(call ablations,$*)/evaluations.tsv > $(call ablations,$*)/finished.tsv
	@$(BIN)/vlsi-compare --list $(ABLATIONS) --evaluations $(call ablations,$*)/finished.tsv \
	  --output $(call ablations,$*)/table-$(SPLIT)
