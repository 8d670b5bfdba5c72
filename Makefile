# Distils a large vision-language model into a small one. `make` explains itself.

.DEFAULT_GOAL := help
SHELL := /bin/sh
HERE := $(shell nproc)

# One folder and one set of flags for programs and tests: neither rebuilds the other.
SWIFT_FLAGS := -c release -Xswiftc -enable-testing
BUILT := .build/programs-built

# Where it is installed (docs/INSTALL.md) there are programs and no sources. So called, they are found
# through links to this folder's parts too.
ifeq ($(wildcard Package.swift),)
BIN ?= pipeline/../../../bin
BUILT = $(BIN)/vlsi-plan
endif
BIN ?= .build/release

# 1 trains and scores the baselines too, where a run has such presets.
COMPARE ?= 1

# MARK: Runs

STAGES := synthesize prepare extract verbalize target align finetune evaluate report
# Those in pipeline/, and those that RUN= made (pipeline/derive.mk), with their baselines.
PRESETS := $(sort $(patsubst pipeline/%.yaml,%,$(wildcard pipeline/*.yaml)) \
  $(patsubst runs/%/preset.yaml,%,$(wildcard runs/*/preset.yaml)) \
  $(foreach b,sft last-layer,$(patsubst runs/%/preset-$b.yaml,%-$b,$(wildcard runs/*/preset-$b.yaml))))
preset = $(firstword $(wildcard pipeline/$1.yaml runs/$1/preset.yaml \
  $(foreach b,sft last-layer,runs/$(1:%-$b=%)/preset-$b.yaml)) pipeline/$1.yaml)
# Presets that are parts of another run: its baselines and the making of its checkpoints.
PARTS := $(foreach n,$(PRESETS),$(filter $(addprefix $n-,sft last-layer teacher student dense lookup),$(PRESETS)))
RUNS := $(filter-out $(PARTS),$(PRESETS))

# Only the runs that this call is about: their inputs and their slices are looked up.
active = $(foreach n,$(PRESETS),$(if $(filter %-$n runs/$n/%,$1),$n)) \
  $(foreach n,$(PARTS),$(foreach r,teacher student,$(if $(filter $(n:%-$r=$r-%),$1),$n)))
ACTIVE := $(sort $(call active,$(MAKECMDGOALS)))
include pipeline/derive.mk
ifndef DERIVING
include pipeline/inputs.mk
include pipeline/slices.mk

# Two live bars on one terminal would overwrite each other: lines then.
export VLSI_PROGRESS = $(if $(jobs),lines)

include pipeline/stages.mk
include $(wildcard pipeline/checkpoints.mk)
include pipeline/ablations.mk
include pipeline/install.mk
endif
# Nothing makes these: `make -B` is not to look for a rule.
Makefile $(wildcard pipeline/*.mk): ;

# MARK: Building

ifneq ($(wildcard Package.swift),)
$(BUILT): Package.swift $(shell find Sources -type f 2> /dev/null)
	@pipeline/system.sh
	swift build $(SWIFT_FLAGS)
	@touch $@
else
$(BUILT):
	@[ -e $@ ] || { echo "error: no programs in $(BIN); BIN=folder says where they are" >&2; exit 66; }
endif

.PHONY: build test fuzz test-sanitized test-address test-thread bench bench-peers bench-check lint \
  format clean help
build: $(BUILT)

test:
	@pipeline/system.sh tests
	swift build $(SWIFT_FLAGS) --build-tests
	VLSI_PYTHON=$$(pipeline/python.sh) swift test $(SWIFT_FLAGS) --skip-build

# Hours of damaged inputs for the decoders, all in turn or one: MINUTES=, SEED=, DECODER=, INPUT=.
fuzz:
	swift build $(SWIFT_FLAGS) --build-tests
	VLSI_FUZZ_MINUTES=$(or $(MINUTES),60) VLSI_FUZZ_SEED=$(or $(SEED),1) \
	  VLSI_FUZZ_DECODER=$(DECODER) VLSI_FUZZ_INPUT=$(INPUT) \
	  swift test $(SWIFT_FLAGS) --skip-build --filter FuzzTests.FuzzTests/decoders

# The tests of what handles memory and threads itself, under both sanitizers.
SANITIZED := KernelsTests|TensorsTests|ArtifactsTests|CheckpointsTests|TokenizationTests|ImagingTests|FuzzTests
test-sanitized: test-address test-thread
test-address test-thread: test-%:
	swift build $(SWIFT_FLAGS) --build-tests --sanitize=$* --scratch-path .build/sanitized-$*
	ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=suppressions=$(CURDIR)/Tests/thread-suppressions.txt \
	  swift test $(SWIFT_FLAGS) --sanitize=$* --scratch-path .build/sanitized-$* --skip-build \
	  --filter '^($(SANITIZED))\.'

# How near kernels, stages and the store come to the machine's limits: docs/PERFORMANCE.md.
BENCH = $(BIN)/vlsi-bench --json .build/bench.json
bench: $(BUILT)
	$(BENCH)

# VLSI_TORCH_PYTHON names a Python with the peers' packages; another one says what it lacks.
bench-peers: $(BUILT)
	$(BENCH) --peers "$${VLSI_TORCH_PYTHON:-$$(pipeline/python.sh)}"

bench-check: $(BUILT)
	$(BENCH) --check pipeline/bench-limits.txt \
	  $${VLSI_TORCH_PYTHON:+--peers "$$VLSI_TORCH_PYTHON"}

lint:
	swift format lint --strict --recursive Package.swift Sources Tests

format:
	swift format --in-place --recursive Package.swift Sources Tests

ifndef DERIVING
# MARK: Stages of a run

stage_targets = $(addprefix $1-,$(PRESETS))
define announce
@echo "$(<D) is up to date"
endef

.PHONY: $(foreach s,$(STAGES) distill compare plan check inputs graph status dump verify clean,$(call stage_targets,$s))

$(call stage_targets,synthesize): synthesize-%: $$(if $$(EMBEDDED_$$*),runs/%/data/synthesis.json)
	$(if $(EMBEDDED_$*),$(announce),$(error $* has data of its own: the embedded ones \
	  are for presets with a section synthesize, as pipeline/tiny.yaml))
$(call stage_targets,prepare): prepare-%: runs/%/samples/manifest.json
	$(announce)
$(call stage_targets,extract): extract-%: runs/%/features/teacher/manifest.json \
    runs/%/features/student/manifest.json
	@echo "runs/$*/features is up to date"
$(call stage_targets,verbalize): verbalize-%: runs/%/verbalizers/teacher/manifest.json \
    runs/%/verbalizers/student/manifest.json
	@echo "runs/$*/verbalizers is up to date"
$(call stage_targets,target): target-%: runs/%/targets/manifest.json
	$(announce)
$(call stage_targets,align): align-%: runs/%/adapter/manifest.json
	$(announce)
$(call stage_targets,finetune): finetune-%: runs/%/model/manifest.json
	$(announce)
$(call stage_targets,evaluate): evaluate-%: $$(call evaluations,$$*)
	@echo "runs/$*/evaluation is up to date"
# NOW=1: of what is there, while the rest is being made.
ifeq ($(NOW),1)
$(call stage_targets,report): report-%: | $(BUILT)
	$(BIN)/vlsi-report $(call options,$*) --run runs/$* --output runs/$*/report-now
else
$(call stage_targets,report): report-%: runs/%/report/manifest.json
	$(announce)
endif

# MARK: A whole run

# A preset with a thread count of its own leaves cores free: its stages run side by side. Slurm has room
# for both branches, and who waits takes none.
JOBS ?= $(if $(FANOUT)$(RANKS),$(if $(filter slurm,$(FANOUT)),2,1),$(or $(foreach t,$(THREADS_$*),$(shell echo $$(($(HERE) / $t > 0 ? $(HERE) / $t : 1)))),1))
side_by_side = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))
$(call stage_targets,distill): distill-%: | $(BUILT)
	$(if $(was_checked),,$(if $(dataset)$(teacher)$(student),$(check_inputs)))
	@touch runs/$*/.preset/started
	@$(MAKE) --no-print-directory $(side_by_side) complete-$*
	@if [ runs/$*/report/manifest.json -nt runs/$*/.preset/started ]; then \
	  echo "runs/$* is done."; else echo "Nothing to do: runs/$* is up to date."; fi
	@echo "Model:  runs/$*/model"
	@echo "Report: runs/$*/report/index.html"

# Named one by one: a file that Make knows from a pattern alone is intermediate to it, and would
# not be made again when somebody removed it. Only features may go: they are large, and nothing
# reads them once targets and verbalizers are there.
artifacts = $(if $(EMBEDDED_$1),runs/$1/data/synthesis.json) \
  $(patsubst %,runs/$1/%/manifest.json,samples $(if $(OWN_$1),samples-teacher) verbalizers/teacher verbalizers/student targets \
  adapter model $(if $(call asked,$1),$(call compared,$(call asked,$1)))) \
  $(call evaluations,$1) runs/$1/report/manifest.json
compared = $(if $(filter sft,$1),compare/sft/model) \
  $(if $(filter last-layer,$1),compare/last-layer/adapter compare/last-layer/model)
.PHONY: $(call stage_targets,complete)
$(foreach n,$(ACTIVE),$(eval complete-$n: $(call artifacts,$n)))
.SECONDARY: $(foreach n,$(ACTIVE),runs/$n/budget \
  $(patsubst %,runs/$n/features/%/manifest.json,teacher student model))
$(call stage_targets,complete):
	@:

$(call stage_targets,compare): compare-%:
	$(if $(call baselines,$*),,$(error $* has no baselines: pipeline/$*-sft.yaml, pipeline/$*-last-layer.yaml))
	@$(MAKE) --no-print-directory COMPARE=1 distill-$*

# A stage again, though nothing changed: what it wrote is removed, and all that follows from it.
after_report := report
after_evaluate := evaluation report
after_finetune := model features/model compare/sft compare/last-layer/model \
  evaluation/model evaluation/sft evaluation/last-layer report
after_align := adapter model features/model compare/last-layer evaluation/model evaluation/last-layer report
after_target := targets $(after_align)
after_verbalize := verbalizers $(after_target)
after_extract := features $(after_verbalize)
after_prepare := samples compare/sft evaluation/sft $(after_extract)
after_synthesize := data evaluation $(after_prepare)
redo_targets := $(foreach s,$(STAGES),$(call stage_targets,redo-$s))
.PHONY: $(redo_targets)
$(redo_targets):
	@$(MAKE) --no-print-directory inputs-$(redo_run) REMOVED="$(after_$(redo_stage))"
	rm -rf $(addprefix runs/$(redo_run)/,$(after_$(redo_stage)))
	@$(MAKE) --no-print-directory FROM=none distill-$(redo_run)
redo_stage = $(word 2,$(subst -, ,$@))
redo_run = $(patsubst redo-$(redo_stage)-%,%,$@)

# MARK: Before a run

define before_run
$(BIN)/vlsi-plan $(call options,$*) --teacher $(teacher) --student $(student) \
	  --samples runs/$*/.survey$(own_survey) --run runs/$* $1
endef
# What is there now, each time: pictures may have gone, though the data set is the same.
$(call stage_targets,plan): plan-%: $$(call dataset_files,$$*) | $(BUILT)
	$(survey)
	$(call before_run,$(if $(NODES), --nodes $(NODES))$(if $(CORES), --cores $(CORES))$(if \
	  $(NETWORK), --network $(NETWORK)))
$(call stage_targets,check): check-%: $$(call dataset_files,$$*) | $(BUILT)
	$(survey)
	$(call before_run,--check)

# The quick look with which distill begins, by itself.
$(call stage_targets,inputs): inputs-%: | $(BUILT)
	$(check_inputs)
	@:

# MARK: Looking into a run

ARTIFACTS = $(patsubst %/manifest.json,%,$(wildcard $(addprefix runs/$*/,samples/manifest.json \
  features/*/manifest.json verbalizers/*/manifest.json targets/manifest.json adapter/manifest.json \
  compare/*/*/manifest.json model/manifest.json evaluation/*/manifest.json report/manifest.json)))

# Of a run that nothing is known about yet, all that there can be. What Make would run is stale.
$(call stage_targets,graph): graph-%:
	@VLSI_STALE="$$([ ! -e $(BUILT) ] || $(MAKE) -n --no-print-directory complete-$* 2> /dev/null | \
	  sed -n 's/.* --output \(runs[^ ]*\).*/\1/p' | tr '\n' ' ')" \
	  pipeline/graph.sh runs/$* $(if $(wildcard runs/$*/.preset/embedded),$(call asked,$*),teacher \
	  student model $(call baselines,$*))

# All runs, what sets each apart and what it scores.
.PHONY: list
list: | $(BUILT)
	@[ -n "$(wildcard runs/*)" ] || { echo "there are no runs yet: make distill-tiny"; exit 66; }
	@$(BIN)/vlsi-dump runs

# What two runs have differently: an answer, be there something or nothing.
runs_here := $(patsubst runs/%/,%,$(wildcard runs/*/))
differences := $(if $(filter diff-%,$(MAKECMDGOALS)),$(foreach a,$(runs_here),$(patsubst %,diff-$a-%,$(runs_here))))
.PHONY: $(differences)
$(differences): | $(BUILT)
	@$(BIN)/vlsi-dump $(wordlist 1,3,$(foreach a,$(runs_here),$(foreach b,$(runs_here),$(if \
	  $(filter diff-$a-$b,$@),runs/$a --diff runs/$b)))) || [ $$? = 1 ]

# Who is at what, on whichever machine, and when it will be done.
$(call stage_targets,status): status-%: | $(BUILT)
	@$(BIN)/vlsi-dump --status runs/$*
	@pipeline/fanout.sh status runs/$*

$(call stage_targets,dump): dump-%: | $(BUILT)
	$(if $(ARTIFACTS),,@echo "runs/$* holds no finished artifact yet"; exit 66)
	@for artifact in $(ARTIFACTS); do $(BIN)/vlsi-dump $$artifact || exit; echo; done

$(call stage_targets,verify): verify-%: | $(BUILT)
	$(if $(ARTIFACTS),,@echo "runs/$* holds no finished artifact yet"; exit 66)
	@bad=0; for artifact in $(ARTIFACTS); do \
	  $(BIN)/vlsi-dump $$artifact --verify || bad=$$?; done; exit $$bad

$(call stage_targets,clean): clean-%:
	rm -rf runs/$*

endif

clean:
	@echo "make clean-NAME removes runs/NAME, rm -r .build the programs"

# MARK: Help

define HELP
Distils a large vision-language model into a small one, stage by stage.

Whole runs
  make distill-tiny        everything, on the embedded data
  make distill-2b TEACHER=folder STUDENT=folder DATASET=data.json IMAGES=folder [BENCHMARK=test.tsv]
                           the same with your checkpoints and data; the run remembers them
  make distill-NAME        for NAME one of: $(RUNS)
                           (presets: pipeline/NAME.yaml)
  make compare-NAME        its baselines, trained and scored beside it (COMPARE=0: none)
  make ablate-NAME         the paper's comparisons over seeds, in one table (docs/ABLATIONS.md)

Before a run
  make check-NAME          whether preset, checkpoints, data and machine fit together
  make plan-NAME           what each stage will read, write, hold in memory and take in time
  make plan-NAME NODES=16 CORES=64 NETWORK=12.5    the same on a cluster, GB/s between its nodes

Parts of a run
  make STAGE-NAME          one stage and what it needs; STAGE is one of
                           $(STAGES)
  make redo-STAGE-NAME     the same stage again and what follows, though nothing changed
  make STAGE-NAME SET="align.learning_rate=3e-5 align.matching=uniform" RUN=new
                           as NAME but for these settings, in a run of its own, runs/new
  FROM=run | none          whose artifacts are linked where they fit (default: every run's)
  THREADS=n  SEED=n        this call's;  make -n shows the steps, make -j2 takes two side by side

Looking at runs
  make list                all of them, what sets each apart, and what it scores
  make diff-A-B            the settings that two of them have differently
  make graph-NAME          the graph: what of it is made, and what is stale
  make status-NAME         who is at what, how far, and when it will be done
  make report-NAME NOW=1   the report of what is there by now, in runs/NAME/report-now
  make dump-NAME           what is in every artifact
  make verify-NAME         every checksum
  make clean-NAME          remove the run; what others have linked they keep

Several processes and machines (docs/SCALING.md)
  FANOUT=local:N | slurm   spreads the stages  (NODES= PARTITION= SBATCH= SHARES=)
  RANKS=N                  trains with N processes under MPI

The programs: $(BIN)/vlsi-* --help
  make build | test | lint | format | fuzz | test-sanitized
  make bench | bench-peers | bench-check    (docs/PERFORMANCE.md)
  make install PREFIX=folder | tarball | deb    for machines without Swift (docs/INSTALL.md)
  make teacher-tiny, student-tiny           the embedded checkpoints, from random weights
endef
export HELP
help:
	@echo "$$HELP"

# What is there and is made by nothing, `make -B` asks for too.
.DEFAULT:
	@[ -e "$@" ] || { echo "error: no target $@. Runs: $(RUNS). Stages: $(STAGES)." \
	  "\`make\` explains." >&2; exit 64; }
