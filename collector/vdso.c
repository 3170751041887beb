/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/vdso.h"

#include <elf.h>
#include <string.h>
#include <sys/auxv.h>

/*
 * What lies there is the kernel's: it is read as it is, through the dynamic section, which has no
 * count of symbols but that of the hash table.
 */
struct image {
	const uint8_t *start;
	const Elf64_Sym *symbols;
	const char *strings;
	uint32_t symbol_count;
};

/* Its addresses count from where it was linked to, mostly 0. */
static uint64_t link_address(const Elf64_Phdr *headers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (headers[i].p_type == PT_LOAD)
			return headers[i].p_vaddr - headers[i].p_offset;
	return 0;
}

/* DT_GNU_HASH: buckets and chains; the last chain's end is the last symbol. */
static uint32_t count_by_gnu_hash(const uint32_t *table)
{
	uint32_t bucket_count = table[0], first = table[1], bloom_count = table[2], last = 0;
	const uint32_t *buckets = table + 4 + 2 * (size_t)bloom_count;
	const uint32_t *chains = buckets + bucket_count;

	for (uint32_t i = 0; i < bucket_count; i++)
		if (buckets[i] > last)
			last = buckets[i];
	if (last < first)
		return 0;
	while (!(chains[last - first] & 1))
		last++;
	return last + 1;
}

static void read_dynamic(struct image *image, const Elf64_Dyn *dynamic, uint64_t linked_to)
{
	for (; dynamic->d_tag != DT_NULL; dynamic++) {
		const uint8_t *at = image->start + (dynamic->d_un.d_ptr - linked_to);

		switch (dynamic->d_tag) {
		case DT_SYMTAB:
			image->symbols = (const void *)at;
			break;
		case DT_STRTAB:
			image->strings = (const char *)at;
			break;
		case DT_HASH:
			image->symbol_count = ((const uint32_t *)(const void *)at)[1];
			break;
		case DT_GNU_HASH:
			if (image->symbol_count == 0)
				image->symbol_count = count_by_gnu_hash((const void *)at);
			break;
		default:
			break;
		}
	}
}

/* "time" is an alias of "__vdso_time", which tells it from the C library's: that one stays. */
static void add(struct vdso *vdso, const struct vdso_function *function)
{
	for (size_t i = 0; i < vdso->count; i++) {
		struct vdso_function *known = &vdso->functions[i];

		if (known->start != function->start)
			continue;
		if (function->name.size > known->name.size)
			*known = *function;
		return;
	}
	if (vdso->count < VDSO_FUNCTION_COUNT_MAX)
		vdso->functions[vdso->count++] = *function;
}

void vdso_read(struct vdso *vdso)
{
	struct image image = { .start = (const void *)getauxval(AT_SYSINFO_EHDR) };

	*vdso = (struct vdso){ .count = 0 };
	if (!image.start)
		return;

	const Elf64_Ehdr *header = (const void *)image.start;
	const Elf64_Phdr *headers = (const void *)(image.start + header->e_phoff);
	uint64_t linked_to = link_address(headers, header->e_phnum);

	if (header->e_ident[EI_CLASS] != ELFCLASS64)
		return;
	for (size_t i = 0; i < header->e_phnum; i++)
		if (headers[i].p_type == PT_DYNAMIC)
			read_dynamic(&image, (const void *)(image.start + headers[i].p_offset),
				     linked_to);
	for (uint32_t i = 1; image.symbols && image.strings && i < image.symbol_count; i++) {
		const Elf64_Sym *symbol = &image.symbols[i];
		uint64_t start = symbol->st_value - linked_to;

		if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_size > 0 &&
		    symbol->st_shndx != SHN_UNDEF && start < VDSO_SIZE_MAX)
			add(vdso, &(struct vdso_function){
					  .start = start,
					  .size = symbol->st_size,
					  .name = str_from(image.strings + symbol->st_name) });
	}
}

size_t vdso_find(const struct vdso *vdso, uint64_t offset)
{
	for (size_t i = 0; i < vdso->count; i++)
		if (offset >= vdso->functions[i].start &&
		    offset - vdso->functions[i].start < vdso->functions[i].size)
			return i;
	return SIZE_MAX;
}
