"""A trained run behind HTTP: a page to search with, the same as JSON, and limits for strangers."""

from jaxcmr import packages

packages.load("starlette")  # a sentence where the extra is missing, before anything imports it
packages.load("uvicorn")
