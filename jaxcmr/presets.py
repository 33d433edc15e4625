"""The numbers of the published methods, as `config.method` takes them."""

# RONO, Feng et al., CVPR 2023: the released branches `main` (3D MNIST) and `ModelNet`.
RONO_MNIST3D = {
    "name": "rono",
    "tau1": 0.05,
    "tau2": 0.05,
    "margin": 0.3,
    "warmup_epochs": 25,
    "crc_scale": 5.0,
    "mg_temperature": 0.22,
    "crc_weight": 1.0,
    "rdc_weight": 1.0,
    "mg_weight": 1.0,
}
# Pairs alone: the floor.
MC = {"name": "mc", "temperature": 0.2, "copies": 1}
# RoMo, Li et al., TIP 2024: the two stages.
ROMO_MATCHING = {
    "name": "matching",
    "ssm_weight": 0.75,
    "mlm_weight": 0.25,
    "information_weight": 0.0,
    "mlm_temperature": 0.05,
    "decay": 0.9,
    "scale": 1.0,
    "warmup_epochs": 0,
    "cluster_every": 0,
}
# The same with what was found to help: clusters of learned embeddings, and information between
# modalities in place of the memories' classes as targets (see `methods/matching.py`).
ROMO_CLUSTERS = ROMO_MATCHING | {
    "scale": 10.0,
    "ssm_weight": 0.25,
    "mlm_weight": 0.1,
    "mlm_temperature": 0.2,
    "information_weight": 1.0,
}
ROMO = {
    "name": "romo",
    "label_loss": "robust_concentrating",
    "alpha": 0.25,
    "clip": -1.0,  # 1 / K
    "clip_from": 2,  # epochs
    "rcll_weight": 0.7,
    "mlm_weight": 0.7,
    "mlm_temperature": 0.15,
}
# MRL, Hu et al., CVPR 2021: Wikipedia.
MRL = {"name": "mrl", "tau": 1.0, "beta": 0.7, "temperature": 1.0}
# MMCD as reconstructed here; the published numbers are not known.
MMCD = {
    "name": "mmcd",
    "label_loss": "generalized_cross_entropy",
    "label_weight": 1.0,
    "dcl_weight": 1.0,
    "prior_weight": 0.0,
    "temperature": 0.3,
    "warmup_epochs": 5,
    "peer_votes": True,
    "memory_decay": 0.7,
    "threshold": "class_mean",
    "threshold_decay": 0.95,
    "min_share": 0.66,
    "min_confidence": 0.5,
    "held_out_share": 0.05,
    "agreement_decay": 0.99,
    "gate": 0.7,
}
RONO_MODELNET = {
    "name": "rono",
    "tau1": 0.01,
    "tau2": 0.5,
    "margin": 0.2,
    "warmup_epochs": 20,
    "crc_scale": 20.0,
    "mg_temperature": 0.3,
    "crc_weight": 0.1,
    "rdc_weight": 1.0,
    "mg_weight": 0.3,
}
