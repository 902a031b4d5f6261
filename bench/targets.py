"""What the measurements are called and what they should be: the one table that bench/README.md is made by."""
from dataclasses import dataclass, field

from models import HALF, HUGE, MIXTRAL, ROOT, SMALL

EVERY = None  # a target of every model
# The tasks of guesses, "kind: name", and what is asked: bench/prompts/<kind>-<name>.txt.
TASKS = {path.stem.replace("-", ": ", 1): path for path in sorted((ROOT / "bench" / "prompts").glob("*.txt"))}


@dataclass(frozen=True)
class Row:
    """One measurement of one part, a line of the table for each model that has it.

    A target holds for the multiple of the peer's number where beside is true, else for the number itself.
    """
    part: str
    name: str                   # as the part gives it
    title: str
    unit: str = ""
    more: bool = True           # the more the better: a target is the least that will do, else the most
    beside: bool = False
    targets: dict = field(default_factory=dict)

    def target(self, model):
        return self.targets.get(model, self.targets.get(EVERY))


ROWS = (
    Row("speed", "prompt 512", "prompt of 512 tokens", "tokens/s", beside=True, targets={SMALL: 3, HALF: 4, MIXTRAL: 4}),
    Row("speed", "prompt 2048", "prompt of 2,048 tokens", "tokens/s", beside=True, targets={SMALL: 3}),
    Row("speed", "generate", "one answer", "tokens/s", beside=True, targets={SMALL: 1.15, HALF: 1.4, MIXTRAL: 1.5}),
    Row("speed", "bandwidth share", "one answer, of the memory's bandwidth", "%", targets={HALF: 0.85, MIXTRAL: 0.85}),
    Row("speed", "batch 16", "16 answers at once", "tokens/s", beside=True, targets={SMALL: 6, HALF: 5}),
    Row("server", "tokens/s", "server, 16 chats", "tokens/s", beside=True, targets={EVERY: 5}),
    Row("server", "first token s", "server, 16 chats: first token, median", "s", more=False, beside=True, targets={EVERY: 0.2}),
    Row("server", "stall s", "server, 16 chats: longest pause within an answer", "s", more=False, targets={EVERY: 0.25}),
    Row("drawn", "tokens/s", "the same, tokens drawn (temperature 0.8, top_k 40, top_p 0.95, min_p 0.05)", "tokens/s", beside=True, targets={EVERY: 5}),
    Row("prefix", "first s", "2,000 tokens that 16 chats share: first token of the first", "s", more=False, beside=True),
    Row("prefix", "later / first", "the same of the others, median, as a part of the first's", "", more=False, targets={EVERY: 0.15}),
    Row("prefix", "worst / first", "the same of the slowest, as a part of the first's", "", more=False),
    Row("guess", "quote with", "answers that quote or edit, with guesses", "tokens/s"),
    Row("guess", "quote gain", "answers that quote or edit, with guesses / without", "×", targets={EVERY: 1.5}),
    Row("guess", "free gain", "other answers, with guesses / without", "×", targets={EVERY: 0.98}),
    *(Row("guess", task, f"answers, with guesses / without: {task}", "×", targets={EVERY: 1.5 if task.startswith("quote") else 0.98}) for task in TASKS),
    Row("guess", "answers that differ", "answers that are other ones with guesses", "", more=False, targets={EVERY: 0}),
    Row("load", "first token s", "load: first token after the start of the process, file in the cache", "s", more=False, targets={MIXTRAL: 3}),
    Row("load", "peak GB", "load: most memory until then", "GB", more=False),
    Row("load", "peak / planned", "load: most memory / (weights + planned cache)", "×", more=False, targets={MIXTRAL: 1.1}),
    Row("schema", "with", "16 answers at once, with a JSON schema", "tokens/s"),
    Row("schema", "with / without", "16 answers at once, with a JSON schema / without", "×", targets={EVERY: 0.95}),
    Row("rounding", "mean divergence", "mean divergence from float32 weights, 2,048 tokens", "nats", more=False, beside=True, targets={EVERY: 1}),
    Row("rounding", "error", "the standard error of that mean: smaller differences are chance", "nats", more=False),
    Row("rounding", "written divergence", "the same with the arithmetic of answers, which is another where prompts are read by tiles of bf16", "nats", more=False),
    Row("rounding", "written error", "its standard error", "nats", more=False),
    Row("large", "generate", "larger than memory, within 16 GiB: one answer", "tokens/s", beside=True, targets={HUGE: 3}),
    Row("large", "peak GiB", "larger than memory: most memory meanwhile", "GiB", more=False, targets={HUGE: 16}),
    Row("large", "hit rate", "larger than memory: experts that were there when needed", "%"),
    Row("large", "MB from disk a token", "larger than memory: read from disk to write a token", "MB", more=False),
    Row("large", "disk MB/s", "larger than memory: what the disk gives, past the system's cache", "MB/s"),
)
