"""A matrix as a picture: a PNG with one pixel for each value, whose opacity is the value."""

import base64
import struct
import zlib

import numpy as np


def picture(values: np.ndarray) -> str:
    """A data URL of a PNG for an `(H, W)` matrix of values from 0 to 1: grey with alpha, black where it is 1.

    As a mask (CSS `mask-image`) it takes any colour.
    """
    levels = np.clip(np.asarray(values) * 255, 0, 255).astype(np.uint8)
    height, width = levels.shape
    pixels = np.zeros((height, 1 + 2 * width), np.uint8)  # each row begins with its filter: none
    pixels[:, 2::2] = levels
    header = struct.pack(">IIBBBBB", width, height, 8, 4, 0, 0, 0)  # 8 bits, grey with alpha
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels.tobytes(), 6)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in parts)
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
