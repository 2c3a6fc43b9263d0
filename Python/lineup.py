"""Embeds images by a network that Lineup has trained, in NumPy arrays. One file, no build step of its own:

    swift build -c release --product LineupC        # once, in Lineup's folder

    import lineup
    model = lineup.Model("runs/market")
    features = model.embed(images)                  # N×H×W×3 bytes of RGB to N×C of float32

The library is looked for in LINEUP_LIBRARY, beside this file, and in the release build of the folder above it.
"""

import ctypes
import os
from pathlib import Path

import numpy as np

_NAME = "libLineupC.so"
_ERROR_BYTES = 4096


class Error(Exception):
    """One line that names the file, key or image."""


def _library():
    here = Path(__file__).resolve().parent
    named = os.environ.get("LINEUP_LIBRARY")
    places = [Path(named)] if named else [here / _NAME, here.parent / ".build" / "release" / _NAME]
    for place in places:
        if place.exists():
            break
    else:
        raise Error(f"no {_NAME} in {', '.join(map(str, places))}; LINEUP_LIBRARY names it")
    try:
        library = ctypes.CDLL(str(place))
    except OSError as error:
        raise Error(f"{place}: {error}") from None
    text, error = ctypes.c_char_p, [ctypes.c_char_p, ctypes.c_size_t]
    floats, count = ctypes.POINTER(ctypes.c_float), ctypes.c_int
    library.lineup_open.restype = ctypes.c_void_p
    library.lineup_open.argtypes = [text, count, *error]
    library.lineup_close.argtypes = [ctypes.c_void_p]
    for name in ("lineup_embedding_length", "lineup_input_height", "lineup_input_width"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.lineup_embed.argtypes = [
        ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint8), count, count, count, floats, *error,
    ]
    library.lineup_embed_files.argtypes = [ctypes.c_void_p, ctypes.POINTER(text), count, floats, *error]
    return library


class Model:
    """A checkpoint's network. It may be used by several threads; one of them computes at a time."""

    def __init__(self, checkpoint, threads=0):
        """`checkpoint`: its folder, or a run's (its latest checkpoint); `threads`: 0 for the cores of this process."""
        self._model = None
        self._library = _library()
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        self._model = self._library.lineup_open(os.fsencode(checkpoint), threads, error, len(error))
        if not self._model:
            raise Error(error.value.decode())
        self.length = self._library.lineup_embedding_length(self._model)
        self.input_size = (
            self._library.lineup_input_height(self._model),
            self._library.lineup_input_width(self._model),
        )

    def close(self):
        if self._model:
            self._library.lineup_close(self._model)
            self._model = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()

    def embed(self, images):
        """N×C of float32 from N×H×W×3 bytes of RGB, or from a list of H×W×3 arrays, of any sizes."""
        if not isinstance(images, np.ndarray):
            images = list(images)
            rows = [self.embed(np.asarray(image)[None]) for image in images]
            return np.concatenate(rows) if rows else np.empty((0, self.length), np.float32)
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise Error(f"images are {images.shape} of {images.dtype}; expected N×H×W×3 of uint8, RGB")
        pixels = np.ascontiguousarray(images)
        return self._embedded(
            len(pixels),
            lambda features, error: self._library.lineup_embed(
                self._model, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)), *pixels.shape[:3], features, *error
            ),
        )

    def embed_files(self, paths):
        """The same of JPEG or PNG files, decoded and turned as Pillow does."""
        if isinstance(paths, (str, bytes, os.PathLike)):
            raise Error("embed_files takes a list of paths")
        names = [os.fsencode(path) for path in paths]
        for name in names:
            if b"\0" in name:
                raise Error(f"{name!r}: a path has no zero byte")
        array = (ctypes.c_char_p * len(names))(*names)
        return self._embedded(
            len(names),
            lambda features, error: self._library.lineup_embed_files(self._model, array, len(names), features, *error),
        )

    def _embedded(self, count, call):
        if not self._model:
            raise Error("the model is closed")
        features = np.empty((count, self.length), np.float32)
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        if call(features.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), (error, len(error))) != 0:
            raise Error(error.value.decode())
        return features
