/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/sideband.h"

#include <assert.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

enum {
	/* A process that starts leaves about 2 kB, one that maps 1,000 files 100. The kernel lets
	 * 516 kB a CPU (kernel.perf_event_mlock_kb) be locked besides RLIMIT_MEMLOCK. */
	RING_PAGES = 64,
	/* Records of one CPU handled in one go; what is beyond waits for the next. */
	PENDING_COUNT_MAX = 16384,
	BUILD_ID_SIZE = 20,
};

struct ring {
	int event;
	struct perf_event_mmap_page *page; /* then RING_PAGES pages of records */
};

struct pending {
	struct sideband_record record;
	uint32_t order;	  /* of arrival, for records of one instant */
	uint32_t text_at; /* in texts */
};

struct sideband {
	int epoll;
	struct ring *rings;
	uint32_t ring_count;
	size_t page_size;
	sideband_handler *handler;
	void *context;
	struct pending *pending;
	uint32_t pending_count;
	struct buf texts;  /* of the pending records */
	struct buf record; /* one that wraps around the ring's end */
	uint64_t lost;
};

static int open_event(uint32_t cpu)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TIME,
		.sample_id_all = 1,
		.mmap = 1,
		.mmap2 = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.build_id = 1,
		.ksymbol = 1,
		.use_clockid = 1,
		.clockid = CLOCK_BOOTTIME,
		.watermark = 1,
		/* By each record: a walk needs a mapping before the next tick comes. */
		.wakeup_watermark = 1,
	};
	int event = (int)syscall(SYS_perf_event_open, &attributes, -1, (int)cpu, -1,
				 PERF_FLAG_FD_CLOEXEC);

	if (event < 0 && errno == EINVAL) {
		/* Before 5.12 mappings are told by device and inode only. */
		attributes.build_id = 0;
		event = (int)syscall(SYS_perf_event_open, &attributes, -1, (int)cpu, -1,
				     PERF_FLAG_FD_CLOEXEC);
	}
	return event < 0 ? -errno : event;
}

static int add_ring(struct sideband *sideband, uint32_t cpu)
{
	size_t size = sideband->page_size * RING_PAGES;
	autoclose int event = open_event(cpu);

	if (event < 0)
		return event;

	void *memory = mmap(NULL, sideband->page_size + size, PROT_READ | PROT_WRITE, MAP_SHARED,
			    event, 0);

	if (memory == MAP_FAILED)
		return -errno;

	struct epoll_event interest = { .events = EPOLLIN };

	if (epoll_ctl(sideband->epoll, EPOLL_CTL_ADD, event, &interest)) {
		int err = -errno;

		munmap(memory, sideband->page_size + size);
		return err;
	}
	sideband->rings[sideband->ring_count++] =
		(struct ring){ .event = TAKE_FD(event), .page = memory };
	return 0;
}

int sideband_open(const uint32_t *cpus, uint32_t cpu_count, sideband_handler *handler,
		  void *context, struct sideband **ret)
{
	assert(cpu_count > 0 && handler);

	autoclean(sideband) struct sideband *sideband = calloc(1, sizeof(*sideband));

	if (!sideband)
		return -ENOMEM;
	sideband->epoll = -1;
	sideband->handler = handler;
	sideband->context = context;
	sideband->page_size = (size_t)sysconf(_SC_PAGESIZE);
	sideband->texts = BUF(16 << 20);
	sideband->record = BUF(UINT16_MAX);
	sideband->rings = calloc(cpu_count, sizeof(sideband->rings[0]));
	sideband->pending = calloc(PENDING_COUNT_MAX, sizeof(sideband->pending[0]));
	if (!sideband->rings || !sideband->pending)
		return -ENOMEM;
	sideband->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (sideband->epoll < 0)
		return -errno;
	for (uint32_t i = 0; i < cpu_count; i++) {
		int err = add_ring(sideband, cpus[i]);

		if (err)
			return err;
	}
	*ret = TAKE(sideband);
	return 0;
}

