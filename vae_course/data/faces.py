"""Faces of nobody: drawn from independent causes, with eyes, nose and mouth where CelebA has them.

They stand in for CelebA where it is not at hand: its size, its layout, its attribute names. Each attribute is a coin
of its own, so none tells anything about another; pose, light, skin, hair and features vary continuously beside them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

# What is drawn, under CelebA's names and in its order, and how often
CHANCES = {
    "Bangs": 0.4,
    "Blond_Hair": 0.4,
    "Bushy_Eyebrows": 0.4,
    "Eyeglasses": 0.4,
    "Goatee": 0.3,
    "Mouth_Slightly_Open": 0.5,
    "Mustache": 0.3,
    "Rosy_Cheeks": 0.4,
    "Smiling": 0.5,
    "Wearing_Earrings": 0.4,
    "Wearing_Hat": 0.3,
    "Wearing_Lipstick": 0.4,
    "Wearing_Necktie": 0.4,
}
NAMES = tuple(CHANCES)
WIDTH, HEIGHT = 178, 218  # CelebA's aligned pictures; all lengths below are in their pixels
EYES = (89.0, 112.0)  # where CelebA puts the middle between the eyes: pixels from the left, from the top

Colour = Sequence[float] | np.ndarray  # red, green, blue, from 0 to 255
SKIN = ((248, 224, 206), (238, 202, 172), (222, 174, 138), (194, 140, 102), (154, 104, 74), (116, 78, 58))
DARK_HAIR = ((36, 31, 33), (60, 42, 34), (88, 60, 42), (112, 56, 38))
BLOND_HAIR = ((222, 184, 106), (240, 210, 142), (230, 178, 92))
IRIS = ((92, 62, 40), (62, 108, 140), (82, 118, 76), (62, 46, 36))
LIPSTICK = ((196, 22, 52), (172, 14, 84), (220, 40, 44))
CLOTHES = ((62, 94, 140), (150, 68, 64), (76, 122, 100), (192, 150, 78), (104, 82, 130), (72, 78, 90), (184, 110, 86))
OPEN, GRIN = 11.5, 7.5  # pixels between the lips of an open mouth; of teeth that a smile shows
JEWELS = ((248, 248, 242), (48, 200, 200), (240, 196, 52))


class Sheet(NamedTuple):
    """A picture, or a part of it, that is being painted, and where its pixels lie on the head."""

    picture: np.ndarray  # (3, h, w) float32, from 0 to 255
    u: np.ndarray  # (h, w): to the right of the middle between the eyes
    v: np.ndarray  # (h, w): below it
    pixel: float  # the side of a pixel


class Person(NamedTuple):
    """Who is drawn, and how."""

    has: dict[str, bool]  # by NAMES
    skin: Colour
    hair: Colour
    beard: Colour  # of brows, too
    iris: Colour
    lips: Colour
    backdrop: tuple[Colour, Colour]
    clothes: Colour
    hat: Colour
    tie: Colour
    jewel: Colour
    frame: Colour
    shift: tuple[float, float]
    zoom: float
    roll: float  # radians
    turn: tuple[float, float]  # how far the nose points to the right and down, in pixels
    light: tuple[float, float]  # where the light comes from: right, below
    width: float  # of the head, half
    jaw: float  # how narrow it is
    chin: float  # pixels below the eyes
    eye: tuple[float, float]  # half its width and height
    arch: float  # of the brows
    nose: float  # half its width
    mouth: float  # half its width
    length: float  # where the hair ends, pixels below the eyes
    volume: float  # of the hair, pixels
    parting: float  # pixels to the right
    brim: float  # of a hat: 0 for a woollen one
    strands: float  # phase of the hair's texture


def draw_faces(n: int, *, seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> tuple[np.ndarray, np.ndarray]:
    """Draw n faces; the same seed always draws the same ones, and face i does not depend on n.

    size is (width, height); what is drawn keeps its proportions, and is cut above and below where size is less tall
    than CelebA's 178 x 218 (a square is CelebA's usual crop of the full width).
    Returns pictures (n, height, width, 3) uint8 and attributes (n, 13) bool, in the order of NAMES.
    Raises ValueError if n < 1, seed < 0 or a side is under 16 pixels.
    """
    if n < 1 or seed < 0 or min(size) < 16:
        raise ValueError(f"n must be at least 1, seed at least 0, sides at least 16 pixels: got {n}, {seed}, {size}")
    people = [_person(seed, i) for i in range(n)]
    pictures = np.empty((n, size[1], size[0], 3), np.uint8)
    for picture, person in zip(pictures, people, strict=True):
        picture[:] = _draw(person, size)
    return pictures, np.array([[person.has[name] for name in NAMES] for person in people])


def _person(seed: int, number: int) -> Person:
    """Everything about one face, drawn independently."""
    rng = np.random.default_rng((seed, number))
    has = dict(zip(NAMES, (rng.random(len(NAMES)) < list(CHANCES.values())).tolist(), strict=True))

    def among(colours: Sequence[Colour], spread: float = 0.0) -> np.ndarray:
        """A colour somewhere between two neighbours of a list."""
        where = rng.uniform(0, len(colours) - 1)
        low = int(where)
        mixed = np.asarray(colours[low]) + (where - low) * (np.asarray(colours[low + 1]) - np.asarray(colours[low]))
        return (mixed + rng.normal(0, spread, 3)).clip(0, 255) if spread else mixed

    def one_of(colours: Sequence[Colour], spread: float = 6.0) -> np.ndarray:
        return (np.asarray(colours[int(rng.integers(len(colours)))]) + rng.normal(0, spread, 3)).clip(0, 255)

    skin = among(SKIN)
    hair = among(BLOND_HAIR, 4) if has["Blond_Hair"] else among(DARK_HAIR, 4)
    darkest = 0.36 * skin  # a beard is darker than the skin it grows on, or nobody would see it
    beard = np.minimum(0.55 * hair, darkest - np.array([0, 4, 8])).clip(14, 255)
    grey = rng.uniform(70, 215)
    return Person(
        has=has,
        skin=skin,
        hair=hair,
        beard=beard,
        iris=one_of(IRIS),
        lips=one_of(LIPSTICK) if has["Wearing_Lipstick"] else 0.80 * skin * (1.0, 0.80, 0.80),
        backdrop=(grey + rng.normal(0, 26, 3), grey * rng.uniform(0.6, 1.1) + rng.normal(0, 26, 3)),
        clothes=one_of(CLOTHES, 12),
        hat=one_of(CLOTHES, 16),
        tie=one_of(((170, 28, 48), (30, 60, 130), (26, 96, 84), (120, 40, 120))),
        jewel=one_of(JEWELS, 3),
        frame=one_of(((24, 22, 26), (70, 34, 24), (30, 40, 76))),
        shift=(rng.normal(0, 1.6), rng.normal(0, 1.6)),
        zoom=rng.normal(1, 0.025),
        roll=rng.uniform(-0.05, 0.05),
        turn=(rng.uniform(-9, 9), rng.uniform(-3, 4)),
        light=(rng.uniform(-0.8, 0.8), rng.uniform(-0.7, -0.2)),
        width=rng.normal(47, 1.6),
        jaw=rng.uniform(0.1, 0.3),
        chin=rng.normal(66, 1.8) + 3 * has["Mouth_Slightly_Open"],
        eye=(rng.normal(13.4, 0.5), rng.normal(7.6, 0.6)),
        arch=rng.uniform(1.5, 4.5),
        nose=rng.normal(8.5, 0.9),
        mouth=rng.normal(16.5, 0.9) + 8 * has["Smiling"],
        length=rng.uniform(12, 100),
        volume=rng.uniform(9, 17),
        parting=rng.uniform(-24, 24),
        brim=float(rng.choice([0, 0, rng.uniform(14, 24)])),
        strands=rng.uniform(0, 6.28),
    )


def _draw(person: Person, size: tuple[int, int]) -> np.ndarray:
    """From back to front, as a painter would. -> (height, width, 3) uint8."""
    sheet = _blank(person, size)
    _background(sheet, person)
    hair = _part(sheet, (-84, 84), (-110, 120))
    sheen = _lit_hair(hair, person)
    _hair_behind(hair, person, sheen)
    _neck_and_clothes(sheet, person)
    _ears(_part(sheet, (-62, 62), (-16, 34)), person)
    head = _part(sheet, (-60, 60), (-80, 84))
    _skin(head, person)
    face = _turned(head, person)
    eyes = _part(face, (-44, 44), (-32, 22))
    _sockets(eyes)
    _nose(_part(face, (-26, 26), (-20, 34)), person)
    if person.has["Rosy_Cheeks"]:
        _rosy_cheeks(_part(face, (-52, 52), (0, 50)), person)
    mouth = _part(face, (-34, 34), (14, 86))
    _beard(mouth, person)
    _mouth(mouth, person)
    _eyes(eyes, person)
    _brows(eyes, person)
    _hair_in_front(hair, person, sheen)
    if person.has["Eyeglasses"]:
        _glasses(_part(face, (-58, 58), (-24, 28)), person)
    if person.has["Wearing_Earrings"]:
        _earrings(_part(sheet, (-66, 66), (14, 56)), person)
    if person.has["Wearing_Hat"]:
        _hat(_part(sheet, (-100, 100), (-120, -8)), person)
    return np.rint(sheet.picture.clip(0, 255, out=sheet.picture)).astype(np.uint8).transpose(1, 2, 0)


# -- the sheet


def _blank(person: Person, size: tuple[int, int]) -> Sheet:
    """Where each pixel lies on the head: shifted, scaled and rolled against the picture."""
    width, height = size
    pixel = WIDTH / width
    across = ((np.arange(width) + 0.5) * pixel - EYES[0] - person.shift[0]) / person.zoom
    down = ((np.arange(height) + 0.5 - height / 2) * pixel + HEIGHT / 2 - EYES[1] - person.shift[1]) / person.zoom
    across, down = across.astype(np.float32), down.astype(np.float32)[:, None]
    cos, sin = np.float32(np.cos(person.roll)), np.float32(np.sin(person.roll))
    picture = np.empty((3, height, width), np.float32)
    return Sheet(picture, cos * across + sin * down, cos * down - sin * across, pixel / person.zoom)


def _part(sheet: Sheet, across: tuple[float, float], down: tuple[float, float]) -> Sheet:
    """The rectangle of the sheet that holds these u and v, as a view: nothing need be computed elsewhere."""
    slack = 7.0  # the roll moves what is there by less
    middle_u, middle_v = sheet.u[len(sheet.u) // 2], sheet.v[:, sheet.v.shape[1] // 2]
    left, right = np.searchsorted(middle_u, (across[0] - slack, across[1] + slack))
    top, bottom = np.searchsorted(middle_v, (down[0] - slack, down[1] + slack))
    here = np.s_[top:bottom, left:right]
    return Sheet(sheet.picture[:, *here], sheet.u[here], sheet.v[here], sheet.pixel)


def _turned(head: Sheet, person: Person) -> Sheet:
    """A head that turns moves its features, most of all those in the middle: they are nearest to us."""
    near = np.maximum(1 - (head.u / 62) ** 2 - (head.v / 110) ** 2, 0)
    return Sheet(head.picture, head.u - person.turn[0] * near, head.v - person.turn[1] * near, head.pixel)


def _cover(sheet: Sheet, distance: np.ndarray, soft: float = 0.0) -> np.ndarray:
    """How much of each pixel a shape covers: distance to its outline, negative inside -> from 0 to 1."""
    return (0.5 - distance / (sheet.pixel + soft)).clip(0, 1)


def _paint(sheet: Sheet, cover: np.ndarray, colour: Colour, light: np.ndarray | float = 1.0) -> None:
    for channel, value in zip(sheet.picture, colour, strict=True):
        channel += cover * (np.float32(value) * light - channel)


def _shade(sheet: Sheet, light: np.ndarray) -> None:
    np.multiply(sheet.picture, light, out=sheet.picture)


def _spot(sheet: Sheet, u: float, v: float, wide: float, tall: float) -> np.ndarray:
    """A soft spot, 1 in its middle."""
    return np.exp(-(((sheet.u - u) / wide) ** 2 + ((sheet.v - v) / tall) ** 2))


def _radius(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y)


def _egg(
    sheet: Sheet, wide: float, up: float, down: float, v: float, crown: float = 0.12, jaw: float = 0.0
) -> np.ndarray:
    """The distance to an oval around (0, v): other radii up and down, wider above by crown, narrower below by jaw."""
    y = sheet.v - v
    y *= np.where(y < 0, np.float32(1 / up), np.float32(1 / down))
    x = sheet.u * (1 / wide + np.where(y < 0, np.float32(-crown / wide), np.float32(jaw / wide)) * y**2)
    return (_radius(x, y) - 1) * min(wide, up, down)


# -- the parts, from back to front; lengths, colours and shares of light are chosen by eye


def _background(sheet: Sheet, person: Person) -> None:
    """From one colour to another, with a glow where the light comes from."""
    near, far = person.backdrop
    (h, w) = sheet.u.shape
    u, v = sheet.u[h // 2], sheet.v[:, [w // 2]]  # (w,), (h, 1): a wall does not roll with the head
    slope = (0.5 + u * np.float32(person.light[0] / 200) - v * np.float32(person.light[1] / 200)).clip(0, 1)
    glow = 26 * np.exp(-(((u - 110 * person.light[0]) / 70) ** 2)) * np.exp(-(((v + 60) / 70) ** 2))
    for channel, a, b in zip(sheet.picture, near, far, strict=True):
        np.add(slope * np.float32(a - b) + np.float32(b), glow, out=channel)


def _lit_hair(sheet: Sheet, person: Person) -> np.ndarray:
    """Light on hair: strands that run down from the crown, and a sheen across them. -> (h, w), about 1."""
    across, down = sheet.u - 0.5 * person.parting, sheet.v + 84
    angle = across / (np.abs(down) + 26)
    strands = 0.06 * np.sin(23 * angle + person.strands) + 0.05 * np.sin(61 * angle + 2 * person.strands)
    arc = _radius(sheet.u - 22 * person.light[0], sheet.v + 4)
    sheen = 0.34 * (1 - ((arc - 58) / 16) ** 2).clip(0, None) ** 2
    return 0.92 + strands + sheen * (0.6 + 4 * np.abs(strands)) + sheet.u * np.float32(0.002 * person.light[0])


def _hair_behind(sheet: Sheet, person: Person, light: np.ndarray) -> None:
    """What falls beside the face and on the shoulders."""
    top, bottom = -18.0, person.length - 16
    beyond = np.maximum(sheet.v - bottom, 0) / 20
    y = np.minimum(sheet.v - top, 0) / (54 + 0.6 * person.volume) + beyond
    wide = person.width + person.volume - 2 + 0.05 * (sheet.v - top).clip(0, None)
    wave = 1.6 * np.sin(sheet.v / 9 + person.strands)
    distance = (_radius(sheet.u / (wide + wave), y) - 1) * 50
    _paint(sheet, _cover(sheet, distance), person.hair, 0.72 * light)


def _neck_and_clothes(sheet: Sheet, person: Person) -> None:
    below = _part(sheet, (-120, 120), (34, 130))
    across = np.abs(below.u)
    neck = across - 25 - 0.010 * (below.v - 66).clip(0, None) ** 2
    shadow = 0.62 + 0.30 * ((below.v - 52) / 44).clip(0, 1) + 0.004 * below.u * np.float32(person.light[0])
    _paint(below, _cover(below, neck) * (below.v > 30), person.skin, shadow)
    shoulders = 76 + 0.10 * across + 0.0009 * across**2 - below.v
    folds = 1 - 0.10 * np.cos(across / 13) * ((below.v - 80) / 30).clip(0, 1) + 0.0022 * below.u * person.light[0]
    if not person.has["Wearing_Necktie"]:
        opening = _radius(across / 30, (below.v - 60) / 25) - 1  # a round neckline, with its hem
        cover = _cover(below, np.maximum(shoulders, -opening * 25))
        _paint(below, cover, person.clothes, folds)
        _shade(below, 1 - 0.22 * cover * np.exp(-(((opening * 25 - 4) / 1.6) ** 2)))
        return
    _paint(below, _cover(below, shoulders), 0.45 * np.asarray(person.clothes), folds)  # a jacket
    shirt = across - 34 + 0.75 * (below.v - 66)
    shirt = np.maximum(shirt, 66 + 0.10 * across - below.v)
    _paint(below, _cover(below, shirt), (240, 242, 246), 0.86 + 0.14 * folds)
    crease = np.abs(across - 8 - 0.5 * (below.v - 70)) - 0.5
    _shade(below, 1 - 0.25 * _cover(below, crease, 1) * _cover(below, shirt))
    knot = np.maximum(across - 10 + 0.22 * (below.v - 70), np.abs(below.v - 76.5) - 7)
    blade = np.maximum(across - 5.5 - 0.16 * (below.v - 84), 83 - below.v)
    stripe = 1 + 0.14 * np.sign(np.sin((below.u + below.v) / 2.4))
    _paint(below, _cover(below, blade), person.tie, stripe)
    _paint(below, _cover(below, knot), person.tie, 1.12 - 0.012 * across)


def _ears(sheet: Sheet, person: Person) -> None:
    across = np.abs(sheet.u) - person.width - 0.5
    level = _radius(across / 6.5, (sheet.v - 6) / 13)
    _paint(sheet, _cover(sheet, (level - 1) * 6.5), person.skin, 0.66 + 0.2 * level.clip(0, 1))


def _skin(sheet: Sheet, person: Person) -> None:
    """The head as a dome under one light, with the light's warmth where it falls off."""
    distance = _egg(sheet, person.width, 66, person.chin - 2, v=2.0, jaw=person.jaw)
    cover = _cover(sheet, distance)
    x, y = sheet.u / (person.width + 4), (sheet.v - 2) / 72
    height = np.sqrt((1 - x**2 - y**2).clip(0.02, None))
    light = 0.66 + 0.36 * height + 0.17 * (x * person.light[0] + y * person.light[1])
    cheeks = _spot(sheet, -24, 22, 15, 12) + _spot(sheet, 24, 22, 15, 12) + _spot(sheet, 0, -30, 22, 12)
    light += (0.09 if person.has["Smiling"] else 0.05) * cheeks
    for channel, value, warmth in zip(sheet.picture, person.skin, (0.82, 1.0, 1.08), strict=True):
        channel += cover * (np.float32(value * warmth) * light + np.float32(value * (1 - warmth)) - channel)


