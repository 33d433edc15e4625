"""Generated data that take the place of absent files."""
