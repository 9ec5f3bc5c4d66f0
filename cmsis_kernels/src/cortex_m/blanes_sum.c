/*
 * Class sums of the lanes kernels for cores with Thumb-2 (M3/M4/M7/M33); a C twin elsewhere.
 *
 * Per element and pass one LDRH, two LDR and two ADD: offsets and fields of two or three elements are loaded
 * in a row, because consecutive loads pipeline. Registers: r0 list, r1 and r2 the two words of a pass (base),
 * r3 elements left, r4..r7 class sums, r8 and r9 sums of narrow fields, r10..r12 and lr temporaries.
 *
 * Widening without masks for the even fields: N += n and H += odd(n) give even = N - (H << field), exact
 * modulo 2^32 because the true even sums fit their fields.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "blanes_m4.h"

#if EBNN_THUMB2

/* Stack of the functions below. */
#define SP_COUNTS "0"
#define SP_SUMS "4"
#define SP_CLASS "8" /* classes left */

/* clang-format off */
__asm__(
    ".syntax unified\n.thumb\n"
    /* n = the first one, two or three elements */
    ".macro EBNN_FIRST1\n"
    "  ldrh r10, [r0], #2\n ldr r8, [r1, r10]\n ldr r9, [r2, r10]\n"
    ".endm\n"
    ".macro EBNN_FIRST2\n"
    "  ldrh r10, [r0], #2\n ldrh r11, [r0], #2\n ldr r8, [r1, r10]\n ldr r9, [r2, r10]\n"
    "  ldr r12, [r1, r11]\n ldr r11, [r2, r11]\n add r8, r12\n add r9, r11\n"
    ".endm\n"
    ".macro EBNN_FIRST3\n"
    "  ldrh r10, [r0], #2\n ldrh r11, [r0], #2\n ldrh r12, [r0], #2\n ldr r8, [r1, r10]\n ldr r9, [r2, r10]\n"
    "  ldr r10, [r1, r11]\n ldr r11, [r2, r11]\n ldr lr, [r1, r12]\n ldr r12, [r2, r12]\n"
    "  add r8, r10\n add r9, r11\n add r8, lr\n add r9, r12\n"
    ".endm\n"
    /* n += one or two elements */
    ".macro EBNN_ADD1\n"
    "  ldrh r10, [r0], #2\n ldr r11, [r1, r10]\n ldr r10, [r2, r10]\n add r8, r11\n add r9, r10\n"
    ".endm\n"
    ".macro EBNN_ADD2\n"
    "  ldrh r10, [r0], #2\n ldrh r11, [r0], #2\n ldr r12, [r1, r10]\n ldr r10, [r2, r10]\n"
    "  ldr lr, [r1, r11]\n ldr r11, [r2, r11]\n add r8, r12\n add r9, r10\n add r8, lr\n add r9, r11\n"
    ".endm\n"
    /* class sums += n; \bits: width of a narrow field */
    ".macro EBNN_WIDEN bits\n"
    "  add r4, r8\n add r6, r9\n"
    ".if \\bits == 4\n"
    "  bic r10, r8, #0x0F0F0F0F\n bic r11, r9, #0x0F0F0F0F\n"
    "  add r5, r5, r10, lsr #4\n add r7, r7, r11, lsr #4\n"
    ".else\n"
    "  bic r10, r8, #0x00FF00FF\n bic r11, r9, #0x00FF00FF\n"
    "  add r5, r5, r10, lsr #8\n add r7, r7, r11, lsr #8\n"
    ".endif\n"
    ".endm\n"
    /* r3 elements whose fields take five at least: blocks of five, 2 + more of them unrolled, then one to four */
    ".macro EBNN_RUN_SHORT bits, more=1\n"
    "  subs r3, #5\n blo 2f\n"
    "1: EBNN_FIRST3\n EBNN_ADD2\n EBNN_WIDEN \\bits\n subs r3, #5\n blo 2f\n"
    ".rept \\more\n"
    "  EBNN_FIRST3\n EBNN_ADD2\n EBNN_WIDEN \\bits\n subs r3, #5\n blo 2f\n"
    ".endr\n"
    "  EBNN_FIRST3\n EBNN_ADD2\n EBNN_WIDEN \\bits\n subs r3, #5\n bhs 1b\n"
    "2: add r3, #5\n tbb [pc, r3]\n"
    "3: .byte (9f-3b)/2, (4f-3b)/2, (5f-3b)/2, (6f-3b)/2, (7f-3b)/2\n .balign 2\n"
    "7: EBNN_FIRST2\n EBNN_ADD2\n b 8f\n"
    "6: EBNN_FIRST3\n b 8f\n"
    "5: EBNN_FIRST2\n b 8f\n"
    "4: EBNN_FIRST1\n"
    "8: EBNN_WIDEN \\bits\n"
    "9:\n"
    ".endm\n"
    /* the same for fields that take 15 elements: the odd elements of the run first, then blocks of 15 */
    ".macro EBNN_RUN_LONG bits\n"
    "  movw r10, #4370\n mul r10, r3, r10\n lsr r10, #16\n" /* r3 / 15 */
    "  sub r3, r3, r10, lsl #4\n add lr, r3, r10\n mov r3, r10\n"
    "  cmp lr, #0\n beq 5f\n mov r8, #0\n mov r9, r8\n"
    "  lsrs lr, #1\n bcc 1f\n ldrh r10, [r0], #2\n ldr r8, [r1, r10]\n ldr r9, [r2, r10]\n"
    "1: rsb lr, lr, #7\n tbb [pc, lr]\n"
    "2: .byte (21f-2b)/2, (22f-2b)/2, (23f-2b)/2, (24f-2b)/2, (25f-2b)/2, (26f-2b)/2, (27f-2b)/2, (4f-2b)/2\n"
    "3: EBNN_FIRST1\n"
    "21: EBNN_ADD2\n22: EBNN_ADD2\n23: EBNN_ADD2\n24: EBNN_ADD2\n25: EBNN_ADD2\n26: EBNN_ADD2\n27: EBNN_ADD2\n"
    "4: EBNN_WIDEN \\bits\n"
    "5: subs r3, #1\n bhs 3b\n"
    ".endm\n"
    /* void name(list, counts, base, sums) */
    ".macro EBNN_SUM name, run, bits\n"
    ".text\n.balign 4\n.global \\name\n.type \\name, %function\n.thumb_func\n\\name:\n"
    "  push {r4-r11, lr}\n sub sp, #12\n"
    "  str r3, [sp, #" SP_SUMS "]\n mov r12, #8\n str r12, [sp, #" SP_CLASS "]\n"
    "  mov r12, r1\n mov r1, r2\n add r2, r1, #4\n"
    "10: ldrb r3, [r12], #1\n str r12, [sp, #" SP_COUNTS "]\n"
    /* fields start at minus their bias, 128 or 8192: N at -bias * (1 + 2^bits), H at -bias */
    ".if \\bits == 4\n"
    "  mvn r5, #0x80808080\n add r5, #1\n"
    ".else\n"
    "  mvn r5, #0x20002000\n add r5, #1\n"
    ".endif\n"
    "  add r4, r5, r5, lsl #\\bits\n mov r6, r4\n mov r7, r5\n"
    "  cmp r3, #0\n beq 11f\n"
    "  \\run \\bits\n"
    "11: ldr r12, [sp, #" SP_COUNTS "]\n rsb r4, r4, #0\n rsb r5, r5, #0\n rsb r6, r6, #0\n rsb r7, r7, #0\n"
    "  ldrb r3, [r12], #1\n str r12, [sp, #" SP_COUNTS "]\n cmp r3, #0\n beq 12f\n"
    "  \\run \\bits\n"
    "12: ldr r12, [sp, #" SP_SUMS "]\n sub r4, r4, r5, lsl #\\bits\n sub r6, r6, r7, lsl #\\bits\n"
    "  stm r12!, {r4-r7}\n str r12, [sp, #" SP_SUMS "]\n"
    "  ldr r10, [sp, #" SP_CLASS "]\n ldr r12, [sp, #" SP_COUNTS "]\n subs r10, #1\n str r10, [sp, #" SP_CLASS "]\n"
    "  bne 10b\n"
    "  add sp, #12\n pop {r4-r11, pc}\n.size \\name, .-\\name\n"
    ".endm\n"
    /* const uint16_t *name(list, counts, base, sums): 16 runs; the stack holds counts, sums and runs left */
    ".text\n.balign 4\n.global ebnn_lanes_sum4_apart\n.type ebnn_lanes_sum4_apart, %function\n.thumb_func\n"
    "ebnn_lanes_sum4_apart:\n"
    "  push {r4-r11, lr}\n sub sp, #12\n"
    "  str r3, [sp, #" SP_SUMS "]\n mov r12, #16\n str r12, [sp, #" SP_CLASS "]\n"
    "  mov r12, r1\n mov r1, r2\n add r2, r1, #4\n"
    "10: ldrb r3, [r12], #1\n str r12, [sp, #" SP_COUNTS "]\n"
    "  movs r4, #0\n movs r5, #0\n movs r6, #0\n movs r7, #0\n"
    "  EBNN_RUN_SHORT 4, 5\n"
    "  ldr r10, [sp, #" SP_CLASS "]\n ldrd r12, r11, [sp, #" SP_COUNTS "]\n"
    "  sub r4, r4, r5, lsl #4\n sub r6, r6, r7, lsl #4\n"
    "  stm r11!, {r4-r7}\n subs r10, #1\n strd r11, r10, [sp, #" SP_SUMS "]\n"
    "  bne 10b\n"
    "  add sp, #12\n pop {r4-r11, pc}\n.size ebnn_lanes_sum4_apart, .-ebnn_lanes_sum4_apart\n"
    "EBNN_SUM ebnn_lanes_sum4_short, EBNN_RUN_SHORT, 4\n"
    "EBNN_SUM ebnn_lanes_sum4_long, EBNN_RUN_LONG, 4\n"
    "EBNN_SUM ebnn_lanes_sum8_long, EBNN_RUN_LONG, 8\n");
