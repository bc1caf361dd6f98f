"""The checks, a module for each part of a principle. One is entered by standing in a module of this package."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
