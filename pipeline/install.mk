# Programs for machines without Swift: its runtime is linked into them, in a build folder of their own,
# since other flags would make the ordinary one anew. docs/INSTALL.md.
#
#   make install PREFIX=/opt/vlsi [DESTDIR=folder]      make tarball

static := .build/static
programs = $(notdir $(wildcard Sources/vlsi-*))
version = $(shell sed -n 's/.* static let current = "\(.*\)"/\1/p' Sources/Artifacts/Version.swift)
archive = vlsi-$(version)-$(shell uname -m)

# Taken as it stands: blanks, quotes and dollars are letters of a path.
destination = $(call quote,$(value DESTDIR)$(value PREFIX)$1)

.PHONY: install tarball
install:
	$(if $(value PREFIX),,@echo "error: PREFIX: expected the folder to install to, as in: make install PREFIX=/opt/vlsi" >&2; exit 64)
	@for folder in $(call destination,/bin) $(call destination,/share/vlsi); do \
	  mkdir -p -- "$$folder" && [ -w "$$folder" ] || { \
	    printf 'error: PREFIX: cannot write to %s\n' "$$folder" >&2; exit 73; }; done
	@pipeline/system.sh
# One by one: all together would be what tests need too, for which there is no such library.
	for program in $(programs); do swift build -c release --static-swift-stdlib \
	  --scratch-path $(static) -Xlinker --strip-all --product $$program || exit; done
	install -p -m 755 -- $(programs:%=$(static)/release/%) $(call destination,/bin)
# With their times: what stages follow is not newer for being installed once more.
	tar -cf $(static)/share.tar --mode=u=rwX,go=rX --exclude=__pycache__ Makefile pipeline data
	tar -xpf $(static)/share.tar --no-same-owner -C $(call destination,/share/vlsi)

tarball:
	@rm -rf .build/tarball
	@$(MAKE) --no-print-directory install DESTDIR=.build/tarball PREFIX=/$(archive)
	tar -czf .build/$(archive).tar.gz --owner=0 --group=0 -C .build/tarball $(archive)
