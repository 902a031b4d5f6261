"""What this machine is, and how busy it is with other things."""
import os
import platform
import re
import resource
import time
from pathlib import Path

import programs


# What bench.py --only takes: the units that are turned off in both programs, ours by this setting, and how the machine is called then.
LESS = {
    "avx512": (("amx_int8", "amx_bf16"), "cpu.amxtile=off", "AMX turned off in both programs"),
    "avx2": (("amx_int8", "amx_bf16", "avx512f", "avx512_vnni", "avx_vnni"), "cpu.avx512vnni=off", "AVX-512 and AMX turned off in both programs"),
}


def cpu(only=None):
    """The processor's name."""
    return model_name() + (f", {LESS[only][2]}" if only else "")


def model_name():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def flags(only=None):
    """What of the processor matters here, the best unit for products last."""
    return [w for w in flags_of() if w not in off(only)]


def flags_of():
    wanted = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "amx_bf16", "asimddp", "i8mm")
    try:
        words = set(re.findall(r"[a-z0-9_]+", Path("/proc/cpuinfo").read_text()))
    except OSError:
        return []
    return [w for w in wanted if w in words]


def off(only):
    return LESS[only][0] if only else ()


def turn_off(only):
    """Has our programs, started from here on, do without what is off; llama.cpp is another build (build_llama_cpp.sh)."""
    if not set(off(only)) & set(flags()):
        raise programs.Failed(f"--only {only}: this processor has no more than that, or not even that ({', '.join(flags())}): leave it out")
    os.environ["GODEBUG"] = LESS[only][1]


def name(only=None):
    """The processor for a file's name: machines that call themselves the same may differ in what they can."""
    words = model_name().lower().replace("(r)", "").replace("(tm)", "") + " " + "".join(flags(only)[-1:]) + (" of " + flags()[-1] if only else "")
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")


def memory():
    """Bytes of memory that the machine has; None if it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def commit(root):
    """The checkout's commit, with +changes where a tracked file differs from it, but for what measuring itself writes."""
    try:
        text = programs.run(["git", "-C", root, "rev-parse", "--short", "HEAD"], 10).strip()
        written = [":!bench/results", ":!bench/README.md"]
        dirty = programs.run(["git", "-C", root, "status", "--porcelain", "--untracked-files=no", "--", ".", *written], 30).strip()
        return text + ("+changes" if dirty else "")
    except programs.Failed:
        return "unknown"


def newer(root, binary):
    """A source of the checkout that was changed behind the binary; None if there is none."""
    try:
        names = programs.run(["git", "-C", root, "ls-files", "--", "*.go", "*.s", "go.mod", ":!*_test.go"], 30).split()
    except programs.Failed:
        return None
    built = Path(binary).stat().st_mtime
    return next((n for n in names if (root / n).exists() and (root / n).stat().st_mtime > built), None)


class Others:
    """How many CPUs other programs took, on average, between the making of this and asked.

    The system counts the time of all CPUs, other machines' share of a shared one among it (steal); the
    time of this program and of the programs that it started and that have ended is taken off.
    """

    def __init__(self):
        self.begin, self.all, self.own = time.monotonic(), self._all(), self._own()

    def asked(self):
        if self.all is None:
            return None
        took = time.monotonic() - self.begin
        return max(0.0, (self._all() - self.all - (self._own() - self.own)) / took)

    @staticmethod
    def _all():
        try:
            user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
        except (OSError, ValueError):
            return None
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def _own():
        return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
