/* SPDX-License-Identifier: Apache-2.0 */
/* What machine code tells where tables don't: of programs by musl's compiler where there is one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unwind_table.h"
#include "symbols/elf_file.h"
#include "symbols/unwind_maker.h"

struct scene {
	char folder[64], source[80], program[80], stripped[80];
	char pushed_source[80], pushed[80];
	bool has_musl, has_cc;
};

extern char **environ;

static int run(const char *const arguments[])
{
	pid_t child;
	int status;

	if (posix_spawnp(&child, arguments[0], NULL, NULL, (char *const *)arguments, environ))
		return -1;
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

#define PUSH_ALL                                                                                   \
	"push %rax\npush %rbx\npush %rcx\npush %rdx\npush %rbp\npush %rsi\npush %rdi\npush %r8\n"  \
	"push %r9\npush %r10\npush %r11\npush %r12\npush %r13\npush %r14\npush %r15\n"
#define POP_ALL                                                                                    \
	"pop %r15\npop %r14\npop %r13\npop %r12\npop %r11\npop %r10\npop %r9\npop %r8\n"           \
	"pop %rdi\npop %rsi\npop %rbp\npop %rdx\npop %rcx\npop %rbx\npop %rax\nret\n"

#define LABEL(name)	 ".globl " #name "\n.type " #name ", @function\n" #name ":\n"
#define WITH_FRAME(name) LABEL(name) ".cfi_startproc\nret\n.cfi_endproc\n"

/* One by hand between functions of a compiler, and one that takes room twice. */
static const char pushed_code[] = ".text\n" WITH_FRAME(first) LABEL(hand) PUSH_ALL LABEL(
	lays_down) "mov %rdi, %rax\npush %rax\npush 104(%rax)\nsub "
		   "$24, %rsp\n" LABEL(
			   works) "xor %ebp, %ebp\nmov "
				  "%rbp, 8(%rsp)\ndec "
				  "%edx\njnz "
				  "works\n" LABEL(gives_up) "add $24, %rsp\n" LABEL(
					  pops) "pop "
						"%rax\npo"
						"p "
						"%rax"
						"\n" LABEL(pops_all) "mov %rbx, %rdi\n" POP_ALL
							LABEL(twice) PUSH_ALL
	"push %rax\nsub $24, %rsp\nsub $16, %rsp\n" LABEL(
		twice_works) "add $16, %rsp\nadd $24, %rsp\npop %rax\n" POP_ALL WITH_FRAME(last)
		WITH_FRAME(main) ".section .note.GNU-stack,\"\",@progbits\n";

