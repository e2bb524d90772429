/* SPDX-License-Identifier: MIT */
#include "limit/reservation.h"

#include "base/test_hook.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Draw up to `amount`. Returns how much. */
static uint64_t draw(struct mfs_reservation *reservation, uint64_t amount)
{
	uint64_t left = atomic_load_explicit(&reservation->left, memory_order_relaxed);
	uint64_t part;

	do {
		part = min_u64(left, amount);
		mfs__yield("reservation: about to draw");
	} while (part &&
			 !atomic_compare_exchange_weak_explicit(&reservation->left, &left, left - part,
													memory_order_relaxed, memory_order_relaxed));
	return part;
}

/* Give back up to `amount`, as much as was drawn. Returns how much. */
static uint64_t give(struct mfs_reservation *reservation, uint64_t amount)
{
	uint64_t left = atomic_load_explicit(&reservation->left, memory_order_relaxed);
	uint64_t part;

	do {
		part = min_u64(reservation->bytes - left, amount);
		mfs__yield("reservation: about to give");
	} while (part &&
			 !atomic_compare_exchange_weak_explicit(&reservation->left, &left, left + part,
													memory_order_relaxed, memory_order_relaxed));
	return part;
}

/* Draw all that is there, and reserve the rest. */
static int draw_and_reserve(struct mfs__payer *payer, uint64_t amount)
{
	struct mfs_reservation *reservation = payer->reservation;
	uint64_t drawn = 0;
	int code;

	pthread_mutex_lock(&reservation->mutex);
	do {
		drawn += draw(reservation, amount - drawn);
		code = drawn < amount ? mfs__quota_reserve(payer->quota, amount - drawn) : 0;
		/* Others may have given back meanwhile. */
	} while (code && atomic_load_explicit(&reservation->left, memory_order_relaxed));
	if (code) {
		payer->missing = amount - drawn;
		/* Others may have given more than is missing meanwhile: that is the quota's. */
		drawn -= give(reservation, drawn);
	}
	pthread_mutex_unlock(&reservation->mutex);
	if (code && drawn)
		mfs__quota_release(payer->quota, drawn);
	return code;
}

/* Draw all of it, if there is as much. */
static bool draw_all(struct mfs_reservation *reservation, uint64_t amount)
{
	uint64_t left = atomic_load_explicit(&reservation->left, memory_order_relaxed);

	do {
		if (left < amount)
			return false;
		mfs__yield("reservation: about to draw");
	} while (!atomic_compare_exchange_weak_explicit(&reservation->left, &left, left - amount,
													memory_order_relaxed, memory_order_relaxed));
	return true;
}

int mfs__payer_reserve(struct mfs__payer *payer, uint64_t amount)
{
	uint64_t granted = min_u64(payer->granted, amount);
	uint64_t rest = amount - granted;
	int code = 0;

	if (rest && mfs__likely(!payer->reservation)) {
		code = mfs__quota_reserve(payer->quota, rest);
		if (mfs__unlikely(code))
			payer->missing = rest;
	} else if (rest && !draw_all(payer->reservation, rest)) {
		code = draw_and_reserve(payer, rest);
	}
	if (granted && !code)
		payer->granted -= granted;
	return code;
}

void mfs__payer_release(struct mfs__payer *payer, uint64_t amount)
{
	if (payer->reservation)
		amount -= give(payer->reservation, amount);
	if (amount)
		mfs__quota_release(payer->quota, amount);
}
