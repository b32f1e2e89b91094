"""What a mesh looks like: scan conversion and normals, in numpy, for renderer and outputs alike."""
