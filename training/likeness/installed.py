"""Files of installed packages that are not imported: their own code needs what nobody else does."""

import importlib.util
from pathlib import Path


def installed(package, *path):
    """A file of a package, as text."""
    found = importlib.util.find_spec(package)
    if found is None:
        raise ModuleNotFoundError(f"{package} is not installed: see the tool's requirements.txt")
    return str(Path(found.submodule_search_locations[0], *path))
