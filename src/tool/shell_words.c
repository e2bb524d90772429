/* SPDX-License-Identifier: MIT */
#include "shell_words.h"

#include "bytes.h"

#include <stdlib.h>
#include <string.h>

static const char no_memory[] = "out of memory";

/* What is being read. */
struct scanner {
	const char *line;
	size_t length;
	size_t at;
	bool lenient;          /* the end of the line closes quotes */
	struct bytes text;     /* of the word */
	struct bytes quoted;   /* for each byte of it 1 or 0 */
	const char *complaint; /* what is wrong, or NULL */
};

enum piece { PIECE_WORD, PIECE_SEPARATOR, PIECE_END, PIECE_COMMENT, PIECE_BAD };

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

static bool is_separator(char byte)
{
	return byte == ';' || byte == '\n';
}

static bool complain(struct scanner *scanner, const char *complaint)
{
	scanner->complaint = complaint;
	return false;
}

static bool at_end(const struct scanner *scanner)
{
	return scanner->at == scanner->length;
}

static bool add(struct scanner *scanner, char byte, bool quoted)
{
	if (!byte)
		return complain(scanner, "a NUL byte");
	if (!bytes_append(&scanner->text, &byte, 1) ||
		!bytes_append(&scanner->quoted, quoted ? "\1" : "\0", 1))
		return complain(scanner, no_memory);
	return true;
}

/* Behind a quote was opened, and the line ends. */
static bool not_closed(struct scanner *scanner)
{
	return scanner->lenient || complain(scanner, "a quote is not closed");
}

static bool scan_single_quotes(struct scanner *scanner)
{
	while (!at_end(scanner)) {
		char byte = scanner->line[scanner->at++];
		if (byte == '\'')
			return true;
		if (!add(scanner, byte, true))
			return false;
	}
	return not_closed(scanner);
}

static bool scan_double_quotes(struct scanner *scanner)
{
	while (!at_end(scanner)) {
		char byte = scanner->line[scanner->at++];
		if (byte == '"')
			return true;
		if (byte == '\\' && !at_end(scanner)) {
			char next = scanner->line[scanner->at];
			if (next == '"' || next == '\\') {
				byte = next;
				scanner->at++;
			}
		}
		if (!add(scanner, byte, true))
			return false;
	}
	return not_closed(scanner);
}

/* Returns 0 to 15, or -1. */
static int hex_digit(char byte)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = byte ? strchr(digits, byte >= 'A' && byte <= 'F' ? byte + 32 : byte) : NULL;

	return found ? (int)(found - digits) : -1;
}

/* \xHH, behind the x. */
static bool scan_hex(struct scanner *scanner)
{
	int value = 0;

	for (int i = 0; i < 2; i++) {
		int digit = at_end(scanner) ? -1 : hex_digit(scanner->line[scanner->at]);
		if (digit < 0) {
			if (at_end(scanner))
				return not_closed(scanner);
			return complain(scanner, "\\x needs two hexadecimal digits");
		}
		value = 16 * value + digit;
		scanner->at++;
	}
	return add(scanner, (char)value, true);
}

/* Behind a '\' in $'...'. */
static bool scan_escape(struct scanner *scanner)
{
	static const char letters[] = "abefnrtv\\'\"";
	static const char meanings[] = "\a\b\033\f\n\r\t\v\\'\"";
	char byte = scanner->line[scanner->at++];
	const char *found = byte ? strchr(letters, byte) : NULL;

	if (byte == 'x')
		return scan_hex(scanner);
	if (!found)
		return complain(scanner, "unknown escape in $'...'");
	return add(scanner, meanings[found - letters], true);
}

static bool scan_dollar_quotes(struct scanner *scanner)
{
	while (!at_end(scanner)) {
		char byte = scanner->line[scanner->at++];
		if (byte == '\'')
			return true;
		if (byte == '\\') {
			if (at_end(scanner))
				break;
			if (!scan_escape(scanner))
				return false;
		} else if (!add(scanner, byte, true)) {
			return false;
		}
	}
	return not_closed(scanner);
}

