"""Reference decoder of `.cae` files, bytes to pixels: to be read beside FORMAT.md, whose sections the docstrings name.

It is plain before it is fast, and imports no other module of this package. Arrays are (rows, columns, channels). Whatever
breaks a rule of FORMAT.md raises ValueError. `python codec/reference.py PICTURE.cae WEIGHTS.safetensors PICTURE.png` decodes.
"""

import hashlib
import io
import json
import struct
import sys
import zlib
from collections import namedtuple
from itertools import product
from pathlib import Path

import constriction
import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open

Picture = namedtuple("Picture", "pixels depth metadata")  # pixels (height, width, 1 to 4), alpha last; data by section's name
Header = namedtuple("Header", "channels colours quality depth width height tile model_id")  # sides, `tile` too, in pixels
Part = namedtuple("Part", "top left height width is_alpha least lossless transform")  # a payload; one of the last may be empty
Symbols = namedtuple("Symbols", "priors hyper latent index")  # (h/4, w/4), (h/4, w/4, Z), (h, w, N), (h, w, N)
KNOWN = (b"iccp", b"exif", b"xmp ", b"ordr", b"cicp", b"mdcv", b"clli")
EDGES = ((-1, 0), (0, -1), (0, 1), (1, 0))
CONFIG = {
    "channels": 128, "latent_channels": 320, "hyper_channels": 96, "entropy_channels": 192, "priors": 64, "context_blocks": 2,
    "leading_channels": 64, "synthesis_blocks": 7, "synthesis_expansion": 2, "synthesis_wide_blocks": 0,
    "synthesis_wide_expansion": 2, "levels": 16, "quality_levels": [-0.75, 15.5],
}  # fmt: skip
ENCODING = ("analysis_", "lambda_", "objective", "reduced_blocks", "score_max")  # fields that mean nothing to this decoder
RANGES = {  # of integers, by the last word of a tensor's name
    "weight": (-127, 127), "expected": (-127, 127), "shift": (0, 23), "bias": (-(2**20), 2**20), "mean": (-(2**15), 2**15),
    "index": (0, 63), "frequencies": (1, 2**31), "lengths": (4, 2**31),
}  # fmt: skip


def decode(data: bytes, weights: Path | None = None, pixels_max: int = 2**28) -> Picture:
    """Decodes a file with the weights that it names, which lossless tiles do not need."""
    try:
        header, sections = read_header(data)
        metadata, offset = read_sections(data, sections)
        parts = read_index(data, header, offset)
        check(header.width * header.height <= pixels_max, f"the picture has more than {pixels_max} pixels")
        pixels = np.zeros((header.height, header.width, header.channels), np.uint8 if header.depth == 8 else np.uint16)
        if any(part.transform for part in parts):
            check(weights is not None, f"the file needs the weights with id {header.model_id.hex()}")
            pixels[..., : header.colours] = Model(weights, header.model_id).pixels(parts, header)
        for part in parts:
            if part.lossless:
                paint(pixels, part, header)
    except (LookupError, SafetensorError, TypeError, zlib.error) as error:
        raise ValueError(f"the file or its weights are damaged: {error!r}") from error
    return Picture(pixels, header.depth, metadata)


def check(rule: bool, message: str) -> None:
    """Raises ValueError unless a rule holds."""
    if not rule:
        raise ValueError(message)


