"""`mlops.toml`, its named environments and environment variables → one frozen `Settings`.

Precedence, lowest first: the defaults (`tables.py`), the tables of `mlops.toml`, the tables under
`[environments.<name>]` of the environment named by `MLOPS_ENV`, and variables `MLOPS_<TABLE>__<KEY>`
(for instance `MLOPS_SERVING__PORT=9000`; a table inside a table adds another `__`).
"""

from runtime_lib.settings.read import find_root, load
from runtime_lib.settings.tables import RENAMED as RENAMED
from runtime_lib.settings.tables import Hardware as Hardware
from runtime_lib.settings.tables import Monitoring as Monitoring
from runtime_lib.settings.tables import Registry as Registry
from runtime_lib.settings.tables import Settings

# What projects may use; the other names are for the rooms of this library.
__all__ = ["Settings", "find_root", "load"]
