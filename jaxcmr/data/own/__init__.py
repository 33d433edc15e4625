"""Your own data: arrays, manifests, labels of any form."""
