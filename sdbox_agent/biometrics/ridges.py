"""Ridges made plain: an image in which only what runs as ridges do is left, at one contrast.

Short-time Fourier analysis in windows `STEP_PX` apart: each one's direction and period, smoothed
with its neighbours', become a filter of that window's own spectrum (Chikkerur, Cartwright,
Govindaraju, "Fingerprint enhancement using STFT analysis", Pattern Recognition 40(1), 2007).
Knows pixels; knows no minutiae and no library.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from sdbox_agent.biometrics import parameters as p

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float32]
    Spectra = NDArray[np.complex64]

_SIDE: Final = p.WINDOW_PX
_STEP: Final = p.STEP_PX
_MARGIN_PX: Final = (_SIDE - _STEP) // 2  # of a window round its cell
_TILES: Final = -(-_SIDE // _STEP)  # every so many windows do not overlap
_GREY: Final = 128  # of no ridge

_TAPER_1: Final = np.cos(np.pi * (np.arange(_SIDE) - (_SIDE - 1) / 2) / _SIDE)
_TAPER: Final = np.outer(_TAPER_1, _TAPER_1).astype(np.float32)  # twice applied: Hann's window
_FY: Final = np.fft.fftfreq(_SIDE)[:, None]
_FX: Final = np.fft.rfftfreq(_SIDE)[None, :]
_FREQUENCY: Final = np.hypot(_FY, _FX)
_LOW, _HIGH = 1 / p.RIDGE_PERIODS_PX[1], 1 / p.RIDGE_PERIODS_PX[0]
_BAND: Final = np.flatnonzero((_FREQUENCY >= _LOW) & (_FREQUENCY <= _HIGH))
_LOG: Final = np.log(_FREQUENCY.ravel()[_BAND]).astype(np.float32)
_TWICE: Final = 2 * np.arctan2(_FY, _FX).ravel()[_BAND]  # a direction is the same half a turn on
_COS: Final = np.cos(_TWICE).astype(np.float32)
_SIN: Final = np.sin(_TWICE).astype(np.float32)
_TIMES: Final = np.broadcast_to(np.where((_FX > 0) & (_FX < 0.5), 2, 1), _FREQUENCY.shape)
_COUNT: Final = _TIMES.ravel()[_BAND].astype(np.float32)  # the half not kept mirrors this one


def enhanced(image: Reals) -> NDArray[np.uint8]:
    """`image` (height, width) at 500 per inch with its ridges alone, level grey elsewhere."""
    spectra = _spectra(image)
    power = (spectra.real**2 + spectra.imag**2) * _COUNT
    direction, log_frequency, certainty = _field(power)
    filtered = spectra * _filter(direction, log_frequency)
    power = (filtered.real**2 + filtered.imag**2) @ _COUNT
    filtered /= np.maximum(np.sqrt(power) / _SIDE, np.float32(p.FLOOR_GREY))[:, :, None]
    waves = _joined(_windows(filtered), image.shape)
    low, high = p.CERTAINTY_RANGE
    print_ = np.clip((_bilinear(certainty, image.shape, _STEP) - low) / (high - low), 0, 1)
    grey = np.clip(_GREY + p.ENHANCED_GAIN_GREY * waves * print_, 0, 255)
    return np.asarray(grey, np.uint8)


def _spectra(image: Reals) -> Spectra:
    """The ridges' band of each window's spectrum: (rows, columns, band)."""
    height, width = image.shape
    rows, columns = -(-height // _STEP), -(-width // _STEP)
    padded = np.pad(
        image,
        (
            (_MARGIN_PX, rows * _STEP - height + _MARGIN_PX),
            (_MARGIN_PX, columns * _STEP - width + _MARGIN_PX),
        ),
        mode="edge",
    )
    windows = np.lib.stride_tricks.sliding_window_view(padded, (_SIDE, _SIDE))
    windows = windows[::_STEP, ::_STEP]
    spectra = np.empty((rows, columns, len(_BAND)), np.complex64)
    for row, into in zip(windows, spectra, strict=True):  # a row at a time: memory is short
        level = row - row.mean(axis=(1, 2), keepdims=True)
        into[:] = np.fft.rfft2(level * _TAPER).reshape(columns, -1)[:, _BAND]
    return spectra


def _field(power: Reals) -> tuple[Reals, Reals, Reals]:
    """Direction of the wave, logarithm of its frequency, certainty 0..1: (rows, columns) each."""
    tiny = np.float32(1e-6)
    energy = np.maximum(power.sum(axis=2), tiny)
    weight = 1 / (energy + np.float32(p.FLOOR_GREY**2 * _SIDE**2 / 16))
    cos, sin = power @ _COS, power @ _SIN
    one_way = np.hypot(cos, sin) * weight
    cos, sin = (_smooth(values * weight, p.DIRECTION_SMOOTHING_CELLS) for values in (cos, sin))
    mean = power @ _LOG / energy
    heard = np.maximum(_smooth(one_way, p.PERIOD_SMOOTHING_CELLS), tiny)
    log_frequency = _smooth(mean * one_way, p.PERIOD_SMOOTHING_CELLS) / heard
    certainty = np.hypot(cos, sin)  # energies are shares by now
    direction = np.asarray(np.arctan2(sin, cos) / 2, np.float32)
    return direction, np.asarray(log_frequency, np.float32), certainty


def _filter(direction: Reals, log_frequency: Reals) -> Reals:
    """Gains (rows, columns, band): about the direction, either way, and about the period."""
    twice = 2 * direction[:, :, None]
    along = np.cos(twice) * _COS + np.sin(twice) * _SIN
    off = _LOG - log_frequency[:, :, None]
    about = (along - 1) * np.float32(1 / (2 * p.DIRECTION_WIDTH_RAD**2))
    about -= off**2 * np.float32(1 / (2 * p.PERIOD_WIDTH**2))
    return np.asarray(np.exp(about), np.float32)


def _windows(filtered: Spectra) -> Reals:
    """The waves of each window: (rows, columns, _SIDE, _SIDE)."""
    rows, columns = filtered.shape[:2]
    windows = np.empty((rows, columns, _SIDE, _SIDE), np.float32)
    whole = np.zeros((columns, _FREQUENCY.size), np.complex64)
    for row, into in zip(filtered, windows, strict=True):
        whole[:, _BAND] = row
        spectra = whole.reshape(columns, _SIDE, -1)
        into[:] = np.fft.irfft2(spectra, s=(_SIDE, _SIDE)) * (_TAPER * _SIDE)
    return windows


def _smooth(cells: Reals, sigma: float) -> Reals:
    """Gaussian mean; nothing lies outside."""
    reach = math.ceil(2.5 * sigma)
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).astype(np.float32)
    rows, columns = cells.shape
    padded = np.pad(cells, reach)
    tall = sum(k * padded[i : i + rows] for i, k in enumerate(kernel))
    return np.asarray(sum(k * tall[:, i : i + columns] for i, k in enumerate(kernel)))


def _joined(windows: Reals, shape: tuple[int, ...]) -> Reals:
    """Windows laid where they came from, and added."""
    rows, columns = windows.shape[:2]
    size = ((rows + _TILES) * _STEP + _SIDE, (columns + _TILES) * _STEP + _SIDE)
    total = np.zeros(size, np.float32)
    places = np.lib.stride_tricks.sliding_window_view(total, (_SIDE, _SIDE), writeable=True)
    places = places[::_STEP, ::_STEP][:rows, :columns]
    for row in range(_TILES):
        for column in range(_TILES):  # of these no two overlap
            places[row::_TILES, column::_TILES] += windows[row::_TILES, column::_TILES]
    height, width = shape
    return total[_MARGIN_PX : _MARGIN_PX + height, _MARGIN_PX : _MARGIN_PX + width]


def _bilinear(image: Reals, shape: tuple[int, ...], scale: float) -> Reals:
    """`image` at `shape`, a pixel of it `scale` wide."""
    for axis in (0, 1):
        last = image.shape[axis] - 1
        at = np.clip((np.arange(shape[axis]) + 0.5) / scale - 0.5, 0, last)
        first = at.astype(np.intp)
        part = (at - first).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
        after = image.take(np.minimum(first + 1, last), axis)
        image = image.take(first, axis) * (1 - part) + after * part
    return image
