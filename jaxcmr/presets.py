"""Data sets, with towers that learn them from scratch on two CPU cores."""

from ml_collections import ConfigDict

from jaxcmr.config import default, encoder, method


def digits(config: ConfigDict) -> None:
    """Sets 3D MNIST, as pictures and point clouds."""
    config.data.name = "mnist3d"
    config.data.fallback = "digits"
    config.data.points = 2048  # with 512 this width is 7 points of mAP worse
    config.encoders.embedding_size = 128
    config.encoders.image = encoder(
        "compact_cnn", head="linear", augment={"warp_images": 0.2, "crop_images": 2}
    )
    config.encoders.points = encoder(
        "triplane_cnn",
        extent=0.65,
        head="linear",
        augment={"roll_points": 0.25, "scale_points": 0.2, "shift_points": 0.05},
    )


def furniture(config: ConfigDict) -> None:
    """Sets ModelNet10, as rendered views and point clouds."""
    config.data.name = "modelnet10"
    config.data.fallback = "procedural10"
    config.data.points = 1024
    config.encoders.embedding_size = 128
    config.encoders.image = encoder(
        "compact_cnn", views=2, head="linear", augment={"flip_images": 0.5, "crop_images": 4}
    )
    config.encoders.points = encoder(
        "triplane_cnn",
        head="linear",
        augment={"scale_points": 0.2, "rotate_points": 0.3, "jitter_points": 0.01},
    )


def articles(config: ConfigDict, **options) -> None:
    """Sets Wikipedia, as features of pictures and texts; `options` are those of the encoder."""
    config.data.name = "wikipedia"
    config.data.modalities = config.data.standardize = ("image", "text")
    config.encoders.embedding_size = 256
    for modality in config.data.modalities:
        config.encoders[modality] = encoder("fc", hidden=(1024, 1024), **options)


def own_items(data: ConfigDict) -> None:
    """Sets the sizes to which items of your own are brought, in training and where they are shown.

    `data` is the section of this name of a config.
    """
    data.points = 256
    data.channels = 3


def own(config: ConfigDict) -> None:
    """Sets your own data, at `data.path`; what depends on them stays open (`own.complete`)."""
    config.data.name = "own"
    config.data.modalities = ()  # open: all that the data have
    config.data.validation = -1.0  # open: a tenth, at least two rows
    own_items(config.data)
    config.train.batch_size = 0  # open: 128, or all rows where there are fewer
    config.noise.rate = 0.0
    config.audit.test = True  # its labels are as wrong as all others


def own_audit() -> ConfigDict:
    """Returns a config that looks for wrong labels in your own data: MMCD, five members."""
    config = default()
    own(config)
    config.data.validation = 0.0  # no epoch is chosen
    config.method = method("mmcd", label_weight=1.0, warmup_epochs=3)
    config.ensemble.members = 5
    return config


def shorten(config: ConfigDict, epochs: int, batch_size: int) -> None:
    """Sets the length of every stage, for smoke runs."""
    for part in (config, *config.stage.values()):
        part.train.epochs, part.train.batch_size = epochs, batch_size
