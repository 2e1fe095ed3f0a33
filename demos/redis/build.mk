# Redis's programs, each as one relocatable object without the C library. The lists of objects are Redis's own.
redis := $(SOURCES)/redis
deps := $(redis)/deps

list = $(shell sed -n 's/^$(1)=//p' $(2))
lua := $(addprefix lua/,$(shell sed -n '/^CORE_O=/,/^$$/p' $(deps)/lua/src/Makefile | grep -o '[a-z_]*\.o'))
hiredis := $(addprefix hiredis/,$(call list,OBJ,$(deps)/hiredis/Makefile))
linenoise := linenoise/linenoise.o
histogram := hdr_histogram/hdr_histogram.o

own = $(addprefix redis/,$(call list,REDIS_$(1)_OBJ,$(redis)/src/Makefile))
redis-server := $(call own,SERVER) $(hiredis) $(lua) $(histogram)
redis-cli := $(call own,CLI) $(hiredis) $(linenoise)
redis-benchmark := $(call own,BENCHMARK) $(hiredis) $(histogram)

FLAGS = -I. $(addprefix -I$(deps)/,hiredis linenoise lua/src hdr_histogram) -DREDIS_STATIC= -std=gnu11 $(CPPFLAGS) $(CFLAGS)
COMPILE = mkdir -p $(@D) && $(CC) $(FLAGS) -c $< -o $@

.SECONDEXPANSION:
redis-server.o redis-cli.o redis-benchmark.o: %.o: $$($$*)
	$(LD) -r -o $@ $^

redis/%.o: $(redis)/src/%.c release.h
	$(COMPILE)
lua/%.o: FLAGS += -DLUA_ANSI -DENABLE_CJSON_GLOBAL -DLUA_USE_MKSTEMP
lua/%.o: $(deps)/lua/src/%.c
	$(COMPILE)
hiredis/%.o: $(deps)/hiredis/%.c
	$(COMPILE)
linenoise/%.o: $(deps)/linenoise/%.c
	$(COMPILE)
hdr_histogram/%.o: FLAGS += -DHDR_MALLOC_INCLUDE='"hdr_redis_malloc.h"'
hdr_histogram/%.o: $(deps)/hdr_histogram/%.c
	$(COMPILE)

# Redis's own mkreleasehdr.sh writes the host and the time.
release.h:
	printf '#define REDIS_%s "%s"\n' GIT_SHA1 00000000 GIT_DIRTY 0 BUILD_ID uklscope > $@
