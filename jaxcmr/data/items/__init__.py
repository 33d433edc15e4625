"""What items are: vectors, clouds, pictures, meshes; and how they are brought to one form."""
