# SPDX-License-Identifier: Apache-2.0
#
# The whole build, in reading order: settings, what is needed, what is built from what, generated
# code, running, tests, checks, installing. `make help` lists the targets.

# ---- settings: every one can be given on the command line -----------------------------------------

SANITIZE   ?=
WERROR     ?=
CFLAGS     ?= -O2 -g
CLANG      ?= clang
BPFTOOL    ?= $(or $(shell command -v bpftool),/usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config
PREFIX     ?= /usr
DESTDIR    ?=
# What the program calls itself; without it, what git says.
VERSION    ?=
ARGS       ?=
# Libraries that are linked into the program (STATIC="sqlite3 xxhash"), for hosts that lack them.
STATIC     ?=
comma      := ,
# Plain builds lie in build/, sanitized ones in a folder of their own below it.
BUILD      ?= build$(addprefix /,$(subst $(comma),-,$(strip $(SANITIZE))))
GEN        := $(BUILD)/gen
# The built page; who has one already needs neither node nor a network.
PAGE       ?= $(GEN)/page
ARCH       := $(shell uname -m)
BPF_ARCH   := $(if $(filter aarch64,$(ARCH)),arm64,x86)

ifeq ($(V),1)
  Q   :=
  say := @true
else
  Q   := @
  say  = @printf '  %-8s %s\n' $(1) $(patsubst $(BUILD)/%,%,$@)
endif

# ---- what is needed -------------------------------------------------------------------------------

# To build and run; node and npm are added where the machine has none.
PACKAGES_BUILD := gcc libc6-dev linux-libc-dev libdw-dev libseccomp-dev git ca-certificates pkg-config clang llvm bpftool libbpf-dev \
                  libelf-dev zlib1g-dev libdeflate-dev libcivetweb-dev libsqlite3-dev libzstd-dev libpcre2-dev \
                  libjansson-dev libnghttp2-dev libssl-dev libxxhash-dev liblz4-dev libsnappy-dev libiberty-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler liblzma-dev
# To pass the tests and checks.
PACKAGES_TEST  := libcmocka-dev python3 curl dwz elfutils libc6-dbg g++ chromium fonts-dejavu-core clang-tidy clang-format \
                  nghttp2-client nginx cppcheck shellcheck codespell universal-ctags bear libclang-rt-dev libdw-dev musl-tools xz-utils binutils

# To make packages, and to install them in roots of their own: for the targets that do so.
PACKAGES_DEB     := debhelper dpkg-dev fakeroot lintian
PACKAGES_RPM     := rpm dpkg-dev
PACKAGES_ROOT    := mmdebstrap systemd-container debian-archive-keyring
PACKAGES_INSTALL := $(PACKAGES_ROOT) curl jq podman runc qemu-system-x86 cpio

LIBRARIES := libbpf zlib libdeflate sqlite3 libzstd libpcre2-8 jansson libnghttp2 libssl libcrypto libxxhash libprotobuf-c liblzma

LIBRARIES += libdw libelf libseccomp liblz4 snappy

# Asked once, and only when something is compiled: `make deps` runs on a machine that has none of it.
LIBRARY_CFLAGS = $(eval LIBRARY_CFLAGS := $$(shell $(PKG_CONFIG) --cflags $(LIBRARIES)))$(LIBRARY_CFLAGS)
LIBRARY_LIBS   = $(eval LIBRARY_LIBS := $$(shell $(PKG_CONFIG) --libs $(LIBRARIES)))$(LIBRARY_LIBS)

WARNINGS   := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef \
              -Wimplicit-fallthrough -Wwrite-strings $(if $(WERROR),-Werror)
HARDENING  := $(if $(strip $(SANITIZE)),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
ALL_CFLAGS  = -std=gnu17 -D_GNU_SOURCE $(WARNINGS) $(CFLAGS) $(HARDENING) -fno-omit-frame-pointer -fno-common \
              -ffile-prefix-map=$(CURDIR)=. \
              $(if $(strip $(SANITIZE)),-fsanitize=$(strip $(SANITIZE)) -fno-sanitize-recover=all) \
              -I. -I$(GEN) $(LIBRARY_CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)
linked      = $(if $(filter $(1:-l%=%),$(STATIC)),-l:lib$(1:-l%=%).a,$(1))
ALL_LIBS    = $(foreach library,$(LIBRARY_LIBS) -lcivetweb -liberty,$(call linked,$(library))) -lm -pthread

# ---- what is built from what ----------------------------------------------------------------------

# The program is its commands and, in folders of their own, what they use.
COMMANDS  := $(wildcard commands/*.c)
FOLDERS   := base symbols store collector web
objects    = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
archive    = $(BUILD)/lib$(1).a
ARCHIVES  := $(foreach folder,web collector store symbols base,$(call archive,$(folder)))

.PHONY: all
all: $(BUILD)/hearth ## build/hearth, the program

# The page, the skeletons and the schema are made first: any source may include them.
MESSAGES  := $(patsubst %.proto,$(GEN)/%.pb-c,$(wildcard proto/*.proto))
GENERATED := $(patsubst bpf/%.bpf.c,$(GEN)/%.skel.h,$(wildcard bpf/*.bpf.c)) $(GEN)/version.h $(addsuffix .h,$(MESSAGES))

$(BUILD)/hearth: $(call objects,$(COMMANDS)) $(ARCHIVES)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $^ $(ALL_LIBS) -o $@

define folder_rule
$(call archive,$(1)): $(call objects,$(wildcard $(1)/*.c)) $(2)
	$$(call say,AR)
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$^
endef
$(eval $(call folder_rule,base,))
$(eval $(call folder_rule,symbols,))
$(eval $(call folder_rule,store,$(GEN)/schema.o))
$(eval $(call folder_rule,collector,))
$(eval $(call folder_rule,web,$(GEN)/assets.o $(addsuffix .o,$(MESSAGES))))

# Threads that answer have 1 MiB of stack: no function below them may take much of it.
ifeq ($(strip $(SANITIZE)),)
$(call archive,store) $(call archive,web): WARNINGS += -Wframe-larger-than=69632
endif

$(BUILD)/obj/%.o: %.c | $(GENERATED)
	$(call say,CC)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# ---- generated code: only ever under build/*/gen --------------------------------------------------

# clang -target bpf forgets the host's own header folders; hand them back, last in line.
HOST_INCLUDES = $(eval HOST_INCLUDES := $$(shell $(CLANG) -v -E - </dev/null 2>&1 | \
                  sed -n '/<...> search starts here:/,/End of search list/{ s| \(/.*\)|-idirafter \1|p }'))$(HOST_INCLUDES)

$(GEN)/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF)
	$(Q)mkdir -p $(@D) && $(CLANG) -target bpf -g -O2 -Wall $(if $(WERROR),-Werror) -mcpu=v3 \
	  -fdebug-compilation-dir=. -D__TARGET_ARCH_$(BPF_ARCH) -I. $(HOST_INCLUDES) -MMD -MP -c $< -o $@
	$(Q)llvm-strip -g $@ 2>/dev/null || true

$(GEN)/%.skel.h: $(GEN)/%.bpf.o
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# Rewritten only when it changes, so that a commit does not rebuild the world.
$(GEN)/version.h: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)printf '#define HEARTH_VERSION "%s"\n' "$(or $(VERSION),$$(git describe --tags --always --dirty 2>/dev/null || echo unknown))" > $@.new
	$(Q)if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
.PHONY: FORCE
FORCE:

# The page: npm brings what package-lock.json names, esbuild makes one script and one style sheet.
UI_SOURCES := $(shell find web/ui -type f -not -path '*/node_modules/*' 2>/dev/null)

web/ui/node_modules/.stamp: web/ui/package.json web/ui/package-lock.json
	$(call say,NPM)
	$(Q)cd web/ui && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.stamp

$(GEN)/page/index.html: web/ui/build.mjs $(UI_SOURCES) web/ui/node_modules/.stamp
	$(call say,PAGE)
	$(Q)mkdir -p $(@D) && node web/ui/build.mjs $(@D)

$(GEN)/assets.c: web/embed.sh $(PAGE)/index.html
	$(call say,EMBED)
	$(Q)mkdir -p $(@D) && sh web/embed.sh $(PAGE) > $@.new && mv $@.new $@

# What one names by another is made first: the folder's headers all at once.
$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h &: %.proto
	$(call say,PROTO)
	$(Q)mkdir -p $(@D) && protoc --c_out=$(GEN) $<

$(addsuffix .o,$(MESSAGES)): $(addsuffix .h,$(MESSAGES))

$(GEN)/schema.c: store/embed_schema.sh $(wildcard store/*.sql)
	$(call say,SCHEMA)
	$(Q)mkdir -p $(@D) && sh store/embed_schema.sh $(wildcard store/*.sql) > $@.new && mv $@.new $@

$(GEN)/%.o: $(GEN)/%.c
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -w -c $< -o $@

# ---- running --------------------------------------------------------------------------------------

# A test or a run on a fresh machine installs first, then starts make again: what was missing when
# this file was read is there now.
.PHONY: run
run: ## install what is missing, build, and profile this host
	$(Q)$(MAKE) --no-print-directory deps-build
	$(Q)$(MAKE) --no-print-directory all
	$(Q)exec $(BUILD)/hearth run $(ARGS)

.PHONY: deps deps-build deps-test
deps: deps-build deps-test ## install what building and testing need (Debian, as root)

deps-build:
	$(Q)sh packaging/deps.sh $(PACKAGES_BUILD) --node

deps-test:
	$(Q)sh packaging/deps.sh $(PACKAGES_TEST)

# ---- tests ----------------------------------------------------------------------------------------

UNIT_TESTS   := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
LIVE_TESTS   := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/live/test_*.c))
FAULT_TESTS  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fault/test_*.c))
SYSTEM_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/system/test_*.c))
FUZZERS      := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
UI_PROGRAMS  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/ui/*.c))
BENCHES      := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/*.c))
SUPPORT      := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/support/*.c))
TARGETS      := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/live/targets/*.c))

.PHONY: test
test: ## install what is missing, build, and pass all tests
	$(Q)$(MAKE) --no-print-directory deps
	$(Q)$(MAKE) --no-print-directory test-built

.PHONY: test-long
test-long: ## the same with hours of kills, faults, random questions and fuzzing
	$(Q)$(MAKE) --no-print-directory deps
	$(Q)HEARTH_LONG=1 $(MAKE) --no-print-directory test-built
	$(Q)$(MAKE) --no-print-directory test-install
	$(Q)$(MAKE) --no-print-directory test-fresh
	$(Q)$(MAKE) --no-print-directory soak

.PHONY: test-built test-programs
test-programs: all $(UNIT_TESTS) $(FUZZERS) $(FAULT_TESTS) $(LIVE_TESTS) $(SYSTEM_TESTS) $(UI_PROGRAMS) $(TARGETS)
test-built: test-programs
	$(Q)BUILD=$(BUILD) SANITIZE=$(SANITIZE) sh tests/run.sh

.PHONY: test-unit
test-unit: $(UNIT_TESTS) $(FUZZERS)
	$(Q)BUILD=$(BUILD) SANITIZE=$(SANITIZE) sh tests/run.sh unit fuzz

.PHONY: test-sanitized
test-sanitized: ## unit tests and the fuzzers' corpora under address,undefined and under thread
	$(Q)$(MAKE) --no-print-directory SANITIZE=address,undefined test-unit
	$(Q)$(MAKE) --no-print-directory SANITIZE=thread test-unit

test_link = $(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -MMD -MP $(filter %.c %.o %.a,$^) $(1) $(ALL_LIBS) -o $@

$(BUILD)/tests/unit/test_%: tests/unit/test_%.c $(SUPPORT) $(ARCHIVES) | $(GENERATED)
	$(call say,TEST)
	$(call test_link,$(addprefix -Wl$(comma)--wrap=,$(WRAPPED_unit_$*)) -lcmocka $(TEST_LIBS))
# An independent reader of call frame information, to compare ours with.
$(BUILD)/tests/unit/test_unwind_oracle: TEST_LIBS := -ldw -lelf
$(BUILD)/tests/live/test_%: tests/live/test_%.c $(SUPPORT) $(ARCHIVES) | $(GENERATED) $(TARGETS)
	$(call say,TEST)
	$(call test_link,-lcmocka)
# Tests that put a fault in the place of a function name it here; they define __wrap_ it.
WRAPPED_clock := clock_unix_ns clock_monotonic_ns
WRAPPED_io    := $(WRAPPED_clock) fsync rename chmod unlink mkdir pread
WRAPPED_parts := $(WRAPPED_clock) pthread_cond_timedwait
WRAPPED_power := clock_unix_ns fsync rename unlink
WRAPPED_unit_store := clock_monotonic_ns
WRAPPED_unit_cache := clock_monotonic_ns
WRAPPED_unit_store_rollup := $(WRAPPED_clock)
WRAPPED_unit_deletion := $(WRAPPED_clock)
WRAPPED_unit_guests := clock_monotonic_ns
WRAPPED_unit_jit    := clock_monotonic_ns pthread_cond_timedwait
WRAPPED_unit_otlp_owners := kill
WRAPPED_unit_http1  := routes_answer
WRAPPED_unit_model := $(WRAPPED_clock)
WRAPPED_unit_label_rules := malloc calloc realloc strndup
WRAPPED_memory := malloc calloc realloc reallocarray strdup
$(BUILD)/tests/fault/test_%: tests/fault/test_%.c $(SUPPORT) $(ARCHIVES) | $(GENERATED)
	$(call say,TEST)
	$(call test_link,$(addprefix -Wl$(comma)--wrap=,$(WRAPPED_$*)) -lcmocka)
$(BUILD)/tests/system/test_%: tests/system/test_%.c $(SUPPORT) $(ARCHIVES) | $(GENERATED)
	$(call say,TEST)
	$(call test_link,-lcmocka)
$(BUILD)/tests/ui/%: tests/ui/%.c $(SUPPORT) $(ARCHIVES) | $(GENERATED)
	$(call say,TEST)
	$(call test_link,-lcmocka)
$(BUILD)/tests/bench/%: tests/bench/%.c $(SUPPORT) $(ARCHIVES) | $(GENERATED)
	$(call say,BENCH)
	$(call test_link,-lcmocka)

# Programs to be profiled: with frame pointers, and without the sanitizers' own frames.
$(BUILD)/tests/live/targets/%: tests/live/targets/%.c
	$(call say,TARGET)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu17 -D_GNU_SOURCE -O1 -g -Wall -Wextra -fno-omit-frame-pointer \
	  -fno-optimize-sibling-calls -fno-inline -Wl,--build-id -pthread $< -o $@ -ldl

# What stands behind the code that a fuzzer tries, and is the fuzzer's own.
WRAPPED_fuzz_push := ingest_add ingest_commit_soon store_status store_forget_source
.PHONY: fuzz-wrapped
fuzz-wrapped: ; @echo $(addprefix -Wl$(comma)--wrap=,$(WRAPPED_fuzz_$(TARGET)))
# A fuzzer as an ordinary program replays the files it is given; `make fuzz` hunts with clang.
$(BUILD)/tests/fuzz/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(ARCHIVES) | $(GENERATED)
	$(call say,FUZZ)
	$(call test_link,$(addprefix -Wl$(comma)--wrap=,$(WRAPPED_fuzz_$*)))

TARGET  ?= link
SECONDS ?= 30
.PHONY: test-clients
test-clients: all $(BUILD)/tests/system/test_clients $(BUILD)/tests/system/test_senders ## real clients of Go, Python, Node, Java and Rust ask and push; HEARTH_REQUIRE_CLIENTS=1: none may be missing
	$(Q)BUILD=$(BUILD) sh tests/run.sh clients

.PHONY: test-install
test-install: deb rpm ## install both packages in a Debian 12 and a Debian 13 of their own, use, upgrade, purge
	$(Q)sh packaging/deps.sh $(PACKAGES_INSTALL)
	$(Q)$(MAKE) --no-print-directory $(BUILD)/tests/live/targets/burn
	$(Q)BUILD=$(BUILD) sh tests/run.sh install

.PHONY: test-fresh
test-fresh: ## the README's two commands, in a Debian 12 and a Debian 13 that have git and nothing else
	$(Q)sh packaging/deps.sh $(PACKAGES_INSTALL)
	$(Q)BUILD=$(BUILD) sh tests/run.sh fresh

.PHONY: soak
SOAK_SECONDS ?= 7200
soak: all $(TARGETS) $(BUILD)/tests/bench/generate ## does anything grow? Two hours of mixed load, or SOAK_SECONDS
	$(Q)BUILD=$(BUILD) SOAK_SECONDS=$(SOAK_SECONDS) sh tests/run.sh soak

.PHONY: fuzz
fuzz: ## hunt with one fuzzer: make fuzz TARGET=selector SECONDS=60
	$(Q)sh tests/fuzz/hunt.sh $(TARGET) $(SECONDS)

.PHONY: libraries
libraries: ## print what is linked, for scripts
	@echo $(ALL_LIBS)

.PHONY: bench
bench: all $(BENCHES) $(TARGETS) ## every figure of the bars
	$(Q)BUILD=$(BUILD) sh tests/bench/run.sh

# ---- checks ---------------------------------------------------------------------------------------

C_SOURCES := $(COMMANDS) $(wildcard $(addsuffix /*.c,$(FOLDERS)))

.PHONY: check
check: $(GENERATED) ## clang-tidy, cppcheck, formatting, scripts, spelling
	$(Q)sh tests/check.sh

.PHONY: format
format: ## lay out the sources by .clang-format
	$(Q)clang-format -i commands/*.[ch] $(addsuffix /*.[ch],$(FOLDERS)) bpf/*.[ch] tests/*/*.[ch]

compile_commands.json: ## for clangd
	$(Q)$(MAKE) --no-print-directory clean
	$(Q)bear -- $(MAKE) --no-print-directory all $(UNIT_TESTS)

# ---- installing -----------------------------------------------------------------------------------

SHARE := $(DESTDIR)$(PREFIX)/share

.PHONY: install
install: all ## into $(DESTDIR)$(PREFIX)
	install -D -m 755 $(BUILD)/hearth $(DESTDIR)$(PREFIX)/bin/hearth
	install -D -m 644 packaging/hearth.conf $(DESTDIR)/etc/hearth/hearth.conf
	install -d $(DESTDIR)/etc/hearth/conf.d
	install -D -m 644 docs/hearth.1 $(SHARE)/man/man1/hearth.1
	install -D -m 644 docs/hearth.conf.5 $(SHARE)/man/man5/hearth.conf.5
	install -D -m 644 packaging/hearth.bash $(SHARE)/bash-completion/completions/hearth
	install -D -m 644 packaging/systemd/hearth.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/hearth.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system packaging/systemd/hearth.service packaging/systemd/hearth-collector.service

# For another architecture, or another Debian, packages are made in a root that is made for it.
SUITE        ?=
ARCHITECTURE ?=
in_root       = $(if $(SUITE)$(ARCHITECTURE),sh packaging/build_root.sh $(or $(SUITE),bookworm) $(or $(ARCHITECTURE),$$(dpkg --print-architecture)) \
                  env SUITE=$(SUITE) ARCHITECTURE=$(ARCHITECTURE)) sh

.PHONY: deb
deb: ## build/hearth_VERSION_ARCH.deb; SUITE=trixie, ARCHITECTURE=arm64 for another than this Debian's
	$(Q)sh packaging/deps.sh $(PACKAGES_BUILD) $(PACKAGES_DEB) $(if $(SUITE)$(ARCHITECTURE),$(PACKAGES_ROOT)) --node
	$(Q)$(MAKE) --no-print-directory $(PAGE)/index.html
	$(Q)$(in_root) packaging/deb.sh $(PAGE) $(BUILD)

.PHONY: rpm
rpm: ## build/hearth-VERSION-1.ARCH.rpm, for EL 9 and later and for Fedora; elsewhere than on Debian 12: SUITE=bookworm
	$(Q)sh packaging/deps.sh $(PACKAGES_BUILD) $(PACKAGES_RPM) $(if $(SUITE)$(ARCHITECTURE),$(PACKAGES_ROOT)) --node
	$(Q)$(MAKE) --no-print-directory $(PAGE)/index.html
	$(Q)$(in_root) packaging/rpm.sh $(PAGE) $(BUILD)

.PHONY: clean
clean: ## remove everything that was built
	rm -rf build

.PHONY: help
help: ## this list
	$(Q)sed -n 's/^\([a-z_.-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 28

.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all
-include $(shell find $(BUILD)/obj $(BUILD)/gen $(BUILD)/tests -name '*.d' 2>/dev/null)
