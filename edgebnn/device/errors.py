"""What can go wrong with a device. All are DeviceError: exit code 5."""

from __future__ import annotations

from edgebnn.errors import DeviceError


class PortError(DeviceError):
    """The port does not exist, is used by another program, or cannot be opened."""


class NoAnswerError(DeviceError):
    """The device sends nothing, or not the end of its answer, within the time limit."""


class GarbledError(DeviceError):
    """Answers stay damaged or make no sense after retries."""


class DisconnectedError(DeviceError):
    """The connection ended."""


class RefusedError(DeviceError):
    """The device answered with an error line, ``e-[...]``."""
