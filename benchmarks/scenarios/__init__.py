"""What is measured, one scenario a file: a function from the bench to a result, under the name it is asked for by."""

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.measures import Result
from benchmarks.scenarios import contest, crowd, growth, million, pairs, plans, politeness, scale, stops

SCENARIOS: dict[str, Callable[[Bench], Result]] = {
    "contest": contest.run,
    "in-progress": pairs.in_progress,
    "sqlite": pairs.sqlite,
    "narrow": pairs.narrow,
    "scale": scale.run,
    "growth": growth.run,
    "learners": politeness.run,
    "million": million.run,
    "crowd": crowd.run,
    "plans": plans.run,
    "orders": stops.orders,
    "death": stops.death,
}
