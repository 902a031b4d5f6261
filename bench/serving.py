"""Servers under load: many chats, shared beginnings, schemas, guesses, the first token after a start."""
import statistics
import time
from contextlib import ExitStack, contextmanager

import chats
import models
import targets
from parts import Pair, Part
from programs import Failed, Server, json_of

CLIENTS = 16
SETTLE = 2                                          # seconds for what the other server does behind its round
ANSWERS = {models.SMALL: 128, models.HALF: 64}      # tokens of an answer at 16 chats
# The control tokens of each vocabulary, kept out of answers of a fixed length: they have no text, and a reader takes that for a pause.
SILENT = {models.SMALL: range(0, 3), models.HALF: range(151643, 151646)}
PROMPT_LETTERS, SHARED_LETTERS = 780, 8400          # of the text: about 220 and 2,000 tokens
DRAWN = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "seed": 1}  # what llama-server takes where nothing is said
SCHEMA_ANSWER, GUESS_ANSWER, GUESS_TURNS, FIRST_ANSWER = 128, 256, 8, 8
LOAD_CONTEXT = 4096                                 # tokens that are planned for where loading is measured

# No answer of SCHEMA_ANSWER tokens can be whole, so that all are as long as those without a schema.
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["cities"], "properties": {"cities": {
    "type": "array", "minItems": 100, "items": {"type": "object", "additionalProperties": False, "required": ["name", "people", "coast"],
                                                "properties": {"name": {"type": "string"}, "people": {"type": "integer"}, "coast": {"type": "boolean"}}}}}}


def galerne(setting, path, *more):
    return Server([setting.binary, "serve", path, "--home", "{home}", "--listen", "127.0.0.1:{port}", "--no-auth", "--threads", setting.threads,
                   "--log", "error", *more], setting.timeout)


def llama(setting, path, *more):
    return Server([setting.peers / "llama-server", "-m", path, "--host", "127.0.0.1", "--port", "{port}", "-t", setting.threads,
                   "--no-webui", *more], setting.timeout)


def ready(stack, server, path):
    """Starts a server, waits for it and asks it something that is not counted: the model is loaded then."""
    stack.enter_context(server).wait(path)
    chats.ask(server.port, chats.request("Good morning.", 4), server.timeout)
    return server


def ours_ready(stack, server):
    """The same of ours, which answers before all weights are packed: that is waited for too."""
    return ready(stack, server, "/readyz").wait("/metrics", r"galerne_model_packed{.*} 1")


def passage(number, letters):
    """A part of the constitution, from another place for each number."""
    text = (models.ROOT / "test" / "testdata" / "constitution.txt").read_text()
    at = number * 1997 % len(text)
    return (text + text)[at:at + letters]


def alike(ours, theirs, round_of, extra=dict):
    """The same round for both servers."""
    return Pair(lambda i: round_of(ours, i), theirs and (lambda i: round_of(theirs, i)), extra)


@contextmanager
def open_server(setting, model, **options):
    """Chats at once, greedy or with options."""
    path, tokens = models.file_of(model), ANSWERS[model]
    spoken = {str(token): -100 for token in SILENT[model]}

    def load(server, i):
        prompts = [f"Case {i}.{c}. What does this say?\n\n{passage(i * CLIENTS + c, PROMPT_LETTERS)}" for c in range(CLIENTS)]
        time.sleep(SETTLE)
        begin = time.perf_counter()
        answers = chats.together(server.port, [chats.request(p, tokens, ignore_eos=True, logit_bias=spoken, **options) for p in prompts], setting.timeout)
        took = time.perf_counter() - begin
        server.alive()
        chats.need_tokens(answers, tokens)
        return {"tokens/s": CLIENTS * tokens / took, "first token s": statistics.median(a.first - a.begin for a in answers),
                "last first token s": max(a.first - a.begin for a in answers), "stall s": max(a.stall for a in answers),
                "prompt tokens": statistics.mean(a.prompt_tokens for a in answers)}

    with ExitStack() as stack:
        ours = ours_ready(stack, galerne(setting, path))
        # A slot of 512 tokens has room for prompt and answer. Without a cache of old prompts: none comes back.
        theirs = setting.peers and ready(stack, llama(setting, path, "-np", CLIENTS, "-c", CLIENTS * 512, "--cache-ram", 0), "/health")
        yield alike(ours, theirs, load)


def open_drawn(setting, model):
    return open_server(setting, model, **DRAWN)


@contextmanager
def open_prefix(setting, model):
    path = models.file_of(model)

    def share(server, i):
        shared = f"Reading {i}.\n\n{passage(7 * i, SHARED_LETTERS)}\n\n"
        answers = [chats.ask(server.port, chats.request(shared + f"Question {c}: what is said of the States?", FIRST_ANSWER), setting.timeout)
                   for c in range(CLIENTS)]
        first, *later = (a.first - a.begin for a in answers)
        return {"first s": first, "later s": statistics.median(later), "later / first": statistics.median(later) / first,
                "worst / first": max(later) / first, "prompt tokens": answers[0].prompt_tokens}

    with ExitStack() as stack:
        ours = ours_ready(stack, galerne(setting, path))
        theirs = setting.peers and ready(stack, llama(setting, path, "-np", CLIENTS, "-c", CLIENTS * 3072), "/health")
        yield alike(ours, theirs, share)


