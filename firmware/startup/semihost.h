/*
 * Semihosting: how firmware on an emulator ends the emulator.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SEMIHOST_H
#define SEMIHOST_H

/* Ends the emulator with exit status `status`; does nothing on hardware, where no host listens. */
void semihost_exit(int status);

#endif
