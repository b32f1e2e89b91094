"""What one image shows, drawn at random: pose, camera, face, light, looks, quality (SPEC 8).

Everything comes from `numpy.random.default_rng` on (seed, stream, index), so an item depends on
nothing but those three numbers and the nominal size.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trans3dhead.head.layout import LAYOUT_413
from trans3dhead.head.rotation import euler_degrees, rotation_from_euler, six_d_from_rotation

Colour = tuple[float, float, float]
"""RGB as shown on a screen, 0 to 1."""

POSES = ("front", "sided", "atypical")
FRONT_LIMIT, SIDED_LIMIT, TILT_LIMIT = 25.0, 75.0, 30.0
"""Degrees: front up to the first of yaw, sided up to the second; pitch or roll past the third make
a pose atypical."""

SKIN_TONES = np.array(
    [(255, 224, 200), (241, 197, 165), (226, 176, 138), (198, 138, 98), (146, 92, 62),
     (102, 64, 44), (74, 48, 36)]
) / 255  # fmt: skip
HAIR_COLOURS = np.array(
    [(24, 19, 17), (48, 33, 25), (82, 55, 36), (118, 66, 38), (186, 148, 96), (214, 184, 132)]
) / 255  # fmt: skip
GREY_HAIR = np.array([(128, 126, 124), (186, 184, 182), (225, 224, 222)]) / 255
IRIS_COLOURS = np.array(
    [(58, 36, 22), (88, 58, 34), (104, 96, 58), (92, 112, 118), (84, 118, 150)]
) / 255  # fmt: skip
AGES = ("child", "young", "middle-aged", "senior")


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole at the middle of the image, and where the head stands before it."""

    width: int
    height: int
    """Pixels of the image."""
    head_height: float
    """Height a template's head would have in the image, pixels."""
    distance: float
    """From the camera to the head's centre, metres: near heads are distorted more."""
    centre: tuple[float, float]
    """Pixel at which the head's centre appears."""


@dataclass(frozen=True, kw_only=True)
class Lamp:
    """A far light."""

    direction: NDArray[np.float32]
    """[3] unit, camera axes (x right, y up, z to the viewer), towards the light."""
    colour: NDArray[np.float32]
    """[3] linear RGB."""


@dataclass(frozen=True, kw_only=True)
class Light:
    """A key lamp that casts shadows, a fill lamp that does not, and light from all around."""

    key: Lamp
    fill: Lamp
    sky: NDArray[np.float32]
    ground: NDArray[np.float32]
    """[3] linear RGB from above and from below."""

    @property
    def strength(self) -> float:
        """About what a surface towards the viewer receives."""
        facing = max(float(self.key.direction[2]), 0.2)
        around = float(self.sky.mean() + self.ground.mean()) / 2
        return (
            around + facing * float(self.key.colour.mean()) + 0.4 * float(self.fill.colour.mean())
        )


@dataclass(frozen=True, kw_only=True)
class Looks:
    """How the head is painted."""

    skin: Colour
    hair: Colour
    lips: Colour
    iris: Colour
    clothes: Colour
    hairline: float
    """Metres by which the hair's edge is raised; far up means bald."""
    hair_volume: float
    """Metres the hair stands off the scalp."""
    hair_length: float
    """Metres the hair falls below the chin; 0 where it is short."""
    beard: float
    """0 shaven to 1 full."""
    brow: float
    """0 faint to 1 dark."""
    blush: float
    """0 to 1."""
    shine: float
    """Strength of the skin's highlights."""
    gaze: tuple[float, float]
    """Radians the eyes turn to the subject's left and up."""


@dataclass(frozen=True, kw_only=True)
class Lens:
    """What the camera makes of the picture."""

    exposure: float
    blur: float
    """Pixels, standard deviation."""
    motion: float
    """Pixels of shake; 0 for none."""
    shrink: float
    """The picture passes through one so many times smaller."""
    noise: float
    """Grey levels, standard deviation."""
    jpeg: int | None
    """Quality, or None for no compression."""
    contrast: float
    tint: NDArray[np.float32]
    """[3] factors of the channels."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One image before it is drawn."""

    params: NDArray[np.float32]
    """[413] shape, expression, jaw and rotation; translation and scale are the camera's."""
    rotation: NDArray[np.float64]
    """[3, 3] image axes (SPEC 4)."""
    camera: Camera
    light: Light
    looks: Looks
    lens: Lens
    occluded: bool
    attributes: dict[str, str | bool]
    """As DAD-3DHeads names them (SPEC 5)."""