def _sockets(sheet: Sheet) -> None:
    across = Sheet(sheet.picture, np.abs(sheet.u), sheet.v, sheet.pixel)
    dark = 0.20 * _spot(across, 20, -5, 15, 9) + 0.10 * _spot(across, 19, 9, 12, 4)
    _shade(sheet, 1 - dark)


def _nose(sheet: Sheet, person: Person) -> None:
    side = -1.0 if person.light[0] > 0 else 1.0  # the side in shadow
    wide = person.nose
    dark = 0.15 * _spot(sheet, side * wide * 0.75, 4, 4.5, 17) + 0.16 * _spot(sheet, side * wide, 19, 4, 6)
    dark += 0.26 * _spot(sheet, 0, 27, wide * 1.1, 3.2)
    bright = 0.11 * _spot(sheet, -0.1 * wide * side, 6, 3.2, 16)
    bright += 0.20 * _spot(sheet, -0.16 * wide * side, 18, 4.4, 4.4)
    _shade(sheet, 1 - dark + bright)
    across = np.abs(sheet.u)
    nostril = _radius((across - 0.52 * wide) / 3.0, (sheet.v - 24.2) / 1.7) - 1
    _shade(sheet, 1 - 0.55 * _cover(sheet, nostril * 1.8, 1.2))
    wing = np.abs(_radius(across - wide * 0.62, sheet.v - 20) - 5.2) - 0.5
    _shade(sheet, 1 - 0.20 * _cover(sheet, wing, 1.4) * (across > wide * 0.7) * (sheet.v > 15))


