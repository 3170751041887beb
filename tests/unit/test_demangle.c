/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "symbols/demangle.h"
#include "base/clock.h"
#include "symbols/name_cache.h"

static void reads(const char *mangled, const char *expected)
{
	char text[DEMANGLE_TEXT_SIZE_MAX];
	struct str name = demangle(str_from(mangled), text);

	if (!str_equal(name, str_from(expected)))
		fail_msg("%s is read as %.*s, not %s", mangled, STR_PRINT(name), expected);
}

static void reads_cpp(void **state)
{
	(void)state;
	reads("_Z4workiPKc", "work(int, char const*)");
	reads("_ZN3net6server4pollEv", "net::server::poll()");
	reads("_ZNSt6vectorIiSaIiEE9push_backERKi",
	      "std::vector<int, std::allocator<int> >::push_back(int const&)");
	reads("_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()() const");
	reads("_ZN5cache4findEi.isra.0", "cache::find(int) [clone .isra.0]");
	reads("_ZL4spini.cold", "spin(int) [clone .cold]");
	reads("_GLOBAL__I_main", "global constructors keyed to main");
}

static void reads_rust_without_its_hash(void **state)
{
	(void)state;
	reads("_ZN4core3fmt9Formatter3pad17h8f6b3a1d7d7a4c05E", "core::fmt::Formatter::pad");
	reads("_ZN58_$LT$alloc..string..String$u20$as$u20$core..fmt..Write$GT$9write_str"
	      "17h0123456789abcdefE",
	      "<alloc::string::String as core::fmt::Write>::write_str");
	reads("_RNvC6_123foo3bar", "123foo::bar");
	reads("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar");
	reads("_RINvNtC3std3mem8align_ofjE", "std::mem::align_of::<usize>");
}

static void reads_d(void **state)
{
	(void)state;
	reads("_D8demangle4testFaZv", "demangle.test(char)");
}

static void reads_go_without_the_types_of_generics(void **state)
{
	(void)state;
	reads("main.sum[go.shape.int]", "main.sum[...]");
	reads("slices.pdqsortCmpFunc[go.shape.struct { a [3]int; b []uint8 }].func1",
	      "slices.pdqsortCmpFunc[...].func1");
	reads("sync.(*Map[go.shape.int,go.shape.[]uint8]).Load", "sync.(*Map[...]).Load");
	reads("type:.eq.[8]internal/cpu.option", "type:.eq.[8]internal/cpu.option");
	reads("]x[go.shape.int", "]x[go.shape.int");
	reads("a[]b[go.shape.int", "a[]b[go.shape.int");
}

static void leaves_what_is_not_mangled(void **state)
{
	static const char *const names[] = {
		"main",
		"_start",
		"_Z",
		"_ZN",
		"_ZN4work",
		"__libc_start_call_main",
		"_R",
		"",
		"_",
		"_D4",
		"$s4main3fooyyF",
		"zend_execute_scripts",
		"_GLOBAL_OFFSET_TABLE_",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char text[DEMANGLE_TEXT_SIZE_MAX];
		struct str name = demangle(str_from(names[i]), text);

		assert_ptr_equal(name.text, names[i]);
		assert_int_equal(name.size, strlen(names[i]));
	}
}

/* Each B is made of three of the one before: two hundred bytes of name for a gigabyte of text. */
static void cuts_what_unfolds_without_end(void **state)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char mangled[512] = "_Z1f1AIiiE";
	char text[DEMANGLE_TEXT_SIZE_MAX];
	size_t size = strlen(mangled);

	(void)state;
	for (size_t i = 0; i < 18; i++)
		size += (size_t)snprintf(mangled + size, sizeof(mangled) - size, "1BIS%c_S%c_S%c_E",
					 digits[2 * i], digits[2 * i], digits[2 * i]);

	struct str name = demangle(str_from(mangled), text);

	assert_ptr_equal(name.text, text);
	assert_in_range(name.size, DEMANGLE_TEXT_SIZE_MAX - 3, DEMANGLE_TEXT_SIZE_MAX);
	assert_true(str_starts_with(name, STR("f(A<int, int>")));
	assert_true(str_ends_with(name, STR("…")));
}

static void bears_deep_nesting(void **state)
{
	static const char *const pieces[] = { "P", "KP", "FvP", "A_", "nn", "M1a", "1aIX", "LZ1b" };

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		char mangled[DEMANGLE_MANGLED_SIZE_MAX + 1] = "_Z1f";
		char text[DEMANGLE_TEXT_SIZE_MAX];
		size_t size = strlen(mangled);

		for (; size + 8 < sizeof(mangled); size += strlen(pieces[i]))
			memcpy(mangled + size, pieces[i], strlen(pieces[i]) + 1);

		struct str name = demangle(str_from(mangled), text);

		assert_true(name.text == mangled || name.text == text);
	}
}

static void leaves_what_is_too_long(void **state)
{
	static char mangled[DEMANGLE_MANGLED_SIZE_MAX + 32];
	char text[DEMANGLE_TEXT_SIZE_MAX];
	int size = snprintf(mangled, sizeof(mangled), "_Z%d", DEMANGLE_MANGLED_SIZE_MAX - 8);

	(void)state;
	memset(mangled + size, 'a', DEMANGLE_MANGLED_SIZE_MAX - 8);
	mangled[size + DEMANGLE_MANGLED_SIZE_MAX - 8] = 'v';
	assert_in_range(strlen(mangled), DEMANGLE_MANGLED_SIZE_MAX - 8, DEMANGLE_MANGLED_SIZE_MAX);

	struct str name = demangle(str_from(mangled), text);

	assert_int_equal(name.size, DEMANGLE_MANGLED_SIZE_MAX - 8 + 2);
	memset(mangled + strlen(mangled), 'i', 8);
	name = demangle(str_from(mangled), text);
	assert_ptr_equal(name.text, mangled);
}

