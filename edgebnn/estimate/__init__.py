"""Exact instruction counts and modelled cycles of Cortex-M code, run on the unicorn CPU emulator.

Instruction counts are exact. Cycles come from the tables in ``cost``: an estimate, a model, not silicon.
"""
