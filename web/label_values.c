/* SPDX-License-Identifier: Apache-2.0 */
#include "web/label_values.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/table.h"

struct value {
	uint64_t hash;
	uint64_t last_s; /* when it came last */
};

struct label_values {
	pthread_mutex_t lock;
	uint32_t count_max, forget_s;
	uint32_t count;
	struct table table;
	uint64_t searched_s; /* when room was last looked for */
	struct value values[];
};

int label_values_new(uint32_t count_max, uint32_t forget_s, struct label_values **ret)
{
	struct label_values *values =
		calloc(1, sizeof(*values) + count_max * sizeof(values->values[0]));

	if (!values)
		return -ENOMEM;
	pthread_mutex_init(&values->lock, NULL);
	values->count_max = count_max;
	values->forget_s = forget_s;
	table_init(&values->table, count_max);
	*ret = values;
	return 0;
}

struct label_values *label_values_free(struct label_values *values)
{
	if (!values)
		return NULL;
	table_done(&values->table);
	pthread_mutex_destroy(&values->lock);
	free(values);
	return NULL;
}

static bool equals(const void *context, uint32_t number, const void *key)
{
	return ((const struct value *)context)[number].hash == *(const uint64_t *)key;
}

/* Lets go what is old. Once a second, since a flood of values would have it looked for each time.
 */
static void make_room(struct label_values *values, uint64_t now_s)
{
	uint32_t count = 0;

	if (values->searched_s == now_s)
		return;
	values->searched_s = now_s;
	table_clear(&values->table);
	for (uint32_t i = 0; i < values->count; i++)
		if (values->values[i].last_s + values->forget_s > now_s &&
		    table_add(&values->table, values->values[i].hash) == 0)
			values->values[count++] = values->values[i];
	values->count = count;
}

static bool admit(struct label_values *values, uint64_t hash, uint64_t now_s)
{
	uint32_t known = table_find(&values->table, hash, &hash, equals, values->values);

	if (known != TABLE_NONE) {
		values->values[known].last_s = now_s;
		return true;
	}
	if (values->count == values->count_max)
		make_room(values, now_s);
	/* Without memory for it one more is taken for others, which is what is asked for anyway. */
	if (values->count == values->count_max || table_add(&values->table, hash))
		return false;
	values->values[values->count++] = (struct value){ hash, now_s };
	return true;
}

bool label_values_admit(struct label_values *values, struct str value, uint64_t now_s)
{
	uint64_t hash = table_hash_bytes(value.text, value.size, 0);
	bool is_admitted;

	pthread_mutex_lock(&values->lock);
	is_admitted = admit(values, hash, now_s);
	pthread_mutex_unlock(&values->lock);
	return is_admitted;
}
