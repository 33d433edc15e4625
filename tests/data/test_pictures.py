import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxcmr.data.formats.pictures import open_picture, read_image
from jaxcmr.errors import UsageError

# Blue, red above white: no turn and no mirror leaves it as it is.
SCENE = np.full((16, 16, 3), 255, np.uint8)
SCENE[:8, :8] = (0, 0, 255)
SCENE[:8, 8:] = (255, 0, 0)
# How a camera of each EXIF orientation stores the scene.
STORED = {
    1: SCENE,
    2: SCENE[:, ::-1],
    3: SCENE[::-1, ::-1],
    4: SCENE[::-1],
    5: SCENE.transpose(1, 0, 2),
    6: SCENE.transpose(1, 0, 2)[::-1],
    7: SCENE.transpose(1, 0, 2)[::-1, ::-1],
    8: SCENE.transpose(1, 0, 2)[:, ::-1],
}
GREY, COLOR, PALETTE, GREY_ALPHA, COLOR_ALPHA = 0, 2, 3, 4, 6  # color types of PNG
RED_GREEN_BLUE = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255])


def chunk(name: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum


def png(depth: int, color: int, rows: list[bytes], width: int, extra: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, len(rows), depth, color, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + extra
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def read(tmp_path):
    """Reads the bytes of a square picture at its own size."""

    def _read(data: bytes, size: int = 2, channels: int = 1) -> list:
        (tmp_path / "x.png").write_bytes(data)
        return read_image(tmp_path / "x.png", size, channels).squeeze().tolist()

    return _read


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".JPEG", ".jfif"])
def test_a_photograph_stands_as_its_camera_says(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x{suffix}"
    quality = {} if suffix == ".png" else {"quality": 100, "subsampling": 0}
    form = "PNG" if suffix == ".png" else "JPEG"
    Image.fromarray(STORED[orientation]).save(path, form, exif=exif, **quality)
    seen = read_image(path, 16, 3).astype(int)
    np.testing.assert_allclose(seen, SCENE, atol=3)


@pytest.mark.parametrize("junk", [b"", b"junk", b"MM\0\x2ajunkjunk", b"II\x2a\0\x08\0\0\0\xff"])
def test_damaged_exif_data_say_nothing(read, junk):
    assert read(png(8, GREY, [b"\0\x40", b"\x80\xff"], 2, chunk(b"eXIf", junk))) == [
        [0, 64],
        [128, 255],
    ]


def test_grey_of_every_depth_keeps_its_values(read):
    assert read(png(1, GREY, [b"\x40", b"\x80"], 2)) == [[0, 255], [255, 0]]
    assert read(png(2, GREY, [b"\x10", b"\xb0"], 2)) == [[0, 85], [170, 255]]
    assert read(png(4, GREY, [b"\x01", b"\x8f"], 2)) == [[0, 17], [136, 255]]
    assert read(png(8, GREY, [b"\x00\x01", b"\x80\xff"], 2)) == [[0, 1], [128, 255]]
    rows = [struct.pack(">HH", 0, 0x01FF), struct.pack(">HH", 0x8000, 0xFFFF)]
    assert read(png(16, GREY, rows, 2)) == [[0, 1], [128, 255]]


def test_sixteen_bits_of_which_the_high_ones_are_never_used_are_refused(read):
    with pytest.raises(UsageError, match=r"x\.png has 16 bits, but its pixels reach 255 of 65535"):
        read(png(16, GREY, [struct.pack(">HH", 0, 255), struct.pack(">HH", 7, 8)], 2))
    assert read(png(16, GREY, [bytes(4), bytes(4)], 2)) == [[0, 0], [0, 0]]


def test_what_is_transparent_shows_the_white_behind_it_at_every_depth(read):
    clear = lambda *values: chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))
    assert read(png(1, GREY, [b"\x40", b"\x80"], 2, clear(0))) == [[255, 255], [255, 255]]
    assert read(png(2, GREY, [b"\x10", b"\xb0"], 2, clear(2))) == [[0, 85], [255, 255]]
    assert read(png(4, GREY, [b"\x01", b"\x8f"], 2, clear(1))) == [[0, 255], [136, 255]]
    assert read(png(8, GREY, [b"\x00\x01", b"\x80\xff"], 2, clear(0))) == [[255, 1], [128, 255]]
    rows = [struct.pack(">HH", 0, 0x01FF), struct.pack(">HH", 0x01FE, 0xFFFF)]
    assert read(png(16, GREY, rows, 2, clear(0x01FF))) == [[0, 255], [1, 255]]
    rows = [struct.pack(">6H", 0, 0, 0, 0x1234, 0x5678, 0x9ABC)] * 2
    assert (
        read(png(16, COLOR, rows, 2, clear(0x1234, 0x5678, 0x9ABC)), channels=3)
        == [[[0, 0, 0], [255, 255, 255]]] * 2
    )


def test_alpha_mixes_with_white(read):
    # Half of black is 255 - 128 = 127 on white.
    assert read(png(8, GREY_ALPHA, [b"\0\xff\0\x80"] * 2, 2)) == [[0, 127]] * 2
    rows = [struct.pack(">4H", 0, 0xFFFF, 0, 0x8000)] * 2
    assert read(png(16, GREY_ALPHA, rows, 2)) == [[0, 127]] * 2
    rows = [bytes([255, 0, 0, 255, 255, 0, 0, 128])] * 2
    assert read(png(8, COLOR_ALPHA, rows, 2), channels=3) == [[[255, 0, 0], [255, 127, 127]]] * 2
    rows = [struct.pack(">8H", 0xFFFF, 0, 0, 0xFFFF, 0xFFFF, 0, 0, 0x8000)] * 2
    assert read(png(16, COLOR_ALPHA, rows, 2), channels=3) == [[[255, 0, 0], [255, 127, 127]]] * 2


