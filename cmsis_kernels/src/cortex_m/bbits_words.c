/*
 * Four channels of the bits kernel by buckets, all words of a block, for cores with Thumb-2: sums of the
 * eight classes, their combination, and the output; a C twin elsewhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bbits_words.h"

#include "bbits_asm.h"

#if EBNN_THUMB2

/* The stack above that of EBNN_RUN. Arrays of 16 words, bit i at i + 1, 0 below and above: m, n (two of the
 * even, the odd classes' sums), q, r (four), p3. SUMS: those of EBNN_RUN, 13 words apart; JOB: the argument.
 */
#define SP_BASE "40"
#define SP_STARTS "44"
#define SP_M "48"
#define SP_N "176"
#define SP_R "240"
#define SP_P3 "304"
#define SP_SUMS "368"
#define SP_JOB "784"

/* Fields of ebnn_bits_job_t. */
#define LIST "0"
#define PLANES "4"
#define RUNS "8"
#define OUT "12"
#define STARTS "16"
#define WORDS "20"
#define LAST "24"
#define APART "28"
#define STRIDE "32"
#define FLAGS "36"
#define BITS "40"

/* clang-format off */
__asm__(
    EBNN_RUN_MACROS
    /* s + x + k: sum in x, carry in k */
    ".macro EBNN_SUM3 s, x, k, t\n"
    "  eors \\x, \\s\n eor \\t, \\s, \\k\n and \\t, \\x\n eor \\x, \\k\n eor \\k, \\s, \\t\n"
    ".endm\n"
    /* the same without a carry in */
    ".macro EBNN_SUM2 s, x, k\n"
    "  and \\k, \\s, \\x\n eors \\x, \\s\n"
    ".endm\n"
    /* c = majority of x, not p, c; x is lost */
    ".macro EBNN_NOT_LESS c, x, p, t\n"
    "  eor \\x, \\c\n eor \\t, \\p, \\c\n bic \\x, \\t\n eor \\c, \\x\n"
    ".endm\n"
    /* one bit of four sums, at r0, r12, r0 + 104, r12 + 104: two of them to r1, all to r1 + 64 */
    ".macro EBNN_FOUR first\n"
    "  ldr r5, [r0, #104]\n ldr r6, [r12, #104]\n ldr r3, [r0], #4\n ldr r4, [r12], #4\n"
    ".if \\first\n EBNN_SUM2 r3, r4, r8\n EBNN_SUM2 r5, r6, r9\n EBNN_SUM2 r6, r4, r10\n"
    ".else\n EBNN_SUM3 r3, r4, r8, r7\n EBNN_SUM3 r5, r6, r9, r7\n EBNN_SUM3 r6, r4, r10, r7\n .endif\n"
    "  str r4, [r1, #64]\n str r6, [r1], #4\n"
    ".endm\n"
    /* one bit of P0 and the comparisons; r8: m; r5, r6 carries; r0, r1, r2 results; P0 in r4 */
    ".macro EBNN_STEP\n"
    "  ldr r3, [r8, #68]\n ldr r4, [r8, #196]\n ldr r9, [r8, #128]\n ldr r10, [r8, #256]\n ldr r11, [r8], #4\n"
    "  eor r12, r3, r4\n eor r7, r4, r0\n and r7, r12\n eors r0, r7\n"
    "  eor r7, r3, r6\n and r7, r12\n eor r4, r12, r6\n eor r6, r3, r7\n"
    "  EBNN_SUM3 r11, r9, r5, r7\n"
    "  EBNN_NOT_LESS r1, r9, r4, r7\n EBNN_NOT_LESS r2, r10, r4, r7\n"
    ".endm\n"
    ".section .text.ebnn_bits_combine, \"ax\", %progbits\n.balign 16\n.type ebnn_bits_combine, %function\n.thumb_func\n"
    /* r4, r0, r1, r2 = the outputs of the sums at SP_SUMS, of r2 bits: 6, 7, 9 or 12 */
    "ebnn_bits_combine:\n"
    "  str lr, [sp, #" SP_OUT "]\n"
    "  add r0, sp, #(" SP_SUMS " + 208)\n add r12, r0, #52\n add r1, sp, #(" SP_R " + 4)\n bl 5f\n"
    "  add r0, sp, #" SP_SUMS "\n add r12, r0, #208\n add r1, sp, #(" SP_M " + 4)\n bl 5f\n"
    "  add r0, sp, #(" SP_SUMS " + 52)\n add r12, r0, #208\n add r1, sp, #(" SP_N " + 4)\n bl 5f\n"
    "  ldr r12, [sp, #" SP_JOB "]\n ldr r7, [r12, #" FLAGS "]\n ldr r3, [r12, #" STARTS "]\n"
    "  adds lr, r2, #4\n mvn r7, r7\n cmp r3, #0\n bne 4f\n sbfx r0, r7, #0, #1\n sbfx r1, r7, #1, #1\n sbfx r2, r7, #2, #1\n"
    "3: lsrs lr, lr, #1\n"
    "  add r8, sp, #" SP_M "\n mov r5, #0\n mov r6, r5\n bcc 2f\n"
    "1: EBNN_STEP\n"
    "2: EBNN_STEP\n"
    "  subs lr, #1\n bne 1b\n ldr pc, [sp, #" SP_OUT "]\n"
    "4: ldr r12, [sp, #" SP_STARTS "]\n ldm r12!, {r0-r2}\n add r12, #4\n str r12, [sp, #" SP_STARTS "]\n b 3b\n"
    /* four sums */
    "5: mov r11, #1\n cmp r2, #7\n beq 6f\n mov r8, #0\n mov r9, r8\n mov r10, r8\n bmi 7f\n"
    "  mov r11, #2\n cmp r2, #9\n beq 8f\n b 7f\n"
    "6: EBNN_FOUR 1\n"
    "7: EBNN_FOUR 0\n EBNN_FOUR 0\n EBNN_FOUR 0\n"
    "8: EBNN_FOUR 0\n EBNN_FOUR 0\n EBNN_FOUR 0\n"
    "  subs r11, #1\n bne 7b\n"
    "  strd r9, r11, [r1]\n EBNN_SUM3 r8, r9, r10, r7\n strd r9, r10, [r1, #64]\n str r11, [r1, #72]\n bx lr\n"
    ".size ebnn_bits_combine, .-ebnn_bits_combine\n"
    /* void name(job): sums of 6 + \high bits; \planes: start values are planes */
    ".macro EBNN_BITS_WORDS name, high, planes\n"
    ".section .text.\\name, \"ax\", %progbits\n.balign 16\n.global \\name\n.type \\name, %function\n.thumb_func\n\\name:\n"
    "  push {r0, r4-r11, lr}\n sub sp, #" SP_JOB "\n"
    "  ldr r4, [r0, #" WORDS "]\n ldr r5, [r0, #" PLANES "]\n mov r6, #0\n"
    ".if \\planes\n ldr r7, [r0, #" STARTS "]\n str r7, [sp, #" SP_STARTS "]\n .endif\n"
    "  str r4, [sp, #" SP_LEFT "]\n str r5, [sp, #" SP_BASE "]\n"
    "  str r6, [sp, #" SP_M "]\n str r6, [sp, #" SP_N "]\n str r6, [sp, #" SP_P3 "]\n"
    "20: ldr r12, [sp, #" SP_JOB "]\n ldr r1, [sp, #" SP_BASE "]\n ldr r0, [r12, #" LIST "]\n ldr r2, [r12, #" RUNS "]\n"
    "  add r3, sp, #" SP_SUMS "\n str r2, [sp, #" SP_RUNS "]\n str r3, [sp, #" SP_OUT "]\n"
    "1: EBNN_RUN \\high, \\planes\n"
    "  ldr r11, [sp, #" SP_OUT "]\n ldr r9, [sp, #" SP_HIGH "]\n stm r11!, {r2-r7}\n"
    ".set bit, 0\n"
    ".rept \\high\n"
    ".if bit\n ldr r9, [sp, #(" SP_HIGH " + 4 * bit)]\n .endif\n .set bit, bit + 1\n"
    ".if bit == \\high\n str r9, [r11], #(4 * (8 - \\high))\n .else\n str r9, [r11], #4\n .endif\n"
    ".endr\n"
    "  add r12, sp, #" SP_JOB "\n str r11, [sp, #" SP_OUT "]\n cmp r11, r12\n bne 1b\n"
    "  str r0, [sp, #" SP_END "]\n ldr r12, [r12]\n ldr r2, [r12, #" BITS "]\n bl ebnn_bits_combine\n"
    "  ldr r12, [sp, #" SP_JOB "]\n ldr r3, [sp, #" SP_LEFT "]\n ldr r8, [sp, #" SP_BASE "]\n ldr r5, [r12, #" OUT "]\n"
    "  ldr r6, [r12, #" STRIDE "]\n ldr r9, [r12, #" APART "]\n"
    "  subs r3, #1\n bne 21f\n ldr r7, [r12, #" LAST "]\n and r4, r7\n and r0, r7\n and r1, r7\n and r2, r7\n"
    "21: add r7, r5, r6\n add r8, r9\n str r3, [sp, #" SP_LEFT "]\n str r8, [sp, #" SP_BASE "]\n"
    "  str r4, [r5], #4\n str r0, [r7]\n add r7, r6\n str r1, [r7]\n add r7, r6\n str r2, [r7]\n str r5, [r12, #" OUT "]\n"
    "  cmp r3, #0\n bne 20b\n"
    "  ldr r0, [sp, #" SP_END "]\n str r0, [r12, #" LIST "]\n"
    "  add sp, #(" SP_JOB " + 4)\n pop {r4-r11, pc}\n.size \\name, .-\\name\n"
    ".endm\n"
    "EBNN_BITS_WORDS ebnn_bits_words7, 1, 0\nEBNN_BITS_WORDS ebnn_bits_words7_from, 1, " SP_STARTS "\n.text\n");
