/*
 * Inner loops of the s8 convolution: four pixels by two output channels at a time, eight accumulators in
 * registers, requantised and stored by the same routine. A step makes 16 products from 5 loads, 2 SXTB16 and
 * 8 SMLAD.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_kernels.h"
#include "ebnn_requant.h"
#include "ebnn_s8_core.h"

#if EBNN_ARM_DSP

#ifdef __clang__
#pragma clang diagnostic ignored "-Woverlength-strings"
#endif

/* Assembly, because the compilers do not keep 14 values in registers. r0 weights, r1 x, r4-r7 and r8-r11
 * accumulators of the two channels; the copy of ebnn_s8_tile_t lies on the stack, below it the entry point of
 * the loop. */
#define ENTRY "[sp, #0]"
#define X "[sp, #8]"
#define X_START "[sp, #4]" /* before the entry point is there */
#define X_END "[sp, #12]"
#define PAIRS "[sp, #16]"
#define OUT "[sp, #20]"
#define PIXEL_STEP "[sp, #24]"
#define CHANNEL_STEP "[sp, #28]"
#define CHANNELS "[sp, #32]"

#define STEP(o)                                                                                              \
    "ldr lr, [r0], #4\n"                                                                                     \
    "ldr r2, [r1, #16*" o "]\n"                                                                              \
    "ldr r3, [r1, #16*" o "+4]\n"                                                                            \
    "sxtb16 r12, lr, ror #8\n"                                                                               \
    "sxtb16 lr, lr\n"                                                                                        \
    "smlad r4, lr, r2, r4\n"                                                                                 \
    "smlad r8, r12, r2, r8\n"                                                                                \
    "smlad r5, lr, r3, r5\n"                                                                                 \
    "smlad r9, r12, r3, r9\n"                                                                                \
    "ldr r2, [r1, #16*" o "+8]\n"                                                                            \
    "ldr r3, [r1, #16*" o "+12]\n"                                                                           \
    "smlad r6, lr, r2, r6\n"                                                                                 \
    "smlad r10, r12, r2, r10\n"                                                                              \
    "smlad r7, lr, r3, r7\n"                                                                                 \
    "smlad r11, r12, r3, r11\n"

/* r2 multiplier, r12 rounding and output offset together, lr right shift */
#define REQUANT(a)                                                                                           \
    "lsl " a ", " a ", #1\n"                                                                                 \
    "smmulr " a ", " a ", r2\n"                                                                              \
    "add " a ", " a ", " a ", asr #31\n"                                                                     \
    "add " a ", " a ", r12\n"                                                                                \
    "asr " a ", " a ", lr\n"                                                                                 \
    "ssat " a ", #8, " a "\n"

/* shift >= 0: r2 multiplier, r12 output offset, lr left shift + 1 */
#define REQUANT_LEFT(a)                                                                                      \
    "lsl " a ", " a ", lr\n"                                                                                 \
    "smmulr " a ", " a ", r2\n"                                                                              \
    "add " a ", " a ", r12\n"                                                                                \
    "ssat " a ", #8, " a "\n"

/* r3 out, r2 pixel step, r12 three pixel steps */
#define STORE(a, b, c, d)                                                                                    \
    "strb " a ", [r3]\n"                                                                                     \
    "strb " b ", [r3, r2]\n"                                                                                 \
    "strb " c ", [r3, r2, lsl #1]\n"                                                                         \
    "strb " d ", [r3, r12]\n"