/* Read a word from its first byte to its end. */
static bool scan_word(struct scanner *scanner)
{
	while (!at_end(scanner)) {
		char byte = scanner->line[scanner->at];
		bool good;
		if (is_blank(byte) || is_separator(byte))
			return true;
		scanner->at++;
		if (byte == '\'') {
			good = scan_single_quotes(scanner);
		} else if (byte == '"') {
			good = scan_double_quotes(scanner);
		} else if (byte == '$' && !at_end(scanner) && scanner->line[scanner->at] == '\'') {
			scanner->at++;
			good = scan_dollar_quotes(scanner);
		} else if (byte == '\\') {
			if (at_end(scanner))
				return scanner->lenient || complain(scanner, "nothing follows the last '\\'");
			good = add(scanner, scanner->line[scanner->at++], true);
		} else if (byte && strchr("|&<>", byte)) {
			good = complain(scanner, "there are no pipes, jobs or redirections here: quote | & < "
									 "and >, and see 'help write'");
		} else {
			good = add(scanner, byte, false);
		}
		if (!good)
			return false;
	}
	return true;
}

/* Read on to the next word, which is in `text` then, or separator. *start is where it begins. */
static enum piece scan_piece(struct scanner *scanner, size_t *start)
{
	while (!at_end(scanner) && is_blank(scanner->line[scanner->at]))
		scanner->at++;
	*start = scanner->at;
	if (at_end(scanner))
		return PIECE_END;
	if (scanner->line[scanner->at] == '#') {
		const char *rest = scanner->line + scanner->at;
		const char *newline = memchr(rest, '\n', scanner->length - scanner->at);
		scanner->at = newline ? (size_t)(newline - scanner->line) : scanner->length;
		return PIECE_COMMENT;
	}
	if (is_separator(scanner->line[scanner->at])) {
		scanner->at++;
		return PIECE_SEPARATOR;
	}
	scanner->text.length = 0;
	scanner->quoted.length = 0;
	if (!bytes_reserve(&scanner->text, 1) || !bytes_reserve(&scanner->quoted, 1)) {
		(void)complain(scanner, no_memory);
		return PIECE_BAD;
	}
	return scan_word(scanner) ? PIECE_WORD : PIECE_BAD;
}

static void scanner_free(struct scanner *scanner)
{
	bytes_free(&scanner->text);
	bytes_free(&scanner->quoted);
}

static char *copy_of(const struct bytes *text)
{
	char *copy = malloc(text->length + 1);

	if (copy) {
		memcpy(copy, text->data, text->length);
		copy[text->length] = '\0';
	}
	return copy;
}

/*
 * Patterns
 */

/* Where the set that begins with the '[' at `at` ends, or 0 if it is no set. */
static size_t end_of_set(const struct scanner *scanner, size_t at)
{
	const unsigned char *text = scanner->text.data;
	size_t length = scanner->text.length;
	size_t i = at + 1;

	if (i < length && text[i] == '!' && !scanner->quoted.data[i])
		i++;
	for (size_t first = i; i < length && text[i] != '/' && text[i] != '\\'; i++) {
		if (scanner->quoted.data[i] && strchr("]-!", text[i]))
			return 0;
		if (text[i] == ']' && i > first)
			return i;
	}
	return 0;
}

/* Make the pattern of the word; *pattern is NULL if it has no wildcards. False without memory. */
static bool make_pattern(const struct scanner *scanner, char **pattern)
{
	const unsigned char *text = scanner->text.data;
	struct bytes made = {0};
	bool has_wildcard = false;
	size_t next;

	*pattern = NULL;
	for (size_t i = 0; i < scanner->text.length; i = next) {
		bool special = strchr("*?[", text[i]) != NULL;
		bool wild = special && !scanner->quoted.data[i];
		next = i + 1;
		if (wild && text[i] == '[') {
			size_t end = end_of_set(scanner, i);
			wild = end != 0;
			next = wild ? end + 1 : next;
		}
		has_wildcard = has_wildcard || wild;
		/* A byte in brackets stands for itself. */
		bool literal = special && !wild;
		if ((literal && !bytes_append(&made, "[", 1)) || !bytes_append(&made, text + i, next - i) ||
			(literal && !bytes_append(&made, "]", 1))) {
			bytes_free(&made);
			return false;
		}
	}
	if (has_wildcard)
		*pattern = copy_of(&made);
	bytes_free(&made);
	return !has_wildcard || *pattern;
}

