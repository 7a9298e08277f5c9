"""What box and profile say of a finger sensor: whose driver, how fine, how large, how good.

libfprint says none of it but the driver's name: no driver of it sets an image's resolution. Knows
no sensor and no file.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from sdbox_agent.errors import Fault, Refused

Driver = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,40}\Z")]  # libfprint's driver id
# Pixels per mm: 7.8 is 200 dpi, below which ridges run together; 50 is 1270 dpi
PixelsPerMm = Annotated[float, Meta(ge=7.8, le=50)]
Pixels = Annotated[int, Meta(ge=96, le=1000)]  # libfprint's detector dies on tiny images
Minutiae = Annotated[int, Meta(ge=0, le=255)]

MM_PER_INCH: Final = 25.4


class SensorKind(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of sensor. Sizes are of the images it gives."""

    driver: Driver
    ppmm: PixelsPerMm
    min_width_px: Pixels
    max_width_px: Pixels
    min_height_px: Pixels
    max_height_px: Pixels
    min_minutiae: Minutiae = 0  # of a touch worth looking at, where the sensor asks for more
    enrols: bool = True  # its images may become references

    @property
    def dpi(self) -> float:
        """Pixels per inch."""
        return self.ppmm * MM_PER_INCH

    def check_driver(self, driver: str) -> None:
        """Raises Fault("sensor-foreign") unless the sensor that is there has this kind's driver."""
        if driver != self.driver:
            raise Fault("sensor-foreign")

    def check_size(self, width: int, height: int) -> None:
        """Raises Fault("sensor-failed") for an image that this kind of sensor does not give."""
        if not (
            self.min_width_px <= width <= self.max_width_px
            and self.min_height_px <= height <= self.max_height_px
        ):
            raise Fault("sensor-failed")

    def check_enrols(self) -> None:
        """Raises Refused("sensor-unfit") if no reference may come from such a sensor."""
        if not self.enrols:
            raise Refused("sensor-unfit")
