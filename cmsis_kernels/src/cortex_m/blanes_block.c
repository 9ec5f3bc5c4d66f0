/*
 * Epilogue of the usual s8 block in integer lanes, without tests inside: shortcut, shifts of 16, whose two
 * results PKHTB joins in one instruction, and 2-bit codes for the next layer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_dsp.h"
#include "blanes_m4.h"

/* Eights of pixels of one channel. Assembly reads the fields in this order. */
typedef struct {
    const uint32_t *totals; /* every fourth: pixels 0 4, 2 6, 1 5, 3 7 */
    const uint8_t *residual;
    uint8_t *out;
    uint32_t *next;
    const uint32_t *end; /* of next */
    int32_t muls;        /* of the map to s8 (low half) and to codes */
    int32_t add;         /* outputs are 128 too high, until they are stored */
    int32_t next_add;
} eights_t;

/* Outputs and codes of all eights of b, at least one. */
void ebnn_lanes_eights__cortex_m4(const eights_t *b);

#if EBNN_ARM_DSP

/* r0 .. r7 are the fields of b; p: shortcut; y: totals, then outputs, then codes. 62 cycles for eight pixels:
 * the table of the Cortex-M4, with y3 loaded late, as only then a register is free. */
/* clang-format off */
__asm__(
    ".syntax unified\n.thumb\n"
    /* Halves of y: (y * mul + add) >> 16, mul the low (b) or high (t) half of r5; t: temporary. */
    ".macro EBNN_MAP y, half, add, t\n"
    "  smlab\\half \\t, \\y, r5, \\add\n smlat\\half \\y, \\y, r5, \\add\n pkhtb \\y, \\y, \\t, asr #16\n"
    ".endm\n"
    /* a, b: outputs of four pixels; p: their shortcut. */
    ".macro EBNN_OUTPUTS a, b, p, t\n"
    "  EBNN_MAP \\a, b, r6, \\t\n sxtab16 \\a, \\a, \\p\n usat16 \\a, #8, \\a\n"
    "  EBNN_MAP \\b, b, r6, \\t\n sxtab16 \\b, \\b, \\p, ror #8\n usat16 \\b, #8, \\b\n"
    ".endm\n"
    /* a: codes of four pixels from their outputs a, b. */
    ".macro EBNN_CODES a, b, t\n"
    "  EBNN_MAP \\a, t, r7, \\t\n usat16 \\a, #2, \\a\n EBNN_MAP \\b, t, r7, \\t\n usat16 \\b, #2, \\b\n"
    "  orr \\a, \\a, \\b, lsl #4\n"
    ".endm\n"
    ".section .text.ebnn_lanes_eights__cortex_m4,\"ax\",%progbits\n.balign 4\n"
    ".global ebnn_lanes_eights__cortex_m4\n.type ebnn_lanes_eights__cortex_m4, %function\n.thumb_func\n"
    "ebnn_lanes_eights__cortex_m4:\n"
    "  push {r4-r11, lr}\n ldm r0, {r0-r7}\n subs r0, #64\n"
    "1: ldr r8, [r1], #4\n ldr r9, [r1], #4\n ldr r10, [r0, #64]!\n ldr r11, [r0, #32]\n ldr r12, [r0, #16]\n"
    "  pkhbt lr, r8, r9, lsl #16\n pkhtb r9, r9, r8, asr #16\n" /* p0 p1 */
    "  EBNN_OUTPUTS r10, r11, lr, r8\n"
    "  orr r8, r10, r11, lsl #8\n" /* outputs 0 1 4 5 */
    "  EBNN_CODES r10, r11, lr\n"
    "  ldr r11, [r0, #48]\n"
    "  EBNN_OUTPUTS r12, r11, r9, lr\n"
    "  orr lr, r12, r11, lsl #8\n" /* outputs 2 3 6 7 */
    "  pkhbt r9, r8, lr, lsl #16\n pkhtb lr, lr, r8, asr #16\n"
    "  eor r9, #0x80808080\n eor lr, #0x80808080\n str r9, [r2], #4\n str lr, [r2], #4\n"
    "  EBNN_CODES r12, r11, r8\n"
    "  orr r10, r10, r12, lsl #8\n str r10, [r3], #4\n cmp r3, r4\n bne 1b\n"
    "  pop {r4-r11, pc}\n.size ebnn_lanes_eights__cortex_m4, .-ebnn_lanes_eights__cortex_m4\n"
    ".text\n");
/* clang-format on */

#else

/* Two pixels through an affine map with a shift of 16. */
static uint32_t map(uint32_t d, int32_t mul, int32_t add) {
    return ebnn_pkhtb16((uint32_t)bl_smlabb(d, mul, add), (uint32_t)bl_smlatb(d, mul, add));
}

