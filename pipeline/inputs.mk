# What the user brings, by run: named on the command line, taken as it stands (no letter of a path
# means anything to Make or to the shell), checked, and only then remembered in runs/NAME/inputs.

INPUTS := TEACHER STUDENT DATASET IMAGES BENCHMARK
NUMBERS := SEED THREADS JOBS COMPARE NODES SHARES RANKS CORES
WORDS := CELLS SEEDS SPLIT ABLATIONS FANOUT PARTITION MPI NETWORK STUDENT_ID TEACHER_ID FROM

# Not expanded, here or on their way into a program's environment. A path is no option.
$(foreach i,$(INPUTS) $(NUMBERS) $(WORDS),$(if $(value $i),\
  $(eval override $i := $$(if $$(filter -%,$$(firstword $$(value $i))),./)$$(value $i))))
unexport $(INPUTS)
# Further options for sbatch begin with a dash.
$(if $(value SBATCH),$(eval override SBATCH := $$(value SBATCH)))
export FANOUT NODES SHARES RANKS PARTITION MPI SBATCH THREADS
quote = '$(subst ','\'',$1)'
given := $(strip $(foreach i,$(INPUTS),$(if $($i),$i)))
assignments = $(foreach i,$1,$(if $($i),$(call quote,$i=$($i))))
define newline


endef
# The shell function would make a blank of it.
$(foreach i,$(INPUTS) $(NUMBERS) $(WORDS) SBATCH,$(if $(findstring $(newline),$($i)),\
  $(error $i: a path or a number without a line break is expected (64))))

ifneq ($(ACTIVE)$(filter ablat%,$(MAKECMDGOALS)),)
$(if $(strip $(foreach i,$(INPUTS) $(NUMBERS) $(WORDS),$(if $($i),$i))),\
  $(if $(filter-out 0,$(shell pipeline/check-inputs.sh \
    $(call assignments,$(INPUTS) $(NUMBERS) $(WORDS)) >&2; echo $$?)),$(error nothing is run)))
endif

# For run $1 what input $2 was (inputs.mk: of a run by an older Makefile); what is named now comes
# before it.
remembered = $(shell sed -n -e 's/^$2=//p' -e 's/^$2_$1 := //p' \
  $(or $(wildcard runs/$1/inputs),runs/$1/inputs.mk) 2> /dev/null)
$(foreach n,$(ACTIVE),$(foreach i,$(INPUTS),\
  $(eval was_$i_$n := $$(call remembered,$n,$i))\
  $(eval $i_$n := $$(or $$($i),$$(was_$i_$n)))))
changed = $(strip $(foreach i,$(given),$(if $(subst |$(was_$i_$1)|,,|$($i)|),$i)))

# A call that only asks (make -n, make -q) leaves no trace in a run; nor does one whose inputs are
# still to be checked: slices and stamps lie elsewhere then, copied once, before Make starts again for
# slices that changed (slices.mk).
asks := $(or $(findstring n,$(firstword -$(MAKEFLAGS))),$(findstring q,$(firstword -$(MAKEFLAGS))))
unchecked := $(if $(asks)$(MAKE_RESTARTS),,$(strip $(foreach n,$(ACTIVE),$(if $(call changed,$n),$n))))
SLICES := .preset$(if $(asks)$(unchecked),/asked)
$(if $(MAKE_RESTARTS),,$(foreach n,$(if $(asks)$(unchecked),$(ACTIVE)),\
  $(shell cd runs/$n/.preset 2> /dev/null && \
    rm -rf asked && mkdir asked && find . -maxdepth 1 -type f -exec cp -p {} asked \;)))

# The run's inputs as variables of a program's environment.
in_environment = $(foreach i,$(INPUTS),$i=$(call quote,$($i_$1)))

# MARK: Checking

# Whether run $* is still to make artifact $1, or is about to remove it.
lacks = $(if $(filter $1 $(firstword $(subst /, ,$1)),$(REMOVED)),yes,$(if $(wildcard runs/$*/$1/manifest.json),,yes))
new = $(filter $1,$(call changed,$*))
own = $(foreach i,$1,$(if $($i_$*),$i))
# What is checked: what changed, and what is still to be read. A teacher may go once its targets
# are there, pictures once there are samples.
checks_data = $(and $(call own,DATASET),$(call own,STUDENT)$(EMBEDDED_$*),$(or \
  $(call new,DATASET IMAGES STUDENT),$(call lacks,samples)))
checks_teacher = $(and $(call own,TEACHER),$(or $(call new,TEACHER),$(call lacks,targets)))
checks_student = $(and $(call own,STUDENT),$(or $(call new,STUDENT),$(call lacks,model)))
checks_benchmark = $(and $(call own,BENCHMARK),$(or $(call new,BENCHMARK),\
  $(call lacks,evaluation/teacher),$(call lacks,evaluation/model)))
checked = $(strip $(if $(checks_data),DATASET IMAGES) $(if $(checks_teacher),TEACHER) \
  $(if $(checks_student),STUDENT) $(if $(checks_benchmark),BENCHMARK IMAGES))

# That they exist, and fit: checkpoints open and have one tokenizer, entries become samples, the
# benchmark is one. Seconds, before hours.
define check_inputs
@pipeline/check-inputs.sh $(foreach i,$(checked),$(if $($i_$*),$(call quote,$i=$($i_$*))))
$(if $(checks_data),$(survey))
$(if $(checked),$(BIN)/vlsi-plan $(call options,$*) --inputs$(checked_options))
endef
checked_options = $(if $(checks_teacher), --teacher $(teacher))$(if \
  $(STUDENT_$*)$(EMBEDDED_$*), --student $(student))$(if \
  $(checks_data), --samples runs/$*/.survey)$(if \
  $(checks_benchmark), --benchmark $(benchmark)$(images_option))

# New inputs: Make remakes what it includes, which checks and remembers them, and starts again. The file
# names the process, which stays the same: distill need not check once more.
was_checked = $(filter $(shell echo $$PPID),$(file < runs/$*/.preset/checked.mk))
ifneq ($(unchecked),)
include $(unchecked:%=runs/%/.preset/checked.mk)
$(unchecked:%=runs/%/.preset/checked.mk): runs/%/.preset/checked.mk: FORCE | runs/%/$(SLICES)/slices.mk
	$(check_inputs)
	@mkdir -p $(@D)
	@printf '%s\n' $(foreach i,$(INPUTS),$(if $($i_$*),$(call quote,$i=$($i_$*)))) > runs/$*/inputs.new
	@mv runs/$*/inputs.new runs/$*/inputs
	@echo "# $$PPID" > $@
endif
