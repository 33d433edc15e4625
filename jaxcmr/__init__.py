"""jaxcmr: cross-modal retrieval that survives wrong labels, in JAX and Flax."""