/* clang-format on */

#else

static void run(ebnn_bits_job_t *job, int from) {
    const uint16_t *end = job->list;
    for (uint32_t w = 0; w < job->words; w++) {
        uint32_t sums[EBNN_BITS_RUNS * EBNN_BITS_MOST];
        const uint32_t mask = w + 1u == job->words ? job->last_mask : ~0u;
        const uint32_t *planes = job->planes + job->apart / 4u * w;
        if (from) {
            const uint32_t *starts = job->starts + w * EBNN_BITS_BORDER;
            for (uint32_t i = 0; i < 7u * EBNN_BITS_RUNS; i++) {
                sums[i / 7u * EBNN_BITS_MOST + i % 7u] = starts[i];
            }
            end = ebnn_bits_sum_from(job->list, planes, job->runs, EBNN_BITS_RUNS, job->bits, sums);
            ebnn_bits_buckets_from(sums, job->bits, starts + 7u * EBNN_BITS_RUNS, mask, job->out++,
                                   job->stride / 4u);
        } else {
            end = ebnn_bits_sum(job->list, planes, job->runs, EBNN_BITS_RUNS, job->bits, sums);
            ebnn_bits_buckets(sums, job->bits, job->flags, mask, job->out++, job->stride / 4u);
        }
    }
    job->list = end;
}

void ebnn_bits_words7(ebnn_bits_job_t *job) {
    run(job, 0);
}

void ebnn_bits_words7_from(ebnn_bits_job_t *job) {
    run(job, 1);
}

#endif
