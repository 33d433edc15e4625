"""The convolution of all image encoders, in the form that is fast on the platform at hand."""
