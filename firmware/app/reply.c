/*
 * SPDX-License-Identifier: Apache-2.0
 */
#include "reply.h"

#include "crc32.h"

static void put(protocol_t *p, char c) {
    const uint8_t byte = (uint8_t)c;
    p->crc = crc32_update(p->crc, &byte, 1);
    p->port->put(p->port->context, byte);
}

void reply_text(protocol_t *p, const char *text) {
    while (*text != '\0') {
        put(p, *text++);
    }
}

void reply_name(protocol_t *p, const char *text) {
    for (; text != NULL && *text != '\0'; text++) {
        const char c = *text;
        const bool plain = c > ' ' && c <= '~' && c != '[' && c != ']' && c != ',' && c != '%';
        put(p, plain ? c : '_');
    }
}

void reply_unsigned(protocol_t *p, uint64_t value) {
    char digits[20];
    unsigned n = 0;
    /* 32-bit divisions where they do: a 64-bit one is slow on small cores. */
    while (value > UINT32_MAX) {
        digits[n++] = (char)('0' + (char)(value % 10u));
        value /= 10u;
    }
    uint32_t rest = (uint32_t)value;
    do {
        digits[n++] = (char)('0' + (char)(rest % 10u));
        rest /= 10u;
    } while (rest != 0u);
    while (n != 0u) {
        put(p, digits[--n]);
    }
}

static uint64_t magnitude(int64_t value) {
    return value < 0 ? 0u - (uint64_t)value : (uint64_t)value;
}

void reply_signed(protocol_t *p, int64_t value) {
    if (value < 0) {
        put(p, '-');
    }
    reply_unsigned(p, magnitude(value));
}

void reply_milli(protocol_t *p, int64_t value) {
    const uint64_t absolute = magnitude(value);
    const uint32_t fraction = (uint32_t)(absolute % 1000u);
    if (value < 0) {
        put(p, '-');
    }
    reply_unsigned(p, absolute / 1000u);
    put(p, '.');
    put(p, (char)('0' + (char)(fraction / 100u)));
    put(p, (char)('0' + (char)(fraction / 10u % 10u)));
    put(p, (char)('0' + (char)(fraction % 10u)));
}

void reply_hex(protocol_t *p, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        put(p, "0123456789abcdef"[data[i] >> 4]);
        put(p, "0123456789abcdef"[data[i] & 15u]);
    }
}

void reply_hex32(protocol_t *p, uint32_t value) {
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                              (uint8_t)value};
    reply_hex(p, bytes, sizeof bytes);
}

void reply_end(protocol_t *p) {
    reply_text(p, "\r\n");
}

static void info_key(protocol_t *p, const char *key) {
    reply_text(p, "m-info-[");
    reply_text(p, key);
    put(p, ',');
}

void reply_info_text(protocol_t *p, const char *key, const char *value) {
    info_key(p, key);
    reply_name(p, value);
    reply_line(p, "]");
}

void reply_info_number(protocol_t *p, const char *key, uint64_t value) {
    info_key(p, key);
    reply_unsigned(p, value);
    reply_line(p, "]");
}

void reply_line(protocol_t *p, const char *line) {
    reply_text(p, line);
    reply_end(p);
}

void reply_error(protocol_t *p, const char *message) {
    reply_text(p, "e-[");
    reply_text(p, message);
    reply_line(p, "]");
}

void reply_error_number(protocol_t *p, const char *message, int64_t number) {
    reply_text(p, "e-[");
    reply_text(p, message);
    put(p, ' ');
    reply_signed(p, number);
    reply_line(p, "]");
}
