from hil.load.picture import PANELS, Line, draw, lines

STEPS = {
    "100": {"call_ms": {"p50": 4.0, "p99": 40.0}, "session_cpu_ms": {"api": 20.0}},
    "300": {"call_ms": {"p50": 5.0, "p99": 90.0}},
}


def test_a_line_has_a_point_for_each_step_that_has_its_figure() -> None:
    assert lines(STEPS, "a call, ms") == [
        Line("p50", ((100, 4.0), (300, 5.0))),
        Line("p99", ((100, 40.0), (300, 90.0))),
    ]
    api, gateway, _ = lines(STEPS, "processor time of a session, ms")
    assert api.points == ((100, 20.0),)
    assert gateway.points == ()


def test_more_is_drawn_the_more_there_is() -> None:
    inked = [len(draw(some).getcolors(1 << 20)) for some in ({}, STEPS)]
    assert inked[0] < inked[1]
    width, height = draw(STEPS).size
    assert width % len(PANELS) == 0
    assert height > 0
