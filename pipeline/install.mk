# Programs for machines without Swift: its runtime is linked into them, in a build folder of their own,
# since other flags would make the ordinary one anew. docs/INSTALL.md.
#
#   make install PREFIX=/opt/vlsi [DESTDIR=folder]      make tarball      make deb

static := .build/static
programs = $(notdir $(wildcard Sources/vlsi-*))
version = $(shell sed -n 's/.* static let current = "\(.*\)"/\1/p' Sources/Artifacts/Version.swift)
archive = vlsi-$(version)-$(shell uname -m)

# Taken as it stands: blanks, quotes and dollars are letters of a path.
destination = $(call quote,$(value DESTDIR)$(value PREFIX)$1)

# What an installed program says of itself, as a man page and for the shells.
man := /share/man/man1
bash := /share/bash-completion/completions
zsh := /share/zsh/site-functions
fish := /share/fish/vendor_completions.d
define describe
@mkdir -p $(foreach f,$(man) $(bash) $(zsh) $(fish),$(call destination,$f))
@into() { cat > "$$1" && touch -r $(call destination,/bin)/$$program "$$1"; }; \
for program in $(programs); do \
  said() { $(call destination,/bin)/$$program "$$@" < /dev/null; }; \
  said --help | awk -v name=$$program -v version=$(version) -f pipeline/manual.awk | \
    into $(call destination,$(man))/$$program.1 && \
  said --generate-completion-script bash | into $(call destination,$(bash))/$$program && \
  said --generate-completion-script zsh | into $(call destination,$(zsh))/_$$program && \
  said --generate-completion-script fish | into $(call destination,$(fish))/$$program.fish || exit; \
done
endef

.PHONY: install tarball deb
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
	$(describe)

tarball:
	@rm -rf .build/tarball
	@$(MAKE) --no-print-directory install DESTDIR=.build/tarball PREFIX=/$(archive)
	tar -czf .build/$(archive).tar.gz --owner=0 --group=0 -C .build/tarball $(archive)

# A package for this release of Debian or Ubuntu, which names the packages of the libraries that the
# programs load; dpkg-deb makes it.
package = .build/vlsi_$(version)_$(shell dpkg --print-architecture 2> /dev/null || uname -m).deb
define package_control
Package: vlsi
Version: $(version)
Architecture: $(shell dpkg --print-architecture 2> /dev/null)
Maintainer: $(or $(MAINTAINER),whoever built it <root@localhost>)
Section: science
Priority: optional
Depends: make, $$depends
Description: distils large vision-language models into small ones
 Verbalized Layers-to-Interactions: programs for each stage, and the graph
 that Make runs, in /usr/share/vlsi.

endef
deb: export control = $(package_control)
deb:
	@command -v dpkg-deb > /dev/null || { echo "error: make deb needs dpkg-deb: a Debian or Ubuntu" >&2; exit 66; }
	@rm -rf .build/deb
	@$(MAKE) --no-print-directory install DESTDIR=.build/deb PREFIX=/usr
	@gzip -n9 .build/deb/usr$(man)/*.1
	@install -D -m 644 LICENSE .build/deb/usr/share/doc/vlsi/copyright
	@mkdir -p .build/deb/DEBIAN
	@libraries=$$(ldd .build/deb/usr/bin/* | sed -n 's/.* => \(\/[^ ]*\).*/\1/p' | sort -u | xargs -n 1 readlink -f | sort -u); \
	depends=$$(dpkg-query -S $$libraries $$(echo "$$libraries" | sed 's,^/usr,,') 2> /dev/null | \
	  sed 's/:.*//' | sort -u | paste -sd, | sed 's/,/, /g'); \
	printf '%s\n' "$$control" | sed "s/\$$depends/$$depends/" > .build/deb/DEBIAN/control
	dpkg-deb --root-owner-group -Zxz -z1 --build .build/deb $(package)
