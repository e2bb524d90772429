/* SPDX-License-Identifier: MIT */
/*
 * The bytes of one file: a list of chunks whose places follow from their numbers.
 *
 *   chunk     0      1      2      3   ...  9        10       11       ...
 *   offset    0      4 Ki   8 Ki   16 Ki    1 Mi     2 Mi     4 Mi
 *   length    4 Ki   4 Ki   8 Ki   16 Ki    1 Mi     2 Mi     2 Mi
 *
 * So the chunk of an offset is arithmetic, an aligned piece of up to a chunk's length never lies
 * across two, and the list of a file of one chunk is in the file itself. Every chunk but the last
 * has its full length as capacity. The last one may have less: exactly what a small file holds, or
 * what is left of it when a written file is closed.
 *
 * Appending allocates the next chunk and moves nothing. Two bounded exceptions: the first chunk
 * grows by doubling up to its 4 KiB, and a last chunk that was cut to size when the file was closed
 * is extended, in place where the allocator can, when the file is opened again and appended to. A
 * file to which that happens again and again keeps an eighth of its last chunk as room for growth,
 * so that the bytes moved stay in proportion to the bytes appended.
 *
 * A chunk of 4 KiB is a page of the page pool (base/page_pool.h), one of 2 MiB a huge block
 * (base/huge_block.h). All others come from the allocator.
 *
 * Lists can hold the same bytes, see file/chunk_share.h: mfs__chunks_clone() copies none but
 * perhaps those of the last chunk. Shared bytes never change, so mfs__chunks_prepare() must come
 * before every write: it gives the list bytes of its own there, and fails if anything has to fail.
 *
 * What is charged to the quota is the capacity of all chunks and the overhead for each; of a shared
 * chunk the same, to each of its lists. So a list that gets bytes of its own needs no quota.
 *
 * Not thread-safe by itself: reading and cloning need the file's lock shared, all else needs it
 * exclusive.
 */
#ifndef MFS_FILE_CHUNK_LIST_H
#define MFS_FILE_CHUNK_LIST_H

#include "base/arena.h"
#include "limit/reservation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MFS__CHUNK_FIRST_SHIFT 12 /* the first chunk has 4 KiB */
#define MFS__CHUNK_LAST_SHIFT  21 /* no chunk has more than 2 MiB, a huge block */

/** The longest file: the number of its chunks has 30 bits. */
#define MFS__CHUNKS_MAX    ((UINT32_C(1) << 30) - 16)
#define MFS__FILE_SIZE_MAX ((uint64_t)MFS__CHUNKS_MAX << MFS__CHUNK_LAST_SHIFT)

struct mfs__chunk {
	unsigned char *bytes;
	uint32_t capacity;
	/* Atomic: 0, the bytes are the list's own, or the number of their reference count. Set with the
	 * file's lock held shared (S2), cleared with it held exclusively. */
	_Atomic uint32_t share;
};

/** All zeros: no chunks. */
struct mfs__chunk_list {
	struct mfs__chunk first;
	struct mfs__chunk *rest; /* chunks 1 to count - 1 */
	uint32_t count;
	uint32_t rest_room : 30;  /* how many fit into `rest` */
	uint32_t was_trimmed : 1; /* the last chunk was cut to size */
	uint32_t was_regrown : 1; /* and then extended again */
};

/** Where a list's chunks are charged and counted, and get their memory. */
struct mfs__chunk_account {
	struct mfs__payer *payer;
	uint64_t overhead;        /* bytes charged for each chunk besides its capacity */
	_Atomic int64_t *counter; /* counts chunks; the calling thread's stripe */
	struct mfs__arena *arena; /* may be NULL */
	bool exact;               /* no memory is taken ahead */
};

/** The number of the chunk in which `offset` lies. */
static inline uint32_t mfs__chunk_index(uint64_t offset)
{
	if (offset < (UINT64_C(1) << MFS__CHUNK_FIRST_SHIFT))
		return 0;
	if (offset < (UINT64_C(1) << MFS__CHUNK_LAST_SHIFT))
		return 64 - MFS__CHUNK_FIRST_SHIFT - (uint32_t)__builtin_clzll(offset);
	return MFS__CHUNK_LAST_SHIFT - MFS__CHUNK_FIRST_SHIFT +
		   (uint32_t)(offset >> MFS__CHUNK_LAST_SHIFT);
}

