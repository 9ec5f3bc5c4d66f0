/*
 * Epilogue of the lanes kernels with the DSP extension to s8, the usual case without tests inside: shortcut,
 * shifts of 16, whose two results PKHTB joins in one instruction, and 2-bit codes for the next layer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_eights.h"

#include "blanes_dsp.h"

#if EBNN_ARM_DSP

/* r0 .. r7 are the fields of b; p: shortcut; y: totals, then outputs, then codes. 64 cycles for eight pixels:
 * the table of the Cortex-M4, with y3 loaded late, as only then a register is free. Flags: equal in the last
 * eight where only four pixels are stored. */
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
    "  push {r4-r11, lr}\n ldm r0, {r0-r7}\n subs r0, #64\n cmp r3, r4\n"
    "1: it ne\n ldrne r9, [r1, #4]\n ldr r8, [r1], #8\n ldr r10, [r0, #64]!\n ldr r11, [r0, #32]\n ldr r12, [r0, #16]\n"
    "  pkhbt lr, r8, r9, lsl #16\n pkhtb r9, r9, r8, asr #16\n" /* p0 p1 */
    "  EBNN_OUTPUTS r10, r11, lr, r8\n"
    "  orr r8, r10, r11, lsl #8\n" /* outputs 0 1 4 5 */
    "  EBNN_CODES r10, r11, lr\n"
    "  ldr r11, [r0, #48]\n"
    "  EBNN_OUTPUTS r12, r11, r9, lr\n"
    "  orr lr, r12, r11, lsl #8\n" /* outputs 2 3 6 7 */
    "  pkhbt r9, r8, lr, lsl #16\n pkhtb lr, lr, r8, asr #16\n"
    "  eor r9, #0x80808080\n eor lr, #0x80808080\n it ne\n strne lr, [r2, #4]\n str r9, [r2], #8\n"
    "  EBNN_CODES r12, r11, r8\n"
    "  orr r10, r10, r12, lsl #8\n str r10, [r3], #4\n cmp r3, r4\n bls 1b\n"
    "  pop {r4-r11, pc}\n.size ebnn_lanes_eights__cortex_m4, .-ebnn_lanes_eights__cortex_m4\n"
    ".text\n");
/* clang-format on */

#else

/* Two pixels through an affine map with a shift of 16. */
static uint32_t map(uint32_t d, int32_t mul, int32_t add) {
    return ebnn_pkhtb16((uint32_t)bl_smlabb(d, mul, add), (uint32_t)bl_smlatb(d, mul, add));
}

void ebnn_lanes_eights__cortex_m4(const ebnn_lanes_eights_t *b) {
    const uint32_t *d = b->totals;
    const uint8_t *residual = b->residual;
    uint8_t *out = b->out;
    for (uint32_t *next = b->next; (const uint8_t *)next <= b->last; d += 16, residual += 8, out += 8) {
        const int four = (const uint8_t *)next == b->last;
        const uint32_t r0 = ebnn_load32(residual), r1 = four ? 0u : ebnn_load32(residual + 4);
        const uint32_t p0 = ebnn_pkhbt16(r0, r1), p1 = ebnn_pkhtb16(r0, r1);
        uint32_t y0 = ebnn_sxtab16(map(d[0], b->muls, b->add), p0);
        uint32_t y1 = ebnn_sxtab16(map(d[4], b->muls, b->add), p1);
        uint32_t y2 = ebnn_sxtab16_ror8(map(d[8], b->muls, b->add), p0);
        uint32_t y3 = ebnn_sxtab16_ror8(map(d[12], b->muls, b->add), p1);
        BL_USAT16X4(y0, y1, y2, y3, 8);
        const uint32_t e = y0 | (y2 << 8), f = y1 | (y3 << 8);
        ebnn_store32(out, ebnn_pkhbt16(e, f) ^ 0x80808080u);
        if (!four) {
            ebnn_store32(out + 4, ebnn_pkhtb16(e, f) ^ 0x80808080u);
        }
        y0 = map(y0, b->muls >> 16, b->next_add), y1 = map(y1, b->muls >> 16, b->next_add);
        y2 = map(y2, b->muls >> 16, b->next_add), y3 = map(y3, b->muls >> 16, b->next_add);
        BL_USAT16X4(y0, y1, y2, y3, 2);
        *next++ = y0 | (y2 << 4) | (y1 << 8) | (y3 << 12);
    }
}

#endif
