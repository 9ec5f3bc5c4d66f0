"""The host runtime: the same run loop and kernels as on a device, through cffi."""

from edgebnn.host.runtime import Runtime

__all__ = ["Runtime"]
