"""Retrieval: exact ranking, scores and search."""