def _rosy_cheeks(sheet: Sheet, person: Person) -> None:
    across = Sheet(sheet.picture, np.abs(sheet.u), sheet.v, sheet.pixel)
    rose = 0.55 * _spot(across, 29, 24, 12.5, 9.5)
    red = np.asarray(person.skin) * (1.0, 0.46, 0.50) + (26, 0, 6)
    _paint(sheet, rose, red)


def _line(sheet: Sheet, person: Person) -> tuple[float, np.ndarray, np.ndarray]:
    """The mouth: v of its middle; v of the line between the lips, by u; and 1 in the middle, 0 in the corners, by u."""
    corners, sag = (33.0, 11.5) if person.has["Smiling"] else (41.5, 0.6)
    inside = 1 - (sheet.u / person.mouth) ** 2
    return corners + sag, corners + sag * inside.clip(-0.6, None), inside


def _gap(person: Person) -> tuple[float, float]:
    """Between the lips, in the middle of the mouth; and how much of it is teeth, from above."""
    gap = OPEN * person.has["Mouth_Slightly_Open"]
    if person.has["Smiling"]:
        return (gap + 0.5 * GRIN if gap else GRIN), GRIN
    return gap, 0.52 * gap


def _mouth(sheet: Sheet, person: Person) -> None:
    _, line, inside = _line(sheet, person)
    within = inside.clip(0, None)
    opening, teeth_below = _gap(person)
    gap = opening * within
    bow = 1 - 0.30 * np.exp(-((sheet.u / 3.2) ** 2))
    upper, lower = line - 0.42 * gap, line + 0.58 * gap
    top = upper - 4.6 * within * bow
    bottom = lower + 6.0 * within
    lips = _cover(sheet, np.maximum(top - sheet.v, sheet.v - bottom)) * (inside > 0)
    under = bottom + 3.5
    _shade(sheet, 1 - 0.16 * np.exp(-(((sheet.v - under) / 2.6) ** 2)) * within)
    light = 1.0 - np.float32(0.14) * (sheet.v < upper) + 0.16 * np.exp(-(((sheet.v - lower - 2.6) / 1.5) ** 2))
    _paint(sheet, lips, person.lips, light)
    if opening:
        hollow = _cover(sheet, np.maximum(upper - sheet.v, sheet.v - lower)) * (inside > 0)
        _paint(sheet, hollow, (70, 18, 24))
        teeth = np.maximum(upper - sheet.v, sheet.v - upper - teeth_below / opening * gap)
        _paint(sheet, _cover(sheet, teeth) * (inside > 0.06), (246, 242, 234), 0.86 + 0.14 * within)
    else:
        seam = np.abs(sheet.v - line) - 0.8
        _shade(sheet, 1 - 0.62 * _cover(sheet, seam, 0.6) * (inside > -0.04))
    corner = _radius(np.abs(sheet.u) - person.mouth, sheet.v - line) - 1.2
    _shade(sheet, 1 - 0.28 * _cover(sheet, corner, 2.0))
    if person.has["Smiling"]:
        fold = np.abs(np.abs(sheet.u) - 17.5 - 0.5 * (sheet.v - 22)) - 0.5
        reach = np.exp(-(((sheet.v - 29) / 7) ** 2))
        _shade(sheet, 1 - 0.30 * _cover(sheet, fold, 2.4) * reach)


