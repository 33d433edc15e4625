"""The audit: which labels of a run look wrong, why, and what they should be."""
