"""The time that is left: simulated trainings whose durations grow with their FLOPs, and what watches real ones."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from nas_sens.core.candidates import CONTROL, ScoredCandidate, TrainedCandidate
from nas_sens.pipeline.live import Watch, time_left
from nas_sens.pipeline.time_left import Pace, seconds_left
from nas_sens.pipeline.timed_trainings import Job, Timed
from nas_sens.pipeline.training_length import share_of_epochs
from tests.tiny_study import tiny

EPOCHS = 20
RATE = {"fc": 3e-7, "cnn": 6e-7}  # seconds a FLOP


def true_seconds(job: Job) -> float:
    return 0.05 + RATE[job.family] * (job.flops or 0.0)


def ran(job: Job, factor: float = 1.0, share: float = 1.0) -> Timed:
    done = share * job.epochs
    return Timed(**vars(job), done=done, seconds=factor * done * true_seconds(job))


def space(draw: np.random.Generator, n: int) -> list[Job]:
    flops = np.exp(draw.uniform(math.log(1e4), math.log(1e7), n))
    return [Job(flops=float(f), family=str(draw.choice(["fc", "cnn"])), epochs=EPOCHS) for f in flops]


def worst_in_second_half(jobs: list[Job], factors: list[float], **more: Any) -> float:
    """Return the largest error of the predicted whole time, relative to it, once half of it is over."""
    timed = [ran(job, factor) for job, factor in zip(jobs, factors, strict=True)]
    whole = sum(t.seconds for t in timed)
    errors = []
    for k in range(1, len(jobs)):
        gone = sum(t.seconds for t in timed[:k])
        chosen = more.get("n_control")
        if "pool" in more:
            left = seconds_left(timed[:k], [], n_unknown=len(jobs) - k, pool=more["pool"], chosen=jobs[chosen:k])
        else:
            left = seconds_left(timed[:k], jobs[k:])
        assert left is not None
        if gone >= whole / 2:
            errors.append(abs(gone + left - whole) / whole)
    return max(errors, default=0.0)


def test_it_holds_within_a_fifth_in_the_second_half_where_what_is_left_is_known() -> None:
    errors = []
    for seed in range(60):
        draw = np.random.default_rng(seed)
        jobs = space(draw, 12)
        errors.append(worst_in_second_half(jobs, list(np.exp(draw.normal(0, 0.1, 12)))))
    assert np.mean(np.array(errors) < 0.2) >= 0.95


def test_it_holds_where_a_rule_still_chooses_and_likes_large_networks() -> None:
    errors, naive = [], []
    for seed in range(60):
        draw = np.random.default_rng(seed)
        pool = space(draw, 200)
        liked = sorted(pool, key=lambda j: j.flops or 0.0)[-40:-20]  # others than most of the control group
        jobs = [pool[i] for i in draw.choice(200, 4)] + [liked[i] for i in draw.choice(20, 12)]
        factors = list(np.exp(draw.normal(0, 0.1, 16)))
        errors.append(worst_in_second_half(jobs, factors, pool=pool, n_control=4))
        timed = [ran(job, factor).seconds for job, factor in zip(jobs, factors, strict=True)]
        half = next(k for k in range(1, 16) if sum(timed[:k]) >= sum(timed) / 2)
        naive.append(abs(sum(timed[:half]) + np.mean(timed[:half]) * (16 - half) - sum(timed)) / sum(timed))
    assert np.mean(np.array(errors) < 0.2) >= 0.9
    assert np.mean(errors) < np.mean(naive) + 0.05


def test_it_holds_better_where_a_rule_goes_on_to_larger_networks_as_it_learns() -> None:
    errors, level = [], []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        pool = space(draw, 200)
        by_size = sorted(pool, key=lambda j: j.flops or 0.0)
        jobs = [pool[i] for i in draw.choice(200, 4)]
        jobs += [by_size[min(199, 80 + 8 * i + int(draw.integers(0, 30)))] for i in range(12)]
        factors = list(np.exp(draw.normal(0, 0.1, 16)))
        errors.append(worst_in_second_half(jobs, factors, pool=pool, n_control=4))
        timed = [ran(job, factor) for job, factor in zip(jobs, factors, strict=True)]
        whole, pace = sum(t.seconds for t in timed), Pace(timed)
        half = next(k for k in range(5, 16) if sum(t.seconds for t in timed[:k]) >= whole / 2)
        flat = np.mean([job.epochs * pace.seconds(job) for job in jobs[4:half]]) * (16 - half)
        level.append(abs(sum(t.seconds for t in timed[:half]) + flat - whole) / whole)
    assert np.mean(np.array(errors) < 0.2) > np.mean(np.array(level) < 0.2) + 0.2
    assert np.mean(errors) < 0.75 * np.mean(level)  # what the mean of those chosen so far would come to


# FLOPs, family, epochs that it had of 200, seconds: studies/forouzesh2020/fig4 on two busy cores, in the order in which
# it trained. Of the small networks none reaches the training loss at which one stops.
RECORDED = (
    (3.72e4, "alexnet", 200, 25.5),
    (4.52e6, "vgg", 200, 84.9),
    (7.51e5, "alexnet", 174, 20.4),
    (4.43e6, "vgg", 200, 75.1),
    (2.00e5, "alexnet", 138, 15.5),
    (1.10e6, "vgg", 200, 48.1),
    (1.13e6, "vgg", 200, 48.6),
    (2.92e6, "alexnet", 94, 25.3),
)


def test_it_holds_on_recorded_durations_in_most_orders() -> None:
    draw, is_near = np.random.default_rng(0), []
    for _ in range(60):
        recorded = [RECORDED[i] for i in draw.permutation(len(RECORDED))]
        timed = [Timed(flops=f, family=name, epochs=200, done=done, seconds=s) for f, name, done, s in recorded]
        whole = sum(t.seconds for t in timed)
        for k in range(1, len(timed)):
            gone, left = sum(t.seconds for t in timed[:k]), seconds_left(timed[:k], timed[k:])
            if gone >= whole / 2:
                assert left is not None
                is_near.append(abs(gone + left - whole) < 0.2 * whole)
    assert np.mean(is_near) > 0.85


def test_trainings_that_stop_early_speak_for_those_of_their_size() -> None:
    def over(flops: float, share: float, family: str = "fc") -> Timed:
        return ran(Job(flops=flops, family=family, epochs=EPOCHS), share=share)

    seen = [over(1e4, 1.0), over(2e4, 1.0), over(1.5e4, 1.0), over(1e6, 0.4), over(2e6, 0.4), over(1.5e6, 0.4)]
    small, large = (Job(flops=flops, family="fc", epochs=EPOCHS) for flops in (1.2e4, 1.2e6))
    assert share_of_epochs(small, seen) > 0.95
    assert 0.4 < share_of_epochs(large, seen) < 0.5
    assert share_of_epochs(large, []) == 1.0
    assert share_of_epochs(large, seen, had=0.5) == 1.0  # only those speak for it that had more
    unknown = Job(flops=None, family="fc", epochs=EPOCHS)
    assert share_of_epochs(unknown, seen) == pytest.approx(0.7, abs=0.05)
    other = [over(1e6, 0.4, "cnn"), over(1e6, 0.4, "cnn"), over(1e6, 1.0)]
    assert share_of_epochs(large, other) > share_of_epochs(Job(flops=1e6, family="cnn", epochs=EPOCHS), other)


def test_the_mean_of_finished_trainings_is_far_off_where_sizes_change_and_this_is_not() -> None:
    small, large = Job(flops=1e5, family="cnn", epochs=EPOCHS), Job(flops=1e7, family="cnn", epochs=EPOCHS)
    middle = Job(flops=1e6, family="cnn", epochs=EPOCHS)
    timed = [ran(small), ran(small), ran(middle)]
    truth = 3 * EPOCHS * true_seconds(large)
    left = seconds_left(timed, [large] * 3)
    assert left is not None
    assert truth / 2.5 < left < 1.5 * truth
    assert 3 * np.mean([t.seconds for t in timed]) < truth / 10
    assert seconds_left([*timed, ran(large)], [large] * 2) == pytest.approx(truth * 2 / 3, rel=0.25)


def test_early_stops_busy_machines_workers_and_gaps_count() -> None:
    job = Job(flops=1e6, family="fc", epochs=EPOCHS)
    whole = EPOCHS * true_seconds(job)
    assert seconds_left([ran(job)] * 8, [job] * 4) == pytest.approx(4 * whole)
    assert seconds_left([ran(job)] * 8, [job] * 4, n_workers=2) == pytest.approx(2 * whole)
    assert seconds_left([ran(job)] * 8, [job] * 4, seconds_between=3.0) == pytest.approx(4 * (whole + 3))
    assert seconds_left([ran(job)] * 8, [job], n_workers=64) == pytest.approx(whole)  # nobody helps with one
    halved = seconds_left([ran(job, share=0.5)] * 30, [job] * 4)
    assert halved == pytest.approx(2 * whole, rel=0.05)
    busy = seconds_left([*[ran(job)] * 8, *[ran(job, 3.0)] * 8], [job] * 4)
    assert busy is not None
    assert 2 * 4 * whole < busy < 3 * 4 * whole
    assert seconds_left([], [job]) is None
    assert seconds_left([ran(job)], []) == 0.0
    assert seconds_left([Timed(flops=None, family="own", epochs=1, done=1, seconds=5.0)], [job]) is not None


def test_what_runs_is_judged_by_its_own_epochs_as_they_come() -> None:
    job = Job(flops=1e6, family="fc", epochs=EPOCHS)
    usual = true_seconds(job)

    def left(done: int, each: float) -> float:
        running = Timed(**vars(job), done=done, seconds=done * each, is_over=False)
        found = seconds_left([*[ran(job)] * 8, running], [])
        assert found is not None
        return found

    assert left(10, usual) == pytest.approx(10 * usual)
    assert left(18, 4 * usual) == pytest.approx(2 * 4 * usual, rel=0.2)
    assert left(20, usual) == pytest.approx(0.0, abs=1e-9)
    begun = Timed(**vars(job), done=0, seconds=5 * usual, is_over=False)  # of which only the time is known
    assert seconds_left([*[ran(job)] * 8, begun], []) == pytest.approx(15 * usual)
    late = Timed(**vars(job), done=0, seconds=50 * usual, is_over=False)
    assert seconds_left([*[ran(job)] * 8, late], []) == 0.0


def test_a_pace_follows_the_flops_and_tells_families_apart() -> None:
    pace = Pace([ran(job) for job in space(np.random.default_rng(0), 40)])
    for flops in (3e5, 1e6, 5e6):
        for family in RATE:
            job = Job(flops=flops, family=family, epochs=1)
            assert pace.seconds(job) == pytest.approx(true_seconds(job), rel=0.25)
    dear, cheap = (pace.seconds(Job(flops=3e6, family=f, epochs=1)) for f in ("cnn", "fc"))
    assert dear > 1.3 * cheap


def _architecture(depth: int) -> dict[str, Any]:
    return {"architecture": json.dumps({"depth": depth, "family": "fc"}, separators=(",", ":"))}


def test_a_watch_tells_the_best_what_runs_and_when_it_will_be_over() -> None:
    spec = tiny()  # 2 epochs with 2 seeds
    candidates = [
        ScoredCandidate(digest=f"{i}", flops=1000, log10_sensitivity=0.0, **_architecture(i)) for i in range(6)
    ]
    done = [
        TrainedCandidate(digest=f"{i}", flops=1000, params=10, candidate=i, chosen_by=CONTROL, n_seeds=2,
                         val_loss=1.0 - i / 4, val_error=0.5 - i / 10, curve=(1.0, 0.9), seconds=8.0,
                         **_architecture(i))
        for i in range(2)
    ]  # fmt: skip
    clock = [0.0]
    watch = Watch(spec, candidates, now=lambda: clock[0])
    assert watch.live([], [], 3).seconds_left is None
    assert watch.live([], [], 3).best == ""
    running = TrainedCandidate(digest="2", flops=1000, params=10, candidate=2, chosen_by="pareto", **_architecture(2))
    watch.begin(running)
    watch.curve([0.7])
    watch.advance(1)
    clock[0] = 2.0
    live = watch.live(done, [], 3)
    assert live.best == "val_error 40.00 %, val_loss 0.75: fc-d1"
    assert (live.running, live.step, live.curve) == ("fc-d2", "epoch 1 of 4", (0.7,))
    assert live.seconds_left == pytest.approx(6 + 2 * 8, rel=0.01)
    watch.end()
    clock[0] = 7.0  # choosing took five seconds
    watch.begin(running)
    assert watch.live(done, [], 3).seconds_left == pytest.approx(8 + 2 * (8 + 5), rel=0.01)
    assert time_left(spec, candidates, done, n_left=3) == pytest.approx(24, rel=0.01)
    assert time_left(spec, candidates, done, waiting=[running], n_left=3) == pytest.approx(24, rel=0.01)