void ebnn_lanes_eights__cortex_m4(const eights_t *b) {
    const uint32_t *d = b->totals;
    const uint8_t *residual = b->residual;
    uint8_t *out = b->out;
    for (uint32_t *next = b->next; next != b->end; d += 16, residual += 8, out += 8) {
        const uint32_t r0 = ebnn_load32(residual), r1 = ebnn_load32(residual + 4);
        const uint32_t p0 = ebnn_pkhbt16(r0, r1), p1 = ebnn_pkhtb16(r0, r1);
        uint32_t y0 = ebnn_sxtab16(map(d[0], b->muls, b->add), p0);
        uint32_t y1 = ebnn_sxtab16(map(d[4], b->muls, b->add), p1);
        uint32_t y2 = ebnn_sxtab16_ror8(map(d[8], b->muls, b->add), p0);
        uint32_t y3 = ebnn_sxtab16_ror8(map(d[12], b->muls, b->add), p1);
        BL_USAT16X4(y0, y1, y2, y3, 8);
        const uint32_t e = y0 | (y2 << 8), f = y1 | (y3 << 8);
        ebnn_store32(out, ebnn_pkhbt16(e, f) ^ 0x80808080u);
        ebnn_store32(out + 4, ebnn_pkhtb16(e, f) ^ 0x80808080u);
        y0 = map(y0, b->muls >> 16, b->next_add), y1 = map(y1, b->muls >> 16, b->next_add);
        y2 = map(y2, b->muls >> 16, b->next_add), y3 = map(y3, b->muls >> 16, b->next_add);
        BL_USAT16X4(y0, y1, y2, y3, 2);
        *next++ = y0 | (y2 << 4) | (y1 << 8) | (y3 << 12);
    }
}

#endif

/* The last n = 1 .. 4 pixels of a channel: its rows have no room for more. b is left changed. */
static BL_COLD void last_four(eights_t *b, uint32_t n) {
    uint8_t *out = b->out;
    uint32_t *next = b->next;
    uint32_t y[2] = {ebnn_load32(b->residual), 0}, q;
    b->residual = b->out = (uint8_t *)y;
    b->next = &q;
    b->end = &q + 1;
    ebnn_lanes_eights__cortex_m4(b);
    ebnn_store32(out, y[0] & (~0u >> (32u - 8u * n)));
    *next = q & ((1u << (4u * n)) - 1u);
}

void ebnn_lanes_finish_block__cortex_m4(const ebnn_lanes_job_t *job, const int32_t *bias) {
    const ebnn_bconv_lanes_params_t *p = job->p;
    const uint32_t pixels = (uint32_t)p->dims.out_h * p->dims.out_w;
    const uint32_t bytes = (pixels + 3u) & ~3u, words = (pixels + 7u) / 8u;
    const uint32_t per_group = p->weight_kind == 1u ? 4u : 2u;
    const uint32_t first = job->group * per_group, left = p->dims.out_c - first;
    const uint32_t channels = left < per_group ? left : per_group;
    const uint32_t n = job->n & 7u, whole = (job->n + 3u) / 8u; /* 5 pixels or more are stored as eight */
    const uint32_t *totals = job->totals;
    const uint8_t *residual = (const uint8_t *)job->io->in[1] + first * bytes + job->first;
    uint8_t *out = (uint8_t *)job->io->out + first * bytes + job->first;
    uint32_t *next = (uint32_t *)job->io->out2 + first * words + job->first / 8u;
    for (uint32_t o = first; o < first + channels; o++) {
        const int32_t mul = p->mul[o], next_mul = p->next_mul[o];
        eights_t b = {totals++,
                      residual,
                      out,
                      next,
                      next + whole,
                      (int32_t)ebnn_pkhbt16((uint32_t)mul, (uint32_t)next_mul),
                      ebnn_lanes_add(p->add, p->add_bytes, p->add_shift, o) - mul * *bias++ + (128 << 16),
                      ebnn_lanes_add(p->next_add, p->next_add_bytes, p->next_add_shift, o) - 128 * next_mul};
        if (whole != 0u) {
            ebnn_lanes_eights__cortex_m4(&b);
        }
        if (n > 4u) {
            uint8_t *end = out + 8u * whole - 4u;
            ebnn_store32(end, ebnn_load32(end) & ((1u << (8u * n - 32u)) - 1u));
            next[whole - 1u] &= (1u << (4u * n)) - 1u;
        } else if (n != 0u) {
            b.totals += 16u * whole, b.residual += 8u * whole, b.out += 8u * whole, b.next += whole;
            last_four(&b, n);
        }
        residual += bytes, out += bytes, next += words;
    }
}