def test_a_palette_gives_its_colors_and_their_transparency(read):
    palette = chunk(b"PLTE", RED_GREEN_BLUE)
    rows = [b"\0\1", b"\2\0"]
    red, green, blue, white = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]
    assert read(png(8, PALETTE, rows, 2, palette), channels=3) == [[red, green], [blue, red]]
    clear = chunk(b"tRNS", bytes([255, 0, 128]))
    half = [127, 127, 255]
    assert read(png(8, PALETTE, rows, 2, palette + clear), channels=3) == [
        [red, white],
        [half, red],
    ]
    assert read(png(4, PALETTE, [b"\x01", b"\x20"], 2, palette), channels=3) == [
        [red, green],
        [blue, red],
    ]


def test_inks_are_inverted_as_adobe_writes_them(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "x.jpg", quality=100)
    np.testing.assert_allclose(read_image(tmp_path / "x.jpg", 1, 3)[0, 0], [255, 0, 0], atol=3)
    # The same as YCCK: the luma and chroma of cyan (the ink that red lacks), inverted like inks.
    luma, blue, red = 179, 171, 0
    Image.new("CMYK", (16, 16), (255 - luma, 255 - blue, 255 - red, 0)).save(
        tmp_path / "y.jpg", quality=100
    )
    data = bytearray((tmp_path / "y.jpg").read_bytes())
    data[data.index(b"Adobe") + 11] = 2  # the transform: YCCK
    (tmp_path / "y.jpg").write_bytes(data)
    np.testing.assert_allclose(read_image(tmp_path / "y.jpg", 1, 3)[0, 0], [255, 0, 0], atol=4)


def test_of_several_frames_the_first_is_taken(tmp_path):
    red, blue = (Image.new("RGB", (8, 8), name) for name in ("red", "blue"))
    for name, form in (("x.png", "PNG"), ("x.jpg", "MPO")):
        red.save(tmp_path / name, format=form, save_all=True, append_images=[blue])
        np.testing.assert_allclose(read_image(tmp_path / name, 1, 3)[0, 0], [255, 0, 0], atol=3)


@pytest.mark.parametrize("profile", [b"junk", bytes(3 << 20)])
def test_a_color_profile_does_no_harm(read, profile):
    chunks = chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))
    assert read(png(8, GREY, [b"\0\x40", b"\x80\xff"], 2, chunks)) == [[0, 64], [128, 255]]


def test_a_short_file_that_announces_many_pixels_is_refused_before_they_are_allocated(read):
    black = png(1, GREY, [bytes(250)] * 2000, 2000)
    assert len(black) < 600 and len(read(black, size=8)) == 8  # 4 million pixels
    cut = png(1, GREY, [bytes(1125)] * 9000, 9000)[:300]
    with pytest.raises(UsageError, match="is cut off: it announces 9000 x 9000 pixels"):
        read(cut)


@pytest.mark.parametrize(
    ("form", "data", "message"),
    [
        ("WEBP", b"", "is no PNG or JPEG, but WebP; put"),
        ("GIF", b"", "is no PNG or JPEG, but GIF; put"),
        ("TIFF", b"", "is no PNG or JPEG, but TIFF; put"),
        ("", b"<!DOCTYPE html>", "is no PNG or JPEG, but a page; put"),
        ("", b"", "is no PNG or JPEG: it is empty"),
        ("", b"abc", "is no PNG or JPEG$"),
    ],
)
def test_what_is_named_as_a_picture_by_mistake_is_called_by_its_name(tmp_path, form, data, message):
    (tmp_path / "x.jpg").write_bytes(data)
    if form:
        Image.new("RGB", (4, 4)).save(tmp_path / "x.jpg", format=form)
    with pytest.raises(UsageError, match=message):
        read_image(tmp_path / "x.jpg", 4, 3)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.binary(max_size=30), st.integers(0, 120), st.integers(0, 120))
def test_no_bytes_make_it_fail_otherwise(tmp_path_factory, junk, start, stop):
    good = png(16, GREY, [struct.pack(">HH", 0, 700)] * 2, 2, chunk(b"tRNS", b"\0\0"))
    path = tmp_path_factory.mktemp("png") / "x.png"
    path.write_bytes(good[: min(start, stop)] + junk + good[max(start, stop) :])
    try:
        assert read_image(path, 4, 3).shape == (4, 4, 3)
    except UsageError as error:
        assert str(error).isprintable()


def test_a_transparency_of_more_colors_than_a_palette_can_have_is_damage(tmp_path):
    extra = chunk(b"PLTE", RED_GREEN_BLUE) + chunk(b"tRNS", bytes(300))
    (tmp_path / "a.png").write_bytes(png(8, PALETTE, [bytes(3)], 3, extra))
    with pytest.raises(UsageError, match="cannot be read"):
        read_image(tmp_path / "a.png", 4, 3)


@pytest.mark.parametrize(("least", "size"), [(0, (400, 300)), (100, (200, 150)), (9, (50, 38))])
def test_a_photograph_is_decoded_at_a_part_of_its_size_that_is_not_too_small(tmp_path, least, size):
    Image.new("RGB", (400, 300), "red").save(tmp_path / "a.jpg")
    assert open_picture(tmp_path / "a.jpg", least=least).size == size