def sample_scene(rng: np.random.Generator, size: int) -> Scene:
    """Draw a scene.

    Args:
        rng: made for this item alone.
        size: nominal side of the image; width and height vary by a ninth around it.
    """
    rotation = rotation_from_euler(_angles(rng))
    expressive = bool(rng.random() < 0.5)
    params = _face(rng, expressive)
    params[LAYOUT_413.rotation] = six_d_from_rotation(rotation)
    gender = str(rng.choice(["female", "male"]))
    age = str(rng.choice(AGES, p=[0.1, 0.4, 0.3, 0.2]))
    standard_light = bool(rng.random() < 0.75)
    low_quality = bool(rng.random() < 0.2)
    occluded = bool(rng.random() < 0.2)
    light = _light(rng, standard_light)
    return Scene(
        params=params,
        rotation=rotation,
        camera=_camera(rng, size),
        light=light,
        looks=_looks(rng, gender, age),
        lens=_lens(rng, low_quality, light.strength),
        occluded=occluded,
        attributes={
            "quality": "lq" if low_quality else "hq",
            "gender": gender,
            "expression": expressive,
            "age": age,
            "occlusions": occluded,
            "pose": pose_attribute(rotation),
            "standard light": standard_light,
        },
    )


def pose_attribute(rotation: NDArray[np.float64]) -> str:
    """ "front", "sided" or "atypical", by the angles of a rotation [3, 3]."""
    pitch, yaw, roll = np.abs(euler_degrees(rotation))
    if max(pitch, roll) > TILT_LIMIT or yaw > SIDED_LIMIT:
        return "atypical"
    return "front" if yaw <= FRONT_LIMIT else "sided"


def _angles(rng: np.random.Generator) -> NDArray[np.float64]:
    """Pitch, yaw and roll in degrees: half the heads near the front, some past profile."""
    kind = rng.choice(POSES, p=[0.5, 0.33, 0.17])
    if kind == "front":
        return rng.normal(0, (9, 12, 8))
    if kind == "sided":
        yaw = rng.uniform(25, 75) * rng.choice([-1, 1])
        return np.array([rng.normal(0, 11), yaw, rng.normal(0, 10)])
    pitch, yaw, roll = rng.uniform((-45, -100, -50), (45, 100, 50))
    # Near profile pitch and roll turn about the same axis: together no neck could bend so far.
    tilt = 0.35 + 0.65 * max(np.cos(np.radians(yaw)), 0)
    return np.array([pitch * tilt, yaw, roll * tilt])


def _face(rng: np.random.Generator, expressive: bool) -> NDArray[np.float32]:
    """Shape, expression and jaw [413], within the 3 tanh that the network can say (SPEC 2)."""
    layout = LAYOUT_413
    params = np.zeros(layout.count, np.float32)
    params[layout.shape_slice] = rng.normal(0, 1, layout.shape)
    params[layout.expression_slice] = rng.normal(0, 1 if expressive else 0.2, layout.expression)
    params = np.clip(params, -2.5, 2.5)
    opened = rng.uniform(0.05, 0.4) if expressive and rng.random() < 0.6 else rng.uniform(0, 0.03)
    # x positive drops the jaw, y moves it sideways, z tilts it.
    params[layout.jaw_slice] = [opened, rng.normal(0, 0.02), rng.normal(0, 0.01)]
    return params