/* ---- the cache ---- */

static void remembers(void **state)
{
	autoclean(name_cache) struct name_cache *cache = NULL;
	char text[DEMANGLE_TEXT_SIZE_MAX];

	(void)state;
	assert_int_equal(name_cache_new(&cache), 0);
	for (int round = 0; round < 3; round++) {
		struct str name = name_cache_demangle(cache, STR("_ZN3net4pollEv"), text);

		assert_true(str_equal(name, STR("net::poll()")));
		name = name_cache_demangle(cache, STR("main"), text);
		assert_true(str_equal(name, STR("main")));
	}

	struct name_cache_stats stats = name_cache_stats(cache);

	assert_int_equal(stats.names, 1);
	assert_int_equal(stats.bytes, strlen("_ZN3net4pollEv") + strlen("net::poll()"));
	assert_int_equal(stats.found, 2);
	assert_int_equal(stats.missed, 1);
}

static void ask_for_numbered(struct name_cache *cache, unsigned number, size_t padding)
{
	char mangled[DEMANGLE_MANGLED_SIZE_MAX];
	char expected[DEMANGLE_TEXT_SIZE_MAX];
	char text[DEMANGLE_TEXT_SIZE_MAX];
	char name[DEMANGLE_MANGLED_SIZE_MAX / 2];
	int size = snprintf(name, sizeof(name), "f%u_%0*d", number, (int)padding, 0);

	snprintf(mangled, sizeof(mangled), "_Z%d%sv", size, name);
	snprintf(expected, sizeof(expected), "%s()", name);

	struct str found = name_cache_demangle(cache, str_from(mangled), text);

	assert_true(str_equal(found, str_from(expected)));
}

static void stays_within_its_bounds(void **state)
{
	autoclean(name_cache) struct name_cache *cache = NULL;

	(void)state;
	assert_int_equal(name_cache_new(&cache), 0);
	for (unsigned i = 0; i < 2 * NAME_CACHE_NAME_COUNT_MAX; i++)
		ask_for_numbered(cache, i, 1);
	assert_in_range(name_cache_stats(cache).names, NAME_CACHE_NAME_COUNT_MAX / 2,
			NAME_CACHE_NAME_COUNT_MAX);

	for (unsigned i = 0; i < 8192; i++)
		ask_for_numbered(cache, i, 1000);

	struct name_cache_stats stats = name_cache_stats(cache);

	assert_in_range(stats.bytes, NAME_CACHE_SIZE_MAX - 4096, NAME_CACHE_SIZE_MAX);
	/* What was asked for last is still there. */
	ask_for_numbered(cache, 8191, 1000);
	assert_int_equal(name_cache_stats(cache).found, stats.found + 1);
}

/* What somebody asks for stays, whatever its age; the rest is gone after a while. */
static void lets_go_what_nobody_asks_for(void **state)
{
	const uint64_t while_ns = (uint64_t)NAME_CACHE_UNUSED_SECONDS * (uint64_t)CLOCK_NS_PER_S;
	autoclean(name_cache) struct name_cache *cache = NULL;
	uint64_t now = while_ns;

	(void)state;
	assert_int_equal(name_cache_new(&cache), 0);
	name_cache_tidy(cache, now);
	for (unsigned i = 0; i < 100; i++)
		ask_for_numbered(cache, i, 0);
	assert_int_equal(name_cache_stats(cache).names, 100);
	/* Not yet; and each has been asked for since the last look. */
	name_cache_tidy(cache, now + while_ns - 1);
	name_cache_tidy(cache, now += while_ns);
	assert_int_equal(name_cache_stats(cache).names, 100);
	for (unsigned i = 0; i < 100; i += 10)
		ask_for_numbered(cache, i, 0);
	name_cache_tidy(cache, now += while_ns);
	assert_int_equal(name_cache_stats(cache).names, 10);
	for (unsigned i = 0; i < 100; i += 10)
		ask_for_numbered(cache, i, 0);
	assert_int_equal(name_cache_stats(cache).missed, 100);
	name_cache_tidy(cache, now += while_ns);
	name_cache_tidy(cache, now + while_ns);
	assert_int_equal(name_cache_stats(cache).names, 0);
	assert_int_equal(name_cache_stats(cache).bytes, 0);
}

static void *ask_for_many(void *context)
{
	for (unsigned round = 0; round < 20; round++)
		for (unsigned i = 0; i < 500; i++)
			ask_for_numbered(context, i, 1 + i % 7);
	return NULL;
}

static void serves_several_threads(void **state)
{
	autoclean(name_cache) struct name_cache *cache = NULL;
	pthread_t threads[4];

	(void)state;
	assert_int_equal(name_cache_new(&cache), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_for_many, cache), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(name_cache_stats(cache).found + name_cache_stats(cache).missed,
			 4 * 20 * 500);
	assert_in_range(name_cache_stats(cache).names, 500, 4 * 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_cpp),
		cmocka_unit_test(reads_rust_without_its_hash),
		cmocka_unit_test(reads_d),
		cmocka_unit_test(reads_go_without_the_types_of_generics),
		cmocka_unit_test(leaves_what_is_not_mangled),
		cmocka_unit_test(cuts_what_unfolds_without_end),
		cmocka_unit_test(bears_deep_nesting),
		cmocka_unit_test(leaves_what_is_too_long),
		cmocka_unit_test(remembers),
		cmocka_unit_test(stays_within_its_bounds),
		cmocka_unit_test(lets_go_what_nobody_asks_for),
		cmocka_unit_test(serves_several_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
