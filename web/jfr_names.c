/* SPDX-License-Identifier: Apache-2.0 */
#include "web/jfr_names.h"

#include <ctype.h>
#include <string.h>

static size_t find(struct str text, struct str part)
{
	const char *found = text.size ? memmem(text.text, text.size, part.text, part.size) : NULL;

	return found ? (size_t)(found - text.text) : SIZE_MAX;
}

/* How many of these characters, from the end back. */
static size_t count_last(struct str text, int is_one(int c))
{
	size_t count = 0;

	while (count < text.size && is_one((unsigned char)text.text[text.size - 1 - count]))
		count++;
	return count;
}

static struct str front(struct str text, size_t size)
{
	return (struct str){ text.text, size };
}

static struct str behind(struct str text, size_t size)
{
	return (struct str){ text.text + size, text.size - size };
}

/* Both have been seen: "/tmp/libx.so (deleted)", "./tmp/libx.so". */
static struct str without_place(struct str name)
{
	if (str_ends_with(name, STR(" (deleted)")))
		name.size -= strlen(" (deleted)");
	if (str_starts_with(name, STR("./tmp/")))
		return behind(name, strlen("./tmp/"));
	return str_starts_with(name, STR("/tmp/")) ? behind(name, strlen("/tmp/")) : name;
}

static bool is_version(struct str text)
{
	int dots = 0;

	for (size_t i = 0; i < text.size; i++)
		if (text.text[i] == '.')
			dots++;
		else if (!isdigit((unsigned char)text.text[i]))
			return false;
	return dots == 2;
}

/* "libzstd-jni-1.5.1-16931311898282279136.so" */
static bool is_zstd_library(struct str name)
{
	struct str middle;
	size_t digits;

	if (!str_starts_with(name, STR("libzstd-jni-")) || !str_ends_with(name, STR(".so")))
		return false;
	middle = behind(front(name, name.size - 3), strlen("libzstd-jni-"));
	digits = count_last(middle, isdigit);
	return digits > 0 && digits < middle.size && middle.text[middle.size - digits - 1] == '-' &&
	       is_version(front(middle, middle.size - digits - 1));
}

/* "libamazonCorrettoCryptoProvider109b39cf33c563eb.so",
 * "amazonCorrettoCryptoProviderNativeLibraries. 7382c2f79097f415/libcrypto.so" */
static bool is_corretto_library(struct str name)
{
	if (str_starts_with(name, STR("lib")))
		name = behind(name, 3);
	return str_starts_with(name, STR("amazonCorrettoCryptoProvider")) &&
	       str_ends_with(name, STR(".so"));
}

/* What a library was unpacked as, for one that unpacks itself; "" for others. */
static struct str library_name(struct str name)
{
	struct str file = without_place(name);

	if (is_zstd_library(file))
		return STR("libzstd-jni-_.so");
	if (is_corretto_library(file))
		return STR("libamazonCorrettoCryptoProvider_.so");
	if (str_starts_with(file, STR("libasyncProfiler-")) && str_ends_with(file, STR(".so")))
		return STR("libasyncProfiler-_.so");
	return (struct str){ 0 };
}

/* "$669.0x0000000800fd7318", "$4/1283928880", "/0x00007f", "14": a lambda's number, or none. */
static bool is_lambda_number(struct str text)
{
	size_t digits = 0;

	if (text.size > 0 && text.text[0] == '$')
		text = behind(text, 1);
	while (digits < text.size && isdigit((unsigned char)text.text[digits]))
		digits++;
	if (digits > 0 && digits == text.size)
		return true;
	if (digits == text.size || (text.text[digits] != '.' && text.text[digits] != '/'))
		return false;
	text = behind(text, digits + 1);
	if (str_starts_with(text, STR("0x")))
		text = behind(text, 2);
	return text.size > 0 && count_last(text, isxdigit) == text.size;
}

/* A hidden class: "java/lang/invoke/LambdaForm$MH/0x00007f8c0c001c00", or with a dot. */
static size_t hidden_size(struct str name)
{
	size_t digits = count_last(name, isxdigit);

	if (digits >= 8 && name.size > digits + 3 && name.text[name.size - digits - 1] == 'x' &&
	    name.text[name.size - digits - 2] == '0' &&
	    (name.text[name.size - digits - 3] == '/' || name.text[name.size - digits - 3] == '.'))
		return name.size - digits - 3;
	return 0;
}

/* Up to where a class's name is no number of chance; 0: all of it is none. */
static size_t stable_size(struct str name)
{
	const struct str accessor = STR("jdk/internal/reflect/GeneratedMethodAccessor");
	const struct str enhancer = STR("$$EnhancerBySpringCGLIB$$");
	const struct str lambda = STR("$$Lambda");
	size_t place;

	if (str_starts_with(name, accessor) && name.size > accessor.size &&
	    count_last(name, isdigit) == name.size - accessor.size)
		return accessor.size;
	place = find(name, lambda);
	if (place != SIZE_MAX && place > 0 && is_lambda_number(behind(name, place + lambda.size)))
		return place + lambda.size;
	place = find(name, enhancer);
	if (place != SIZE_MAX && place > 0)
		return place + enhancer.size;
	return hidden_size(name);
}

void jfr_names_add(struct buf *buf, struct str class_name, struct str method)
{
	struct str library = library_name(class_name);
	size_t size = stable_size(class_name);

	if (library.size > 0) {
		buf_add_str(buf, library);
	} else if (size > 0) {
		buf_add_str(buf, front(class_name, size));
		buf_add_u8(buf, '_');
	} else {
		buf_add_str(buf, class_name);
	}
	if (class_name.size > 0)
		buf_add_u8(buf, '.');
	buf_add_str(buf, method);
}
