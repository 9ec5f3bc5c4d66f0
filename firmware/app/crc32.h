/*
 * CRC-32 of IEEE 802.3 (as zlib's crc32).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CRC32_H
#define CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc`, the CRC of what came before (0 at the start), over `size` bytes. */
uint32_t crc32_update(uint32_t crc, const void *data, size_t size);

#endif