def _beard(sheet: Sheet, person: Person) -> None:
    """Moustache and goatee follow the mouth; both are combed."""
    middle, line, _ = _line(sheet, person)
    across = np.abs(sheet.u)
    gap, _ = _gap(person)
    combed = 1 + 0.10 * np.sin(1.7 * sheet.u + 0.4 * sheet.v) + 0.08 * np.sin(2.9 * sheet.u + person.strands)
    if person.has["Mustache"]:
        x = across / (person.mouth + 3)
        thick = 4.6 * (1 - (x * x) ** 2).clip(-1, None) - 1.6 * np.exp(-((across / 2.2) ** 2))
        above = middle - 9.0 - 0.42 * gap + (0.55 * (line - middle)).clip(-8, 0) + 2.0 * x**2
        _paint(sheet, 0.95 * _cover(sheet, np.abs(sheet.v - above) - thick, 0.8), person.beard, combed)
    if person.has["Goatee"]:
        top = middle + 0.58 * gap + 8.5
        chin = person.chin + 3.5
        x, y = across / 19, (sheet.v - top) / (chin - top)  # y: 0 below the lip, 1 at the tip
        distance = np.maximum((_radius(x, 0.92 * y + 0.08) - 1) * 15, top - 2.5 * x**2 - sheet.v)
        _paint(sheet, 0.95 * _cover(sheet, distance, 1.2), person.beard, combed)


