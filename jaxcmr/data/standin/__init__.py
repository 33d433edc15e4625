"""Generated data that stand in where files are absent."""