def ceil(length: int, unit: int) -> int:
    """A length divided by a unit, rounded up."""
    return -(-length // unit)


def read_header(data: bytes) -> tuple[Header, int]:
    """Header: its fields, and the number of metadata sections."""
    check(data[:4] == b"\x89CAE", "not a .cae file")
    check(data[4:5] == b"\1", f"format version {data[4:5].hex()} is not 1, the only one known")
    check(len(data) >= 32, "the file is cut off in its header")
    channels, quality, flags, width, height, units, sections, model_id, crc = struct.unpack_from("<3B2I2H8sI", data, 5)
    check(zlib.crc32(data[:28]) == crc, "the header is damaged: its CRC does not match")
    limits = (channels, 4), (quality, 100), (width, 2**31 - 1), (height, 2**31 - 1), (units, 32)
    for name, (value, most) in zip(("colour mode", "quality", "width", "height", "tile size"), limits, strict=True):
        check(1 <= value <= most, f"{name} {value} is not in 1 to {most}")
    check(flags <= 8 and sections <= 64, f"flags {flags:#04x} or {sections} metadata sections are none of version 1")
    return Header(channels, 3 if channels > 2 else 1, quality, 8 + flags, width, height, 64 * units, model_id), sections


def read_sections(data: bytes, count: int) -> tuple[dict[str, bytes], int]:
    """Metadata sections: data of the known ones by name, and where the last one ends."""
    sections, offset = {}, 32
    for _ in range(count):
        check(offset + 12 <= len(data), "the file is cut off in its metadata")
        name, field, crc = struct.unpack_from("<4s2I", data, offset)
        start, end = offset + 12, offset + 12 + field % 2**30
        check(end <= min(len(data), start + 2**26), f"metadata section {name} is too long")
        check(zlib.crc32(data[start:end], zlib.crc32(data[offset : offset + 8])) == crc, f"metadata section {name} is damaged")
        check(name.isascii() and name[:1].isalpha() and name not in sections, f"metadata name {name} is bad or occurs twice")
        check(name in KNOWN or name[:1].islower(), f"the critical metadata section {name} is unknown")
        sections[name] = field >> 30, data[start:end]
        offset = end
    return {name.decode(): unpack(name, *stored) for name, stored in sections.items() if name in KNOWN}, offset


def unpack(name: bytes, storage: int, stored: bytes) -> bytes:
    """Metadata sections: the data of one, by its storage."""
    if storage == 1:
        stream = zlib.decompressobj()
        content = stream.decompress(stored, 2**24 + 1)
        check(stream.eof and not stream.unused_data and len(content) <= 2**24, "a metadata section unpacks to a wrong length")
        return content
    check(storage == 0 or (storage, name, stored) == (2, b"iccp", b"sRGB"), f"metadata storage {storage} or name is unknown")
    return stored if storage == 0 else Path(__file__).with_name("format").joinpath("srgb.icc").read_bytes()


def read_index(data: bytes, header: Header, offset: int) -> list[Part]:
    """Tiles and their index: all payloads of a file whose index begins at an offset."""
    columns, planes = ceil(header.width, header.tile), 2 - header.channels % 2
    end = offset + 17 * ceil(header.height, header.tile) * columns * planes + 4
    check(end <= len(data), "the file is cut off in its tile index")
    index, crc = data[offset : end - 4], int.from_bytes(data[end - 4 : end], "little")
    check(zlib.crc32(index) == crc, "the tile index is damaged: its CRC does not match")
    parts = []
    for number, (start, length, kind, crc) in enumerate(struct.iter_unpack("<QIBI", index)):
        tile, is_alpha = number // planes, number % planes == 1
        check(start == end, f"tile {tile} does not begin where the part before it ends")
        check(kind == 2 or (kind in (1, 3) and not is_alpha and any(header.model_id)), f"tile {tile} is of a wrong kind")
        end += length
        check(end <= len(data) and zlib.crc32(data[start:end]) == crc, f"tile {tile} is damaged or cut off")
        top, left = tile // columns * header.tile, tile % columns * header.tile
        height, width = min(header.tile, header.height - top), min(header.tile, header.width - left)
        least = 4 * ceil(ceil(height, 64) * ceil(width, 64), 4)
        parts.append(Part(top, left, height, width, is_alpha, least, *split(kind, data[start:end], least)))
    check(end == len(data), f"{len(data) - end} bytes follow the last tile")
    return parts


def split(kind: int, payload: bytes, least: int) -> tuple[bytes, bytes]:
    """Lengths, Mixed payload: the lossless and the transform-coded part; the latter has `least` bytes or none."""
    start, length = {1: (0, 0), 2: (0, len(payload)), 3: (4, int.from_bytes(payload[:4], "little"))}[kind]
    lossless, transform = payload[start : start + length], payload[start + length :]
    check(kind == 1 or len(lossless) == length >= 1, "a tile's lossless part is empty or cut off")
    check(kind == 2 or (len(transform) >= least and len(transform) % 4 == 0), "a tile has too few bytes, or no whole words")
    return lossless, transform


def place_of(part: Part, array: np.ndarray, unit: int = 1) -> np.ndarray:
    """The tile's place in an array of the picture, with one position for unit x unit pixels."""
    top, left = part.top // unit, part.left // unit
    return array[top : top + ceil(part.height, unit), left : left + ceil(part.width, unit)]


def paint(pixels: np.ndarray, part: Part, header: Header) -> None:
    """Lossless payload, Mixed payload: puts a lossless part into the picture's pixels."""
    samples, mask = read_lossless(part, header.depth)
    channels = slice(header.colours, None) if part.is_alpha else slice(header.colours)
    shown = samples[..., 1:2] if part.is_alpha or header.colours == 1 else samples
    np.copyto(place_of(part, pixels)[..., channels], shown, "unsafe", where=mask if part.transform else True)


def read_lossless(part: Part, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Lossless payload: samples (height, width, 3), and where the first file's alpha is not 0 (height, width, 1)."""
    end = 4 + int.from_bytes(part.lossless[:4], "little") if depth > 8 else len(part.lossless)
    image = read_webp(part.lossless[4 if depth > 8 else 0 : end], part.height, part.width)
    h, mask, largest = image[..., :3].astype(np.int32), image[..., 3:] > 0, 2 ** (depth - 8) - 1
    if depth == 8:
        return h, mask
    r = read_webp(part.lossless[end:], part.height, part.width)[..., :3]
    check(r.max() <= largest, f"a sample has more than {depth} bits")
    return h * (largest + 1) + ((r + (h * largest + 127) // 255) & largest), mask


def read_webp(data: bytes, height: int, width: int) -> np.ndarray:
    """Lossless payload: red, green, blue and alpha (height, width, 4) of one WebP file."""
    check(data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8L" and data[20:21] == b"\x2f", "no lossless WebP file")
    file, chunk, sides = (int.from_bytes(data[at : at + 4], "little") for at in (4, 16, 21))
    check(file + 8 == len(data) == chunk + chunk % 2 + 20, "a WebP file is cut off, or has more than one chunk")
    check((sides % 2**14 + 1, (sides >> 14) % 2**14 + 1) == (width, height), "a WebP file is of another size than its tile")
    try:
        return np.asarray(Image.open(io.BytesIO(data), formats=("WEBP",)).convert("RGBA"))
    except Exception as error:  # Pillow raises many kinds of errors for damaged files
        raise ValueError(f"a WebP file is damaged: {error}") from None


def pop_values(coder: constriction.stream.stack.AnsCoder, frequencies: np.ndarray, count: int) -> np.ndarray:
    """Symbols, Tables, Escapes: `count` values under one table of E frequencies."""
    m, uniform = (len(frequencies) - 2) // 2, constriction.stream.model.Uniform
    table = constriction.stream.model.Categorical(frequencies.astype(np.float64), perfect=False)
    values = coder.decode(table, count) - m
    escaped = values == m + 1
    if escaped.any():
        bits = coder.decode(uniform(32), np.count_nonzero(escaped)).astype(np.int64)
        sign = 1 - 2 * coder.decode(uniform(2), len(bits))
        excess = 1 << bits
        for shift, width in ((0, np.minimum(bits, 16)), (16, bits - 16)):
            if (some := width > 0).any():
                excess[some] += coder.decode(uniform(), (1 << width[some]).astype(np.int32)).astype(np.int64) << shift
        check(excess.max() + m < 2**23, "a tile holds a value beyond 24 bits")
        values[escaped] = sign * (m + excess)
    return values


def shifted(x: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Scale model: R(x, s) of integers."""
    return (x.astype(np.int32) + ((1 << s.astype(np.int32)) >> 1)) >> s


def moved(x: np.ndarray, offsets: list[tuple[int, int]]) -> list[np.ndarray]:
    """For each offset (row, column), what x (h, w, C) has there, seen from each position; 0 beyond the grid."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    return [padded[1 + i :, 1 + j :][: x.shape[0], : x.shape[1]] for i, j in offsets]


def enlarge(x: np.ndarray, n: int) -> np.ndarray:
    """Enlarging: (h, w, n * n * K) to (nh, nw, K)."""
    return x.reshape(*x.shape[:2], n, n, -1).swapaxes(1, 2).reshape(n * x.shape[0], n * x.shape[1], -1)


class Model:
    """Model id: what turns payloads into pixels. `t` are the weights' tensors by name, `config` the configuration."""

    def __init__(self, path: Path, model_id: bytes) -> None:
        """Weights file: takes that with this id."""
        check(Path(path).stat().st_size <= 2**31, f"{path} has more than 2**31 bytes")
        with safe_open(path, "numpy") as file:
            facts, self.t = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        check(facts.get("role") == "model", f"{path} holds no model")
        self.config = json.loads(facts["config"])
        check(self.id() == model_id, f"{path} is not the model {model_id.hex()}, which the file names")
        check(all(name in CONFIG or name.startswith(ENCODING) for name in self.config), f"{path} has fields unknown here")
        self.config = CONFIG | self.config
        self.check_values()
        self.tables = np.split(self.t["tables/scale.frequencies"], np.cumsum(self.t["tables/scale.lengths"])[:-1])
        # float32 holds the sums of the integers among the weights as well
        self.t |= {name: x.astype(np.float32) for name, x in self.t.items() if name.endswith(".weight") or x.dtype.kind == "f"}

    def id(self) -> bytes:
        """Model id: computed from the weights as the file has them."""
        config = {name: self.config[name] for name in self.config if not name.startswith(ENCODING)}
        parts = [json.dumps(config, sort_keys=True, separators=(",", ":")).encode()]
        for name, x in sorted(self.t.items()):
            if name.startswith(("levels/", "means/", "priors/", "scales/", "synthesis/", "tables/")):
                kind, sides = x.dtype.kind.upper() + str(8 * x.itemsize), ",".join(map(str, x.shape))
                parts += [name.encode(), kind.encode(), sides.encode(), x.tobytes()]
        return hashlib.sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).digest()[:8]

    def check_values(self) -> None:
        """Weights file: what is refused of the configuration and of the tensors."""
        for name in CONFIG.keys() - {"quality_levels"}:
            most, value = 8192 if name.endswith("channels") else 64, self.config[name]
            check(type(value) is int and 0 <= value <= most, f"{name} {value} is not in 0 to {most}")
        levels, end = self.config["quality_levels"], self.config["levels"] + 4
        check(2 <= len(levels) <= 100 and min(np.diff([-4.001, *levels, end + 0.001])) > 0, f"{levels} do not rise to {end}")
        for name, x in self.t.items():
            group, _, rest = name.partition("/")
            least, most = RANGES[rest.split(".")[-1]] if group in ("priors", "scales", "tables") else (-np.inf, np.inf)
            check(np.isfinite(x).all() and least <= x.min() and x.max() <= most, f"{name} is not in {least} to {most}")
        n, z = self.config["latent_channels"], self.config["hyper_channels"]
        check(n % 4 == 0 and 127**2 * max(4 * z, 2 * n) < 2**24, f"{n} and {z} channels allow no exact sums")
        lengths = self.t["tables/scale.lengths"]
        check(len(lengths) == 64 and lengths.sum() == len(self.t["tables/scale.frequencies"]), "there are not 64 tables")
        check(max(self.row("levels/log_gain", q).max() for q in range(1, 101)) < 88.7, "a quality's gains are not finite")

    def pixels(self, parts: list[Part], header: Header) -> np.ndarray:
        """Pixels, Samples: (height, width, 1 or 3) of the transform."""
        latent = np.zeros((ceil(header.height, 16), ceil(header.width, 16), self.config["latent_channels"]), np.float32)
        for part in parts:
            if part.transform:
                place_of(part, latent, 16)[:] = self.reconstruct(self.read_symbols(part, header.quality), header.quality)
        x, largest = self.synthesise(latent, header.quality)[: header.height, : header.width], 2**header.depth - 1
        x = x.mean(-1, keepdims=True) if header.colours == 1 else x
        return np.rint((x + np.float32(0.5)) * largest).clip(0, largest)

    def read_symbols(self, part: Part, quality: int) -> Symbols:
        """Transform-coded payload, Words: all symbols of a tile."""
        words = np.frombuffer(part.transform, "<u4").astype(np.uint32)
        words = np.trim_zeros(words, "b") if len(part.transform) == part.least else words
        check(not len(words) or words[-1] != 0, "a tile's payload ends with a zero word")
        coder = constriction.stream.stack.AnsCoder(words)
        names, shape = self.t["priors/frequencies"][quality - 1], (ceil(part.height, 64), ceil(part.width, 64))
        priors = pop_values(coder, np.append(names, (1, 1)), shape[0] * shape[1]).reshape(shape) + len(names) // 2
        check(priors.min() >= 0 and priors.max() < len(names), "a tile names a prior that the model does not have")
        hyper = self.pop_groups(coder, self.t["priors/index"][priors]) + self.t["priors/mean"][priors]
        latent, index = self.read_stages(coder, self.base(hyper, quality, ceil(part.height, 16), ceil(part.width, 16)))
        check(coder.is_empty(), "a tile's payload holds more than its symbols")
        return Symbols(priors, hyper, latent, index)

    def pop_groups(self, coder: constriction.stream.stack.AnsCoder, index: np.ndarray) -> np.ndarray:
        """Groups: one value for each scale index, in an array of any shape."""
        values = np.empty(index.shape, np.int32)
        for number in np.unique(index):
            values[index == number] = pop_values(coder, self.tables[number], np.count_nonzero(index == number))
        return values

    def read_stages(self, coder: constriction.stream.stack.AnsCoder, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stages, Scale model (3, 5): symbols and scale indices of a tile whose scales have a base (h, w, N)."""
        latent, index, surprise = (np.zeros(base.size, kind) for kind in (np.int32, np.int32, np.float32))
        numbers, starts = np.arange(base.size).reshape(base.shape), tuple(product((0, 1), (0, 1), range(4)))
        for stage in range(4):
            own = [start for start in starts if 2 * (sum(start) % 2) + (start[0] + start[2] // 2) % 2 == stage]
            chosen = np.concatenate([numbers[r::2, c::2, n::4].ravel() for r, c, n in own])
            index[chosen] = ((base + self.correction(surprise.reshape(base.shape)) + 8) >> 4).clip(0, 63).ravel()[chosen]
            latent[chosen] = self.pop_groups(coder, index[chosen])
            magnitudes = np.rint(24 * np.log2(1 + np.abs(latent[chosen]).clip(max=31)))
            surprise[chosen] = magnitudes - self.t["scales/expected"][index[chosen]]
        return latent.reshape(base.shape), index.reshape(base.shape)

    def base(self, hyper: np.ndarray, quality: int, height: int, width: int) -> np.ndarray:
        """Scale model (1, 2): the base (height, width, N) of a tile's scales, in 1/16 of an index."""
        n, (r, c) = self.config["latent_channels"], np.indices((height, width))
        rows = np.array([r // 4, r // 4 + np.where(r % 4 < 2, -1, 1)]).clip(0, hyper.shape[0] - 1)
        columns = np.array([c // 4, c // 4 + np.where(c % 4 < 2, -1, 1)]).clip(0, hyper.shape[1] - 1)
        clamped = hyper.clip(-127, 127).astype(np.float32)
        x = np.concatenate([clamped[i, j] for i in rows for j in columns], -1)
        base = np.empty((height, width, n), np.int32)
        for number, (i, j) in enumerate(product(range(4), range(4))):
            o = slice(number * n, (number + 1) * n)
            base[i::4, j::4] = shifted(x[i::4, j::4] @ self.t["scales/map.weight"][o].T, self.t["scales/map.shift"][o])
        return base + self.t["scales/bias"][quality - 1]

    def correction(self, surprise: np.ndarray) -> np.ndarray:
        """Scale model (4): what surprises (h, w, N), 0 where no symbol is coded yet, add to the scales of the others."""
        own, edge, diagonal = (self.t[f"scales/{name}.weight"].T for name in ("own", "edge", "diagonal"))
        sums = surprise @ own
        for weight, offsets in ((edge, EDGES), (diagonal, product((-1, 1), (-1, 1)))):
            around = np.floor(sum(moved(surprise, offsets)) / 4)
            for k in range(4):
                sums[..., k::4] += around[..., k::4] @ weight[k::4, k::4]
        return shifted(sums, self.t["scales/context.shift"])

    def reconstruct(self, symbols: Symbols, quality: int) -> np.ndarray:
        """Means: a tile's latent (h, w, N), in units of 1/64 of a quantisation step."""
        latent, hyper = symbols.latent.astype(np.float32), symbols.hyper.astype(np.float32)
        f = self.means_block(enlarge(self.linear(hyper, "means/hyper_synthesis.enter"), 2), "means/hyper_synthesis.block_half")
        f = enlarge(self.linear(f, "means/hyper_synthesis.upsample"), 2) + self.row("means/quality_bias", quality)
        f = self.means_block(f, "means/hyper_synthesis.block")[: latent.shape[0], : latent.shape[1]]
        f = self.means_block(f, "means/anchor_block")
        mean, anchors = self.linear(f, "means/anchor_head"), np.indices(latent.shape).sum(0) % 2 == 0
        f = f + self.linear(np.arcsinh(np.where(anchors, mean + latent, 0)), "means/embed")
        for number in range(self.config["context_blocks"]):
            f = self.means_block(f, f"means/context_blocks.{number}")
        others, leading = self.linear(f, "means/context_head"), slice(self.config["leading_channels"])
        for weight, symbol in zip(self.t["means/neighbour_weight"], moved(latent[..., leading], EDGES), strict=True):
            others[..., leading] += weight * symbol
        return np.rint((np.where(anchors, mean, others) + latent) * 64)

    def means_block(self, x: np.ndarray, name: str) -> np.ndarray:
        """Means, Block."""
        x = x + self.linear(self.depthwise(self.linear(x, f"{name}.mix_in").clip(0), f"{name}.depthwise"), f"{name}.mix_out")
        return x + self.linear(self.linear(x, f"{name}.up").clip(0), f"{name}.down")

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        """Means: a layer of 1 x 1."""
        return x @ self.t[f"{name}.weight"].T + self.t[f"{name}.bias"]

    def depthwise(self, x: np.ndarray, name: str) -> np.ndarray:
        """Means: a layer of 3 x 3 for each channel."""
        around, weights = moved(x, list(product((-1, 0, 1), (-1, 0, 1)))), self.t[f"{name}.weight"].reshape(-1, 9).T
        return sum(part * weight for part, weight in zip(around, weights, strict=True)) + self.t[f"{name}.bias"]

    def row(self, name: str, quality: int) -> np.ndarray:
        """Levels: a table's row at the quality's level."""
        table, levels = self.t[name], self.config["quality_levels"]
        level = np.interp(quality, np.linspace(1, 100, len(levels)), levels)
        low = min(max(int(np.floor(level)), 0), len(table) - 2)
        return table[low] + np.float32(level - low) * (table[low + 1] - table[low])

    def synthesise(self, latent: np.ndarray, quality: int) -> np.ndarray:
        """Synthesis: (16h, 16w, 3), about -1/2 to 1/2, of a picture's latent (h, w, N)."""
        f = latent / (64 * np.exp(self.row("levels/log_gain", quality)))
        if wide := self.config["synthesis_wide_blocks"]:
            f *= np.exp(self.row("synthesis/log_wide_gain", quality))
        for number in range(wide):
            f = self.synthesis_block(f, f"synthesis/wide_blocks.{number}", 40)
        f = enlarge(self.linear(f, "synthesis/from_latent"), 2) * np.exp(self.row("synthesis/log_feature_gain", quality))
        for number in range(self.config["synthesis_blocks"]):
            f = self.synthesis_block(f, f"synthesis/blocks.{number}", 20)
        return enlarge(self.linear(f, "synthesis/patch_out"), 8)

    def synthesis_block(self, x: np.ndarray, name: str, limit: float) -> np.ndarray:
        """Synthesis, Block: features clamped to -limit to limit."""
        mixed = self.linear(x, f"{name}.mix_in")
        mixed = self.depthwise(np.maximum(mixed, np.float32(0.1) * mixed), f"{name}.depthwise")
        x = x + self.linear(mixed, f"{name}.mix_out")
        value, gate = np.split(self.linear(x, f"{name}.up"), 2, -1)
        return (x + self.linear(value * (gate / 6 + np.float32(0.5)).clip(0, 1), f"{name}.down")).clip(-limit, limit)


def write_png(path: Path, picture: Picture) -> None:
    """Writes samples as they are, those of more than 8 bits in 16, as cae-decode does, without metadata."""
    (height, width, channels), bits = picture.pixels.shape, 8 * picture.pixels.itemsize
    rows = picture.pixels.astype(f">u{bits // 8}").reshape(height, -1).view(np.uint8)
    fields = struct.pack(">2I5B", width, height, bits, (0, 4, 2, 6)[channels - 1], 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", fields), (b"IDAT", zlib.compress(np.pad(rows, ((0, 0), (1, 0))))), (b"IEND", b"")):
        file += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    path.write_bytes(file)


if __name__ == "__main__":
    source, weights, target = sys.argv[1:]
    try:
        write_png(Path(target), decode(Path(source).read_bytes(), Path(weights)))
    except (OSError, ValueError) as error:
        sys.exit(f"{source}: {error}")