def _eyes(sheet: Sheet, person: Person) -> None:
    wide, tall = person.eye
    across = np.abs(sheet.u) - 20  # from the middle of either eye, outwards
    inside = 1 - (across / wide) ** 2
    smile = 1.8 if person.has["Smiling"] else 0.0  # cheeks push the lower lid up
    upper, lower = -tall * inside - 0.06 * across, (0.62 * tall - smile) * inside
    opening = _cover(sheet, np.maximum(upper - sheet.v, sheet.v - lower)) * (inside > -0.05)
    _paint(sheet, opening, (246, 244, 242), 0.84 + 0.16 * inside.clip(0, 1))
    gaze = np.sign(sheet.u) * np.float32(0.16 * person.turn[0])
    ball = _radius(across - gaze, sheet.v + 0.9)
    _paint(sheet, opening * _cover(sheet, ball - 7.0), 0.45 * np.asarray(person.iris))
    _paint(sheet, opening * _cover(sheet, ball - 6.1), person.iris, 0.8 + 0.05 * (sheet.v + 4).clip(0, 8))
    _paint(sheet, opening * _cover(sheet, ball - 3.2), (16, 12, 14))
    glint = _radius(np.abs(sheet.u - 2.0 * person.light[0]) - 20, sheet.v + 3.2)
    _paint(sheet, opening * _cover(sheet, glint - 1.8), (255, 255, 255))
    _shade(sheet, 1 - opening * 0.30 * np.exp(-(((sheet.v - upper) / 2.4) ** 2)))
    lid = np.abs(sheet.v - upper) - 0.95 - 0.05 * across.clip(0, None)
    _paint(sheet, 0.9 * _cover(sheet, lid, 0.5) * (inside > -0.12), (38, 26, 24))
    _shade(sheet, 1 - 0.24 * _cover(sheet, np.abs(sheet.v - lower) - 0.3, 0.9) * (inside > 0))
    crease = np.abs(sheet.v - upper * 1.25 + 2.6) - 0.35
    _shade(sheet, 1 - 0.20 * _cover(sheet, crease, 1.2) * (inside > 0.1))