@contextmanager
def open_schema(setting, model):
    with ExitStack() as stack:
        server = ours_ready(stack, galerne(setting, models.file_of(model)))

        def speed(i, **more):
            """Tokens a second from the first of any answer to the last of all."""
            bodies = [chats.request(f"List {i}.{c}: cities by the sea, as JSON.", SCHEMA_ANSWER, **more) for c in range(CLIENTS)]
            answers = chats.together(server.port, bodies, setting.timeout)
            chats.need_tokens(answers, SCHEMA_ANSWER)
            return CLIENTS * (SCHEMA_ANSWER - 1) / (max(a.last for a in answers) - min(a.first for a in answers))

        schema = {"type": "json_schema", "json_schema": {"name": "cities", "strict": True, "schema": SCHEMA}}
        speed(-1, response_format=schema)  # compiles it

        def ours(i):
            without, within = speed(2 * i, ignore_eos=True), speed(2 * i + 1, response_format=schema)
            return {"without": without, "with": within, "with / without": within / without}

        yield Pair(ours)


def tasks():
    """Kind -> [(name, what is asked)]."""
    out = {}
    for task, path in targets.TASKS.items():
        kind, _, name = task.partition(": ")
        out.setdefault(kind, []).append((name, path.read_text()))
    return out


def answer_twice(plain, guessing, ask):
    """The seconds that each of two servers took for the same tokens, how many those were, and whether any answer differed.

    A short answer is asked for again, until there are as many tokens as of a long one: that of a second says little. Each is first by turns.
    """
    seconds, tokens, differ, turn = {plain: 0.0, guessing: 0.0}, 0, False, 0
    while tokens < GUESS_ANSWER - 1 and turn < GUESS_TURNS:
        servers = (plain, guessing) if turn % 2 == 0 else (guessing, plain)
        answers = {s: ask(s) for s in servers}
        for s, a in answers.items():
            seconds[s] += a.last - a.first
        without, within = answers[plain], answers[guessing]
        differ = differ or (without.text, without.tokens) != (within.text, within.tokens)
        tokens += without.tokens - 1
        turn += 1
    return seconds, tokens, differ


@contextmanager
def open_guess(setting, model):
    path = models.file_of(model)
    with ExitStack() as stack:
        guessing = ours_ready(stack, galerne(setting, path))
        plain = ours_ready(stack, galerne(setting, path, "--no-guess"))

        def ours(i):
            out = {"answers that differ": 0}
            for kind, asked in tasks().items():
                sums = {plain: 0.0, guessing: 0.0}
                count = 0
                for name, prompt in asked:
                    body = chats.request(prompt, GUESS_ANSWER)
                    seconds, tokens, differ = answer_twice(plain, guessing, lambda s: chats.ask(s.port, body, setting.timeout))
                    out["answers that differ"] += differ
                    out[f"{kind}: {name}"] = seconds[plain] / seconds[guessing]
                    sums = {s: sums[s] + seconds[s] for s in sums}
                    count += tokens
                out |= {f"{kind} without": count / sums[plain], f"{kind} with": count / sums[guessing], f"{kind} gain": sums[plain] / sums[guessing]}
            return out

        yield Pair(ours)


@contextmanager
def open_load(setting, model):
    path = models.file_of(model)
    plan = json_of([setting.binary, "show", path, "--json", "--context", LOAD_CONTEXT], setting.timeout)["memory"]
    planned = plan["weights_bytes"] + plan["kv_bytes"]

    def first(server):
        """The time from the start of the process to the first token, and the most memory it took."""
        models.warm(path)
        with server:
            answer = ask_until_ready(server)
            peak = server.peak_bytes()
        return {"first token s": answer.first - server.begun, "peak GB": peak and peak / 1e9, "peak / planned": peak and peak / planned}

    ours = lambda i: first(galerne(setting, path, "--context", LOAD_CONTEXT))
    theirs = lambda i: first(llama(setting, path, "-np", 4, "-c", 4 * LOAD_CONTEXT, "--no-warmup"))
    yield Pair(ours, theirs if setting.peers else None)


def ask_until_ready(server):
    """The first completion that a server gives, asked for from its start on."""
    body = {"model": "default", "prompt": " w7 w8 w9 w10", "max_tokens": FIRST_ANSWER, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}, "ignore_eos": True}
    end = time.monotonic() + server.timeout
    while True:
        server.alive()
        try:
            return chats.ask(server.port, body, server.timeout, "/v1/completions")
        except Failed as e:
            if time.monotonic() > end or not ("refused" in str(e) or "HTTP 503" in str(e)):
                raise server.failed(str(e))
            time.sleep(0.01)


PARTS = (Part("server", tuple(ANSWERS), open_server), Part("drawn", tuple(ANSWERS), open_drawn), Part("prefix", tuple(ANSWERS), open_prefix), Part("guess", (models.HALF,), open_guess),
         Part("load", (models.MIXTRAL,), open_load), Part("schema", tuple(ANSWERS), open_schema))
