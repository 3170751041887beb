/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Every capacity, with the reason for its size. What does not fit is counted, never silently lost.
 */
enum {
	/* ---- samples and windows ---- */

	/* User frames of one stack. Deepest seen in services: 126 (C++ compilers), but recursion
	 * knows no bounds; the page shows where a stack was cut. */
	FRAME_COUNT_MAX = 512,
	/* Kernel frames of one stack: the kernel's own limit, sysctl kernel.perf_event_max_stack.
	 */
	KERNEL_FRAME_COUNT_MAX = 127,

	/* Of one window of a second: a host of 256 CPUs takes 25,344 samples a second at 99 Hz, and
	 * three quarters of a compiler's stacks occur once. */
	WINDOW_STACK_COUNT_MAX = 32768,
	WINDOW_ENTRY_COUNT_MAX = 65536,
	WINDOW_FRAME_COUNT_MAX = 2097152,
	WINDOW_TIME_COUNT_MAX = 262144,
	WINDOW_PROCESS_COUNT_MAX = 32768,
	WINDOW_THREAD_COUNT_MAX = 65536,
	WINDOW_FILE_COUNT_MAX = 65536,
	WINDOW_NAME_COUNT_MAX = 65536,
	/* Encoded. Measured: 6,336 samples of compilers in one second make 1.3 MB. */
	WINDOW_SIZE_MAX = 32 << 20,
	/* A path, a comm, a cgroup: PATH_MAX. */
	WINDOW_TEXT_SIZE_MAX = 4096,

	/* ---- processes ---- */

	/* Executable mappings of one process. Chromium has 90, a JVM with many agents 400; what
	 * maps more is a test of patience, or a JIT that should be one mapping. */
	MAPPING_COUNT_MAX = 16384,
	/* Processes followed at once, those that have just ended included. pid_max is 32,768 on
	 * small hosts; a process costs 1 to 4 kB. */
	PROCESS_COUNT_MAX = 16384,

	/* ---- unwinding ---- */

	/* Unwind tables and mappings, in the kernel's memory: the default of --unwind-memory. All
	 * programs and libraries of a development machine, 1,992 files, have 68 MB of tables; those
	 * that run have a few. */
	UNWIND_SIZE_MAX = 32 << 20,
	/* Stacks that wait to be walked until the unwind tables of their files are there: five
	 * seconds of two busy CPUs whose programs are all new, 16 kB each. A build has 15 a second
	 * that are younger than their tables. */
	LATE_SIZE_MAX = 16 << 20,

	/* ---- requests: what a stranger may ask of the server (web/limit.h names them) ---- */

	/* Connections at once, and of one address other than this host. A browser has 6, a
	 * Grafana a few dozen; one costs half a kB while it is idle. */
	CONNECTION_COUNT_MAX = 2048,
	CONNECTION_PER_PEER_MAX = 256,
	/* From a head's first byte to its end; a connection between requests; an answer that
	 * its reader does not take on; a refusal whose reason shall still be read. */
	REQUEST_HEAD_SECONDS_MAX = 5,
	CONNECTION_IDLE_SECONDS_MAX = 75,
	ANSWER_STALL_SECONDS_MAX = 20,
	CONNECTION_LINGER_SECONDS = 2,
	/* A handler starts when its body is whole, or so much of it is here: who trickles it
	 * holds no thread. */
	REQUEST_BODY_START_SIZE = 64 << 10,
	/* Threads that answer HTTP/1.1, of which so many may be reading a longer body, and so
	 * many wait for the next request of a connection. */
	HTTP1_THREAD_COUNT = 32,
	HTTP1_READING_MAX = 16,
	HTTP1_IDLE_MAX = 24,
	/* Threads that answer HTTP/2. */
	WORKER_COUNT_MAX = 32,
	/* Of one connection of HTTP/2: requests at once, of which so many are being answered, and
	 * none is begun while so much of its answers is unread. Room for the body of one, and of
	 * all; as much again is what a worker took of one and reads. Frames a second that carry
	 * nothing, after which it is ended. Between requests; gRPC's clients keep theirs and
	 * ping. */
	HTTP2_STREAM_COUNT_MAX = 100,
	HTTP2_RUNNING_MAX = 4,
	HTTP2_UNREAD_SIZE_MAX = 1 << 20,
	HTTP2_STREAM_WINDOW = 256 << 10,
	HTTP2_WINDOW = 1 << 20,
	HTTP2_EMPTY_FRAMES_PER_SECOND_MAX = 200,
	HTTP2_WINDOW_UPDATES_PER_SECOND_MAX = 20000,
	HTTP2_IDLE_SECONDS_MAX = 600,
	/* Of all answers that wait for slow readers, beyond which the one that has not gone on
	 * for the longest is ended. The largest answer must fit. */
	ANSWERS_UNREAD_SIZE_MAX = 96 << 20,

