"""How a raw item becomes a row, step by step, for people who write it again in another language.

The steps name fields of the recipe, which stands beside them with its numbers.
"""

from functools import singledispatch

from jaxcmr.data.items import texts
from jaxcmr.data.items.render import BORDER
from jaxcmr.data.preparation import Recipe
from jaxcmr.data.preparation.digits import DigitPoints
from jaxcmr.data.preparation.objects import ObjectFaces, ObjectPoints, ObjectViews
from jaxcmr.data.preparation.pictures import Picture, Pixels, Views
from jaxcmr.data.preparation.shapes import Cloud, FramePoints, Surface
from jaxcmr.data.preparation.vectors import Given, GivenMesh, Text

READ_PICTURE = (
    "Read the picture (PNG or JPEG): its first frame, turned upright as EXIF says, 8 bits a channel"
    " (of 16 bits the high byte); color profiles are not applied. Put what is transparent on white."
)
SPHERE = (
    "In float64, subtract (min + max) / 2 of each axis, and divide by the largest norm of a point."
)
SURFACE = (
    "Read the triangles of the mesh, z up; glTF, which has y up, is turned: (x, y, z) to "
    "(x, -z, y). Leave out vertices of no triangle."
)
DRAW_CLOUD = (
    "Take the points in the order of rng.permutation(N), from its beginning again where they are "
    "fewer than `points`, until there are `points`; float32."
)
DRAW_SURFACE = (
    "Draw `points` points: with all triangles laid side by side by their areas (their sum is A), "
    "point i lies at (i + rng.random(points)[i]) / points * A, in the triangle (a, b, c) there; "
    "then r = sqrt(rng.random((points, 1))), s = rng.random((points, 1)), and the point is "
    "(1 - r) a + r (1 - s) b + r s c; last, rng.permutation(points drawn); float32."
)
OBJECT_DRAW = (
    "rng is numpy.random.default_rng([seed, crc32 of the file's name without ending in UTF-8]); "
    "of an array, which has no name, the crc32 is 0."
)


def steps(recipe: Recipe) -> list[str]:
    """Returns the steps from a raw item to its row, one sentence or more each."""
    found = _steps(recipe)
    if recipe.standard is not None:
        found.append(
            "Subtract `standard.mean` from the row and divide it by `standard.scale`, in float64; "
            "then float32."
            + (" Rows of texts without a known token stay zeros." if recipe.kind == "text" else "")
        )
    return found


@singledispatch
def _steps(recipe: Recipe) -> list[str]:
    raise TypeError(f"no words for {type(recipe).__name__}")


@_steps.register
def _(recipe: Picture) -> list[str]:
    return [READ_PICTURE, *_fit(recipe), _arrays(recipe)]


@_steps.register
def _(recipe: Views) -> list[str]:
    views = recipe.shape[0]
    return [
        f"An object is {views} pictures, in their order; one picture alone stands for each of them."
        " The next steps are for each picture.",
        READ_PICTURE,
        *_fit(recipe),
        _arrays(recipe),
    ]


def _fit(recipe: Pixels) -> list[str]:
    height, width, channels = recipe.shape[-3:]
    grey = "grey, (299 R + 587 G + 114 B) / 1000" if channels == 1 else "RGB"
    scale = (
        "uint8, 0 black and 255 white: the program divides by 255 itself."
        if recipe.dtype == "uint8"
        else "divided by 255, float32 in [0, 1]."
    )
    return [
        f"Convert it to {grey}. Fit it in, keeping its shape: where it is larger, shrink it by "
        f"Pillow's thumbnail(({width}, {height})); then resize it (Pillow's resize: bicubic) to its"
        f" sides times min({width} / width, {height} / height), rounded, at least 1.",
        f"Paste it at ((W - w) // 2, (H - h) // 2) on a canvas of W, H = {width}, {height} pixels "
        f"of the grey {recipe.margin}.",
        f"The row is {list(recipe.shape)} (height, width, channels last), {scale}",
    ]


def _arrays(recipe: Pixels) -> str:
    whites = ", ".join(f"{white} of {name}" for name, white in recipe.whites.items())
    return (
        f"An array that has the shape of a row already is not fitted in, but its numbers are "
        f"brought to that scale; white is {whites or '255 of uint8'}."
    )


@_steps.register
def _(recipe: Cloud) -> list[str]:
    return [
        "Read the points [N, 3] of the cloud, z up.",
        SPHERE,
        "rng is numpy.random.default_rng(seed). " + DRAW_CLOUD,
    ]


@_steps.register
def _(recipe: FramePoints) -> list[str]:
    frame = (
        "Of a photograph of RGB-D Object, take the pixels of *_depthcrop.png that are not 0 (and "
        "in the mask, where there is one): with depth d in metres at column u and row v of the "
        "whole frame, counted from 1, x = (u - 320) d / 570.3, y = d, z = (240 - v) d / 570.3."
    )
    return [frame, *_steps.dispatch(Cloud)(recipe)]


