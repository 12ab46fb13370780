# sallyport: build, check, install. Files are found by wildcard; output goes to build/ (B=).
#   make           build/sallyport and the BPF objects inside it
#   make deps      install what building, testing and the demo need (apt; npm for the demo's clients)
#   make check     deps, build, every test; ends with "N passed, N failed"
#   make demo      the main job in a private lab
#   make bench     the figures of tests/bench/README.md
#   make install   [DESTDIR=] [PREFIX=/usr]; make uninstall
B        ?= build
V        ?= 0
CC       ?= gcc
CLANG    ?= clang
BPFTOOL  ?= bpftool
PREFIX   ?= /usr
ETC      ?= /etc
OPT      ?= -O2
WERROR   ?= -Werror
# The product is linked with optimisation across files (measured: 5 to 8 % of CPU a request); tests are not.
LTO      ?= -flto=auto
# Without it the linker's plugin would optimise across files wherever it finds an object that allows it.
NOLTO     = $(if $(LTO),-fno-lto)
PKGS     := libbpf libelf libssl libcrypto jansson libnghttp2 libhs libpcre2-8 libnl-3.0 libnl-route-3.0 \
            sqlite3 libsystemd libseccomp libcap zlib libbrotlidec libbrotlienc libzstd
CFLAGS   += -std=gnu11 $(OPT) -g -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes \
            -Wmissing-prototypes -Wpointer-arith -Wno-missing-field-initializers \
            -fstack-protector-strong -D_FORTIFY_SOURCE=2 $(WERROR)
CPPFLAGS += -D_GNU_SOURCE -Iuserspace -I. -I$(B)/gen $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDFLAGS  += -Wl,-z,relro,-z,now -pie
CFLAGS   += -fPIE
LDLIBS   += $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lpthread -lm
Q        := $(if $(filter 0,$(V)),@)
say       = $(if $(filter 0,$(V)),@printf '  %-6s %s\n' $(1) $(2))