/* clang-format off */
__attribute__((naked)) void ebnn_s8_tile(const ebnn_s8_tile_t *tile __attribute__((unused))) {
    __asm volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "ldm r0, {r1-r8}\n"
        "push {r1-r8}\n"
        "sub r3, r2, r3\n" /* minus the bytes of x: enter the loop of 8 steps so that it ends even */
        "and r3, r3, #0x60\n"
        "sub r2, r2, r3\n"
        "str r2, " X_START "\n"
        "lsrs r3, r3, #5\n"
        "adr.w r4, 0f\n"
        "ldrb r3, [r4, r3]\n"
        "add r4, r4, r3, lsl #1\n"
        "adds r4, #1\n" /* Thumb */
        "push {r4}\n"
        "mov r0, r1\n"
        "5:\n" /* a pair of channels */
        "ldr r2, " PAIRS "\n"
        "ldr r1, " X "\n"
        "ldrd r4, r8, [r2], #8\n"
        "str r2, " PAIRS "\n"
        "mov r5, r4\n"
        "mov r6, r4\n"
        "mov r7, r4\n"
        "mov r9, r8\n"
        "mov r10, r8\n"
        "mov r11, r8\n"
        "ldr pc, " ENTRY "\n"
        ".balign 4\n"
        "0: .byte (1f-0b)/2, (2f-0b)/2, (3f-0b)/2, (4f-0b)/2\n"
        "1:\n" STEP("0") STEP("1")
        "2:\n" STEP("2") STEP("3")
        "3:\n" STEP("4") STEP("5")
        "4:\n" STEP("6") STEP("7")
        "ldr lr, " X_END "\n"
        "adds r1, #128\n"
        "cmp r1, lr\n"
        "bne 1b\n"
        "ldr r1, " PAIRS "\n"
        "ldr r3, " OUT "\n"
        "6:\n" /* a channel: requantise r4-r7 */
        "ldm r1!, {r2, r12, lr}\n"
        "cmp lr, #0\n"
        "ble 8f\n"
        REQUANT("r4") REQUANT("r5") REQUANT("r6") REQUANT("r7")
        "7:\n"
        "ldr r2, " PIXEL_STEP "\n"
        "ldr lr, " CHANNEL_STEP "\n"
        "add r12, r2, r2, lsl #1\n"
        STORE("r4", "r5", "r6", "r7")
        "add r3, lr\n"
        "ldr lr, " CHANNELS "\n"
        "subs lr, #1\n"
        "beq 9f\n"
        "str lr, " CHANNELS "\n"
        "mov r4, r8\n"
        "mov r5, r9\n"
        "mov r6, r10\n"
        "mov r7, r11\n"
        "lsls r2, r1, #29\n" /* entries of a pair's channels end at 20 and 32 bytes */
        "bmi 6b\n"
        "str r1, " PAIRS "\n"
        "str r3, " OUT "\n"
        "b 5b\n"
        "8:\n" /* shift >= 0 */
        "rsb lr, lr, #1\n"
        REQUANT_LEFT("r4") REQUANT_LEFT("r5") REQUANT_LEFT("r6") REQUANT_LEFT("r7")
        "b 7b\n"
        "9:\n"
        "add sp, #36\n"
        "pop {r4-r11, pc}\n");
}
/* clang-format on */

#else

static int32_t requantize(int32_t acc, int32_t multiplier, int32_t round, int32_t right) {
    if (right <= 0) {
        return ebnn_ssat8(ebnn_smmulr((int32_t)((uint32_t)acc << (1 - right)), multiplier) + round);
    }
    return ebnn_ssat8(ebnn_requant_right(acc, multiplier, round, right));
}

void ebnn_s8_tile(const ebnn_s8_tile_t *tile) {
    const uint32_t words = (uint32_t)(tile->x_end - tile->x) / 4u;
    for (uint32_t c = 0; c < tile->channels; c++) {
        const uint32_t *w = tile->weights + (c / 2u) * words;
        const ebnn_s8_pair_t *pair = tile->pairs + c / 2u;
        int8_t *out = tile->out + c * tile->channel_step;
        for (uint32_t pixel = 0; pixel < 4u; pixel++) {
            int32_t acc = pair->bias[c % 2u];
            for (uint32_t i = 0; i < words; i++) {
                const uint32_t both = c % 2u == 0u ? ebnn_sxtb16(w[i]) : ebnn_sxtb16_ror8(w[i]);
                acc = ebnn_smlad(both, tile->x[4u * i + pixel], acc);
            }
            out[pixel * tile->pixel_step] =
                (int8_t)requantize(acc, pair->channel[c % 2u].multiplier, pair->channel[c % 2u].round,
                                   pair->channel[c % 2u].right);
        }
    }
}

#endif

EBNN_COLD void ebnn_s8_pairs(const ebnn_conv_s8_params_t *p, ebnn_s8_pair_t *pairs) {
    for (uint32_t c = 0; c < p->dims.out_c; c++) {
        ebnn_s8_pair_t *pair = pairs + c / 2u;
        const int32_t right = -p->shift[c];
        const int32_t rounded =
            (int32_t)((uint32_t)(2 * p->output_offset + 1) << (right > 0 ? right : 0)) >> 1;
        pair->bias[c % 2u] = p->bias[c];
        pair->channel[c % 2u].multiplier = p->multiplier[c];
        pair->channel[c % 2u].right = right;
        pair->channel[c % 2u].round = rounded;
    }
    if (p->dims.out_c % 2u != 0u) { /* computed, not stored */
        pairs[p->dims.out_c / 2u].bias[1] = 0;
        pairs[p->dims.out_c / 2u].channel[1] = pairs[p->dims.out_c / 2u].channel[0];
    }
}
