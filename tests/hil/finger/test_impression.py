import numpy as np
import pytest

from hil.finger.impression import HEIGHT_PX, QUALITIES, WIDTH_PX, impression
from hil.finger.master import Master


def test_the_same_touch_gives_the_same_bytes(finger: Master) -> None:
    one, two, other = (impression(finger, seed).pixels for seed in (5, 5, 6))
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize("quality", sorted(QUALITIES))
def test_ridges_are_dark_and_what_is_not_touched_is_light(finger: Master, quality: str) -> None:
    touch = impression(finger, 3, quality=quality)
    assert touch.pixels.shape == (HEIGHT_PX, WIDTH_PX)
    assert touch.pixels.dtype == np.uint8
    outside = touch.pixels[~touch.contact]
    assert np.median(outside) > 235
    assert touch.pixels[touch.contact].mean() < outside.mean() - 25


@pytest.mark.parametrize("quality", ["good", "ordinary"])
def test_the_ground_truth_says_where_crests_and_valleys_print(finger: Master, quality: str) -> None:
    touch = impression(finger, 9, quality=quality)
    y, x = np.mgrid[100:300:3, 110:280:3]
    at = np.stack((x, y), axis=-1).reshape(-1, 2).astype(float)
    source = np.rint(touch.pose.to_master(at)).astype(int)
    height = finger.ridges[source[:, 1], source[:, 0]]
    grey = touch.pixels[at[:, 1].astype(int), at[:, 0].astype(int)]
    assert grey[height < 10].mean() > grey[height > 245].mean() + 80
    # half a period off, and the two would change places
    off = np.corrcoef(finger.ridges[np.clip(source[:, 1] + 5, 0, 511), source[:, 0]], grey)[0, 1]
    assert np.corrcoef(height, grey)[0, 1] < -0.7 < off


def test_moisture_goes_the_way_it_says(finger: Master) -> None:
    def share_of_dark(quality: str) -> float:
        touches = [impression(finger, k, quality=quality) for k in range(3)]
        return float(np.mean([(t.pixels[t.contact] < 170).mean() for t in touches]))

    dry, ordinary, wet = map(share_of_dark, ("dry", "ordinary", "wet"))
    assert dry + 0.1 < ordinary < wet - 0.1


def test_a_tiny_touch_covers_little(finger: Master) -> None:
    tiny, ordinary = (impression(finger, 2, quality=q).contact.sum() for q in ("tiny", "ordinary"))
    assert tiny < ordinary / 3


def test_the_sensor_may_have_another_size(finger: Master) -> None:
    assert impression(finger, 1, size_px=(256, 180)).pixels.shape == (180, 256)


def test_how_it_is_laid_can_be_said(finger: Master) -> None:
    straight = impression(finger, 4, rotation_deg=0.0, shift_px=0.0, pull_px=0.0, twist_deg=0.0)
    assert straight.pose.rotation_rad == 0
    assert straight.pose.image_centre == (WIDTH_PX / 2, HEIGHT_PX / 2)
    points = np.array([[10.0, 20.0], [300.0, 200.0]])
    moved = straight.pose.to_master(points) - points
    assert moved[0] == pytest.approx(moved[1])


def test_what_does_not_exist_is_refused(finger: Master) -> None:
    with pytest.raises(KeyError):
        impression(finger, 1, quality="superb")
    with pytest.raises(TypeError):
        impression(finger, 1, colour=3.0)


def test_open_pores_print_light_on_their_ridges(finger: Master) -> None:
    touch = impression(finger, 6, quality="good", pores=1.5, dirt=0.0, pressure=0.3)
    y, x = np.mgrid[100:300, 110:280]
    at = np.stack((x, y), axis=-1).reshape(-1, 2).astype(float)
    column, row = np.rint(touch.pose.to_master(at)).astype(int).T
    grey = touch.pixels[at[:, 1].astype(int), at[:, 0].astype(int)]
    crest = finger.ridges[row, column] > 250
    pore = finger.skin[row, column] < 90
    assert grey[crest & pore].mean() > grey[crest & (finger.skin[row, column] == 255)].mean() + 20