	/* Request line and headers: ours and Grafana's take 2 kB, a cookie may take 4. */
	REQUEST_HEAD_SIZE_MAX = 16 << 10,
	/* civetweb's table has one more, and drops in silence what finds no room in it. */
	REQUEST_HEADER_COUNT_MAX = 63,
	/* A question on the wire, and unpacked: one with 1,000 matchers takes 100 kB. */
	REQUEST_QUESTION_SIZE_MAX = 1 << 20,
	REQUEST_MESSAGE_SIZE_MAX = 1 << 20,
	/* Messages within messages: a question has three. Fields and listed values in all its
	 * depth: people ask with ten, and a client with a thousand ids. What reading it may take.
	 */
	MESSAGE_DEPTH_MAX = 8,
	MESSAGE_FIELD_COUNT_MAX = 20000,
	MESSAGE_MEMORY_MAX = 16 << 20,
	/* An answer before it is encoded: the bars of the largest flame graph take half of it. */
	ANSWER_MEMORY_MAX = 128 << 20,
	/* A gzip or zstd stream is no bomb as long as it becomes not more than so many times its
	 * size; asked once past 1 MiB, since small texts pack very well. */
	REQUEST_RATIO_MAX = 200,
	/* A block of snappy, which is held whole, packed and unpacked: frames have no such limit.
	 */
	CODING_BLOCK_SIZE_MAX = 16 << 20,
	/* A body, however its sender trickles it; and so many bytes a second on the average once
	 * the grace is over, since a sender holds a thread. */
	REQUEST_BODY_SECONDS_MAX = 30,
	REQUEST_BODY_RATE_MIN = 1024,
	REQUEST_BODY_GRACE_SECONDS = 5,
	/* A file with symbols, which is as large as the network is slow: a gigabyte at 10 MB/s. */
	REQUEST_UPLOAD_SECONDS_MAX = 120,
	/* Questions to the store take 20 ms of a CPU; more at once only make all of them late. */
	QUESTION_RUNNING_MAX = 4,
	QUESTION_WAITING_MAX = 8,
	ANSWER_SECONDS_MAX = 30,
	/* What the questions that run take together, by estimate: two for the flame graph of the
	 * last hour of a busy 64-core host, or five for what roll-ups know of it. */
	QUESTION_MEMORY_MAX = 64 << 20,
	/* What they take together with all that grows beside them: words and segment of the files
	 * that are written to, what settles or is rolled up, and what is kept for the next
	 * question, which makes way. Libraries, symbols and tables come on top. What is least left
	 * to questions is enough for a service's, or a short time of a host. */
	STORE_MEMORY_MAX = 96 << 20,
	QUESTION_MEMORY_LEAST = 24 << 20,
	/* A span file that is made or taken: a day of a busy 64-core host, at a million samples a
	 * second, in ten. One is made and one taken at a time. */
	FILE_SECONDS_MAX = 900,
	/* A flame graph of a million nodes takes 40 MB as text. */
	REPLY_SIZE_MAX = 64 << 20,

	/* ---- who may ask ---- */

	/* Of --http, --otlp-grpc and --otlp-http: IPv4, IPv6, a unix socket, and those of a second
	 * network. */
	LISTEN_ADDRESS_COUNT_MAX = 16,

	/* People and programs with a token of their own; a line of the file has 160 bytes. */
	TOKEN_COUNT_MAX = 256,
	TOKEN_FILE_SIZE_MAX = 128 << 10,
	/* Of trusted-proxies, and of allowed-hosts. */
	NETWORK_RANGE_COUNT_MAX = 32,
	ALLOWED_HOST_COUNT_MAX = 32,
	/* Lines of the log about refused tokens, a minute; the rest is counted. */
	AUDIT_REFUSAL_COUNT_MAX = 10,