def _brows(sheet: Sheet, person: Person) -> None:
    bushy = person.has["Bushy_Eyebrows"]
    across = np.abs(sheet.u) - 20.5
    along = (across / 15.5).clip(-1.2, 1.2)
    middle = -17.2 - person.arch * (1 - (along - 0.25) ** 2) + 1.0
    thick = (4.4 if bushy else 1.35) * (1 - 0.35 * along) * (1 - (along * along) ** 2)
    hairs = 1 + 0.12 * np.sin(2.3 * across - 0.9 * sheet.v)
    cover = _cover(sheet, np.abs(sheet.v - middle) - thick, 0.7) * (np.abs(along) < 1.1)
    _paint(sheet, (0.96 if bushy else 0.72) * cover, person.beard, hairs)


def _hair_in_front(sheet: Sheet, person: Person, light: np.ndarray) -> None:
    """The cap of hair, down to the hairline; bangs bring it down to the brows."""
    wide, high = person.width + 0.55 * person.volume, 62 + 0.55 * person.volume
    skull = _egg(sheet, wide, high, 70, v=-16.0)
    if person.has["Bangs"]:
        hairline = -26.5 - 2.4 * np.abs(np.sin(sheet.u / 7.5 + person.strands)) + 0.004 * sheet.u**2
    else:
        side = (sheet.u - person.parting).clip(-60, 60)
        hairline = -57 + 0.004 * sheet.u**2 + 0.010 * side**2
    ends = min(person.length, 30.0)
    temples = np.abs(sheet.u) - person.width + 6 - 0.005 * (sheet.v + 25).clip(0, None) ** 2
    distance = np.maximum(skull, np.minimum(sheet.v - hairline, np.maximum(-temples, sheet.v - ends)))
    on_skin = _radius(sheet.u / person.width, (sheet.v - 2) / 66) < 1
    _shade(sheet, 1 - 0.22 * _cover(sheet, distance - 3, 5.0) * on_skin)
    _paint(sheet, _cover(sheet, distance, 0.3), person.hair, light)


