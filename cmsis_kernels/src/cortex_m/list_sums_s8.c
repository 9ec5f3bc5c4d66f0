/*
 * Inner loop of the low-bit x s8 convolution: sums of listed rows of 16 signed bytes, in 16-bit lanes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ebnn_acle.h"
#include "ebnn_s8_lists.h"

#if EBNN_ARM_DSP

/* r0 list, r1 row, r4-r11 lanes: pixels (0, 2), (1, 3), (4, 6), ... */
#define ENTRY                                                                                                \
    "ldrb r2, [r0], #1\n"                                                                                    \
    "add r1, r1, r2, lsl #4\n"                                                                               \
    "ldm r1, {r2, r3, r12, lr}\n"                                                                            \
    "sxtab16 r4, r4, r2\n"                                                                                   \
    "sxtab16 r5, r5, r2, ror #8\n"                                                                           \
    "sxtab16 r6, r6, r3\n"                                                                                   \
    "sxtab16 r7, r7, r3, ror #8\n"                                                                           \
    "sxtab16 r8, r8, r12\n"                                                                                  \
    "sxtab16 r9, r9, r12, ror #8\n"                                                                          \
    "sxtab16 r10, r10, lr\n"                                                                                 \
    "sxtab16 r11, r11, lr, ror #8\n"

#define COUNTS "[sp, #4]"
#define ROWS "[sp, #8]"
#define SUMS "[sp, #12]"
#define COUNTS_END "[sp, #16]"
#define RUN_END "[sp, #0]"

/* clang-format off */
__attribute__((naked)) const uint8_t *ebnn_s8_list_sums(const ebnn_s8_lists_t *lists __attribute__((unused))) {
    __asm volatile(
        ".syntax unified\n"
        "push {r4-r11, lr}\n"
        "ldm r0, {r0-r3, r12}\n"
        "push {r0-r3, r12}\n" /* the slot of the list serves as the end of the run */
        "1:\n"                /* class */
        "mov r4, #0\n"
        "mov r5, #0\n"
        "mov r6, #0\n"
        "mov r7, #0\n"
        "mov r8, #0\n"
        "mov r9, #0\n"
        "mov r10, #0\n"
        "mov r11, #0\n"
        "2:\n" /* run: first the rows to subtract */
        "ldr r12, " COUNTS "\n"
        "ldr r1, " ROWS "\n"
        "ldrb r2, [r12], #1\n"
        "str r12, " COUNTS "\n"
        "cmp r2, #0\n"
        "beq 7f\n"
        "add r3, r0, r2\n"
        "str r3, " RUN_END "\n"
        "rsb r2, r2, #0\n"
        "and r2, r2, #3\n"
        "tbb [pc, r2]\n"
        "0: .byte (3f-0b)/2, (4f-0b)/2, (5f-0b)/2, (6f-0b)/2\n"
        "3:\n" ENTRY
        "4:\n" ENTRY
        "5:\n" ENTRY
        "6:\n" ENTRY
        "ldr r2, " RUN_END "\n"
        "cmp r0, r2\n"
        "bne 3b\n"
        "ldr r12, " COUNTS "\n"
        "tst r12, #1\n"
        "beq 8f\n"
        "mov r2, #0\n"
        "ssub16 r4, r2, r4\n"
        "ssub16 r5, r2, r5\n"
        "ssub16 r6, r2, r6\n"
        "ssub16 r7, r2, r7\n"
        "ssub16 r8, r2, r8\n"
        "ssub16 r9, r2, r9\n"
        "ssub16 r10, r2, r10\n"
        "ssub16 r11, r2, r11\n"
        "b 2b\n"
        "7:\n" /* empty run */
        "tst r12, #1\n"
        "bne 2b\n"
        "8:\n"
        "ldr r3, " SUMS "\n"
        "ldr r2, " COUNTS_END "\n"
        "stm r3!, {r4-r11}\n"
        "str r3, " SUMS "\n"
        "cmp r12, r2\n"
        "bne 1b\n"
        "add sp, #20\n"
        "pop {r4-r11, pc}\n"); /* returns r0, the end of the lists */
}
/* clang-format on */

#else

const uint8_t *ebnn_s8_list_sums(const ebnn_s8_lists_t *lists) {
    const uint8_t *list = lists->list;
    uint32_t *sums = lists->sums;
    for (const uint8_t *count = lists->counts; count != lists->counts_end; count += 2, sums += 8) {
        int16_t lanes[16] = {0};
        for (uint32_t run = 0; run < 2u; run++) {
            const int8_t *row = lists->rows;
            for (uint32_t i = 0; i < 16u; i++) {
                lanes[i] = (int16_t)-lanes[i];
            }
            for (uint32_t n = count[run]; n != 0u; n--) {
                row += 16u * *list++;
                for (uint32_t i = 0; i < 16u; i++) {
                    lanes[i] = (int16_t)(lanes[i] + row[i]);
                }
            }
        }
        for (uint32_t i = 0; i < 8u; i++) { /* words hold pixels (0, 2), (1, 3), (4, 6), ... */
            const uint32_t first = i / 2u * 4u + i % 2u;
            sums[i] = (uint16_t)lanes[first] | (uint32_t)(uint16_t)lanes[first + 2u] << 16;
        }
    }
    return list;
}

#endif
