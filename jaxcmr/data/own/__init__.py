"""A person's own data: arrays, manifests, labels of any form."""
