"""Where the camera stands and which point of the panel each pixel sees.

Panel coordinates are millimetres: x to the right, y down, z out of the panel towards the camera; the origin is what
the middle of the picture sees. For where things lie the panel is its tangent plane, z = 0; its shape only turns the
normals (see `surfacedefect.synthetic.panel`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Number = NDArray[np.float32] | NDArray[np.float64] | float
Vector = tuple[float, float, float]
Indices = slice | NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """A pinhole camera: size in px, scale in the middle of the picture, position and axes in panel coordinates."""

    width: int
    height: int
    mm_per_px: float
    position: Vector
    right: Vector
    down: Vector
    forward: Vector

    @classmethod
    def looking(
        cls, size: tuple[int, int], *, mm_per_px: float, distance_mm: float, tilt: float = 0.0, towards: float = 0.0
    ) -> View:
        """Camera at a distance, tilted by ``tilt`` radians away from the normal in the direction ``towards`` (radians).

        A picture of size (width, height); ``towards`` counts in the panel's plane from x to y.
        """
        sin, cos = float(np.sin(tilt)), float(np.cos(tilt))
        a, b = float(np.cos(towards)), float(np.sin(towards))
        away = np.asarray([sin * a, sin * b, cos])
        # the camera turns about the axis (-b, a, 0), so the picture stays upright
        axis, cross = np.asarray([-b, a, 0.0]), np.asarray([[0, 0, a], [0, 0, b], [-a, -b, 0]])
        turn = cos * np.eye(3) + sin * cross + (1 - cos) * np.outer(axis, axis)
        right, down = turn @ [1.0, 0, 0], turn @ [0, 1.0, 0]
        return cls(*size, mm_per_px, _vector(away * distance_mm), _vector(right), _vector(down), _vector(-away))

    @property
    def focal_px(self) -> float:
        """Focal length, in px."""
        return float(np.linalg.norm(self.position)) / self.mm_per_px

    def grid(self, rows: Indices, cols: Indices = slice(None)) -> tuple[Float, Float]:
        """Give x and y in mm of the pixel centres of these rows and columns, each float32 (h, w)."""
        u = np.arange(self.width)[cols] + 0.5 - self.width / 2
        v = np.arange(self.height)[rows] + 0.5 - self.height / 2
        return self._meet(u.astype(np.float32)[None], v.astype(np.float32)[:, None])

    def point(self, col: float, row: float) -> tuple[float, float]:
        """Give x and y in mm of the point of the panel seen at these picture coordinates."""
        x, y = self.points(np.asarray([col], np.float32), np.asarray([row], np.float32))
        return float(x[0]), float(y[0])

    def points(self, cols: Float, rows: Float) -> tuple[Float, Float]:
        """Give x and y in mm of the points of the panel seen at these picture coordinates, any one shape."""
        return self._meet(cols - np.float32(self.width / 2), rows - np.float32(self.height / 2))

    def rulers(self, rows: Indices, cols: Indices = slice(None)) -> tuple[Float, Float]:
        """Give x along the middle row and y along the middle column: the grid as if it had no perspective."""
        u = (np.arange(self.width)[cols] + 0.5 - self.width / 2).astype(np.float32)
        v = (np.arange(self.height)[rows] + 0.5 - self.height / 2).astype(np.float32)
        along = np.float32(self.mm_per_px * self.right[0] / max(0.2, -self.forward[2]))
        down = np.float32(self.mm_per_px * self.down[1] / max(0.2, -self.forward[2]))
        return u * along, v * down

    def _meet(self, u: Float, v: Float) -> tuple[Float, Float]:
        focal = self.focal_px
        # one sum of a row and a column for each axis
        dx, dy, dz = (
            np.float32(r) * u + (np.float32(d) * v + np.float32(f * focal))
            for r, d, f in zip(self.right, self.down, self.forward, strict=True)
        )
        steps = np.float32(-self.position[2]) / dz
        x, y = np.float32(self.position[0]) + steps * dx, np.float32(self.position[1]) + steps * dy
        shape = np.broadcast_shapes(u.shape, v.shape)
        return np.broadcast_to(x, shape), np.broadcast_to(y, shape)

    def project(self, x_mm: Number, y_mm: Number) -> tuple[Float, Float]:
        """Give the picture coordinates (x, y) in px of points of the panel; pixel corners lie on integers."""
        dx, dy, dz = np.asarray(x_mm) - self.position[0], np.asarray(y_mm) - self.position[1], -self.position[2]
        u, v, depth = (dx * a + dy * b + dz * c for a, b, c in (self.right, self.down, self.forward))
        focal = self.focal_px
        x, y = focal * u / depth + self.width / 2, focal * v / depth + self.height / 2
        return np.asarray(x, np.float32), np.asarray(y, np.float32)

    def px_per_mm(self, x_mm: Number, y_mm: Number, angle: Number) -> Float:
        """How many px one millimetre measures at these points in the direction ``angle`` (radians, from x to y)."""
        step = 0.5 * self.mm_per_px
        dx, dy = np.cos(angle) * step, np.sin(angle) * step
        x0, y0 = self.project(x_mm - dx, y_mm - dy)
        x1, y1 = self.project(x_mm + dx, y_mm + dy)
        return np.asarray(np.hypot(x1 - x0, y1 - y0) / np.float32(2 * step), np.float32)

    def depth(self, x_mm: Float, y_mm: Float) -> Float:
        """Distance along the optical axis, in mm, minus that of the middle of the picture."""
        fx, fy, _ = (np.float32(f) for f in self.forward)
        return np.asarray(x_mm * fx + y_mm * fy, np.float32)

    @property
    def steepest(self) -> float:
        """Largest angle, in radians, between a ray of the picture and the panel's normal; over pi / 2 it misses it."""
        u = np.asarray([-0.5, 0.5]) * self.width / self.focal_px
        v = np.asarray([-0.5, 0.5]) * self.height / self.focal_px
        down = -(self.right[2] * u[None] + self.down[2] * v[:, None] + self.forward[2])
        length = np.sqrt(1 + u[None] ** 2 + v[:, None] ** 2)
        return float(np.arccos((down / length).clip(-1, 1)).max())

    @property
    def extent_mm(self) -> float:
        """Longer side of the footprint."""
        x0, y0, x1, y1 = self.footprint
        return max(x1 - x0, y1 - y0)

    @property
    def footprint(self) -> tuple[float, float, float, float]:
        """Bounding box (x0, y0, x1, y1), in mm, of what the picture sees."""
        u = np.asarray([-0.5, 0.5], np.float32) * np.float32(self.width)
        v = np.asarray([-0.5, 0.5], np.float32) * np.float32(self.height)
        x, y = self._meet(u[None], v[:, None])
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _vector(a: NDArray[np.float64]) -> Vector:
    x, y, z = (float(c) for c in a)
    return x, y, z
