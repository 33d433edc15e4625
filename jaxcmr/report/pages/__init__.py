"""Pages for a browser: one template, one style, no network."""
