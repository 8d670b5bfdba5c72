# What Make knows of a preset: its slices, a file for every kind of artifact with the settings that
# decide it (Sources/StageKit/Presets/PresetSlices.swift). vlsi-plan writes them, and leaves a file alone
# that would not change. So the programs are built first, for `make -n` too.
#
# Make remakes what it includes, and where that has another time then, it starts again: a run's own
# slices.mk is empty, and as new as the last slice that changed.

# Goals that make nothing need none: graph takes what the last call left.
READ := $(sort $(call active,$(filter-out clean-% graph-% status-% dump-% verify-%,$(MAKECMDGOALS))))
include $(READ:%=runs/%/$(SLICES)/slices.mk)

# The seed on the command line counts for this call alone; SEED and not THREADS is in the slices.
variants = $(foreach b,sft last-layer dense lookup,$(if $(filter $*-$b,$(PRESETS)), \
  --variant $b=$(call preset,$*-$b)))
$(ACTIVE:%=runs/%/$(SLICES)/slices.mk): runs/%/$(SLICES)/slices.mk: FORCE | $(BUILT)
	@changed=$$($(call in_environment,$*) $(BIN)/vlsi-plan --preset $(call preset,$*)$(variants) \
	  $(if $(SEED),--seed $(SEED)) --slices $(@D)) || exit; \
	[ -e $@ ] && [ -z "$$changed" ] || touch $@

# Looked up when they are needed: by then they are there.
$(foreach n,$(ACTIVE),\
  $(eval EMBEDDED_$n = $$(filter yes,$$(file < runs/$n/$(SLICES)/embedded)))\
  $(eval BUDGET_$n = $$(filter-out none,$$(file < runs/$n/$(SLICES)/budget)))\
  $(eval VISUAL_$n = $$(filter stored,$$(file < runs/$n/$(SLICES)/visual)))\
  $(eval OWN_$n = $$(filter own,$$(file < runs/$n/$(SLICES)/teacher-samples)))\
  $(eval THREADS_$n = $$(filter-out 0,$$(file < runs/$n/$(SLICES)/threads))))
