/* SPDX-License-Identifier: Apache-2.0 */
#include "web/tokens.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/settings.h"

enum {
	SECRET_SIZE_MIN = 32,
	SECRET_SIZE_MAX = 1024,
	PATH_SIZE = SETTING_TEXT_SIZE + 64,
	LOOK_AGAIN_NS = 1000 * 1000 * 1000, /* whether the file has changed */
};

struct tokens {
	pthread_mutex_t lock;
	char path[PATH_SIZE];
	struct token_list list;
	struct stat status; /* of the file as it was read; zeros when it was not there */
	uint64_t looked_ns;
};

int tokens_path(const struct settings *settings, char *path, size_t size)
{
	int written = settings->token_file[0] ? snprintf(path, size, "%s", settings->token_file)
					      : snprintf(path, size, "%s/tokens", settings->data);

	return written < 0 || (size_t)written >= size ? -ENAMETOOLONG : 0;
}

/* ---- files ------------------------------------------------------------------------------------
 */

static int read_file(const char *path, size_t size_max, struct buf *text)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	ssize_t got = 1;

	if (fd < 0 || fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size > size_max)
		return -EBADMSG;
	while (got > 0) {
		uint8_t *room = buf_grow(text, 4096);

		if (!room)
			return text->error == -EFBIG ? -EBADMSG : text->error;
		got = read(fd, room, 4096);
		text->size -= 4096 - (size_t)(got > 0 ? got : 0);
	}
	return got < 0 ? -errno : 0;
}

int tokens_load(const char *path, struct token_list *list, char reterr[static TOKEN_ERROR_SIZE])
{
	autoclean(buf) struct buf text = BUF(TOKEN_FILE_SIZE_MAX + 4096);
	char reason[TOKEN_ERROR_SIZE] = "is no regular file, or too long";
	int err = read_file(path, TOKEN_FILE_SIZE_MAX, &text);

	if (err == -ENOENT)
		return 0;
	if (err && err != -EBADMSG)
		snprintf(reason, sizeof(reason), "%s", strerror(-err));
	if (!err)
		err = token_list_parse(list, (struct str){ (char *)text.bytes, text.size }, reason);
	if (err)
		snprintf(reterr, TOKEN_ERROR_SIZE, "the tokens in '%.100s': %.130s", path, reason);
	return err;
}

static int write_new(int folder, const char *name, const struct buf *text, const struct stat *owner)
{
	autoclose int fd =
		openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	/* Root may write for a server that is not root. */
	if (geteuid() == 0 && fchown(fd, owner->st_uid, owner->st_gid))
		return -errno;
	for (size_t done = 0; done < text->size;) {
		ssize_t put = write(fd, text->bytes + done, text->size - done);

		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		done += (size_t)put;
	}
	return fsync(fd) ? -errno : 0;
}

int tokens_save(const char *path, const struct token_list *list)
{
	autoclean(buf) struct buf text = BUF(TOKEN_FILE_SIZE_MAX);
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char folder_path[PATH_SIZE] = ".";
	char new_name[PATH_SIZE];
	struct stat owner;

	token_list_write(list, &text);
	if (text.error)
		return text.error;
	if (slash == path)
		snprintf(folder_path, sizeof(folder_path), "/");
	else if (slash)
		snprintf(folder_path, sizeof(folder_path), "%.*s", (int)(slash - path), path);
	if (snprintf(new_name, sizeof(new_name), "%s.new", name) >= (int)sizeof(new_name))
		return -ENAMETOOLONG;

	autoclose int folder = open(folder_path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	if (folder < 0 || fstat(folder, &owner))
		return -errno;

	int err = write_new(folder, new_name, &text, &owner);

	if (!err && (renameat(folder, new_name, folder, name) || fsync(folder)))
		err = -errno;
	if (err)
		(void)unlinkat(folder, new_name, 0);
	return err;
}

/* ---- credentials ------------------------------------------------------------------------------
 */

static int add_credential(struct token_list *list, const char *folder, enum role role,
			  char reterr[static TOKEN_ERROR_SIZE])
{
	autoclean(buf) struct buf text = BUF(SECRET_SIZE_MAX + 4096);
	struct token token = { .role = role, .made_s = clock_unix_ms() / CLOCK_MS_PER_S };
	char path[PATH_SIZE];

	snprintf(token.name, sizeof(token.name), "hearth-token-%s", role_name(role));
	if (snprintf(path, sizeof(path), "%s/%s", folder, token.name) >= (int)sizeof(path))
		return -ENAMETOOLONG;

	int err = read_file(path, SECRET_SIZE_MAX, &text);
	struct str secret = { (char *)text.bytes, text.size };

	if (err == -ENOENT)
		return 0;
	while (secret.size > 0 && strchr("\r\n", secret.text[secret.size - 1]))
		secret.size--;
	if (!err && secret.size < SECRET_SIZE_MIN)
		err = -EBADMSG;
	if (!err)
		err = token_hash(secret, token.hash);
	if (!err)
		err = token_list_add(list, &token);
	if (err)
		snprintf(reterr, TOKEN_ERROR_SIZE,
			 "the credential '%.100s' is no secret of 32 to 1024 letters: %s", path,
			 strerror(-err));
	return err;
}

static int load_all(const char *path, struct token_list *list, char reterr[static TOKEN_ERROR_SIZE])
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	int err = tokens_load(path, list, reterr);

	for (int role = ROLE_READER; !err && folder && role < ROLE_COUNT; role++)
		err = add_credential(list, folder, (enum role)role, reterr);
	return err;
}