@_steps.register
def _(recipe: Surface) -> list[str]:
    return [SURFACE, SPHERE, "rng is numpy.random.default_rng(seed). " + DRAW_SURFACE]


@_steps.register
def _(recipe: DigitPoints) -> list[str]:
    return [
        "A row [points, 3] of a cloud of digits that was drawn before is taken as it is.",
        "A picture of a digit, white on black: fit it into 28 x 28 grey pixels on black, as "
        "pictures are fitted, and pad it by one pixel. Each pixel above 0 is a box 1 x 1 x 6 in "
        "(row, column, z) around (row, column, 0). Its points, in this order: on the faces z = 3 "
        "and z = -3 five by five in (row, column), evenly from -1/2 to 1/2; on the sides row - 1/2,"
        " row + 1/2, column - 1/2, column + 1/2 whose neighbor pixel is 0, thirty in z, evenly "
        "from -3 to 3, by five along the side.",
        "Frame it: with a the longest of the three axes, subtract the least coordinate of a from "
        "all coordinates, divide by the extent of a, and subtract the mean.",
        "Turn a picture's cloud: (x, y, z) to (z, y, -x). A cloud of a file is only framed.",
        "Draw rows numpy.random.default_rng([seed, 0]).choice(N, points, replace=N < points); "
        "float32.",
    ]


@_steps.register
def _(recipe: ObjectPoints) -> list[str]:
    return [
        f"Of a mesh: {SURFACE} {SPHERE} {DRAW_SURFACE}",
        f"Of a cloud: {SPHERE} {DRAW_CLOUD}",
        OBJECT_DRAW,
    ]


@_steps.register
def _(recipe: ObjectFaces) -> list[str]:
    return [
        SURFACE,
        SPHERE,
        f"{OBJECT_DRAW} It first draws `points` points, as for clouds: {DRAW_SURFACE}",
        "Leave out triangles without area. Of more than `faces`, keep the `faces` largest values of"
        " log(1 - rng.random(count)) / area, in their order in the file.",
        "`centers` is the mean of the corners; `corners` are the three corners minus the center, "
        "nine numbers; `normals` are unit, (b - a) x (c - a); `neighbors` are the rows of the "
        "triangles behind the edges ab, bc, ca, the triangle itself where there is none (corners "
        "closer than 1e-6 are one; of three or more at an edge, the next in order); `mask` is true."
        " Fill up to `faces` rows with zeros, with itself as neighbors, and with false.",
    ]


@_steps.register
def _(recipe: ObjectViews) -> list[str]:
    given = [
        f"Given as {recipe.views} pictures (one alone stands for each): {READ_PICTURE}",
        *_fit(Views(shape=(*recipe.shape[:3], 1), dtype=recipe.dtype)),
    ]
    if recipe.channels == 3:
        given.append("The grey is repeated for the 3 channels.")
    if not recipe.rendered:
        return given
    return [
        f"Rendered of a mesh or a cloud: {SPHERE} Orthographic cameras look at the origin from "
        "azimuths 360 / views degrees apart, the first from -y, at `elevation` degrees above the "
        f"plane; the picture is {BORDER} times as wide as the widest view of the object, the same "
        "scale in all views, on white (255).",
        "A surface with the unit normal n towards the viewer, in the camera's frame (right, up, "
        "towards), has the brightness (0.22 + 0.73 max(n.l, 0)) (0.9 + 0.1 z), l the unit vector "
        "along (-0.45, 0.6, 0.66), z the depth towards the camera; edges are averaged over four "
        "rays a pixel. Clouds are drawn as discs in their tangent planes; no renderer gives these "
        "pixels to the last bit but jaxcmr/data/items/render.py, which needs no accelerator.",
        *given,
    ]


@_steps.register
def _(recipe: Given) -> list[str]:
    return [
        f"The row is an array {list(recipe.shape)} of numbers as the model was trained on, float32;"
        " how they were made is not known here: make them the same way."
    ]


@_steps.register
def _(recipe: GivenMesh) -> list[str]:
    return [
        "The row is a dict of arrays by name, as the model was trained on; how they were made is "
        "not known here: make them the same way."
    ]


@_steps.register
def _(recipe: Text) -> list[str]:
    joiners = ", ".join(f"U+{code:04X}" for code in texts.JOINERS)
    return [
        f"Remove the characters {joiners}; then normalise to NFKC and fold case (Python's "
        "str.casefold).",
        "Cut the text by the regular expression `token_pattern` (Python's syntax). What its group "
        "`unspaced` finds gives each of its letters and each pair of neighbors; any other match is "
        "one token, unless it is made of _ alone. A text without any token gives each character "
        "that is no blank.",
        "Number i of the row is (1 + ln(count)) * tfidf.idf[i], where count says how often the "
        "token tfidf.words[i] occurs, and 0 where it does not; divide the row by its length; "
        "float32.",
        "Nothing is known of a text without any token of tfidf.words: take an embedding of zeros, "
        "not the program's.",
    ]
