"""Pictures that no camera took: pages, screens, diagrams, maps and patterns, drawn here, the same every time.

The fonts are matplotlib's DejaVu and Pillow's own bitmap, the photographs scikit-image's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

INK, PAPER, BLUE, GREEN, RED, GREY = "#1f2328", "#ffffff", "#0969da", "#1a7f37", "#cf222e", "#d0d7de"
_TEXT = """
the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one
you were all her she there would their we him been has when who will no more if out so up said what its about than
into them can only other time new some could these two may first then do any like my now over such our man me even
most made after also did many off before must well back through years where much your way down should because long
"""
_WORDS = _TEXT.split()
_CODE = '''def encode(values, table):
    """Codes integers by a table of frequencies."""
    state, words = 0, []
    for value in reversed(values):
        low, high = table.interval(value)
        if state >= (high - low) << 40:
            words.append(state & 0xFFFFFFFF)
            state >>= 32
        state = (state // (high - low) << 24) + state % (high - low) + low
    return words, state


class Table:
    def __init__(self, frequencies: list[int]) -> None:
        total = sum(frequencies)  # never 0
        self.bounds = [0]
        for count in frequencies:
            self.bounds.append(self.bounds[-1] + (count << 24) // total)

    def interval(self, value: int) -> tuple[int, int]:
        return self.bounds[value], self.bounds[value + 1]
'''
_KEYWORDS = {"def", "class", "for", "in", "if", "return", "while", "None", "int", "list", "tuple", "self"}

Pictures = dict[str, Callable[[], np.ndarray]]


def font(size: int, name: str = "DejaVuSans") -> ImageFont.FreeTypeFont:
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf"), size)


def _photograph(name: str, width: int, height: int) -> Image.Image:
    """One of scikit-image's photographs, made to fill a rectangle."""
    import skimage.data

    image = Image.fromarray(getattr(skimage.data, name)())
    scale = max(width / image.width, height / image.height)
    image = image.resize((round(image.width * scale + 0.5), round(image.height * scale + 0.5)), Image.Resampling.LANCZOS)
    return image.crop((0, 0, width, height))


def sheet(width: int, height: int, colour: str = PAPER) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), colour)
    return image, ImageDraw.Draw(image)


def paragraph(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], font, seed: int, fill: str = INK) -> None:
    """Fills a box (left, top, right, bottom) with lines of words."""
    rng = np.random.default_rng(seed)
    left, y, right, bottom = box
    step = round(font.size * 1.45)
    while y + step <= bottom:
        line = ""
        while draw.textlength(longer := f"{line}{rng.choice(_WORDS)} ", font) <= right - left:
            line = longer
        draw.text((left, y), line, fill, font)
        y += step


def page() -> np.ndarray:
    """A page of text."""
    image, draw = sheet(1280, 800)
    draw.text((80, 48), "On the keeping of pictures", INK, font(30, "DejaVuSerif-Bold"))
    paragraph(draw, (80, 110, 1200, 760), font(16, "DejaVuSerif"), 1)
    return np.asarray(image)


def scan() -> np.ndarray:
    """Two columns of gray text with a rule and a table, as of a document reader."""
    image, draw = sheet(1000, 1400)
    draw.text((60, 50), "Proceedings", INK, font(36, "DejaVuSerif"))
    for left, seed in ((60, 2), (520, 3)):
        paragraph(draw, (left, 130, left + 420, 900), font(13, "DejaVuSerif"), seed)
    for row in range(14):
        y = 930 + 30 * row
        draw.line((60, y, 940, y), GREY)
        for column in range(7):
            draw.text((70 + 125 * column, y + 7), f"{(row * 7 + column) * 7919 % 10007 / 100:.2f}", INK, font(13))
    return np.asarray(image.convert("L"))


def code() -> np.ndarray:
    """An editor with coloured code on a dark ground."""
    image, draw = sheet(1280, 800, "#1e1e1e")
    draw.rectangle((0, 0, 240, 800), "#252526")
    draw.rectangle((0, 0, 1280, 34), "#323233")
    mono, sans = font(14, "DejaVuSansMono"), font(13)
    for number in range(30):
        draw.text((24 + 16 * (number % 3), 48 + 24 * number), f"{_WORDS[number]}_{_WORDS[number + 40]}.py", "#cccccc", sans)
    for number, line in enumerate((_CODE * 3).split("\n")[:40]):
        y, x = 44 + 19 * number, 300.0
        draw.text((258, y), f"{number + 1:>3}", "#858585", mono)
        for piece in line.replace("(", " ( ").split(" "):
            colour = (
                "#569cd6" if piece in _KEYWORDS else "#ce9178" if '"' in piece else "#b5cea8" if piece[:1].isdigit() else ""
            )
            draw.text((x, y), piece, colour or "#d4d4d4", mono)
            x += draw.textlength(piece + " ", mono)
    return np.asarray(image)