/* ---- the live list ----------------------------------------------------------------------------
 */

static struct stat status_of(const char *path)
{
	struct stat status;

	if (stat(path, &status))
		memset(&status, 0, sizeof(status));
	return status;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* With the lock held. Before it is read: a change in between is then seen the next time. */
static void look_again(struct tokens *tokens)
{
	uint64_t now_ns = clock_monotonic_ns();
	char reason[TOKEN_ERROR_SIZE] = "";

	if (now_ns - tokens->looked_ns < LOOK_AGAIN_NS)
		return;
	tokens->looked_ns = now_ns;

	struct stat status = status_of(tokens->path);

	if (is_same(&status, &tokens->status))
		return;
	tokens->status = status;

	autofree struct token_list *list = calloc(1, sizeof(*list));

	if (!list)
		return;
	if (load_all(tokens->path, list, reason))
		log_error("%s; those of before go on to hold", reason);
	else
		tokens->list = *list;
}

int tokens_open(const struct settings *settings, struct tokens **ret,
		char reterr[static TOKEN_ERROR_SIZE])
{
	autoclean(tokens) struct tokens *tokens = calloc(1, sizeof(*tokens));
	int err = tokens ? tokens_path(settings, tokens->path, sizeof(tokens->path)) : -ENOMEM;

	if (tokens)
		(void)pthread_mutex_init(&tokens->lock, NULL);
	if (err) {
		snprintf(reterr, TOKEN_ERROR_SIZE, "the token file: %s", strerror(-err));
		return err;
	}
	tokens->status = status_of(tokens->path);
	tokens->looked_ns = clock_monotonic_ns();
	err = load_all(tokens->path, &tokens->list, reterr);
	if (err)
		return err;
	*ret = TAKE(tokens);
	return 0;
}

struct tokens *tokens_close(struct tokens *tokens)
{
	if (!tokens)
		return NULL;
	(void)pthread_mutex_destroy(&tokens->lock);
	free(tokens);
	return NULL;
}

size_t tokens_count(struct tokens *tokens)
{
	int64_t now_s = clock_unix_ms() / CLOCK_MS_PER_S;
	size_t count = 0;

	pthread_mutex_lock(&tokens->lock);
	look_again(tokens);
	for (size_t i = 0; i < tokens->list.count; i++)
		count += !tokens->list.items[i].ends_s || tokens->list.items[i].ends_s > now_s;
	pthread_mutex_unlock(&tokens->lock);
	return count;
}

bool tokens_find(struct tokens *tokens, struct str secret, struct token *ret)
{
	pthread_mutex_lock(&tokens->lock);
	look_again(tokens);

	const struct token *found =
		token_list_find(&tokens->list, secret, clock_unix_ms() / CLOCK_MS_PER_S);

	if (found)
		*ret = *found;
	pthread_mutex_unlock(&tokens->lock);
	return found != NULL;
}
