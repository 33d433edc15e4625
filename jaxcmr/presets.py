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
