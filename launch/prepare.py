"""Prepares data ahead of a run, and shows what is in it.

    python launch/prepare.py modelnet10 --root=DATA --picture=modelnet10.png
    python launch/prepare.py own --path=items.csv --picture=items.png
    python launch/prepare.py points --source=clouds.npz --output=DATA/modelnet10.npz
    python launch/prepare.py features --source=theirs.npz --output=DATA/wikipedia.npz --modality ...

A preparation that was interrupted goes on where it stopped; what is prepared is not done again.
The formats are described in jaxcmr/data/README.md.
"""

import argparse
import sys
import time
from typing import NoReturn

import environment
from absl import flags

from jaxcmr.config.checks import check_value
from jaxcmr.data.outputs import check_output
from jaxcmr.data.own.names import suggestion
from jaxcmr.errors import UsageError
from jaxcmr.storage.paths import expanded

SOURCES = {
    "modelnet10": "clouds and views of ModelNet10",
    "modelnet40": "clouds and views of ModelNet40",
    "procedural10": "the stand-in for ModelNet10",
    "mnist3d": "pictures and clouds of digits",
    "digits": "the stand-in for 3D MNIST",
    "rgbd_object": "photographs and clouds of RGB-D Object",
    "own": "your own manifest or arrays (--path)",
    "wikipedia": "features of Wikipedia",
    "nuswide10": "features of NUS-WIDE-10",
    "inria": "features of INRIA-Websearch",
    "xmedia": "features of XMedia",
    "xmedianet": "features of XMediaNet",
    "pascal": "features of Pascal Sentence",
}
FIELDS = (
    "root", "path", "points", "faces", "views", "image_size", "channels", "train_size",
    "test_size", "seed", "corrections",
)  # fmt: skip


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one sentence, and that completes no flag."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raises a `UsageError`; argparse would print how all flags are used."""
        raise UsageError(f"{message}; see {self.prog} --help")


def main(argv: list[str]) -> int:
    """Runs one subcommand; a user's mistake becomes one sentence and exit code 2."""
    try:
        arguments = _parse(argv)
        flags.FLAGS.mark_as_parsed()  # there are no flags of absl; its logger asks for this
        environment.set_up_log()
        arguments.run(arguments)
    except UsageError as error:
        # What a config calls config.data.views is the flag --views here.
        sentence = str(error).replace("--config.data.", "--").replace("config.data.", "--")
        print(f"error: {sentence}", file=sys.stderr)
        return 2
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    arguments, rest = _parser().parse_known_args(argv)
    for word in rest:
        flag = word.partition("=")[0]
        known = tuple(f"--{name}" for name in vars(arguments))
        raise UsageError(
            f"{flag} is no flag of this command{suggestion(flag, known)}; see --help"
            if flag.startswith("-")
            else f"{word!r} is no flag; flags begin with two dashes, see --help"
        )
    return arguments


def _parser() -> Parser:
    parser = Parser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in SOURCES.items():
        command = commands.add_parser(name, help=text)
        command.set_defaults(run=_prepare, name=name)
        if name == "own":
            command.add_argument("--path", required=True, help="your own file or folder")
        else:
            command.add_argument("--root", default="", help="folder of the data")
        command.add_argument("--modalities", help="names, with commas between; default: all usual")
        command.add_argument("--points", type=int, help="points a cloud")
        command.add_argument("--faces", type=int, help="faces a mesh")
        command.add_argument("--views", type=int, help="azimuths an object")
        command.add_argument("--image_size", type=int, help="pixels")
        command.add_argument("--channels", type=int, help="1 grey, 3 RGB")
        command.add_argument("--train_size", type=int, help="rows of a stand-in")
        command.add_argument("--test_size", type=int, help="rows of a stand-in")
        command.add_argument("--seed", type=int, help="of sampling, splits and generator")
        command.add_argument("--workers", type=int, default=0, help="processes; 0: one a core")
        command.add_argument("--corrections", default="", help="tables of ids and right labels")
        command.add_argument("--picture", default="", help="write a contact sheet (.png) here")
    command = commands.add_parser("points", help="convert clouds into our point file")
    command.set_defaults(run=_convert_points)
    command.add_argument("--source", required=True, help=".npz or .h5 with both splits")
    command.add_argument("--output", required=True, help="the .npz to write")
    command.add_argument("--points_key", default="{split}_points", help="name of the clouds")
    command.add_argument("--labels_key", default="{split}_labels", help="name of the labels")
    command.add_argument("--names_key", default="{split}_names", help="name of the ids")
    command.add_argument("--classes_key", default="class_names", help="name of the class names")
    command.add_argument("--low", type=float, default=-1, help="value of the smallest integer")
    command.add_argument("--high", type=float, default=1, help="value of the largest integer")
    command = commands.add_parser("features", help="convert features into our feature file")
    command.set_defaults(run=_convert_features)
    command.add_argument("--source", required=True, help=".npz, .h5 or .mat with the splits")
    command.add_argument("--output", required=True, help="the .npz to write")
    _add_pairs(command, "--modality", "NAME=KEY", "our modality and its array's name, in which "
               "{split} stands for the split", required=True)  # fmt: skip
    _add_pairs(command, "--scale", "NAME=KEY", "modality and the array it is multiplied by")
    _add_pairs(command, "--split", "NAME=THEIRS", "train, test or validation and its name there")
    command.add_argument("--labels_key", default="", help="name of the labels, with {split}")
    command.add_argument("--classes_key", default="", help="name of the class names")
    command.add_argument(
        "--validation_rows", type=int, default=0, help="test rows, from the first, to validate by"
    )
    return parser