def terminal() -> np.ndarray:
    """A terminal in a bitmap font of two colours and a few accents."""
    image, draw = sheet(960, 600, "#000000")
    font = ImageFont.load_default_imagefont()
    rng = np.random.default_rng(4)
    for row in range(48):
        colour = ("#cccccc", "#00cd00", "#cdcd00", "#cccccc")[row % 4]
        draw.text((8, 8 + 12 * row), " ".join(rng.choice(_WORDS, 26)), colour, font)
    return np.asarray(image)


def diagram() -> np.ndarray:
    """Boxes and arrows with labels, their edges smooth."""
    scale = 4
    image, draw = sheet(1200 * scale, 800 * scale)
    places = [(60 + 280 * (n % 4), 80 + 240 * (n // 4)) for n in range(12)]
    for number, (x, y) in enumerate(places):
        box = [side * scale for side in (x, y, x + 200, y + 110)]
        draw.rounded_rectangle(box, 16 * scale, ("#ddf4ff", "#dafbe1", "#fff8c5")[number % 3], INK, 2 * scale)
        draw.text((box[0] + 20 * scale, box[1] + 40 * scale), f"{_WORDS[number + 60]} {number}", INK, font(20 * scale))
        if number % 4 < 3:
            middle = (y + 55) * scale
            draw.line((box[2], middle, box[2] + 76 * scale, middle), BLUE, 3 * scale)
            tip = box[2] + 80 * scale
            draw.polygon((tip, middle, tip - 14 * scale, middle - 7 * scale, tip - 14 * scale, middle + 7 * scale), BLUE)
        if number < 8:
            draw.line((box[0] + 100 * scale, box[3], box[0] + 160 * scale, box[3] + 130 * scale), RED, 2 * scale)
    return np.asarray(image.reduce(scale))


def chart() -> np.ndarray:
    """A plot as matplotlib draws it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((10, 6), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    x = np.linspace(0, 10, 400)
    rng = np.random.default_rng(5)
    for number in range(5):
        axes.plot(x, np.sin(x * (1 + number / 3)) * np.exp(-x / (3 + number)), label=f"series {number}")
    axes.scatter(rng.uniform(0, 10, 200), rng.normal(0, 0.3, 200), s=12, color="black", alpha=0.5)
    axes.legend()
    axes.grid(alpha=0.3)
    axes.set_title("Damped oscillations")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def interface() -> np.ndarray:
    """The mock-up of an application that shows photographs."""
    image, draw = sheet(1600, 900, "#f6f8fa")
    draw.rectangle((0, 0, 1600, 56), "#24292f")
    draw.text((24, 16), "Gallery", PAPER, font(20, "DejaVuSans-Bold"))
    draw.rectangle((0, 56, 260, 900), PAPER)
    for number in range(18):
        y = 80 + 42 * number
        draw.ellipse((24, y, 44, y + 20), (BLUE, GREEN, RED)[number % 3])
        draw.text((58, y), f"{_WORDS[number + 20].title()} {_WORDS[number + 50]}", INK, font(15))
    for number, name in enumerate(("astronaut", "coffee", "chelsea", "rocket")):
        left, top = 300 + 640 * (number % 2), 90 + 400 * (number // 2)
        draw.rounded_rectangle((left, top, left + 600, top + 370), 12, PAPER, GREY)
        image.paste(_photograph(name, 568, 280), (left + 16, top + 16))
        draw.text((left + 16, top + 306), name.title(), INK, font(17, "DejaVuSans-Bold"))
        paragraph(draw, (left + 16, top + 332, left + 584, top + 356), font(13), number, "#57606a")
    return np.asarray(image)


def article() -> np.ndarray:
    """A page of text with one photograph in it."""
    image, draw = sheet(1200, 1000)
    draw.text((60, 40), "A cup in the morning", INK, font(34, "DejaVuSerif-Bold"))
    image.paste(_photograph("coffee", 517, 397), (623, 121))
    paragraph(draw, (60, 120, 590, 530), font(15, "DejaVuSerif"), 6)
    paragraph(draw, (60, 540, 1140, 960), font(15, "DejaVuSerif"), 7)
    return np.asarray(image)


def slide() -> np.ndarray:
    """A slide: a graded ground, large letters, a photograph at its side."""
    x, y = np.meshgrid(np.linspace(0, 1, 1280), np.linspace(0, 1, 720))
    ground = np.stack([30 + 40 * x, 60 + 60 * y, 120 + 60 * (x + y) / 2], -1).round().astype(np.uint8)
    image = Image.fromarray(ground)
    draw = ImageDraw.Draw(image)
    draw.text((70, 70), "Results of the year", PAPER, font(56, "DejaVuSans-Bold"))
    for number in range(5):
        draw.text((90, 220 + 80 * number), f"• {' '.join(_WORDS[9 * number : 9 * number + 5])}", PAPER, font(30))
    image.paste(_photograph("astronaut", 400, 400), (820, 220))
    return np.asarray(image)


def product() -> np.ndarray:
    """A photograph of a cup cut out before white, above a soft shadow, as shops have it."""
    scale = 4
    covered = Image.new("L", (960 * scale, 720 * scale))
    ImageDraw.Draw(covered).ellipse([scale * side for side in (190, 120, 750, 580)], 255)
    shadow = Image.new("L", (960, 720), 255)
    ImageDraw.Draw(shadow).ellipse((230, 520, 730, 630), 170)
    image = shadow.filter(ImageFilter.GaussianBlur(24)).convert("RGB")
    image.paste(_photograph("coffee", 960, 720), mask=covered.reduce(scale))
    return np.asarray(image)


def street_map() -> np.ndarray:
    """A map: land and water, roads with their borders, names."""
    scale = 3
    image, draw = sheet(1024 * scale, 1024 * scale, "#f2efe9")
    rng = np.random.default_rng(8)

    def outline(x: float, y: float, size: float) -> list[tuple[float, float]]:
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        radii = size * (1 + 0.3 * np.sin(3 * angles + x) + 0.1 * np.sin(7 * angles + y))
        return [(scale * (x + r * np.cos(a)), scale * (y + r * np.sin(a))) for a, r in zip(angles, radii, strict=True)]

    for colour, count, size in (("#aad3df", 6, 130), ("#cdebb0", 14, 70), ("#e0dfdf", 60, 16)):
        for x, y in rng.uniform(0, 1024, (count, 2)):
            draw.polygon(outline(x, y, size), colour)
    roads = [[(scale * x, scale * (y + 60 * np.sin(x / 150 + y))) for x in range(-20, 1050, 10)] for y in range(60, 1024, 150)]
    roads += [[(scale * (x + 40 * np.sin(y / 120 + x)), scale * y) for y in range(-20, 1050, 10)] for x in range(80, 1024, 130)]
    for extra, colour in ((4, "#bbb8b0"), (0, "#ffffff")):
        for number, road in enumerate(roads):
            draw.line(road, colour if number % 4 or extra else "#fcd6a4", scale * (7 + extra), "curve")
    image = image.reduce(scale)
    draw = ImageDraw.Draw(image)
    for number, (x, y) in enumerate(rng.uniform(20, 950, (40, 2))):
        draw.text((x, y), _WORDS[number + 60].title(), "#333333", font(12), stroke_width=2, stroke_fill=PAPER)
    return np.asarray(image)


def sprites() -> np.ndarray:
    """Pixel art of 16 colours, four times enlarged."""
    rng = np.random.default_rng(9)
    palette = rng.integers(0, 256, (16, 3), np.uint8)
    small = np.zeros((180, 240), np.uint8)
    for top in range(0, 176, 20):
        for left in range(0, 236, 20):
            half = rng.integers(0, 16, (16, 8)) * (rng.random((16, 8)) < 0.7)
            small[top + 2 : top + 18, left + 2 : left + 18] = np.concatenate([half, half[:, ::-1]], 1)
    return palette[small].repeat(4, 0).repeat(4, 1)


def checkerboard() -> np.ndarray:
    """Black and white, pixel by pixel."""
    rows, columns = np.indices((512, 512))
    return np.repeat((((rows + columns) % 2) * 255).astype(np.uint8)[..., None], 3, -1)


def dither() -> np.ndarray:
    """A photograph in black and white dots."""
    return np.asarray(_photograph("astronaut", 512, 512).convert("1").convert("L"))


def few_colours() -> np.ndarray:
    """A photograph in 32 colours, as of a GIF."""
    image = _photograph("coffee", 600, 400).quantize(32, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return np.asarray(image.convert("RGB"))


def noise() -> np.ndarray:
    """Every value of every pixel by chance: what no codec can code well."""
    return np.random.default_rng(10).integers(0, 256, (512, 512, 3), np.uint8)


def gradients() -> np.ndarray:
    """Smooth courses of colour, straight and round."""
    x, y = np.meshgrid(np.linspace(0, 1, 1024), np.linspace(0, 1, 768))
    radius = np.hypot(x - 0.5, y - 0.5)
    return (255 * np.stack([x, (y + x) / 2, 1 - np.clip(radius * 1.4, 0, 1)], -1)).round().astype(np.uint8)


def shapes() -> np.ndarray:
    """Flat shapes with hard edges, as a logo has."""
    image, draw = sheet(800, 800, "#fafafa")
    rng = np.random.default_rng(11)
    for number in range(24):
        x, y, size = (int(value) for value in rng.integers((0, 0, 40), (700, 700, 240)))
        draw.ellipse((x, y, x + size, y + size), tuple(int(value) for value in rng.integers(0, 256, 3)))
        if number % 3 == 0:
            draw.rectangle((y, x, y + size // 2, x + size // 3), BLUE)
    return np.asarray(image)


PICTURES: Pictures = {
    each.__name__.replace("_", "-"): each
    for each in (
        page, scan, code, terminal, diagram, chart, interface, article, slide, product, street_map, sprites, shapes,
        checkerboard, dither, few_colours, gradients, noise,
    )
}  # fmt: skip
"""Functions that draw the pictures, (H, W) or (H, W, 3) uint8, by name."""
