"""Builds the host runtime; everything else stands in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["edgebnn/host/build_ext.py:ffibuilder"])
