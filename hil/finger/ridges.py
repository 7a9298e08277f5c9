"""Ridges grown along an orientation field, minutiae emerging where they meet.

Sparse random points are filtered again and again by Gabor filters tuned to the local
orientation and frequency, as SFinGe does: R. Cappelli, D. Maio, D. Maltoni, "Synthetic
fingerprint-database generation", ICPR 2002; Maltoni et al., "Handbook of Fingerprint
Recognition", 2nd ed., chapter 6. Growth runs at 250 dpi (a 9 px period is 4.5 px there, well
under Nyquist), is brought to 500 dpi by Fourier interpolation and finished at that resolution.
The filters are applied in the Fourier domain, a bank of them blended pixel by pixel.

Knows nothing of fingers, impressions or files.
"""

import functools

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

ORIENTATIONS = 16
PERIODS_PX = (7.4, 9.0, 11.0)  # at 500 dpi: ridges of adult fingers, 0.38 to 0.56 mm
ENVELOPE_PX = 4.2  # standard deviation of the Gabor envelope at 500 dpi, period 9 px
SEED_SPACING_PX = 17.0  # mean distance of the first points at 500 dpi
GROWING_ROUNDS = 14
FINISHING_ROUNDS = 1
GAIN = 2.6


@functools.lru_cache(maxsize=4)
def _bank(shape: tuple[int, int], scale: float) -> Field:
    """Transfer functions (period, orientation, rows, columns // 2 + 1); even, real, no DC."""
    fy = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    filters = []
    for period_px in PERIODS_PX:
        f0 = 1 / (period_px * scale)
        sigma = 1 / (2 * np.pi * ENVELOPE_PX * scale * period_px / 9.0)
        row = []
        for k in range(ORIENTATIONS):
            across = np.pi * k / ORIENTATIONS + np.pi / 2
            cx, cy = f0 * np.cos(across), -f0 * np.sin(across)
            plus = np.exp(-((fx - cx) ** 2 + (fy - cy) ** 2) / (2 * sigma**2))
            minus = np.exp(-((fx + cx) ** 2 + (fy + cy) ** 2) / (2 * sigma**2))
            transfer = plus + minus
            transfer[0, 0] = 0
            row.append(transfer)
        filters.append(row)
    return np.asarray(filters, np.float32)


def _weights(position: Field, count: int, *, circular: bool) -> Field:
    """Linear interpolation between neighbouring filters: (count, rows, columns)."""
    index = np.arange(count, dtype=np.float32)[:, None, None]
    distance = np.abs(position[None] - index)
    if circular:
        distance = np.minimum(distance, count - distance)
    return np.asarray(np.maximum(0, 1 - distance), np.float32)


class _LocalFilter:
    """The filter bank, and for each pixel its blend of the bank."""

    def __init__(self, theta: Field, period_px: Field, scale: float) -> None:
        bank = _bank((theta.shape[0], theta.shape[1]), scale)
        by_angle = _weights(theta * np.float32(ORIENTATIONS / np.pi), ORIENTATIONS, circular=True)
        place = np.interp(period_px, PERIODS_PX, np.arange(len(PERIODS_PX))).astype(np.float32)
        by_period = _weights(place, len(PERIODS_PX), circular=False)
        self._parts: list[tuple[Field, Field]] = []
        for p, k in np.ndindex(len(PERIODS_PX), ORIENTATIONS):
            weight = by_period[p] * by_angle[k]
            if weight.any():
                self._parts.append((bank[p, k], weight))

    def round(self, signal: Field) -> Field:
        """Filter once, then push towards ridge (+1) or valley (-1)."""
        spectrum = np.fft.rfft2(signal)
        out = np.zeros_like(signal)
        for transfer, weight in self._parts:
            out += weight * np.fft.irfft2(spectrum * transfer, s=signal.shape)
        return np.asarray(np.tanh(GAIN * out), np.float32)


def _enlarge(small: Field, shape: tuple[int, int]) -> Field:
    """Fourier interpolation to twice the size."""
    spectrum = np.fft.rfft2(small)
    rows, columns = spectrum.shape
    large = np.zeros((shape[0], shape[1] // 2 + 1), np.complex64)
    half = rows // 2
    large[:half, : columns - 1] = spectrum[:half, : columns - 1]
    large[-half:, : columns - 1] = spectrum[half:, : columns - 1]
    return np.asarray(4 * np.fft.irfft2(large, s=shape), np.float32)


def grow(rng: np.random.Generator, theta: Field, period_px: Field, shape: tuple[int, int]) -> Field:
    """Ridges (+1) and valleys (-1) of `shape` = twice the shape of `theta` and `period_px`.

    Args:
        rng: where the growth starts is drawn from it.
        theta: orientation, radians in [0, pi), at 250 dpi.
        period_px: ridge period in pixels at 500 dpi, at 250 dpi positions.
        shape: (rows, columns) at 500 dpi, both divisible by 4.
    """
    small = (shape[0] // 2, shape[1] // 2)
    if theta.shape != small or period_px.shape != small or shape[0] % 4 or shape[1] % 4:
        raise ValueError("orientation and period must have half the shape asked for")
    signal = np.zeros(small, np.float32)
    count = round(shape[0] * shape[1] / SEED_SPACING_PX**2)
    signal[rng.integers(0, small[0], count), rng.integers(0, small[1], count)] = 1
    growing = _LocalFilter(theta, period_px, 0.5)
    for _ in range(GROWING_ROUNDS):
        signal = growing.round(signal)
    large = _enlarge(signal, shape)
    finishing = _LocalFilter(_twice(theta), _twice(period_px), 1.0)
    for _ in range(FINISHING_ROUNDS):
        large = finishing.round(large)
    return large


def _twice(field: Field) -> Field:
    return np.repeat(np.repeat(field, 2, axis=0), 2, axis=1)
