/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/own_vdso.h"

#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "symbols/elf_file.h"

enum { VDSO_SIZE_MAX = 1 << 20 };

/* Its section headers end it, as the kernel's build lays it out. */
static size_t size_of(const Elf64_Ehdr *header)
{
	uint64_t size = header->e_shoff + (uint64_t)header->e_shnum * header->e_shentsize;

	return header->e_shoff > 0 && size <= VDSO_SIZE_MAX ? (size_t)size : 0;
}

/*
 * "clock_gettime" is a weak alias of "__vdso_clock_gettime", which tells it from the C library's:
 * that one stays, as our collector has it. The image is the kernel's own, and is believed.
 */
static void forget_aliases(uint8_t *image, size_t size)
{
	const Elf64_Ehdr *header = (const void *)image;
	const Elf64_Shdr *sections = (const void *)(image + header->e_shoff);

	for (size_t i = 0; i < header->e_shnum; i++) {
		Elf64_Sym *symbols = (void *)(image + sections[i].sh_offset);
		size_t count = sections[i].sh_size / sizeof(symbols[0]);

		if (sections[i].sh_type != SHT_DYNSYM || sections[i].sh_offset > size ||
		    sections[i].sh_size > size - sections[i].sh_offset)
			continue;
		for (size_t k = 0; k < count; k++)
			if (ELF64_ST_BIND(symbols[k].st_info) == STB_WEAK)
				symbols[k].st_shndx = SHN_UNDEF;
	}
}

int own_vdso_open(struct identity *ret_identity, int *ret_fd)
{
	/* The kernel says where it is as a number. */
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)getauxval(
		AT_SYSINFO_EHDR); /* NOLINT(performance-no-int-to-ptr) */
	autoclean(elf_file) struct elf_file *elf = NULL;
	autofree uint8_t *image = NULL;
	autoclose int fd = -1;
	size_t size = header ? size_of(header) : 0;
	int err;

	if (size == 0)
		return -ENOENT;
	image = malloc(size);
	if (!image)
		return -ENOMEM;
	memcpy(image, header, size);
	forget_aliases(image, size);
	fd = memfd_create("vdso", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, image, size) != (ssize_t)size)
		return -EIO;
	err = elf_file_open(fd, &elf);
	if (err)
		return err;
	*ret_identity = elf_file_build_id(elf);
	if (ret_identity->kind == IDENTITY_NONE)
		return -ENOENT;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