def _camera(rng: np.random.Generator, size: int) -> Camera:
    width, height = (int(side) for side in rng.integers(size * 8 // 9, size * 10 // 9 + 1, 2))
    share = rng.uniform(0.7, 1.0) if rng.random() < 0.15 else rng.uniform(0.36, 0.7)
    head_height = share * min(width, height)
    # How far the head's centre may move from the middle: mostly inside, some heads cut off.
    room = np.maximum(np.array([width - 0.8 * head_height, height - head_height]) / 2, 0)
    reach = rng.uniform(0, 0.3) * head_height if rng.random() < 0.15 else 0.0
    centre = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * (room + reach)
    return Camera(
        width=width,
        height=height,
        head_height=float(head_height),
        distance=float(np.exp(rng.uniform(np.log(0.45), np.log(3.0)))),
        centre=(float(centre[0]), float(centre[1])),
    )


def _light(rng: np.random.Generator, standard: bool) -> Light:
    """Standard light comes from before and above and is nearly white; any other may be harsh."""
    if standard:
        turn, rise = rng.uniform(-1.0, 1.0), rng.uniform(0.0, 1.0)
        key, fill, around, saturation = rng.uniform(0.7, 1.2), 0.25, rng.uniform(0.35, 0.7), 0.08
    else:
        turn, rise = rng.uniform(-2.4, 2.4), rng.uniform(-0.6, 1.3)
        key, fill, around = rng.uniform(0.5, 2.2), rng.uniform(0, 0.6), rng.uniform(0.08, 0.45)
        saturation = rng.uniform(0.1, 0.5)

    def colour(strength: float) -> NDArray[np.float32]:
        return (strength * (1 + saturation * rng.uniform(-1, 1, 3))).astype(np.float32)

    return Light(
        key=Lamp(direction=_direction(turn, rise), colour=colour(key)),
        fill=Lamp(
            direction=_direction(rng.uniform(-1.5, 1.5), rng.uniform(-0.5, 0.8)),
            colour=colour(fill),
        ),
        sky=colour(around),
        ground=colour(around * rng.uniform(0.3, 0.8)),
    )


def _direction(turn: float, rise: float) -> NDArray[np.float32]:
    """Unit vector in camera axes, `turn` radians to the right of the viewer, `rise` above."""
    flat = np.cos(rise)
    return np.array([flat * np.sin(turn), np.sin(rise), flat * np.cos(turn)], np.float32)


def _looks(rng: np.random.Generator, gender: str, age: str) -> Looks:
    tone = rng.uniform(0, len(SKIN_TONES) - 1)
    skin = np.array([np.interp(tone, range(len(SKIN_TONES)), channel) for channel in SKIN_TONES.T])
    skin = np.clip(skin * rng.uniform(0.94, 1.06, 3), 0, 1)
    grey = rng.random() < {"child": 0.0, "young": 0.0, "middle-aged": 0.2, "senior": 0.8}[age]
    # The darker the skin, the fewer of the lighter colours.
    lightest = len(HAIR_COLOURS) if tone < 2.5 else 3
    hair = rng.choice(GREY_HAIR) if grey else HAIR_COLOURS[rng.integers(lightest)]
    if rng.random() < 0.04:
        hair = rng.uniform(0.1, 0.8, 3)  # dyed
    man, grown = gender == "male", age != "child"
    bald = man and grown and rng.random() < 0.2
    long_hair = not bald and rng.random() < (0.08 if man else 0.65)
    bearded = man and grown and rng.random() < 0.5
    made_up = not man and grown and rng.random() < 0.4
    redness = np.array([rng.uniform(0.75, 1.0), 0.62, 0.62]) * rng.uniform(0.85, 1.1)
    painted = rng.uniform((0.5, 0.05, 0.1), (0.8, 0.25, 0.35))
    return Looks(
        skin=_colour(skin),
        hair=_colour(hair * rng.uniform(0.85, 1.15)),
        lips=_colour(painted if made_up else skin * redness),
        iris=_colour(IRIS_COLOURS[rng.integers(len(IRIS_COLOURS))] * rng.uniform(0.8, 1.2)),
        clothes=_colour(rng.uniform(0.05, 0.85) + rng.normal(0, 0.1, 3)),
        hairline=0.5 if bald else float(rng.normal(0.0, 0.006)),
        hair_volume=0.0 if bald else float(rng.uniform(0.002, 0.022)),
        hair_length=float(rng.uniform(0.01, 0.14)) if long_hair else 0.0,
        beard=float(rng.uniform(0.15, 1.0)) if bearded else 0.0,
        brow=float(rng.uniform(0.45, 1.0)),
        blush=float(rng.uniform(0.2, 0.9)),
        shine=float(rng.uniform(0.02, 0.16)),
        gaze=(float(rng.normal(0, 0.2)), float(rng.normal(0, 0.1))),
    )


def _colour(values: NDArray[np.float64]) -> Colour:
    red, green, blue = np.clip(values, 0, 1).tolist()
    return red, green, blue


def _lens(rng: np.random.Generator, low_quality: bool, strength: float) -> Lens:
    """Exposure follows the light as a camera's does, though not all the way."""
    tint = (1 + 0.06 * rng.uniform(-1, 1, 3)).astype(np.float32)
    exposure = float(rng.uniform(0.8, 1.15)) * (1.1 / strength) ** 0.75
    contrast = float(rng.uniform(0.85, 1.15))
    if not low_quality:
        return Lens(
            exposure=exposure, blur=float(rng.uniform(0, 0.6)), motion=0.0, shrink=1.0,
            noise=float(rng.uniform(0.5, 3)), jpeg=None, contrast=contrast, tint=tint,
        )  # fmt: skip
    return Lens(
        exposure=exposure * float(rng.uniform(0.65, 1.3)),
        blur=float(rng.uniform(0.3, 1.6)),
        motion=float(rng.uniform(2, 7)) if rng.random() < 0.3 else 0.0,
        shrink=float(rng.uniform(1.2, 2.5)) if rng.random() < 0.5 else 1.0,
        noise=float(rng.uniform(3.5, 10)),
        jpeg=int(rng.integers(15, 70)) if rng.random() < 0.6 else None,
        contrast=contrast * float(rng.uniform(0.7, 1.1)),
        tint=tint * (1 + 0.1 * rng.uniform(-1, 1, 3)).astype(np.float32),
    )
