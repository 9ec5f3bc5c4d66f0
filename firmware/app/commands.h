/*
 * Handlers of the commands, in the form the command table of protocol.c lists, and what they share.
 *
 * A handler is given the text behind its command word, without leading spaces, zero-terminated. It prints its
 * reply lines; the parser adds m-ready.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "protocol.h"

/* MLPerf Tiny: commands_mlperf.c */
void command_name(protocol_t *p, const char *text);
void command_profile(protocol_t *p, const char *text);
void command_timestamp(protocol_t *p, const char *text);
void command_db_load(protocol_t *p, const char *text);
void command_db(protocol_t *p, const char *text);
void command_db_print(protocol_t *p, const char *text);
void command_infer(protocol_t *p, const char *text);
void command_results(protocol_t *p, const char *text);

/* Extensions: commands_extra.c */
void command_caps(protocol_t *p, const char *text);
void command_info(protocol_t *p, const char *text);
void command_db_crc(protocol_t *p, const char *text);
void command_layers(protocol_t *p, const char *text);
void command_dump(protocol_t *p, const char *text);
void command_stream(protocol_t *p, const char *text);
void command_reset(protocol_t *p, const char *text);

/* Reads one decimal number 0..max from `*text` and the spaces behind it. False, and an e-[...] line, when
 * there is none or it is larger. */
bool parse_number(protocol_t *p, const char **text, uint32_t max, uint32_t *value);

/* True when nothing is left of `text`; else prints an e-[...] line. */
bool parse_end(protocol_t *p, const char *text);

/* The end of every extension's reply: the CRC-32 of the command and of all reply bytes before this line. */
void reply_crc(protocol_t *p);

/* True when the model fits and a whole input is loaded; else prints an e-[...] line. */
bool model_ready(protocol_t *p);

/* Puts the loaded input into the arena. */
void model_set_input(protocol_t *p);

/* Runs the model on the loaded input. False, and an e-[...] line, when a layer fails. */
bool model_run(protocol_t *p);

/* Runs one layer. False, and an e-[...] line, when it fails. */
bool model_run_layer(protocol_t *p, uint32_t index);

/* The real value of output number `index` (channel order) in thousandths, rounded half away from zero. */
int64_t output_milli(const protocol_t *p, uint32_t index);

/* Number of outputs that results% prints; 0 when the output is not s8 or s32 values of one pixel. */
uint32_t output_count(const protocol_t *p);

#endif