def _add_pairs(command: argparse.ArgumentParser, flag: str, form: str, text: str, **more) -> None:
    """Adds a flag that takes one or more `NAME=VALUE`."""
    command.add_argument(flag, nargs="+", action="extend", metavar=form, help=text, **more)


def _pairs(words: list[str] | None, flag: str) -> dict[str, str]:
    """Returns `{NAME: VALUE}` of the words `NAME=VALUE` of a flag."""
    found: dict[str, str] = {}
    for word in words or []:
        name, _, value = word.partition("=")
        if not name or not value:
            raise UsageError(f"{flag} takes NAME=VALUE, not {word!r}")
        if name in found:
            raise UsageError(f"{flag} has {name!r} twice; keep one")
        found[name] = value
    return found


def _prepare(arguments: argparse.Namespace) -> None:
    from jaxcmr import data, presets
    from jaxcmr.config import default
    from jaxcmr.data import corrections
    from jaxcmr.data.splits import parts
    from jaxcmr.types import Splits

    config = default().data
    config.name = arguments.name
    if arguments.name == "own":
        presets.own_items(config)
    for field in FIELDS:
        if getattr(arguments, field, None) is not None:
            config[field] = getattr(arguments, field)
            check_value(f"data.{field}", config[field])
    if arguments.workers < 0:
        raise UsageError(f"--workers is {arguments.workers}, but it must be 0 or more")
    if arguments.modalities is not None:
        config.modalities = tuple(name.strip() for name in arguments.modalities.split(","))
    elif arguments.name in data.LAYOUTS:
        config.modalities = ("image", "text")
    elif arguments.name == "own":
        config.modalities = tuple(data.outline(config).kinds)
    if "" in config.modalities or len(set(config.modalities)) < len(config.modalities):
        raise UsageError(
            f"--modalities is {arguments.modalities!r}, but it must be names, each once"
        )
    picture = expanded(arguments.picture) if arguments.picture else None
    if picture is not None:
        check_output(picture, ".png")
    started = time.perf_counter()
    splits = data.load(config, workers=arguments.workers)
    seconds = time.perf_counter() - started
    if config.corrections:
        left, _ = corrections.applied(config.corrections, parts(splits))
        splits = Splits(**left)
    print(data.describe(splits))
    rows = sum(len(part) for part in (splits.train, splits.validation, splits.test) if part)
    print(f"{seconds:.1f} s for {rows} rows ({100 * seconds / rows:.2f} s per 100)")
    if arguments.picture:
        data.draw_sheet(splits.train, expanded(arguments.picture))
        print(f"contact sheet: {arguments.picture}")


def _convert_points(arguments: argparse.Namespace) -> None:
    from jaxcmr.data.formats import pointfiles

    keys = pointfiles.Keys(
        arguments.points_key, arguments.labels_key, arguments.names_key, arguments.classes_key
    )
    output = expanded(arguments.output)
    found = pointfiles.convert(
        expanded(arguments.source), output, keys, arguments.low, arguments.high
    )
    print(f"{output}: " + ", ".join(f"{count} {name}" for name, count in found.items()))


def _convert_features(arguments: argparse.Namespace) -> None:
    from jaxcmr.data.own import featurefiles

    output = expanded(arguments.output)
    written = featurefiles.convert(
        expanded(arguments.source),
        output,
        _pairs(arguments.modality, "--modality"),
        labels=arguments.labels_key,
        classes=arguments.classes_key,
        scales=_pairs(arguments.scale, "--scale"),
        splits=_pairs(arguments.split, "--split"),
        validation_rows=arguments.validation_rows,
    )
    print(f"{output}: " + ", ".join(f"{name} {what}" for name, what in written.items()))


if __name__ == "__main__":
    environment.prepare()
    environment.guarded(lambda: main(sys.argv[1:]))
