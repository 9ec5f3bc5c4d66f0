/*
 * Building blocks of reply lines. Every character also enters the CRC of the running command
 * (protocol_t.crc). (protocol_t.crc).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLY_H
#define REPLY_H

#include "protocol.h"

void reply_text(protocol_t *p, const char *text);

/* Text that comes from a model or a user: every character that would break a line's form becomes '_'. */
void reply_name(protocol_t *p, const char *text);

void reply_unsigned(protocol_t *p, uint64_t value);
void reply_signed(protocol_t *p, int64_t value);

/* `value` thousandths as a decimal number with three decimals. */
void reply_milli(protocol_t *p, int64_t value);

void reply_hex(protocol_t *p, const uint8_t *data, size_t size);
void reply_hex32(protocol_t *p, uint32_t value);

/* CR LF */
void reply_end(protocol_t *p);

/* "[name,value]" lines of info%, prefixed with m-info-. */
void reply_info_text(protocol_t *p, const char *key, const char *value);
void reply_info_number(protocol_t *p, const char *key, uint64_t value);

/* A whole line. */
void reply_line(protocol_t *p, const char *line);

/* A whole line e-[message] or e-[message number]. */
void reply_error(protocol_t *p, const char *message);
void reply_error_number(protocol_t *p, const char *message, int64_t number);

#endif
