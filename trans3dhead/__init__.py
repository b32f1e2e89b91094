"""Trans3DHead: 68 landmarks, 413 FLAME parameters and a 5023-vertex head mesh from one photo."""

from trans3dhead._version import VERSION as __version__

__all__ = ["__version__"]
