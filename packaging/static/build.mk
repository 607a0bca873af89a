# SPDX-License-Identifier: GPL-2.0-or-later
# How the interpreter is built. Included by the Makefile at the top.
#
#   build/usermode-aarch64        static-pie: libpython, libunicorn, the C core, all modules frozen in; stripped
#   build/usermode-aarch64.debug  its symbols
#   build/usermode-aarch64-dev    libpython3.11.so, our modules read from the source tree
#   build/ext/_usermode_core.so   the C core as an ordinary extension, for the tests
#   build/usermode-sample         a tiny guest program, which `usermode doctor` runs

UNICORN := $(VENV)/lib/python3.11/site-packages/unicorn
LIBUNICORN := $(UNICORN)/lib/libunicorn.a
LIBPYTHON := /usr/lib/python3.11/config-3.11-x86_64-linux-gnu/libpython3.11-pic.a
EXTENSION := build/ext/_usermode_core.cpython-311-x86_64-linux-gnu.so

CORE := $(patsubst usermode/core/%.c,build/obj/%.o,$(wildcard usermode/core/*.c))
STUBS := build/obj/other_cpus.o
WRAPS := $(file < usermode/core/wraps)
COMMA := ,

WARNINGS := -Wall -Wextra -Werror
CFLAGS := -std=gnu17 -O2 -g -fPIC -fvisibility=hidden -fno-plt -fstack-protector-strong
CPPFLAGS := -isystem $(UNICORN)/include -isystem /usr/include/python3.11

# The core goes first: its definitions win over libunicorn's of the same name (--allow-multiple-definition).
LINK_CORE = $(CORE) $(STUBS) $(LIBUNICORN)
LINK_FLAGS := $(addprefix -Wl$(COMMA)--wrap=,$(WRAPS)) -Wl,--allow-multiple-definition -Wl,-z,relro,-z,now

.PHONY: interpreter
interpreter: build/usermode-aarch64 build/usermode-aarch64-dev $(EXTENSION) build/usermode-sample

build/obj build/ext build/generated:
	@mkdir -p $@

build/unicorn.ok: $(STAMP_VENV) tools/check_unicorn.py
	$(call say,check libunicorn.a)
	@$(VENV)/bin/python tools/check_unicorn.py $(LIBUNICORN)
	@touch $@

# Objects depend on the flags, which stand in these files.
build/obj/%.o: usermode/core/%.c build/unicorn.ok packaging/static/build.mk | build/obj
	$(call say,compile $<)
	@$(CC) $(CFLAGS) $(WARNINGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

build/obj/%.o: packaging/static/%.c build/unicorn.ok packaging/static/build.mk | build/obj
	$(call say,compile $<)
	@$(CC) $(CFLAGS) $(WARNINGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

build/obj/launcher-dev.o: packaging/static/launcher.c build/unicorn.ok packaging/static/build.mk | build/obj
	$(call say,compile $< for the developer's build)
	@$(CC) $(CFLAGS) $(WARNINGS) $(CPPFLAGS) -DSOURCE_TREE='L"$(CURDIR)"' -MMD -MP -c -o $@ $<

build/obj/%.o: build/generated/%.c packaging/static/build.mk
	@$(CC) $(CFLAGS) $(CPPFLAGS) -c -o $@ $<

build/generated/other_cpus.c: build/unicorn.ok packaging/static/other_cpus.sh | build/generated build/obj
	@packaging/static/other_cpus.sh $(LIBUNICORN) > $@

# The kernel's link options for a vDSO: arch/arm64/kernel/vdso/Makefile.
build/vdso.so: usermode/loader/vdso.S usermode/loader/vdso.lds
	$(call say,build the guest's vDSO)
	@aarch64-linux-gnu-gcc -nostdlib -shared -fPIC -Wl,-soname=linux-vdso.so.1 -Wl,--hash-style=both -Wl,--build-id=sha1 \
	    -Wl,-Bsymbolic -Wl,-z,max-page-size=4096 -Wl,-T,usermode/loader/vdso.lds -o $@ usermode/loader/vdso.S

build/usermode-sample: packaging/sample/sample.c
	$(call say,build the sample program)
	@mkdir -p build
	@aarch64-linux-gnu-gcc -std=gnu17 -Os $(WARNINGS) -ffreestanding -fno-stack-protector -nostdlib -static -s \
	    -Wl,-z,max-page-size=4096 -Wl,--build-id=none -o $@ $<

FREEZE := $(PYTHON) -E -s -B packaging/static/freeze.py --vdso build/vdso.so
FREEZE_SOURCES := packaging/static/freeze.py packaging/static/contents.py build/vdso.so

build/generated/frozen.c: $(FREEZE_SOURCES) $(shell find syscalls usermode -name '*.py') | build/generated build/obj
	$(call say,freeze the Python modules)
	@$(FREEZE) $@

build/generated/frozen-dev.c: $(FREEZE_SOURCES) | build/generated build/obj
	@$(FREEZE) --data-only $@

STATIC := build/obj/launcher.o build/obj/absent.o build/obj/frozen.o
build/usermode-aarch64: $(CORE) $(STUBS) $(STATIC) usermode/core/wraps
	$(call say,link $@)
	@$(CC) -static-pie $(LINK_FLAGS) -o $@.debug $(STATIC) $(LINK_CORE) $(LIBPYTHON) -lm
	@strip -o $@.new $@.debug && mv $@.new $@

DEVELOPER := build/obj/launcher-dev.o build/obj/frozen-dev.o
build/usermode-aarch64-dev: $(CORE) $(STUBS) $(DEVELOPER) usermode/core/wraps
	$(call say,link $@)
	@$(CC) -pie $(LINK_FLAGS) -o $@ $(DEVELOPER) $(LINK_CORE) -lpython3.11 -lm

# -Bsymbolic and --exclude-libs keep it apart from any other libunicorn in the process.
$(EXTENSION): $(CORE) $(STUBS) usermode/core/wraps | build/ext
	$(call say,link $@)
	@$(CC) -shared $(LINK_FLAGS) -Wl,-Bsymbolic -Wl,--exclude-libs,ALL -o $@ $(LINK_CORE) -lm

-include $(wildcard build/obj/*.d)
