"""The tables of bench/README.md, from results alone."""
import bounds
from parts import BUSY
from targets import EVERY, ROWS

BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def table(result):
    """The result in Markdown: what was measured, what should be, and plainly where it is not."""
    head = f"## {result['cpu']} ({', '.join(result['flags'])}), {result['cpus']} CPUs"
    if result.get("memory_bytes"):
        head += f", {result['memory_bytes'] / 2**30:.0f} GiB of memory"
    lines = [head, "", "| model | what | galerne | llama.cpp | ratio | target | |", "|---|---|---|---|---|---|---|"]
    short, reached, alone = [], 0, []
    for row in ROWS:
        entries = result["parts"].get(row.part, {})
        for model, entry in entries.items():
            if row.name not in entry["galerne"]:
                continue
            line = Line(row, model, entry)
            lines.append(line.markdown())
            reached += line.verdict == "reached"
            if line.verdict == SHORT:
                short.append(line.shortfall() + line.at_limits(bounds.possible(result, row, model)))
            alone += [f"{row.title} ({model})"] * (line.target is not None and line.compared is None)
    lines += ["", f"{reached} targets are reached, {len(short)} are not."]
    lines += told("Short of its target", short)
    if any(AT_LIMITS in s for s in short):
        lines += ["", EXPLAINED]
    lines += told("Without llama.cpp beside it, so that its target was not looked at", alone)
    lines += told("With a target, and not in this result", missing(result))
    lines += told("Where the time goes there", profiles(result))
    lines += told("Measured", provenance(result))
    return "\n".join(lines)


SHORT = "**short**"
AT_LIMITS = "At the machine's limits"
EXPLAINED = (AT_LIMITS + " is what it would be if each kind of work took the time that the memory's bandwidth or the arithmetic unit's bare loop leaves it, whichever "
             "is the longer, both measured in between (a product's work is all vector operations that its kernels have); of the server, prompts and answers so; larger than "
             "memory, if the disk alone took time, at the best of what it gave alone and while it was waited for.")


class Line:
    """One row for one model."""

    def __init__(self, row, model, entry):
        self.row, self.model = row, model
        self.ours = entry["galerne"][row.name]["median"]
        peer = entry.get("llama.cpp", {}).get(row.name)
        self.theirs = peer and peer["median"]
        self.ratio = self.ours / self.theirs if row.beside and self.theirs else None
        self.target = row.target(model)
        self.compared = self.ratio if row.beside else self.ours
        self.verdict = ""
        if self.target is not None and self.compared is not None:
            enough = self.compared >= self.target if row.more else self.compared <= self.target
            self.verdict = "reached" if enough else SHORT

    def markdown(self):
        unit = self.row.unit
        cells = [self.model, self.row.title + (f", {unit}" if unit and unit not in "%×" else ""), number(self.ours, unit),
                 number(self.theirs, unit), number(self.ratio, "×"), self.wanted(), self.verdict]
        return "| " + " | ".join(cells) + " |"

    def wanted(self):
        if self.target is None:
            return ""
        return ("≥ " if self.row.more else "≤ ") + goal(self.target, "×" if self.row.beside else self.row.unit)

    def shortfall(self):
        unit = "×" if self.row.beside else self.row.unit
        text = number(self.compared, unit) + (f" {unit}" if unit and unit not in "%×" else "")
        return f"{self.model}, {self.row.title}: {text}, where {self.wanted()} is the target."

    def at_limits(self, possible):
        """What the machine's limits would make of it."""
        if possible is None:
            return ""
        enough = possible >= self.target if self.row.more else possible <= self.target
        return f" {AT_LIMITS} it would be {number(possible, '×' if self.row.beside else self.row.unit)}" + ("." if enough else ": out of reach here.")


def number(value, unit=""):
    """Three digits or so, as people read them."""
    if value is None:
        return ""
    if unit == "%":
        return f"{100 * value:.0f} %"
    size = abs(value)
    digits = 0 if size >= 100 or value == 0 else 1 if size >= 10 else 2 if size >= 0.1 else 3 if size >= 0.01 else 5
    return f"{value:,.{digits}f}" + ("×" if unit == "×" else "")


def goal(value, unit):
    if unit == "%":
        return f"{100 * value:g} %"
    return f"{value:g}" + (unit if unit == "×" else f" {unit}" if unit else "")


def told(what, items):
    if not items:
        return []
    if len(items) == 1:
        return ["", f"{what}: {items[0]}"]
    return ["", f"{what}:", ""] + [f"* {item}" for item in items]


def missing(result):
    """The parts, and models of a part, that have a target and were not measured."""
    out = {}
    for row in ROWS:
        entries = result["parts"].get(row.part, {})
        for model in row.targets:
            if model not in entries and not (model is EVERY and entries):
                out.setdefault(row.part, {})[model or "any model"] = None
    return [f"{part}: {', '.join(models)}." for part, models in out.items()]


def profiles(result):
    """Of the speeds that are short of a target, the kinds of work that take the most time."""
    out = []
    for model, entry in result["parts"].get("speed", {}).items():
        for what, names, called in (("prompt", "prompt", "a prompt"), ("generate", ("generate", "bandwidth"), "one answer"), ("batch", "batch", "16 answers at once")):
            rows = [r for r in ROWS if r.part == "speed" and r.name.startswith(names) and r.name in entry["galerne"]]
            if any(Line(r, model, entry).verdict == SHORT for r in rows) and what in entry.get("profile", {}):
                out.append(f"{model}, {called}: " + ", ".join(worked(*w) for w in entry["profile"][what]) + ".")
    return out


def worked(name, share, memory, unit=0):
    """A kind of work, and how near it comes to the machine's limits; results of before had no unit's."""
    limits = [f"{what} at {100 * of:.0f} %" for what, of in (("memory", memory), ("its unit", unit)) if of > 0.05]
    return f"{name} {100 * share:.0f} %" + (f" ({', '.join(limits)})" if limits else "")


def provenance(result):
    """Which part was measured when, from which commit, how often, beside whom."""
    out = {}
    for part, entries in result["parts"].items():
        for model, e in entries.items():
            rounds = f"medians of {e['runs']} rounds" if e["runs"] > 1 else "one round"
            text = f"{e['date'].split()[0]}, commit {e['commit']}, {e['threads']} threads, {rounds}"
            if (e.get("others") or 0) > BUSY:
                text += f"; **other programs took {e['others']:.1f} CPUs meanwhile, so take it with care**"
            out.setdefault(text, []).append(f"{part} {model}")
    return [f"{', '.join(what)}: {text}." for text, what in out.items()]


def write(results, readme):
    """Puts the tables between the two marks of the page."""
    text = readme.read_text()
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{readme} has lost its marks {BEGIN} and {END}")
    readme.write_text(before + BEGIN + "\n" + "\n\n".join(map(table, results)) + "\n" + END + after)