SRC      := $(filter-out userspace/cli/main.c,$(wildcard userspace/*/*.c))
OBJ      := $(SRC:%.c=$(B)/%.o)
LIB      := $(B)/libsallyport.a
BPFSRC   := $(wildcard bpf/*.bpf.c)
SKEL     := $(BPFSRC:bpf/%.bpf.c=$(B)/gen/%.skel.h)
UNITS    := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/*/*_test.c))
BPFTESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/bpf/*_test.c))
TOOLS    := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/fake/*.c tests/bench/*.c))
STORIES  := $(sort $(wildcard tests/e2e/[0-9]*.sh))
FAKELIB  := $(B)/tests/fake/libfake.a
FUZZERS  := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/fuzz/*_fuzz.c))

all: $(B)/sallyport

$(B)/sallyport: $(B)/userspace/cli/main.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LTO) $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)

$(LIB): $(OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(if $(LTO),gcc-ar,ar) rcs $@ $(OBJ)

$(B)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(if $(LTO),$(LTO) -ffat-lto-objects) -MMD -MP -c -o $@ $<

# BPF: no vmlinux.h and no BTF of the build host; the skeleton carries the object.
$(B)/gen/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Wno-unused-parameter $(WERROR) \
		-I/usr/include/$(shell gcc -dumpmachine) -I. -c -o $@ $<

$(B)/gen/%.skel.h: $(B)/gen/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst .,_,$*)_bpf > $@.tmp && mv $@.tmp $@

$(filter $(B)/userspace/kern/%,$(OBJ)): | $(SKEL)

# The fakes and the load generator stand on base/ alone, and on what they share in tests/fake/lib.
$(B)/tests/fake/%: $(B)/tests/fake/%.o $(FAKELIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(NOLTO) $(LDFLAGS) -o $@ $< $(FAKELIB) $(LDLIBS)

$(B)/tests/bench/load: $(B)/tests/bench/load.o $(FAKELIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(NOLTO) $(LDFLAGS) -o $@ $< $(FAKELIB) $(LDLIBS)

$(B)/tests/%: $(B)/tests/%.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(NOLTO) $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)

$(FAKELIB): $(patsubst %.c,$(B)/%.o,$(wildcard tests/fake/lib/*.c tests/bench/lib/*.c userspace/base/*.c))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

tests: $(UNITS) $(BPFTESTS) $(TOOLS)
units: $(UNITS)
tools: $(TOOLS)

# A room's own tests: make check-unit ROOM=wire
check-unit: $(filter $(B)/tests/unit/$(if $(ROOM),$(ROOM)/,)%,$(UNITS))
	$(Q)tests/run $^

deps:
	$(Q)tests/deps $(B)

# deps first: what it installs changes what pkg-config says while the Makefile is read.
check: deps
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)tests/run $(UNITS) $(BPFTESTS) $(STORIES)

check-bpf: $(BPFTESTS)
	$(Q)tests/run $^

# make check-e2e STORY=30
check-e2e: $(B)/sallyport $(TOOLS)
	$(Q)tests/run $(filter tests/e2e/$(STORY)%,$(STORIES))

# Debian 12 with its own 6.1 kernel and systemd, in QEMU without KVM: make check-vm [STORY="20 25"]
check-vm: $(B)/sallyport $(BPFTESTS) $(TOOLS)
	$(Q)tests/vm/run.sh $(B) $(STORY)

demo: deps
	$(Q)$(MAKE) -s --no-print-directory all tools
	$(Q)tests/demo/demo.sh

bench: deps
	$(Q)$(MAKE) --no-print-directory all tools
	$(Q)tests/bench/run.sh $(BENCH)

# Fuzz targets want clang's runtime in every object: make fuzz [FUZZ_S=20]. Warnings are gcc's affair.
FUZZ_S   ?= 20
fuzz:
	$(Q)$(MAKE) --no-print-directory B=$(B)-fuzz CC=$(CLANG) WERROR= \
		LTO= OPT="-O1 -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined" fuzzers
	$(Q)tests/fuzz-smoke $(B)-fuzz $(FUZZ_S)

fuzzers: $(FUZZERS)

$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)

# The unit tests under ASan and UBSan, in a build of their own: make sanitize [ROOM=wire]
sanitize:
	$(Q)$(MAKE) --no-print-directory B=$(B)-asan ROOM=$(ROOM) \
		LTO= OPT="-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined" check-unit

# DESTDIR= for packages: then nothing of the running system is told. A policy.json that is there stays.
DEST      = $(DESTDIR)$(PREFIX)
UNITDIR   = $(DEST)/lib/systemd/system
MANPAGES := $(wildcard userspace/cli/*.[158])
UNITFILES := $(notdir $(wildcard systemd/*.service systemd/*.timer))
BPFOBJ   := $(BPFSRC:bpf/%.bpf.c=$(B)/gen/%.bpf.o)
PREFIXED  = sed 's|/usr/bin/sallyport|$(PREFIX)/bin/sallyport|;s|"\./schema\.json"|"$(PREFIX)/share/sallyport/schema.json"|'

install: $(B)/sallyport
	$(Q)install -d $(DEST)/bin $(DEST)/lib/sallyport $(DEST)/share/sallyport $(DEST)/lib/sysusers.d \
		$(DEST)/lib/tmpfiles.d $(UNITDIR) $(DESTDIR)$(ETC)/sallyport
	$(Q)install -m 755 $(B)/sallyport $(DEST)/bin/sallyport
	$(Q)install -m 644 $(BPFOBJ) $(DEST)/lib/sallyport/
	$(Q)install -m 644 $(wildcard policies/*.json) $(DEST)/share/sallyport/
	$(Q)for page in $(MANPAGES); do install -D -m 644 $$page \
		$(DEST)/share/man/man$${page##*.}/$${page##*/} || exit 1; done
	$(Q)for unit in $(UNITFILES); do $(PREFIXED) systemd/$$unit >$(UNITDIR)/$$unit && \
		chmod 644 $(UNITDIR)/$$unit || exit 1; done
	$(Q)install -m 644 systemd/sallyport.sysusers $(DEST)/lib/sysusers.d/sallyport.conf
	$(Q)install -m 644 systemd/sallyport.tmpfiles $(DEST)/lib/tmpfiles.d/sallyport.conf
	$(Q)test -e $(DESTDIR)$(ETC)/sallyport/policy.json || { umask 022; \
		$(PREFIXED) policies/observe.json >$(DESTDIR)$(ETC)/sallyport/policy.json; }
	$(Q)test -n "$(DESTDIR)" || { \
		! command -v systemd-sysusers >/dev/null || systemd-sysusers sallyport.conf; \
		! command -v systemd-tmpfiles >/dev/null || systemd-tmpfiles --create sallyport.conf; \
		! test -d /run/systemd/system || systemctl daemon-reload; }
	@echo "installed below $(DEST); the policy is $(DESTDIR)$(ETC)/sallyport/policy.json"
	@echo "start it with: systemctl enable --now sallyport"

# What an operator wrote and what was recorded stays: /etc/sallyport, /var/lib/sallyport.
uninstall:
	$(Q)test -n "$(DESTDIR)" || ! test -d /run/systemd/system || \
		systemctl disable --now $(UNITFILES) 2>/dev/null || true
	$(Q)test -n "$(DESTDIR)" || ! test -x $(DEST)/bin/sallyport || $(DEST)/bin/sallyport disarm --force
	$(Q)rm -f $(DEST)/bin/sallyport $(DEST)/lib/sysusers.d/sallyport.conf \
		$(DEST)/lib/tmpfiles.d/sallyport.conf $(addprefix $(UNITDIR)/,$(UNITFILES))
	$(Q)for page in $(MANPAGES); do rm -f $(DEST)/share/man/man$${page##*.}/$${page##*/}; done
	$(Q)rm -rf $(DEST)/lib/sallyport $(DEST)/share/sallyport
	$(Q)test -n "$(DESTDIR)" || ! test -d /run/systemd/system || systemctl daemon-reload
	@echo "removed; $(ETC)/sallyport and /var/lib/sallyport are left. trust store: sallyport trust remove (before this)"

clean:
	$(Q)rm -rf $(B) $(B)-fuzz $(B)-asan

.PHONY: all tests units tools check-unit deps check check-bpf check-e2e check-vm demo bench fuzz fuzzers sanitize install uninstall clean
.SECONDARY:
# Not below build/vm: a whole Debian, whose folders end in .d too.
-include $(shell find $(B) -path $(B)/vm -prune -o -name '*.d' -type f -print 2>/dev/null)
