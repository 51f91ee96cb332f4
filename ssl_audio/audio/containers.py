"""What Ogg, MPEG audio and MP4 say of themselves: whole, damaged, or longer than libsndfile sees.

libsndfile passes over damaged pages and frames in silence, stops at the end of the first of several streams,
and estimates the length of an MP3 that doesn't tell it; ffmpeg takes an MP4 that ends between two packets for
whole. Walking from header to header finds out, without decoding.
"""

import functools
import mmap
import os
import re
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_streams(path: Path | str) -> int:
    """Counts the streams that follow one another in an Ogg file (RFC 3533); those side by side are one.

    Raises:
        ValueError: if a page is damaged or missing, or a stream has no end.
    """
    links, following = 0, {}  # serial number of an open stream -> number of its next page
    with open(path, "rb") as file:
        while header := file.read(27):
            at = file.tell() - len(header)
            if not header.startswith(b"OggS"):
                if following:
                    raise ValueError(f"damaged: no Ogg page at byte {at}")
                break  # tags or padding after the sound
            lacing = file.read(header[26]) if len(header) == 27 else b""
            body = file.read(sum(lacing))
            if len(header) < 27 or len(lacing) < header[26] or len(body) < sum(lacing):
                raise ValueError("truncated: the last Ogg page is cut")
            serial, number, checksum = struct.unpack_from("<III", header, 14)
            if _ogg_checksum(header[:22] + bytes(4) + header[26:] + lacing + body) != checksum:
                raise ValueError(f"damaged: the Ogg page at byte {at} fails its checksum")
            if header[5] & 2:  # the first page of a stream
                links += not following
                following[serial] = number
            if following.get(serial) != number:
                raise ValueError(f"damaged: an Ogg page is missing before byte {at}")
            following[serial] = (number + 1) % 2**32
            if header[5] & 4:  # the last
                del following[serial]
    if following:
        raise ValueError("truncated: the Ogg stream has no end")
    return links


def _ogg_checksum(page: bytes) -> int:
    """CRC-32 with the bits of Ogg: zlib's, which takes them in the other order and inverts."""
    remainder = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{remainder:032b}"[::-1], 2)


def check_mp4(path: Path | str) -> None:
    """Raises ValueError if the file ends before the boxes of an MP4 (ISO 14496-12) do."""
    with open(path, "rb") as file:
        end, at = os.fstat(file.fileno()).st_size, 0
        while at + 8 <= end:
            file.seek(at)
            size, name = struct.unpack(">I4s", file.read(8))
            if size == 1 and at + 16 <= end:
                (size,) = struct.unpack(">Q", file.read(8))
            if at + size > end:
                box = name.decode("latin-1")
                raise ValueError(f"truncated: {end} bytes, but its box {box!r} lasts to byte {at + size}")
            if size < 8:  # 0: to the end
                break
            at += size


# kbit/s by (MPEG-1, layer), from ISO 11172-3 and 13818-3
_BITRATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_HEADER = re.compile(  # in the first frame: four bytes of flags, and by the lowest one the count of frames
    rb"VBRI|(?:Xing|Info)\0{3}(?:[\1\3\5\7\x09\x0b\x0d\x0f](?P<frames>.{4}))?"
    rb"(?:.{0,112}(?P<encoder>LAME|Lav[cf]))?",
    re.DOTALL,
)
_SYNC = re.compile(rb"\xff[\xe2-\xe7\xf2-\xff][\x10-\xef]")


class _Frame(NamedTuple):
    kind: tuple[int, int, int]  # version, layer, rate: the same in all frames of a file
    length: int  # bytes
    samples: int


@functools.lru_cache(1024)
def _mpeg_frame(header: bytes) -> _Frame | None:
    """What four bytes say if they head a frame of MPEG audio whose length they tell."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)  # version 3 is MPEG-1, 2 is 2, 0 is 2.5
    bitrate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    hz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    bits = _BITRATES[version == 3, layer][bitrate - 1] * 1000
    slot = 4 if layer == 1 else 1
    length = (samples // 8 // slot * bits // hz + padding) * slot
    return _Frame((version, layer, rate), length, samples)


def mpeg_samples(path: Path | str) -> tuple[int, bool] | None:
    """Samples a channel in the frames of an MP3, and whether that is all; None where frames have no length.

    With a Xing, Info or VBRI header it is the least: without the header's frame, and without as much delay
    and padding as the header can have decoders leave out. A frame that the file's end cuts isn't counted.

    Raises:
        ValueError: if what lies between two frames is neither a frame nor a tag, or there are fewer frames
            than the header says.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        begin = _mpeg_tagged(data)
        at = _mpeg_next(data, begin, None)
        if at is None:
            return None
        if at > begin and _mpeg_frame(data[begin : begin + 4]):
            raise ValueError(f"damaged: {at - begin} bytes at byte {begin} are no whole MPEG frame")
        first = _mpeg_frame(data[at : at + 4])
        header = _HEADER.search(data, at, at + first.length)
        frames = 0
        while at is not None:
            frame = _mpeg_frame(data[at : at + 4])
            if frame is not None and frame.kind == first.kind:
                frames, at = frames + (at + frame.length <= len(data)), at + frame.length
                continue
            following = _mpeg_next(data, at, first.kind)
            if following is not None and not data[at : at + 11].startswith(_TAGS):
                raise ValueError(f"damaged: {following - at} bytes at byte {at} are no whole MPEG frame")
            at = following
        if header is None:
            return frames * first.samples, True
        said = header["frames"] and int.from_bytes(header["frames"])
        # encoders other than these may count the frame of the header
        if said and frames - 1 < said - (header["encoder"] is None):
            raise ValueError(f"truncated: {frames - 1} MPEG frames where the header says {said}")
        return (frames - 1) * first.samples - 2 * 4095, False


def _mpeg_tagged(data: mmap.mmap, at: int = 0) -> int:
    """Where the ID3v2 tags (they may hold anything, pictures too) that begin at a byte end."""
    while data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        size = functools.reduce(lambda sum, byte: sum << 7 | byte & 127, data[at + 6 : at + 10], 0)
        at += 10 + size
    return at


def _mpeg_next(data: mmap.mmap, at: int, kind: tuple[int, int, int] | None) -> int | None:
    """Where the next frame of a kind begins that has two of that kind behind it, or the end of the file."""
    for found in _SYNC.finditer(data, _mpeg_tagged(data, at)):
        begin = end = found.start()
        kinds = []
        while len(kinds) < 3 and end < len(data) and (frame := _mpeg_frame(data[end : end + 4])):
            kinds.append(frame.kind)
            end += frame.length
        whole = len(kinds) == 3 or (kinds and end == len(data))
        if whole and set(kinds) == {kind or kinds[0]}:
            return begin
    return None
