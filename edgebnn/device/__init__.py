"""Devices: building firmware, starting emulators, talking to boards over a serial line, profiling."""