struct sideband *sideband_close(struct sideband *sideband)
{
	if (!sideband)
		return NULL;

	for (uint32_t i = 0; i < sideband->ring_count; i++) {
		munmap(sideband->rings[i].page, sideband->page_size * (RING_PAGES + 1));
		close(sideband->rings[i].event);
	}
	if (sideband->epoll >= 0)
		close(sideband->epoll);
	buf_done(&sideband->texts);
	buf_done(&sideband->record);
	free(sideband->pending);
	free(sideband->rings);
	free(sideband);
	return NULL;
}

int sideband_fd(const struct sideband *sideband)
{
	return sideband->epoll;
}

uint64_t sideband_lost(const struct sideband *sideband)
{
	return sideband->lost;
}

static struct str take_text(struct bytes *bytes)
{
	size_t size = strnlen((const char *)bytes->next, bytes->left);

	return (struct str){ (const char *)bytes->next, size };
}

static void parse_mapping(struct bytes *bytes, uint16_t misc, struct sideband_record *record)
{
	record->kind = SIDEBAND_MAPPED;
	record->pid = bytes_u32(bytes);
	record->tid = bytes_u32(bytes);
	record->start = bytes_u64(bytes);

	uint64_t size = bytes_u64(bytes);

	record->offset = bytes_u64(bytes);
	if (misc & PERF_RECORD_MISC_MMAP_BUILD_ID) {
		uint8_t id_size = bytes_u8(bytes);

		(void)bytes_take(bytes, 3);

		const void *id = bytes_take(bytes, BUILD_ID_SIZE);

		if (id_size > BUILD_ID_SIZE)
			bytes->error = -EBADMSG;
		else if (id && id_size > 0) {
			record->identity.kind = IDENTITY_GNU_BUILD_ID;
			record->identity.size = id_size;
			memcpy(record->identity.bytes, id, id_size);
		}
	} else {
		uint32_t device_major = bytes_u32(bytes);
		uint32_t device_minor = bytes_u32(bytes);

		record->device = makedev(device_major, device_minor);
		record->inode = bytes_u64(bytes);
		(void)bytes_u64(bytes); /* generation of the inode */
	}
	(void)bytes_u64(bytes); /* prot and flags */
	record->text = take_text(bytes);
	if (size == 0 || __builtin_add_overflow(record->start, size, &record->end))
		bytes->error = -EBADMSG;
}

bool sideband_parse(const void *data, size_t size, struct sideband_record *ret, uint64_t *malformed)
{
	struct bytes bytes = bytes_from(data, size);
	uint32_t type = bytes_u32(&bytes);
	uint16_t misc = bytes_u16(&bytes);
	struct sideband_record record = { 0 };
	bool wanted = true;

	(void)bytes_u16(&bytes); /* its size, which the caller went by */
	/* The last word of each is its time (sample_id_all with PERF_SAMPLE_TIME alone). */
	if (bytes.error || bytes.left < sizeof(uint64_t)) {
		(*malformed)++;
		return false;
	}
	bytes.left -= sizeof(uint64_t);

	struct bytes time = bytes_from(bytes.next + bytes.left, sizeof(uint64_t));

	record.boot_ns = bytes_u64(&time);
	switch (type) {
	case PERF_RECORD_MMAP2:
		parse_mapping(&bytes, misc, &record);
		break;
	case PERF_RECORD_COMM:
		record.kind = misc & PERF_RECORD_MISC_COMM_EXEC ? SIDEBAND_EXEC : SIDEBAND_RENAMED;
		record.pid = bytes_u32(&bytes);
		record.tid = bytes_u32(&bytes);
		record.text = take_text(&bytes);
		break;
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		record.kind = type == PERF_RECORD_FORK ? SIDEBAND_FORKED : SIDEBAND_EXITED;
		record.pid = bytes_u32(&bytes);
		record.parent_pid = bytes_u32(&bytes);
		record.tid = bytes_u32(&bytes);
		wanted = record.tid == record.pid;
		break;
	case PERF_RECORD_KSYMBOL:
		record.kind = SIDEBAND_KERNEL_SYMBOL;
		break;
	default:
		wanted = false;
		break;
	}
	if (bytes.error) {
		(*malformed)++;
		return false;
	}
	if (wanted)
		*ret = record;
	return wanted;
}

