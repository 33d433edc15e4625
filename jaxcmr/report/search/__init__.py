"""A search for people: pictures of hits, a sheet of them, and the page that a server shows."""
