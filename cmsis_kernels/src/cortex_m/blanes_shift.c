/*
 * Planes of one tap as shifted copies of the input, for cores with UMAAL: with the factor 2^s - 1, UMAAL x,
 * c, x, factor leaves in x its bits shifted up by s, over the carry c, and in c those that go on into the
 * next word. Strips of four words of all channels, so that their masks stay in registers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_m4.h"

#if EBNN_ARM_DSP

/* A strip: x: the first word read of channel 0; factor; steps: bytes from one channel's words to the next's,
 * and from the end of what is stored of one plane to the next (upper half); masks: [4]; end: x behind the
 * last channel. */
typedef void (*strip_t)(const uint32_t *x, uint32_t *plane, uint32_t factor, uint32_t steps,
                        const uint32_t *masks, const uint32_t *end);

/* All five words of input, the first for its carry alone. */
void ebnn_lanes_inner4(const uint32_t *x, uint32_t *plane, uint32_t factor, uint32_t steps,
                       const uint32_t *masks, const uint32_t *end);
void ebnn_lanes_inner8(const uint32_t *x, uint32_t *plane, uint32_t factor, uint32_t steps,
                       const uint32_t *masks, const uint32_t *end);
/* Without the first. */
void ebnn_lanes_first4(const uint32_t *x, uint32_t *plane, uint32_t factor, uint32_t steps,
                       const uint32_t *masks, const uint32_t *end);
void ebnn_lanes_first8(const uint32_t *x, uint32_t *plane, uint32_t factor, uint32_t steps,
                       const uint32_t *masks, const uint32_t *end);
/* Without the last. */
void ebnn_lanes_last4(const uint32_t *x, uint32_t *plane, uint32_t factor, uint32_t steps,
                      const uint32_t *masks, const uint32_t *end);
void ebnn_lanes_last8(const uint32_t *x, uint32_t *plane, uint32_t factor, uint32_t steps,
                      const uint32_t *masks, const uint32_t *end);

/* clang-format off */
__asm__(
    ".syntax unified\n.thumb\n"
    ".macro EBNN_SHIFT carry, words:vararg\n"
    "  mov \\carry, #0\n"
    ".irp w, \\words\n"
    "  umaal \\w, \\carry, \\w, r2\n"
    ".endr\n"
    ".endm\n"
    /* masked and stored; 8-bit fields: as even and odd ones */
    ".macro EBNN_STORE4 a, b, c, d, temp\n"
    "  and \\a, r9\n and \\b, r10\n and \\c, r11\n and \\d, r12\n stm r1, {\\a, \\b, \\c, \\d}\n"
    ".endm\n"
    ".macro EBNN_SPLIT v, mask, temp\n"
    "  and \\v, \\mask\n and \\temp, \\v, #0x0F0F0F0F\n eor \\v, \\temp\n lsr \\v, #4\n"
    "  strd \\temp, \\v, [r1], #8\n"
    ".endm\n"
    ".macro EBNN_STORE8 a, b, c, d, temp\n"
    "  EBNN_SPLIT \\a, r9, \\temp\n EBNN_SPLIT \\b, r10, \\temp\n"
    "  EBNN_SPLIT \\c, r11, \\temp\n EBNN_SPLIT \\d, r12, \\temp\n"
    ".endm\n"
    ".macro EBNN_INNER bits\n"
    "  ldm r0, {r4-r8}\n EBNN_SHIFT lr, r4, r5, r6, r7, r8\n EBNN_STORE\\bits r5, r6, r7, r8, r4\n"
    ".endm\n"
    ".macro EBNN_FIRST bits\n"
    "  ldm r0, {r4-r7}\n EBNN_SHIFT r8, r4, r5, r6, r7\n EBNN_STORE\\bits r4, r5, r6, r7, r8\n"
    ".endm\n"
    ".macro EBNN_LAST bits\n"
    "  ldm r0, {r4-r7}\n EBNN_SHIFT r8, r4, r5, r6, r7\n EBNN_STORE\\bits r5, r6, r7, r8, r4\n"
    ".endm\n"
    ".macro EBNN_STRIP name, body, bits\n"
    ".section .text.\\name,\"ax\",%progbits\n.balign 4\n.type \\name, %function\n.thumb_func\n"
    ".global \\name\n\\name:\n"
    "  push {r4-r11, lr}\n ldr r12, [sp, #36]\n ldm r12, {r9-r12}\n"
    "1: \\body \\bits\n"
    "  uxtah r0, r0, r3\n uxtah r1, r1, r3, ror #16\n"
    "  ldr r4, [sp, #40]\n cmp r0, r4\n bne 1b\n pop {r4-r11, pc}\n.size \\name, .-\\name\n"
    ".endm\n"
    "EBNN_STRIP ebnn_lanes_inner4, EBNN_INNER, 4\nEBNN_STRIP ebnn_lanes_inner8, EBNN_INNER, 8\n"
    "EBNN_STRIP ebnn_lanes_first4, EBNN_FIRST, 4\nEBNN_STRIP ebnn_lanes_first8, EBNN_FIRST, 8\n"
    "EBNN_STRIP ebnn_lanes_last4, EBNN_LAST, 4\nEBNN_STRIP ebnn_lanes_last8, EBNN_LAST, 8\n"
    ".text\n");
