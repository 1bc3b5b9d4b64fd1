"""One image file to one tensor of 8-bit pixels, or to a sentence that says what is wrong with the file."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from chainrule.errors import InputError
from chainrule.shapes import Tensor, UInt8

#: What is read. Pillow knows more formats; some of them start other programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
EXTENSIONS = frozenset({"png", "jpg", "jpeg", "bmp", "gif", "tif", "tiff", "webp", "ppm", "pgm"})
#: More pixels than these (256 MiB as RGB) are refused: a small file can unpack to any size.
MAX_PIXELS = 89_478_485
#: Value of full white in greyscale modes of more than 8 bits.
DEEP_WHITE = {"I": 65535, "I;16": 65535, "I;16L": 65535, "I;16B": 65535, "I;16N": 65535, "F": 1}
GREY = frozenset({"1", "L", "LA", *DEEP_WHITE})
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})

# The filters of warnings belong to the whole process, so only one thread at a time may change them.
_FILTERS = Lock()


def image_header(path: str | os.PathLike[str]) -> tuple[str, int, int]:
    """Pillow's mode, and the height and width of the upright image, read from the header alone.

    Raises:
        InputError: When the file is missing, empty, no image, or has more than ``MAX_PIXELS`` pixels.
    """
    with _opened(Path(path)) as image:
        width, height = image.size
        # Pillow gives the upright size of a TIFF itself. Of a PNG it would decode all pixels, as the orientation may
        # stand behind them.
        stored = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        if stored and image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8):
            height, width = width, height
        return image.mode, height, width


def read_image(
    path: str | os.PathLike[str], channels: int, size: tuple[int, int] | None = None
) -> UInt8[Tensor, "c h w"]:
    """Decode an image file: upright as its EXIF data say, on white where transparent, the first of several frames.

    Greyscale of 16 bits (0 to 65535) and of floats (0 to 1) is scaled to 8 bits.

    Args:
        path: The file.
        channels: 1 for grey, 3 for red, green and blue.
        size: Height and width to resize to (bilinear, antialiased); None keeps the image's own.

    Raises:
        InputError: When the file is missing, empty, no image or damaged, has more than ``MAX_PIXELS`` pixels, or values
            outside the range of its mode.
    """
    if channels not in (1, 3):
        raise InputError(f"Image files are read with 1 or 3 channels; received {channels}.")
    with _opened(Path(path)) as image:
        upright = ImageOps.exif_transpose(image)
        flat = _on_white(_to_eight_bits(upright, path)).convert("L" if channels == 1 else "RGB")
        if size is not None and size != (flat.height, flat.width):
            flat = flat.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(flat))
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1).contiguous()


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The image of a file with its header read; whatever goes wrong with it becomes an :class:`InputError`."""
    try:
        with path.open("rb") as stream:
            # Filling the buffer here keeps the disk out of the lock.
            if not stream.peek(1):
                raise InputError(f"{path} is empty (0 bytes); replace it or remove it.")
            with _FILTERS, warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(stream, formats=FORMATS)
            _refuse_bomb(path, image.width * image.height)
            if image.mode not in GREY | COLOUR:
                raise InputError(f"{path} has mode {image.mode}, which is not read; save it as RGB or greyscale.")
            yield image
    except (InputError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        found = re.search(r"\d+", str(error))
        _refuse_bomb(path, int(found.group()) if found else MAX_PIXELS + 1)
        raise InputError(f"{path} is larger than Pillow allows: {error}") from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path} is no image in a format that is read ({', '.join(FORMATS)}), whatever its name says; "
            "convert it or remove it."
        ) from error
    except OSError as error:
        if error.errno is None:
            raise _damaged(path, error) from error
        raise InputError(f"{path} cannot be opened: {error.strerror}; check the path and its permissions.") from error
    except Exception as error:  # Pillow's decoders raise errors of nearly every type on damaged files
        raise _damaged(path, error) from error


def _refuse_bomb(path: Path, pixels: int) -> None:
    if pixels > MAX_PIXELS:
        raise InputError(
            f"{path} has {pixels} pixels, but at most {MAX_PIXELS} are allowed; make it smaller or remove it."
        )


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged or of a rare kind and cannot be decoded ({error}); replace it or remove it.")


def _to_eight_bits(image: Image.Image, path: str | os.PathLike[str]) -> Image.Image:
    """Greyscale of more than 8 bits scaled so that its white becomes 255; others as they are."""
    white = DEEP_WHITE.get(image.mode)
    if white is None:
        return image
    values = np.asarray(image, dtype=np.float64)
    least, most = values.min(), values.max()
    if not 0 <= least <= most <= white:
        raise InputError(
            f"{path} has pixels from {least:g} to {most:g}, but in mode {image.mode} black is 0 and white is {white}; "
            "scale its values or save it with 8 bits."
        )
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    """A transparent image laid on white; others as they are."""
    if not image.has_transparency_data:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
