"""Data sets, one file each: where it is from, its licence, its faults, and `clips()`, its sounds."""

import importlib
import pkgutil
from types import ModuleType


def corpora() -> dict[str, ModuleType]:
    """Data sets by the name that people type: every file here that has `clips`."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    return {module.NAME: module for module in modules if hasattr(module, "clips")}
