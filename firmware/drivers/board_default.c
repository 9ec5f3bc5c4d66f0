/*
 * For boards that start at their full clock and have no sync pin.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "board.h"

void board_init(void) {}

void board_sync(void) {}