/* clang-format on */

static const uint32_t ALL[4] = {~0u, ~0u, ~0u, ~0u};

/* stored: bytes of a plane that a strip writes and steps over. */
static EBNN_COLD void shift(const ebnn_lanes_strip_t *s, strip_t inner, strip_t first, strip_t last,
                            uint32_t stored) {
    const int32_t fields = (int32_t)((uint32_t)s->shift & 7u);
    const int32_t in_words = (int32_t)s->in_words;
    /* output word i = input word `word` + i, shifted up, over the top of the one before */
    int32_t word = (s->shift - fields) / 8 + (fields != 0 ? 1 : 0);
    const uint32_t factor = ((fields != 0 ? 1u << (32 - 4 * fields) : 1u) << s->code_shift) - 1u;
    const uint32_t steps = 4u * s->in_words | (s->stride - stored) << 16;
    ebnn_lanes_strip_t part = *s;
    part.words = 4;
    for (uint32_t left = s->words; left != 0u; left -= part.words, word += 4) {
        strip_t strip = NULL;
        int32_t from = word - 1;
        if (left < 4u) {
            part.words = left;
        } else if (word >= 0 && word + 4 <= in_words && (word == 0 || fields == 0)) {
            strip = first;
            from++;
        } else if (word > 0 && word + 4 <= in_words) {
            strip = inner;
        } else if (word > 0 && word + 3 == in_words) {
            strip = last;
        }
        if (strip != NULL && 4u * s->in_words <= 0xFFFFu) {
            const uint32_t *x = s->x + from;
            strip(x, part.plane, factor, steps, part.masks != NULL ? part.masks : ALL,
                  x + s->channels * s->in_words);
        } else {
            ebnn_lanes_shift(&part);
        }
        part.shift += 32;
        part.plane += s->field_bits;
        part.masks = part.masks != NULL ? part.masks + 4 : NULL;
    }
}

void ebnn_lanes_shift4__cortex_m4(const ebnn_lanes_strip_t *strip) {
    shift(strip, ebnn_lanes_inner4, ebnn_lanes_first4, ebnn_lanes_last4, 0u);
}

void ebnn_lanes_shift8__cortex_m4(const ebnn_lanes_strip_t *strip) {
    shift(strip, ebnn_lanes_inner8, ebnn_lanes_first8, ebnn_lanes_last8, 32u);
}

#else

void ebnn_lanes_shift4__cortex_m4(const ebnn_lanes_strip_t *strip) {
    ebnn_lanes_shift(strip);
}

void ebnn_lanes_shift8__cortex_m4(const ebnn_lanes_strip_t *strip) {
    ebnn_lanes_shift(strip);
}

#endif