/* clang-format on */

#else

/* One run: sums of the fields of two words, each field's own. */
static const uint16_t *run(const uint16_t *list, uint32_t n, const uint8_t *base, uint32_t *out) {
    uint32_t w[4] = {0, 0, 0, 0};
    for (; n != 0u; n--) {
        const uint32_t *plane = (const uint32_t *)(const void *)(base + *list++);
        for (uint32_t i = 0; i < 4u; i++) {
            w[i] += (plane[i / 2u] >> (4u * (i & 1u))) & 0x0F0F0F0Fu;
        }
    }
    for (uint32_t i = 0; i < 4u; i++) {
        out[i] = w[i];
    }
    return list;
}

const uint16_t *ebnn_lanes_sum4_apart(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                      uint32_t *sums) {
    for (uint32_t j = 0; j < 2u * EBNN_CLASSES; j++) {
        list = run(list, counts[j], base, sums + 4u * j);
    }
    return list;
}

const uint16_t *ebnn_lanes_sum4_short(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                      uint32_t *sums) {
    return ebnn_lanes_sum4(list, counts, base, 3u, (ebnn_lanes_sums_t *)sums);
}

const uint16_t *ebnn_lanes_sum4_long(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                     uint32_t *sums) {
    return ebnn_lanes_sum4(list, counts, base, 1u, (ebnn_lanes_sums_t *)sums);
}

const uint16_t *ebnn_lanes_sum8_long(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                     uint32_t *sums) {
    return ebnn_lanes_sum8(list, counts, base, 15u, (ebnn_lanes_sums_t *)sums);
}

#endif

const uint16_t *ebnn_lanes_sum4__cortex_m4(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                           uint32_t code_max, ebnn_lanes_sums_t *sums) {
    if (code_max == 1u) {
        return ebnn_lanes_sum4_long(list, counts, base, sums->word[0]);
    }
    return ebnn_lanes_sum4_short(list, counts, base, sums->word[0]);
}

const uint16_t *ebnn_lanes_sum8__cortex_m4(const uint16_t *list, const uint8_t *counts, const uint8_t *base,
                                           uint32_t code_max, ebnn_lanes_sums_t *sums) {
    (void)code_max;
    return ebnn_lanes_sum8_long(list, counts, base, sums->word[0]);
}