static void make_pushed(struct scene *scene)
{
	snprintf(scene->pushed_source, sizeof(scene->pushed_source), "%s/pushed.s", scene->folder);
	snprintf(scene->pushed, sizeof(scene->pushed), "%s/pushed", scene->folder);

	FILE *source = fopen(scene->pushed_source, "we");

	assert_non_null(source);
	fputs(pushed_code, source);
	fclose(source);
	scene->has_cc = run((const char *const[]){ "cc", scene->pushed_source, "-o", scene->pushed,
						   NULL }) == 0;
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	snprintf(scene->folder, sizeof(scene->folder), "/tmp/test_unwind_maker.XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	snprintf(scene->source, sizeof(scene->source), "%s/main.c", scene->folder);
	snprintf(scene->program, sizeof(scene->program), "%s/main", scene->folder);
	snprintf(scene->stripped, sizeof(scene->stripped), "%s/stripped", scene->folder);

	FILE *source = fopen(scene->source, "we");

	assert_non_null(source);
	fputs("#include <signal.h>\n#include <stdio.h>\n"
	      "int main(void) { signal(SIGUSR1, SIG_IGN); return puts(\"\"); }\n",
	      source);
	fclose(source);
	scene->has_musl = run((const char *const[]){ "musl-gcc", "-static", "-O2", scene->source,
						     "-o", scene->program, NULL }) == 0 &&
			  run((const char *const[]){ "strip", "-o", scene->stripped, scene->program,
						     NULL }) == 0;
	make_pushed(scene);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	(void)unlink(scene->pushed);
	(void)unlink(scene->pushed_source);
	(void)unlink(scene->stripped);
	(void)unlink(scene->program);
	(void)unlink(scene->source);
	(void)rmdir(scene->folder);
	free(scene);
	return 0;
}

static uint64_t to_offset(struct elf_file *elf, uint64_t vaddr)
{
	size_t count;
	const struct elf_segment *segments = elf_file_segments(elf, &count);

	for (size_t i = 0; i < count; i++)
		if (vaddr >= segments[i].vaddr && vaddr - segments[i].vaddr < segments[i].size)
			return vaddr - segments[i].vaddr + segments[i].offset;
	fail();
	return 0;
}

static uint64_t offset_of(struct elf_file *elf, struct str name)
{
	uint64_t vaddr = 0;

	assert_int_equal(elf_file_find_symbol(elf, name, &vaddr), 0);
	return to_offset(elf, vaddr);
}

static void make(const char *path, struct buf *buf, struct unwind_table *ret,
		 struct elf_file **ret_elf, int *ret_fd)
{
	const struct identity identity = { .kind = IDENTITY_INODE, .size = 1 };

	*ret_fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(*ret_fd >= 0);
	assert_int_equal(elf_file_open(*ret_fd, ret_elf), 0);
	assert_int_equal(unwind_maker_make(*ret_elf, NULL, &identity, buf), 0);
	assert_int_equal(unwind_table_check(buf->bytes, buf->size, ret), 0);
}

static void the_start_of_a_musl_program_ends_the_stack(void **state)
{
	struct scene *scene = *state;
	autoclean(buf) struct buf buf = BUF(1 << 20);
	autoclean(buf) struct buf stripped_buf = BUF(1 << 20);
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclean(elf_file) struct elf_file *stripped_elf = NULL;
	autoclose int fd = -1;
	autoclose int stripped_fd = -1;
	struct unwind_table tables[2];

	if (!scene->has_musl) {
		print_message("no musl-gcc here\n");
		skip();
	}
	make(scene->program, &buf, &tables[0], &elf, &fd);
	make(scene->stripped, &stripped_buf, &tables[1], &stripped_elf, &stripped_fd);
	for (unsigned i = 0; i < 2; i++) {
		const struct unwind_table *table = &tables[i];
		/* Where main() returns to, near the end of the function that calls it. */
		uint64_t stage = offset_of(elf, STR("libc_start_main_stage2"));

		assert_true(table->header->sources & UNWIND_FROM_CODE);
		assert_int_equal(unwind_table_find(table, stage), UNWIND_CFA_STOP);
		assert_int_equal(unwind_table_find(table, stage + 0x29), UNWIND_CFA_STOP);
		assert_int_equal(unwind_table_find(table, offset_of(elf, STR("__libc_start_main"))),
				 UNWIND_CFA_STOP);
		assert_int_equal(unwind_table_find(table, to_offset(elf, elf_file_entry(elf))),
				 UNWIND_CFA_STOP);
		/* The program's own code has a table. */
		assert_int_equal(
			unwind_rule_cfa(unwind_table_find(table, offset_of(elf, STR("main")))),
			UNWIND_CFA_SP);
		/* And what has none is not guessed at. */
		assert_int_equal(unwind_table_find(table, offset_of(elf, STR("puts"))), 0);
	}
}

static void handlers_of_signals_return_through_the_kernels_frame(void **state)
{
	struct scene *scene = *state;
	autoclean(buf) struct buf buf = BUF(1 << 20);
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclose int fd = -1;
	struct unwind_table table;

	if (!scene->has_musl)
		skip();
	make(scene->program, &buf, &table, &elf, &fd);

	/* mov $15, %rax; syscall */
	static const uint8_t code[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };
	static uint8_t bytes[1 << 20];
	ssize_t size = pread(fd, bytes, sizeof(bytes), 0);
	const uint8_t *found = memmem(bytes, (size_t)size, code, sizeof(code));

	assert_non_null(found);
	/* It is looked up one before, like every return address. */
	assert_int_equal(unwind_table_find(&table, (uint64_t)(found - bytes) - 1),
			 UNWIND_CFA_SIGNAL);
}

static uint64_t depth_of(const struct unwind_table *table, uint64_t offset)
{
	uint64_t word = unwind_table_find(table, offset);

	assert_int_equal(unwind_rule_cfa(word), UNWIND_CFA_SP);
	assert_int_equal(unwind_rule_ra(word), UNWIND_RA_SAVED);
	return (uint64_t)unwind_rule_cfa_offset(word);
}

static void code_that_saves_all_registers_tells_its_frame(void **state)
{
	struct scene *scene = *state;
	autoclean(buf) struct buf buf = BUF(1 << 20);
	autoclean(elf_file) struct elf_file *elf = NULL;
	autoclose int fd = -1;
	struct unwind_table table;

	if (!scene->has_cc)
		skip();
	make(scene->pushed, &buf, &table, &elf, &fd);
	assert_true(table.header->sources & UNWIND_FROM_CODE);

	uint64_t hand = offset_of(elf, STR("hand"));
	uint64_t works = offset_of(elf, STR("works"));
	uint64_t pops = offset_of(elf, STR("pops"));
	uint64_t ret = offset_of(elf, STR("twice")) - 1;
	/* All registers and the return address, two pushes, 24 bytes. */
	uint64_t working =
		unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAVED, UNWIND_RA_SAVED, -48, 128 + 16 + 24);

	assert_int_equal(depth_of(&table, hand), 8);
	assert_int_equal(depth_of(&table, hand + 4), 40);
	assert_int_equal(unwind_rule_fp(unwind_table_find(&table, hand + 4)), UNWIND_FP_SAME);
	/* Five are pushed, rbp last. */
	assert_int_equal(unwind_table_find(&table, hand + 5),
			 unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAVED, UNWIND_RA_SAVED, -48, 48));
	/* In the middle of push %r15. */
	assert_int_equal(depth_of(&table, offset_of(elf, STR("lays_down")) - 1), 120);
	assert_int_equal(unwind_table_find(&table, offset_of(elf, STR("lays_down"))), 0);
	assert_int_equal(unwind_table_find(&table, works - 1), 0);
	assert_int_equal(unwind_table_find(&table, works), working);
	assert_int_equal(unwind_table_find(&table, pops - 1), working);
	assert_int_equal(depth_of(&table, pops), 144);
	assert_int_equal(depth_of(&table, pops + 1), 136);
	assert_int_equal(depth_of(&table, offset_of(elf, STR("pops_all"))), 128);
	assert_int_equal(depth_of(&table, ret - 1), 16);
	assert_int_equal(unwind_table_find(&table, ret),
			 unwind_rule(UNWIND_CFA_SP, 0, UNWIND_FP_SAME, UNWIND_RA_SAVED, 0, 8));
	/* How deep the other is can't be told. */
	assert_int_equal(unwind_table_find(&table, offset_of(elf, STR("twice"))), 0);
	assert_int_equal(unwind_table_find(&table, offset_of(elf, STR("twice_works"))), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_start_of_a_musl_program_ends_the_stack),
		cmocka_unit_test(handlers_of_signals_return_through_the_kernels_frame),
		cmocka_unit_test(code_that_saves_all_registers_tells_its_frame),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
