"""Catchment: a telemetry data platform that a team runs for itself.

`catchment.Dataset` reads documents; it is imported when it is first used, since everything imports this file.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {"Dataset": "catchment.dataset"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'catchment' has no attribute {name!r}")