/** Where chunk `index` starts. */
static inline uint64_t mfs__chunk_start(uint32_t index)
{
	const uint32_t doublings = MFS__CHUNK_LAST_SHIFT - MFS__CHUNK_FIRST_SHIFT;

	if (index == 0)
		return 0;
	if (index <= doublings)
		return UINT64_C(1) << (MFS__CHUNK_FIRST_SHIFT + index - 1);
	return (uint64_t)(index - doublings) << MFS__CHUNK_LAST_SHIFT;
}

/** The full length of chunk `index`. */
static inline uint32_t mfs__chunk_length(uint32_t index)
{
	const uint32_t doublings = MFS__CHUNK_LAST_SHIFT - MFS__CHUNK_FIRST_SHIFT;

	if (index == 0)
		return UINT32_C(1) << MFS__CHUNK_FIRST_SHIFT;
	if (index <= doublings)
		return UINT32_C(1) << (MFS__CHUNK_FIRST_SHIFT + index - 1);
	return UINT32_C(1) << MFS__CHUNK_LAST_SHIFT;
}

static inline struct mfs__chunk *mfs__chunk_at(struct mfs__chunk_list *list, uint32_t index)
{
	return index == 0 ? &list->first : &list->rest[index - 1];
}

/** Bytes that fit into the list as it is. */
uint64_t mfs__chunks_capacity(struct mfs__chunk_list *list);

/** Bytes charged for the list. */
uint64_t mfs__chunks_charge(struct mfs__chunk_list *list, uint64_t overhead);

/**
 * Can the bytes from `from` to `to`, of which there is at least one and no byte before `from` is
 * missing, be written at once? Otherwise mfs__chunks_prepare() is needed.
 */
bool mfs__chunks_are_ready(struct mfs__chunk_list *list, uint64_t from, uint64_t to);

/**
 * Make the bytes from `from` to `to` ready to be written: make room for them, and get chunks of
 * one's own in the place of shared ones. The caller then writes them all; until it does, they are
 * undefined. `used` bytes are in use now, of which those outside stay as they are; `from` is not
 * beyond them.
 *
 * Takes memory ahead for appending where the quota has room for that, and exactly enough otherwise.
 * Nothing to do if `to` is not beyond `from`.
 *
 * Returns 0, MFS_EQUOTA, MFS_EMEMGUARD, MFS_ENOMEM or MFS_EFBIG; then nothing has changed.
 */
int mfs__chunks_prepare(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
						uint64_t used, uint64_t from, uint64_t to);

/** Make room for `size` bytes, of which `used` are in use now: mfs__chunks_prepare() to append. */
static inline int mfs__chunks_grow(struct mfs__chunk_list *list,
								   const struct mfs__chunk_account *account, uint64_t used,
								   uint64_t size)
{
	return mfs__chunks_prepare(list, account, used, used, size);
}

/** Chunks made elsewhere that are to become a list's. */
struct mfs__splice {
	/* For the list's chunks from number `first` on, before `end`. Without bytes: none for there. */
	struct mfs__chunk *chunks;
	uint32_t first;
	uint32_t end;
	uint64_t prepaid; /* charged for the growth already; the rest of it is given back */
	bool keeps;       /* the bytes between `from` and `to` stay as they are */
};

/** Does a splice, which may be NULL, bring the chunk with this number? */
static inline bool mfs__splice_has(const struct mfs__splice *splice, uint32_t index)
{
	return splice && index >= splice->first && index < splice->end &&
		   splice->chunks[index - splice->first].bytes;
}

/**
 * mfs__chunks_prepare(), with chunks that take the place of the list's own, or come behind them.
 * Each has the full length of its place and all bytes that lie there between `from` and `to`; the
 * one that becomes the list's last may be shorter, with all that is in use. What they hold must not
 * be written any more. `splice` may be NULL.
 *
 * Returns 0, and the chunks are the list's; or a failure as mfs__chunks_prepare(), and they, and
 * what is prepaid, still are the caller's.
 */
int mfs__chunks_splice(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
					   uint64_t used, uint64_t from, uint64_t to, const struct mfs__splice *splice);

/**
 * Note that bytes are refused, with `code`, MFS_EQUOTA or MFS_EMEMGUARD, and return that. The
 * format is for the first: it has conversions for the size and two numbers more.
 */