	/* ---- what is kept beside profiles ---- */

	/* Profiles that somebody handed in to look at: the newest, as they came. A call with one,
	 * packed and as base64, and unpacked: Go's largest heap profiles have 20 MB. */
	ADHOC_BODY_SIZE_MAX = 8 << 20,
	ADHOC_COUNT_MAX = 100,
	ADHOC_SIZE_MAX = 64 << 20,
	ADHOC_UNPACKED_SIZE_MAX = 64 << 20,

	/* ---- imports: files that others made ---- */

	/* Of a file as it comes. An hour of a busy host as pprof has 5 MB, six hours as a span file
	 * 250 MB. */
	IMPORT_SIZE_MAX = 1 << 30,
	/* pprof and folded text, unpacked: they are read in memory. Go's largest heap profiles have
	 * 20 MB. */
	IMPORT_TEXT_SIZE_MAX = 256 << 20,
	/* What the store is given of one at once, with all names. */
	IMPORT_BATCH_MEMORY_MAX = 256 << 20,
	/* Stacks with values of one pprof or folded file: what a commit can hold, and twenty times
	 * what Pyroscope takes. */
	IMPORT_VALUE_COUNT_MAX = 400000,
	/* A program has a few thousand functions in its profile; the largest C++ ones 100,000. */
	PPROF_TEXT_COUNT_MAX = 2 << 20,
	PPROF_FUNCTION_COUNT_MAX = 1 << 20,
	PPROF_LOCATION_COUNT_MAX = 1 << 20,
	PPROF_MAPPING_COUNT_MAX = 65536,
	/* Java over JFR has 12. */
	PPROF_SAMPLE_TYPE_COUNT_MAX = 32,
	/* Of one sample; Pyroscope takes 100. */
	PPROF_LABEL_COUNT_MAX = 64,
	/* Frames of one stack; the root side of deeper ones is cut, and the stack says so. */
	PPROF_STACK_DEPTH_MAX = 4096,

	/* Java flight recordings, of a chunk: a JDK 25 has 250 types with 1,500 fields, and 5,000
	 * texts about them. Of each kind of constant; a day of a large service has 100,000 stacks.
	 */
	JFR_TYPE_COUNT_MAX = 65536,
	JFR_FIELD_COUNT_MAX = 1 << 20,
	JFR_TEXT_COUNT_MAX = 1 << 18,
	JFR_CONSTANT_COUNT_MAX = 1 << 20,
	/* Frames of all stacks, those again that are named anew for each batch: seconds of work. */
	JFR_FRAME_COUNT_MAX = 256 << 20,

	/* ---- pushes: profiles that programs send of themselves ---- */

	/* Of a request on the wire, as Pyroscope has it. gRPC's come in memory; its clients send no
	 * more than 4 MB if nobody told them otherwise. JSON is read in memory, too. */
	PUSH_BODY_SIZE_MAX = 256 << 20,
	PUSH_GRPC_SIZE_MAX = 16 << 20,
	PUSH_JSON_SIZE_MAX = 8 << 20,
	/* One profile, unpacked. Go's largest heap profiles have 20 MB. */
	PUSH_PROFILE_SIZE_MAX = 256 << 20,
	/* What of a body or a profile is held in memory; what is more lies in a file that has no
	 * name. SDKs send 50 kB. */
	PUSH_MEMORY_MAX = 1 << 20,
	/* What is unpacked at once, by a routine that wants room for all of it: what is held in
	 * memory anyway. */
	UNPACK_WHOLE_SIZE_MAX = PUSH_MEMORY_MAX,
	/* What the store is given at once; what is more comes in several batches. */
	PUSH_BATCH_MEMORY_MAX = 8 << 20,
	/* Folded text and its like, unpacked; and what the store is given of it, which is one
	 * batch.
	 */
	PUSH_TEXT_SIZE_MAX = 64 << 20,
	PUSH_TEXT_BATCH_MEMORY_MAX = 32 << 20,
	/* Values of one profile. */
	PUSH_VALUE_COUNT_MAX = 8 << 20,
	/* Of one request: the agent of a whole cluster sends a thousand. */
	PUSH_PROFILE_COUNT_MAX = 16384,
	/* Labels of a series, and their parts; all as Pyroscope has them. */
	PUSH_LABEL_COUNT_MAX = 30,
	PUSH_LABEL_NAME_SIZE_MAX = 1024,
	PUSH_LABEL_VALUE_SIZE_MAX = 2048,
	/* Requests that are read into the store at once, and those that wait. */
	PUSH_RUNNING_MAX = 2,
	PUSH_WAITING_MAX = 28,

