from __future__ import annotations

import json

from bcbp.progress import Progress, Step, Tracker


def followed(*costs: float) -> tuple[Tracker, list[Progress], list[float]]:
    seen: list[Progress] = []
    now = [0.0]
    planned = [(f"step {i}", cost) for i, cost in enumerate(costs)]
    return Tracker(planned, seen.append, clock=lambda: now[0]), seen, now


def test_fraction_and_time_left_follow_the_planned_costs():
    tracker, seen, now = followed(1, 3)
    tracker.begin()
    assert (seen[-1].fraction, seen[-1].seconds_left) == (0.0, None)
    now[0] = 10
    tracker.begin("second")
    assert (seen[-1].fraction, seen[-1].seconds_left, seen[-1].message) == (0.25, 30.0, "second")
    now[0] = 20
    tracker.update(0.5)
    assert (seen[-1].fraction, seen[-1].seconds_left) == (0.625, 12.0)
    tracker.finish()
    assert (seen[-1].fraction, seen[-1].seconds_left) == (1.0, 0.0)


def test_steps_go_from_waiting_through_running_to_done():
    tracker, seen, _ = followed(1, 1, 1)
    tracker.begin()
    tracker.begin()
    assert [step.state for step in seen[-1].steps] == ["done", "running", "waiting"]
    assert seen[-1].stage == "step 1"


def test_a_failed_step_is_marked_and_the_rest_keeps_waiting():
    tracker, seen, _ = followed(1, 1, 1)
    tracker.begin()
    tracker.fail("disk full")
    assert [step.state for step in seen[-1].steps] == ["failed", "waiting", "waiting"]
    assert seen[-1].message == "disk full" and seen[-1].seconds_left is None


def test_failing_before_the_first_step_is_possible():
    tracker, seen, _ = followed(1)
    tracker.fail("no model")
    assert seen[-1].message == "no model" and seen[-1].fraction == 0.0


def test_progress_survives_json():
    progress = Progress(0.5, "a", "b", 3.0, (Step("a", "running"), Step("c")))
    assert Progress.from_json(json.loads(json.dumps(progress.to_json()))) == progress