int mfs__fail_charge(const struct mfs__chunk_account *account, int code, const char *format,
					 uint64_t size);

/** What is missing in the quota's charge for `to` bytes to fit, without room ahead. */
uint64_t mfs__chunks_price(struct mfs__chunk_list *list, uint64_t overhead, uint64_t to);

/**
 * Chunks that a call holds, beside the lists that have them: what they hold stays as it is until
 * the snapshot is dropped, whatever becomes of the file. Not charged.
 */
#define MFS__SNAPSHOT_FEW 16
struct mfs__snapshot {
	struct mfs__chunk *chunks; /* from number `first` on; without bytes: given to a list */
	uint32_t first;
	uint32_t count;
	struct mfs__chunk few[MFS__SNAPSHOT_FEW];
};

/**
 * Hold the chunks that have the bytes from `from` to `to`, all within the capacity. Needs the lock
 * that mfs__chunks_clone() needs. Costs the chunks, not the bytes. Returns 0 or MFS_ENOMEM, noted,
 * with an empty snapshot.
 */
int mfs__chunks_snapshot(struct mfs__chunk_list *list, uint64_t from, uint64_t to,
						 struct mfs__snapshot *out);

/** Where `offset` is in a snapshot, and in *part how many of the `length` bytes there lie together.
 */
const unsigned char *mfs__snapshot_at(const struct mfs__snapshot *snapshot, uint64_t offset,
									  uint64_t length, size_t *part);

/** Let go of the chunks; `arena` is that of the workspace they come from. */
void mfs__snapshot_drop(struct mfs__snapshot *snapshot, struct mfs__arena *arena);

/**
 * Give the empty list `to`, which no other thread knows, the first `size` bytes of `from`, by
 * sharing chunks: all that has been written of it. A last chunk of which a good part is unused is
 * copied instead, without that part. `account` is charged and counts for `to`.
 *
 * Several threads may clone and read one list at the same time.
 *
 * Returns 0, MFS_EQUOTA, MFS_EMEMGUARD or MFS_ENOMEM; then nothing has changed.
 */
int mfs__chunks_clone(struct mfs__chunk_list *from, struct mfs__chunk_list *to,
					  const struct mfs__chunk_account *account, uint64_t size);

/**
 * Free whole chunks beyond `size` bytes and cut the last one to size: truncation. If the last one
 * is shared, a smaller copy takes its place. Without memory for that it stays as it is, and
 * charged.
 */
void mfs__chunks_shrink(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
						uint64_t size);

/**
 * Give back what a file of `size` bytes does not use, when it is closed. A shared last chunk stays
 * shared unless a good part of it is unused.
 */
void mfs__chunks_trim(struct mfs__chunk_list *list, const struct mfs__chunk_account *account,
					  uint64_t size);

/**
 * Where `offset`, within the capacity, is, and in *part how many of the `length` bytes from there
 * lie together.
 */
static inline unsigned char *mfs__chunks_part(struct mfs__chunk_list *list, uint64_t offset,
											  uint64_t length, size_t *part)
{
	uint32_t index = mfs__chunk_index(offset);
	size_t skip = (size_t)(offset - mfs__chunk_start(index));
	const struct mfs__chunk *chunk = mfs__chunk_at(list, index);
	size_t left = chunk->capacity - skip;

	*part = length < left ? (size_t)length : left;
	return chunk->bytes + skip;
}

/** Copy `length` bytes at `offset`, all within the capacity, to `target`. */
void mfs__chunks_read(struct mfs__chunk_list *list, uint64_t offset, void *target, size_t length);

/** Copy `length` bytes from `source` to `offset`, all made ready before. */
void mfs__chunks_write(struct mfs__chunk_list *list, uint64_t offset, const void *source,
					   size_t length);

/**
 * Write if all is ready and within one chunk, what most writes are: at least a byte, none before
 * `offset` missing. Returns false, with nothing done, if not.
 */
bool mfs__chunks_write_at_once(struct mfs__chunk_list *list, uint64_t offset, const void *source,
							   size_t length);

/** Clear `length` bytes at `offset`, all made ready before. */
void mfs__chunks_clear(struct mfs__chunk_list *list, uint64_t offset, uint64_t length);

/** Is the list as this header says, and large enough for `size` bytes? */
bool mfs__chunks_validate(struct mfs__chunk_list *list, uint64_t size);

#endif
