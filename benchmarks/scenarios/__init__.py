"""What is measured, one scenario a file: a function from the bench to a result, under the name it is asked for by."""

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.measures import Result
from benchmarks.scenarios import contest

SCENARIOS: dict[str, Callable[[Bench], Result]] = {"contest": contest.run}
