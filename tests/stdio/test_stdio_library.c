/* SPDX-License-Identifier: MIT */
/*
 * Can a library that knows nothing of workspaces write and read a file of one through a FILE *?
 */
#include "support.h"

#include <yaml.h>

#include "dmemfs/stdio.h"

#define ENTRIES 5000

static void emit(yaml_emitter_t *emitter, yaml_event_t *event)
{
	assert_int_equal(yaml_emitter_emit(emitter, event), 1);
}

static void emit_scalar(yaml_emitter_t *emitter, const char *text)
{
	yaml_event_t event;

	assert_int_equal(yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
												  (int)strlen(text), 1, 1, YAML_ANY_SCALAR_STYLE),
					 1);
	emit(emitter, &event);
}

/** What the document maps the key to: more than a buffer in all, and not only ASCII. */
static void name_entry(int i, char *key, char *value, size_t size)
{
	(void)snprintf(key, size, "key %d", i);
	(void)snprintf(value, size, "\"%d\" \xc3\xa4: # %*s\n", i, i % 50, "end");
}

static void write_document(FILE *f)
{
	yaml_emitter_t emitter;
	yaml_event_t event;
	char key[100];
	char value[100];

	assert_int_equal(yaml_emitter_initialize(&emitter), 1);
	yaml_emitter_set_output_file(&emitter, f);
	assert_int_equal(yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), 1);
	emit(&emitter, &event);
	assert_int_equal(yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 0), 1);
	emit(&emitter, &event);
	assert_int_equal(
		yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE), 1);
	emit(&emitter, &event);
	for (int i = 0; i < ENTRIES; i++) {
		name_entry(i, key, value, sizeof(key));
		emit_scalar(&emitter, key);
		emit_scalar(&emitter, value);
	}
	assert_int_equal(yaml_mapping_end_event_initialize(&event), 1);
	emit(&emitter, &event);
	assert_int_equal(yaml_document_end_event_initialize(&event, 0), 1);
	emit(&emitter, &event);
	assert_int_equal(yaml_stream_end_event_initialize(&event), 1);
	emit(&emitter, &event);
	yaml_emitter_delete(&emitter);
}

static const char *scalar(yaml_document_t *document, int index)
{
	yaml_node_t *node = yaml_document_get_node(document, index);

	assert_non_null(node);
	assert_int_equal(node->type, YAML_SCALAR_NODE);
	return (const char *)node->data.scalar.value;
}

static void read_document(FILE *f)
{
	yaml_parser_t parser;
	yaml_document_t document;
	yaml_node_t *root = NULL;
	char key[100];
	char value[100];

	assert_int_equal(yaml_parser_initialize(&parser), 1);
	yaml_parser_set_input_file(&parser, f);
	assert_int_equal(yaml_parser_load(&parser, &document), 1);
	root = yaml_document_get_root_node(&document);
	assert_non_null(root);
	assert_int_equal(root->type, YAML_MAPPING_NODE);
	assert_int_equal(root->data.mapping.pairs.top - root->data.mapping.pairs.start, ENTRIES);
	for (int i = 0; i < ENTRIES; i++) {
		const yaml_node_pair_t *pair = &root->data.mapping.pairs.start[i];

		name_entry(i, key, value, sizeof(key));
		assert_string_equal(scalar(&document, pair->key), key);
		assert_string_equal(scalar(&document, pair->value), value);
	}
	yaml_document_delete(&document);
	yaml_parser_delete(&parser);
}

static void a_document_comes_back_as_it_was_written(void **state)
{
	mfs *fs = *state;
	FILE *f = mfs_fopen(fs, "/document.yaml", "w");

	assert_non_null(f);
	write_document(f);
	assert_int_equal(fclose(f), 0);
	assert_true(mfs_get_size(fs, "/document.yaml") > (int64_t)(100 * KIB));
	f = mfs_fopen(fs, "/document.yaml", "r");
	assert_non_null(f);
	read_document(f);
	assert_int_equal(fclose(f), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORKSPACE_TEST(a_document_comes_back_as_it_was_written),
	};

	return cmocka_run_group_tests_name("stdio library", tests, NULL, NULL);
}
