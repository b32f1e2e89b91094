"""Rotations in numpy: 6D, Euler angles of DAD-3DHeads, axis-angle (SPEC 3, 4).

A rotation R maps model space (x to the subject's left, y up, z out of the face) to image axes
(x right, y down, z into the scene): posed = R v. Every function works over any leading axes and
answers in the dtype it was given.
"""

import numpy as np

FRONTAL = np.diag([1.0, -1.0, -1.0])
"""A face that looks straight into the camera."""


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def rotation_from_six_d(six: np.ndarray) -> np.ndarray:
    """Rotation [..., 3, 3] from two column vectors a, b [..., 6]; neither is zero nor parallel.

    b1 = a/|a|, b3 = (b1 x b)/|b1 x b|, b2 = b3 x b1; the columns are b1, b2, b3 (SPEC 3).
    """
    first = _unit(six[..., :3])
    third = _unit(np.cross(first, six[..., 3:]))
    second = np.cross(third, first)
    return np.stack([first, second, third], axis=-1)


def six_d_from_rotation(rotation: np.ndarray) -> np.ndarray:
    """The first two columns of [..., 3, 3], one after the other: [..., 6]."""
    return np.concatenate([rotation[..., :, 0], rotation[..., :, 1]], axis=-1)


def euler_degrees(rotation: np.ndarray) -> np.ndarray:
    """(pitch, yaw, roll) in degrees [..., 3]; the frontal face is (0, 0, 0) (SPEC 4).

    Extrinsic x-y-z angles of the transposed rotation, x turned by 180. Positive pitch looks up,
    yaw turns to the image's left, roll is clockwise in the image; yaw stays within 90.
    """
    r00, r01, r02 = (rotation[..., 0, column] for column in range(3))
    pitch = np.arctan2(-rotation[..., 1, 2], -rotation[..., 2, 2])
    yaw = np.arctan2(-r02, np.hypot(r00, r01))
    roll = np.arctan2(r01, r00)
    return np.degrees(np.stack([pitch, yaw, roll], axis=-1))


def rotation_from_euler(degrees: np.ndarray) -> np.ndarray:
    """Rotation [..., 3, 3] from (pitch, yaw, roll) in degrees [..., 3]: undoes `euler_degrees`."""
    pitch, yaw, roll = np.moveaxis(np.radians(degrees), -1, 0)
    sp, cp, sy, cy, sr, cr = (f(a) for a in (pitch, yaw, roll) for f in (np.sin, np.cos))
    # (Rz(roll) Ry(yaw) Rx(pitch + 180))^T, written out
    rows = [
        [cy * cr, cy * sr, -sy],
        [cp * sr - sp * sy * cr, -cp * cr - sp * sy * sr, -sp * cy],
        [-sp * sr - cp * sy * cr, sp * cr - cp * sy * sr, -cp * cy],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def wrap_degrees(degrees: np.ndarray) -> np.ndarray:
    """The same angles within (-180, 180]."""
    return 180 - np.mod(180 - degrees, 360)


def rodrigues(axis_angle: np.ndarray) -> np.ndarray:
    """Rotation [..., 3, 3] from axis times angle in radians [..., 3].

    R = I + sin(t)/t K + (1 - cos t)/t^2 K^2, with K the cross-product matrix; exact at t = 0.
    """
    angle = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(axis_angle, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1)
    cross = cross.reshape(*axis_angle.shape[:-1], 3, 3)
    # np.sinc(u) is sin(pi u)/(pi u); (1 - cos t)/t^2 = sinc(t/2)^2 / 2 has no cancellation
    linear = np.sinc(angle / np.pi).astype(axis_angle.dtype)
    square = (np.sinc(angle / (2 * np.pi)) ** 2 / 2).astype(axis_angle.dtype)
    identity = np.eye(3, dtype=axis_angle.dtype)
    return identity + linear * cross + square * (cross @ cross)
