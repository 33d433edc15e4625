"""Vectors, clouds, pictures, meshes and texts as arrays."""
