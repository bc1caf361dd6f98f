"""The checks, a module for each part of a principle. Standing in a module of this package enters one."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
