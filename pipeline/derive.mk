# A run of its own from another's preset and a few settings:
#
#   make align-tiny SET="align.learning_rate=3e-5 align.matching=uniform" RUN=lr3e-5
#
# writes runs/lr3e-5/preset.yaml, which extends pipeline/tiny.yaml, and goes on as `make align-lr3e-5`.
# The new run has the inputs of the old one, baselines with the same settings, and what the old one has
# made already.

ifneq ($(value SET)$(value RUN),)
$(foreach i,SET RUN,$(eval override $i := $$(value $i)))
export SET RUN
# The run that the goal names: align-tiny is about tiny.
steps := $(STAGES) distill compare plan check inputs graph status
derived_from = $(strip $(foreach n,$(RUNS),$(if $(filter $(steps:%=%-$n),$1),$n)))
base := $(if $(filter 1,$(words $(MAKECMDGOALS))),$(call derived_from,$(MAKECMDGOALS)))
$(if $(base),,$(error SET and RUN go with one stage of one run, as in: \
  make align-tiny SET="align.learning_rate=3e-5" RUN=lr3e-5))

# The goal itself is made by another make, for which there are no such variables.
ACTIVE :=
DERIVING := yes
.PHONY: $(MAKECMDGOALS)
$(MAKECMDGOALS): | $(BUILT)
	@pipeline/derive.sh $(BIN) $(base) $(call preset,$(base)) $(foreach b,sft last-layer,$(if \
	  $(filter $(base)-$b,$(PRESETS)),$b=$(call preset,$(base)-$b)))
	@$(MAKE) --no-print-directory SET= RUN= "$(MAKECMDGOALS:%-$(base)=%)-$$RUN"
endif
