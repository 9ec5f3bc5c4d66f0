/*
 * The last line of a file whose first header set an instruction set for all that follows: clang wants such a
 * setting ended.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#if defined(__clang__)
#pragma clang attribute pop
#endif
