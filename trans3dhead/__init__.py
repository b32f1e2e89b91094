"""Trans3DHead: 68 landmarks, 413 FLAME parameters and a 5023-vertex head mesh from one photo."""

__version__ = "0.1.0"