static void keep(struct sideband *sideband, const void *bytes, size_t size)
{
	struct perf_event_header header;
	struct pending *pending = &sideband->pending[sideband->pending_count];

	memcpy(&header, bytes, sizeof(header));
	if (header.type == PERF_RECORD_LOST) {
		uint64_t lost = 1;

		/* header, id, how many */
		if (size >= sizeof(header) + 16)
			memcpy(&lost, (const uint8_t *)bytes + sizeof(header) + 8, sizeof(lost));
		sideband->lost += lost;
		return;
	}
	if (!sideband_parse(bytes, size, &pending->record, &sideband->lost))
		return;
	pending->order = sideband->pending_count;
	pending->text_at = (uint32_t)sideband->texts.size;
	buf_add_str(&sideband->texts, pending->record.text);
	if (sideband->texts.error) {
		sideband->lost++;
		return;
	}
	sideband->pending_count++;
}

/* Copies what wraps around the end of the ring, so that a record lies in one piece. */
static const void *whole_record(struct sideband *sideband, const uint8_t *records, size_t ring_size,
				size_t at, size_t size)
{
	if (at + size <= ring_size)
		return records + at;
	buf_clear(&sideband->record);
	buf_add(&sideband->record, records + at, ring_size - at);
	buf_add(&sideband->record, records, size - (ring_size - at));
	return sideband->record.error ? NULL : sideband->record.bytes;
}

static void drain_ring(struct sideband *sideband, struct ring *ring)
{
	size_t ring_size = sideband->page_size * RING_PAGES;
	const uint8_t *records = (const uint8_t *)ring->page + sideband->page_size;
	uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = ring->page->data_tail;

	while (tail < head && sideband->pending_count < PENDING_COUNT_MAX) {
		size_t at = (size_t)(tail % ring_size);
		struct perf_event_header header;

		/* Records are multiples of 8 bytes, as the header is: it never wraps. */
		memcpy(&header, records + at, sizeof(header));
		if (header.size < sizeof(header) || header.size > head - tail) {
			sideband->lost++;
			tail = head;
			break;
		}

		const void *record = whole_record(sideband, records, ring_size, at, header.size);

		if (record)
			keep(sideband, record, header.size);
		else
			sideband->lost++;
		tail += header.size;
	}
	__atomic_store_n(&ring->page->data_tail, tail, __ATOMIC_RELEASE);
}

static int earlier_first(const void *left, const void *right)
{
	const struct pending *a = left, *b = right;

	if (a->record.boot_ns != b->record.boot_ns)
		return a->record.boot_ns < b->record.boot_ns ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

void sideband_drain(struct sideband *sideband)
{
	sideband->pending_count = 0;
	buf_clear(&sideband->texts);
	for (uint32_t i = 0; i < sideband->ring_count; i++)
		drain_ring(sideband, &sideband->rings[i]);

	/* A process may fork on one CPU and exec on another. */
	qsort(sideband->pending, sideband->pending_count, sizeof(sideband->pending[0]),
	      earlier_first);
	for (uint32_t i = 0; i < sideband->pending_count; i++) {
		struct pending *pending = &sideband->pending[i];

		if (pending->record.text.size)
			pending->record.text.text =
				(const char *)sideband->texts.bytes + pending->text_at;
		sideband->handler(sideband->context, &pending->record);
	}
}