def _glasses(sheet: Sheet, person: Person) -> None:
    across = np.abs(sheet.u) - 21
    box = (np.abs(across / 16.2) ** 3 + np.abs((sheet.v - 1.5) / 13.2) ** 3) ** np.float32(1 / 3)
    distance = (box - 1) * 14
    _paint(sheet, 0.13 * _cover(sheet, distance), (232, 244, 255))
    glare = np.abs(across * 0.8 + sheet.v * 0.6 + 7) - 2.2
    _paint(sheet, 0.22 * _cover(sheet, np.maximum(distance, glare), 1), (255, 255, 255))
    rim = np.abs(distance) - 1.7
    bridge = np.maximum(np.abs(sheet.v + 1.5 - 0.02 * sheet.u**2) - 1.5, np.abs(sheet.u) - 5.6)
    temple = np.maximum(np.abs(sheet.v + 2) - 1.6, np.abs(np.abs(sheet.u) - 41) - 5)
    _paint(sheet, _cover(sheet, np.minimum(np.minimum(rim, bridge), temple)), person.frame)


def _earrings(sheet: Sheet, person: Person) -> None:
    across = np.abs(sheet.u) - person.width - 2.5
    drop = _radius(across, (sheet.v - 33) * 0.72) - 7.0
    hook = np.maximum(np.abs(across) - 0.8, np.abs(sheet.v - 21) - 4)
    _paint(sheet, _cover(sheet, np.minimum(drop, hook) - 1.4), (60, 44, 36))
    light = 0.80 + 0.4 * np.exp(-(((across + 2) / 2.6) ** 2 + ((sheet.v - 30) / 3.2) ** 2))
    _paint(sheet, _cover(sheet, np.minimum(drop, hook)), person.jewel, light)