/*
 * Lines
 */

/* Takes text and pattern over. Returns false without memory. */
static bool add_word(struct shell_words *words, struct shell_word word)
{
	if (words->count == words->room) {
		size_t room = words->room ? 2 * words->room : 16;
		struct shell_word *grown = reallocarray(words->words, room, sizeof *grown);
		if (!grown)
			return false;
		words->words = grown;
		words->room = room;
	}
	words->words[words->count++] = word;
	return true;
}

static bool keep_word(struct scanner *scanner, struct shell_words *words)
{
	struct shell_word word = {.text = copy_of(&scanner->text)};

	if (word.text && make_pattern(scanner, &word.pattern) && add_word(words, word))
		return true;
	free(word.text);
	free(word.pattern);
	return complain(scanner, no_memory);
}

/* The end of a command, unless it is empty. */
static bool keep_end(struct scanner *scanner, struct shell_words *words)
{
	if (!words->count || !words->words[words->count - 1].text)
		return true;
	return add_word(words, (struct shell_word){NULL, NULL}) || complain(scanner, no_memory);
}

const char *shell_split(const char *line, size_t length, struct shell_words *out)
{
	struct scanner scanner = {.line = line, .length = length};
	enum piece piece;
	size_t start;

	*out = (struct shell_words){0};
	do {
		piece = scan_piece(&scanner, &start);
		if (piece == PIECE_WORD)
			(void)keep_word(&scanner, out);
		else if (piece == PIECE_SEPARATOR || piece == PIECE_END)
			(void)keep_end(&scanner, out);
	} while (piece != PIECE_END && !scanner.complaint);
	scanner_free(&scanner);
	if (scanner.complaint)
		shell_words_free(out);
	return scanner.complaint;
}

void shell_words_free(struct shell_words *words)
{
	for (size_t i = 0; i < words->count; i++) {
		free(words->words[i].text);
		free(words->words[i].pattern);
	}
	free(words->words);
	*words = (struct shell_words){0};
}

bool shell_split_partial(const char *line, size_t length, struct shell_partial *out)
{
	struct scanner scanner = {.line = line, .length = length, .lenient = true};
	enum piece piece;
	size_t start;

	*out = (struct shell_partial){0};
	while ((piece = scan_piece(&scanner, &start)) != PIECE_END && piece != PIECE_BAD) {
		if (piece == PIECE_WORD && scanner.at == length)
			break;
		if (piece == PIECE_SEPARATOR) {
			shell_partial_free(out);
		} else if (piece == PIECE_WORD) {
			if (out->index++ == 0)
				out->command = copy_of(&scanner.text);
			if (!out->command)
				(void)complain(&scanner, no_memory);
		} else if (piece == PIECE_COMMENT && scanner.at == length) {
			(void)complain(&scanner, "a comment");
		}
		if (scanner.complaint)
			break;
	}
	if (!scanner.complaint) {
		/* Behind a blank, it is still to come. */
		if (piece == PIECE_END)
			scanner.text.length = 0;
		if (bytes_reserve(&scanner.text, 1))
			out->text = copy_of(&scanner.text);
		out->start = start;
	}
	scanner_free(&scanner);
	if (out->text)
		return true;
	shell_partial_free(out);
	return false;
}

void shell_partial_free(struct shell_partial *partial)
{
	free(partial->text);
	free(partial->command);
	partial->text = NULL;
	partial->command = NULL;
	partial->index = 0;
}
