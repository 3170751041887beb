/* SPDX-License-Identifier: Apache-2.0 */
#include "symbols/file_hash.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PART_SIZE = 4096, /* of head and tail, which may overlap */
	HASH_SIZE = 16,	  /* of it so much is used */
};

/* As much as there is of [offset, offset + PART_SIZE). */
static ssize_t read_part(int fd, uint64_t offset, uint8_t *bytes)
{
	size_t size = 0;

	while (size < PART_SIZE) {
		ssize_t count = pread(fd, bytes + size, PART_SIZE - size, (off_t)(offset + size));

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		if (count == 0)
			break;
		size += (size_t)count;
	}
	return (ssize_t)size;
}

int file_hash_of(int fd, struct identity *ret)
{
	uint8_t bytes[(size_t)2 * PART_SIZE + sizeof(uint64_t)];
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned hash_size = 0;
	struct stat status;
	uint64_t size, written;
	ssize_t head, tail;

	if (fstat(fd, &status))
		return -errno;
	size = (uint64_t)status.st_size;
	head = read_part(fd, 0, bytes);
	if (head < 0)
		return (int)head;
	tail = read_part(fd, size > PART_SIZE ? size - PART_SIZE : 0, bytes + head);
	if (tail < 0)
		return (int)tail;
	written = htobe64(size);
	memcpy(bytes + head + tail, &written, sizeof(written));
	if (!EVP_Digest(bytes, (size_t)(head + tail) + sizeof(written), hash, &hash_size,
			EVP_sha256(), NULL))
		return -ENOMEM;
	assert(hash_size >= HASH_SIZE);
	*ret = (struct identity){ .kind = IDENTITY_HTLHASH, .size = HASH_SIZE };
	memcpy(ret->bytes, hash, HASH_SIZE);
	return 0;
}
