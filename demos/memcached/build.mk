# memcached and the part of libevent that it uses, as one relocatable object without the C library. Both are configured
# by their own scripts, as for another machine: nothing that they build is run here.
libevent := $(SOURCES)/libevent
memcached := $(SOURCES)/memcached

HOST := --host=x86_64-linux-musl
# The packages' patches are newer than what automake made of the makefiles, which is good enough.
QUIET := $(MAKE) --silent --no-print-directory AUTOMAKE=: AUTOCONF=: AUTOHEADER=: ACLOCAL=:
objects := printf 'include Makefile\nobjects:\n\t@echo $$(memcached_OBJECTS)\n' | $(QUIET) -C memcached -f - objects

memcached.o: memcached/Makefile
	+$(QUIET) -C memcached $$($(objects))
	+$(LD) -r -o $@ $$($(objects) | sed 's|[^ ]*|memcached/&|g') libevent/lib/libevent.a

memcached/Makefile: libevent/lib/libevent.a
	mkdir -p $(@D)
	cd $(@D) && CPPFLAGS=-I$(libevent)/include $(memcached)/configure --quiet $(HOST) --with-libevent=../libevent --disable-docs --disable-coverage

libevent/lib/libevent.a:
	mkdir -p $(@D)
	cd libevent && $(libevent)/configure --quiet $(HOST) --disable-shared --disable-openssl --disable-samples \
		--disable-libevent-regress --disable-thread-support --disable-debug-mode
	+$(QUIET) -C libevent include/event2/event-config.h
	+$(QUIET) -C libevent LDFLAGS= LIBS= libevent_core.la
	cp libevent/.libs/libevent_core.a $@