def _hat(sheet: Sheet, person: Person) -> None:
    wide = person.width + person.volume * 0.55 + 5
    rim = -42 + 0.0035 * sheet.u**2
    crown = np.maximum(_egg(sheet, wide, 56, 60, v=-36.0), sheet.v - rim)
    x = sheet.u / wide
    light = 1.02 - 0.30 * x**2 + 0.14 * x * np.float32(person.light[0])
    if person.brim:
        shadow = np.abs(sheet.v - rim - 6) - 4
        _shade(sheet, 1 - 0.22 * _cover(sheet, np.maximum(shadow, np.abs(sheet.u) - person.width), 6))
        _paint(sheet, _cover(sheet, crown), person.hat, light)
        ribbon = np.maximum(crown, rim - 15 - sheet.v)
        _paint(sheet, _cover(sheet, ribbon), 0.4 * np.asarray(person.hat), light)
        brim = (_radius(sheet.u / (wide + person.brim), (sheet.v - rim + 1) / 6.5) - 1) * 7
        _paint(sheet, _cover(sheet, brim), person.hat, light * (0.92 - 0.03 * (sheet.v - rim)))
        return
    ribs = 0.07 * np.sin(18 * x * (1 + 0.3 * x * x))
    _paint(sheet, _cover(sheet, crown), person.hat, light + ribs)
    band = (_radius(((sheet.v - rim + 7) / 9) ** 2, ((x * x) ** 2) ** 2) - 1) * 5
    _paint(sheet, _cover(sheet, band), 1.12 * np.asarray(person.hat), light + 1.4 * ribs)
    below = (np.abs(sheet.u) < 48) * (sheet.v > rim + 2)
    _shade(sheet, 1 - 0.25 * np.exp(-(((sheet.v - rim - 3.5) / 2.5) ** 2)) * below)


# -- CelebA's layout


def write_celeba(root: Path | str, n: int = 6_000, *, seed: int = 0) -> None:
    """Draw n faces into root/celeba as CelebA is laid out: JPEGs, their attributes and their parts.

    Eight in ten are for training, one in ten each for validation and testing. About 5 ms a face on one core.
    Raises ValueError as `draw_faces` does, OSError where root cannot be written.
    """
    if n < 1 or seed < 0:
        raise ValueError(f"n must be at least 1 and seed at least 0, got {n} and {seed}")
    folder = Path(root) / "celeba"
    pictures = folder / "img_align_celeba"
    pictures.mkdir(parents=True, exist_ok=True)
    names = [f"{number:06d}.jpg" for number in range(1, n + 1)]
    people = [_person(seed, i) for i in range(n)]
    for name, person in zip(names, tqdm(people, "drawing faces, once", disable=n < 500), strict=True):
        Image.fromarray(_draw(person, (WIDTH, HEIGHT))).save(pictures / name, quality=95)
    signs = [" ".join(" 1" if person.has[key] else "-1" for key in NAMES) for person in people]
    rows = [f"{name} {sign}" for name, sign in zip(names, signs, strict=True)]
    _write(folder / "list_attr_celeba.txt", [str(n), " ".join(NAMES), *rows])
    parts = [(10 * i >= 8 * n) + (10 * i >= 9 * n) for i in range(n)]
    _write(folder / "list_eval_partition.txt", [f"{name} {part}" for name, part in zip(names, parts, strict=True)])


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