	/* ---- OpenTelemetry's profiles ---- */

	/* A request, unpacked, and as it comes: what the protocol recommends. */
	OTLP_REQUEST_SIZE_MAX = 64 << 20,
	/* Requests whose bodies are received or read at the same time; of each so much is held in
	 * memory, as profilers of busy hosts send, and all take 32 MiB. Others wait before their
	 * bodies are read, while HTTP/2 keeps their senders from sending; each holds a thread, of
	 * which some are left to the rest. So long they wait, and are then told to come again: less
	 * than what a body may take to come. */
	OTLP_BODY_MEMORY_MAX = 2 << 20,
	OTLP_RECEIVED_MAX = 16,
	OTLP_WAITING_MAX = 12,
	OTLP_WAITING_SECONDS_MAX = 10,
	/* Entries of one table, indices of all stacks, values: what 64 MiB can hold of them. */
	OTLP_ITEM_COUNT_MAX = 32 << 20,
	/* Of requests that are read into the store at the same time; a larger one is read alone.
	 * What that takes is some ten times its size. */
	OTLP_AT_ONCE_SIZE_MAX = 4 << 20,
	/* What a request was read with is kept for the next, as two CPUs have it, and memory for
	 * as many bodies: 20 MiB. A request of 1 MB leaves 6 MB. So long they are kept when none
	 * comes: profilers send every few seconds. */
	OTLP_KIT_COUNT_MAX = 2,
	OTLP_KIT_SIZE_MAX = 8 << 20,
	OTLP_KITS_IDLE_SECONDS = 10,
	/* Numbers of processes that this host does not have, remembered for a second: a busy host
	 * with others in front names two thousand in a request. Of a kit's memory 64 KiB. */
	OTLP_ABSENT_PROCESS_COUNT = 8192,
	/* JSON becomes a tree in memory, of some twenty times its size. */
	OTLP_JSON_SIZE_MAX = 8 << 20,
	/* What the store is given of one request at once: twice the largest request. */
	OTLP_BATCH_MEMORY_MAX = 128 << 20,
	/* Of a series, which resources of Kubernetes come near to; and of single samples. */
	OTLP_SERIES_LABEL_COUNT_MAX = 30,
	OTLP_SAMPLE_LABEL_COUNT_MAX = 16,
	/* Who sends: a profiler a host, and SDKs of programs behind as many addresses. */
	OTLP_SENDER_COUNT_MAX = 64,

	/* ---- settings ---- */

	/* Of a value, its end included: a path, a list of names, a rule. */
	SETTING_TEXT_SIZE = 512,
	/* How often a setting may be said that adds up. Each rule is asked of each label set, and
	 * whoever reads more than these no longer sees what they come to. */
	SETTINGS_LIST_COUNT_MAX = 32,
	/* Files of one configuration: hearth.conf and what is in conf.d. */
	SETTINGS_FILE_COUNT_MAX = 32,
	/* Of one of them. The sample, which names every setting, has 4 kB. */
	SETTINGS_FILE_SIZE_MAX = 256 << 10,
	/* Lines told of what is wrong with all of them; more help nobody. */
	SETTINGS_ERROR_COUNT_MAX = 20,

	/* ---- the store ---- */

	/* Series of one file (six hours), beyond which samples go to a series "series_overflow": of
	 * a profile type, and of a service in it. A host with 3,000 processes has as many. */
	STORE_SERIES_PER_TYPE_MAX = 20000,
	STORE_SERIES_PER_SERVICE_MAX = 1000,
	STORE_PATH_SIZE_MAX = 4096,
};
