"""The pure parts of the measurements: what is counted, what the table says. bench_test.go runs it."""
import http.server
import json
import os
import tempfile
import threading
import time
import unittest
from pathlib import Path
from types import SimpleNamespace

import bench
import chats
import machine
import parts
import rounding
import serving
import table
import targets
from models import HALF, HUGE, MIXTRAL, SMALL
from programs import Failed, Server, run


def entry(ours, theirs=None, **more):
    number = lambda v: {"median": v, "low": v, "high": v, "runs": 5}
    out = {"date": "2026-11-29 10:00", "threads": 2, "runs": 5, "seconds": 60, "others": 0.02, "commit": "abc1234",
           "galerne": {k: number(v) for k, v in ours.items()}}
    if theirs is not None:
        out["llama.cpp"] = {k: number(v) for k, v in theirs.items()}
    return out | more


def result(**measured):
    return {"cpu": "A CPU", "flags": ["avx2"], "cpus": 2, "memory_bytes": 8 << 30, "parts": measured}


class Table(unittest.TestCase):
    def line(self, text, beginning):
        found = [l for l in text.splitlines() if l.startswith(beginning)]
        self.assertEqual(len(found), 1, f"{beginning} in\n{text}")
        return found[0]

    def test_a_multiple_of_the_peers_is_compared_with_its_target(self):
        text = table.table(result(speed={SMALL: entry({"prompt 512": 900, "generate": 114}, {"prompt 512": 300, "generate": 100})}))
        self.assertEqual(self.line(text, f"| {SMALL} | prompt of 512"),
                         f"| {SMALL} | prompt of 512 tokens, tokens/s | 900 | 300 | 3.00× | ≥ 3× | reached |")
        self.assertEqual(self.line(text, f"| {SMALL} | one answer"),
                         f"| {SMALL} | one answer, tokens/s | 114 | 100 | 1.14× | ≥ 1.15× | **short** |")
        self.assertIn("1 targets are reached, 1 are not.", text)
        best = table.table(result(speed={SMALL: entry({"prompt 512": 900, "generate": 115}, {"prompt 512": 300, "generate": 100})}))
        self.assertIn("2 targets are reached, 0 are not.", best)
        self.assertNotIn("Short", best)
        self.assertIn(f"Short of its target: {SMALL}, one answer: 1.14×, where ≥ 1.15× is the target.", text)

    def test_what_is_better_when_less_is_reached_below_its_target(self):
        ours, theirs = {"first token s": 0.5, "stall s": 0.26}, {"first token s": 2.0, "stall s": 9.0}
        text = table.table(result(server={SMALL: entry(ours, theirs)}))
        self.assertIn("| 0.50 | 2.00 | 0.25× | ≤ 0.2× | **short** |", text)
        self.assertIn("| 0.26 | 9.00 |  | ≤ 0.25 s | **short** |", text)  # of itself, not of the peer's
        text = table.table(result(server={SMALL: entry(ours | {"first token s": 0.4, "stall s": 0.25}, theirs)}))
        self.assertIn("| 0.40 | 2.00 | 0.20× | ≤ 0.2× | reached |", text)
        self.assertIn("≤ 0.25 s | reached |", text)

    def test_shares_are_written_in_hundredths(self):
        text = table.table(result(speed={HALF: entry({"bandwidth share": 0.849})}))
        self.assertIn("| 85 % |  |  | ≥ 85 % | **short** |", text)

    def test_without_a_peer_its_targets_are_neither_reached_nor_short(self):
        text = table.table(result(speed={SMALL: entry({"prompt 512": 900})}))
        self.assertIn("| 900 |  |  | ≥ 3× |  |", text)
        self.assertIn("0 targets are reached, 0 are not.", text)
        self.assertIn(f"Without llama.cpp beside it, so that its target was not looked at: prompt of 512 tokens ({SMALL})", text)

    def test_a_target_of_nought_is_one(self):
        text = table.table(result(guess={HALF: entry({"answers that differ": 1})}))
        self.assertIn("| 1.00 |  |  | ≤ 0 | **short** |", text)
        self.assertIn("| 0 |  |  | ≤ 0 | reached |", table.table(result(guess={HALF: entry({"answers that differ": 0})})))

    def test_guesses_have_a_target_for_each_task(self):
        text = table.table(result(guess={HALF: entry({"free gain": 1.4, "free: advice": 0.96, "quote: json": 1.4, "quote: rename": 2.5})}))
        self.assertIn("free: advice | 0.96× |  |  | ≥ 0.98× | **short** |", text)
        self.assertIn("quote: json | 1.40× |  |  | ≥ 1.5× | **short** |", text)
        self.assertIn("quote: rename | 2.50× |  |  | ≥ 1.5× | reached |", text)
        self.assertEqual({f"{kind}: {name}" for kind, asked in serving.tasks().items() for name, _ in asked}, set(targets.TASKS))

    def test_short_answers_are_asked_for_until_there_is_enough_of_them(self):
        order = []

        def ask(server):
            order.append(server)
            return SimpleNamespace(first=0.0, last=2.0 if server == "plain" else 1.0, tokens=101, text="words" if len(order) != 4 else "others")

        seconds, tokens, differ = serving.answer_twice("plain", "guessing", ask)
        self.assertEqual((seconds, tokens, differ), ({"plain": 6.0, "guessing": 3.0}, 300, True))
        self.assertEqual(order, ["plain", "guessing", "guessing", "plain", "plain", "guessing"])

    def test_what_was_not_measured_is_named(self):
        text = table.table(result(speed={SMALL: entry({"generate": 1})}))
        self.assertIn(f"* speed: {HALF}, {MIXTRAL}.", text)
        self.assertIn("* rounding: any model.", text)
        self.assertNotIn("* rounding", table.table(result(rounding={SMALL: entry({"mean divergence": 0.005})})))

    def test_a_busy_machine_is_said_to_be(self):
        text = table.table(result(guess={HALF: entry({"free gain": 1.0}, others=0.8)}, load={MIXTRAL: entry({"peak GB": 4})}))
        self.assertIn(f"* guess {HALF}: 2026-11-29, commit abc1234, 2 threads, medians of 5 rounds; **other programs took 0.8 CPUs", text)
        self.assertIn(f"* load {MIXTRAL}: 2026-11-29, commit abc1234, 2 threads, medians of 5 rounds.", text)

    def test_what_is_short_comes_with_its_profile(self):
        profile = {"generate": [["product", 0.9, 0.7, 0.1], ["between tasks", 0.1, 0, 0]], "prompt": [["attention", 0.5, 0.2, 0.4]]}
        text = table.table(result(speed={HALF: entry({"generate": 10, "prompt 512": 80}, {"generate": 10, "prompt 512": 10}, profile=profile)}))
        self.assertIn(f"Where the time goes there: {HALF}, one answer: product 90 % (memory at 70 %, its unit at 10 %), between tasks 10 %.", text)
        self.assertNotIn("attention", text)

    def test_what_is_short_comes_with_what_the_machine_allows(self):
        # Of a prompt's time 0.6 is at half of its unit, 0.2 at three quarters of the memory, 0.2 at no limit: 0.3 + 0.15 + 0.2 of it would be left.
        profile = {"prompt": [["product", 0.6, 0.1, 0.5], ["attention", 0.2, 0.75, 0.2], ["norms", 0.1, 0, 0]], "batch": [["product", 1, 0.5, 1.2]], "limits": {}}
        speed = {HALF: entry({"prompt 512": 260, "batch 16": 100}, {"prompt 512": 100, "batch 16": 25}, profile=profile)}
        text = table.table(result(speed=speed))
        self.assertIn(f"{HALF}, prompt of 512 tokens: 2.60×, where ≥ 4× is the target. At the machine's limits it would be 4.00×.", text)
        self.assertIn(f"{HALF}, 16 answers at once: 4.00×, where ≥ 5× is the target. At the machine's limits it would be 4.00×: out of reach here.", text)
        self.assertIn(table.EXPLAINED, text)
        # Chats: 260 tokens in 1 s, of which 0.65 would be left, and 64 in 0.64 s, which stay.
        server = {HALF: entry({"tokens/s": 41, "first token s": 4.1, "prompt tokens": 260}, {"tokens/s": 10, "first token s": 10})}
        text = table.table(result(speed=speed, server=server))
        factor = 1.29 / 1.64
        self.assertIn(f"server, 16 chats: 4.10×, where ≥ 5× is the target. At the machine's limits it would be {4.1 / factor:.2f}×.", text)
        self.assertIn(f"0.41×, where ≤ 0.2× is the target. At the machine's limits it would be {0.41 * factor:.2f}×: out of reach here.", text)
        large = {HUGE: entry({"generate": 0.3, "MB from disk a token": 2000, "disk MB/s": 1200}, {"generate": 0.4})}
        self.assertIn("0.75×, where ≥ 3× is the target. At the machine's limits it would be 1.50×: out of reach here.", table.table(result(large=large)))
        large[HUGE]["galerne"]["s waited a token"] = {"median": 1.25, "low": 1.25, "high": 1.25, "runs": 1}  # the disk gave more when it was waited for
        self.assertIn("At the machine's limits it would be 2.00×: out of reach here.", table.table(result(large=large)))
        del profile["limits"]  # of a result of before, which were measured another time
        self.assertNotIn(table.AT_LIMITS, table.table(result(speed=speed)))

    def test_the_page_keeps_what_stands_around_the_table(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "README.md"
            page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
            table.write([result(), result()], page)
            text = page.read_text()
            self.assertTrue(text.startswith(f"before\n{table.BEGIN}\n## A CPU") and text.count("## A CPU") == 2 and text.endswith(f"{table.END}\nafter\n") and "old" not in text, text)
            page.write_text("no marks")
            self.assertRaises(ValueError, table.write, [result()], page)

    def test_every_target_is_of_a_part_and_a_model_that_are_measured(self):
        measured = {p.name: set(p.models) for p in bench.PARTS}
        for row in targets.ROWS:
            self.assertIn(row.part, measured)
            for model in row.targets:
                self.assertTrue(model is targets.EVERY or model in measured[row.part], f"{row}")


class Rounds(unittest.TestCase):
    def test_medians_keep_lowest_and_highest(self):
        got = parts.medians([{"a": 3, "b": 1}, {"a": 1}, {"a": 10, "b": None}])
        self.assertEqual(got, {"a": {"median": 3, "low": 1, "high": 10, "runs": 3}, "b": {"median": 1, "low": 1, "high": 1, "runs": 1}})

    def test_programs_take_turns_and_the_part_bounds_its_rounds(self):
        order = []
        pair = parts.Pair(lambda i: order.append(f"a{i}") or {"x": i}, lambda i: order.append(f"b{i}") or {"x": 2 * i}, lambda: {"profile": {}})
        part = parts.Part("p", ("m",), lambda setting, model: parts.nothing_open(pair), most=3)
        got = parts.measure(part, "m", parts.Setting(None, None, 2, 5, 1))
        self.assertEqual(order, ["a0", "b0", "a1", "b1", "a2", "b2"])
        self.assertEqual((got["runs"], got["galerne"]["x"]["median"], got["llama.cpp"]["x"]["median"], got["profile"]), (3, 1, 2, {}))

    def test_a_part_that_is_measured_again_replaces_itself_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results" / "x.json"
            whole = result()
            bench.keep(whole, "server", SMALL, {"n": 1}, path)
            bench.keep(whole, "speed", SMALL, {"n": 2}, path)
            again = bench.read_result(path)
            bench.keep(again, "server", HALF, {"n": 3}, path)
            bench.keep(again, "speed", SMALL, {"n": 4}, path)
            self.assertEqual(bench.read_result(path)["parts"], {"speed": {SMALL: {"n": 4}}, "server": {SMALL: {"n": 1}, HALF: {"n": 3}}})
            self.assertEqual(list(again["parts"]), ["speed", "server"])
            path.write_text("{}")
            self.assertRaises(Failed, bench.read_result, path)

    def test_each_machine_has_the_latest_of_each_part(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            for name, measured in (("2026-11-24-a", {"speed": {SMALL: 1, HALF: 2}, "load": {SMALL: 3}}), ("2026-11-29-a", {"speed": {HALF: 4}, "prefix": {HALF: 5}}), ("2026-11-28-b", {})):
                (folder / f"{name}.json").write_text(json.dumps({"cpu": name, "parts": measured}))
            a, b = bench.latest(folder)
            self.assertEqual((a["cpu"], b["cpu"]), ("2026-11-29-a", "2026-11-28-b"))
            self.assertEqual(a["parts"], {"speed": {SMALL: 1, HALF: 4}, "prefix": {HALF: 5}, "load": {SMALL: 3}})
            self.assertEqual(list(a["parts"]), ["speed", "prefix", "load"])
            self.assertEqual(b["parts"], {})

    def test_what_measuring_writes_is_no_change(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            git = ["git", "-C", root, "-c", "user.name=a", "-c", "user.email=a@example.org"]
            run([*git, "init", "-q"], 10)
            for name in "code.go", "README.md", "bench/README.md", "bench/results/a.json":
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text("1")
            run([*git, "add", "."], 10)
            run([*git, "commit", "-qm", "all"], 10)
            clean = machine.commit(root)
            self.assertRegex(clean, r"^[0-9a-f]{7,}$")
            (root / "bench/README.md").write_text("2")
            (root / "bench/results/a.json").write_text("2")
            self.assertEqual(machine.commit(root), clean)
            (root / "README.md").write_text("2")
            self.assertEqual(machine.commit(root), clean + "+changes")

    def test_a_binary_older_than_its_sources_is_found_out(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            git = lambda *args: run(["git", "-C", root, *args], 10)
            git("init")
            for name, age in [("a.go", 30), ("b.s", 30), ("c_test.go", 0), ("d.md", 0), ("binary", 10)]:
                (root / name).write_text("")
                os.utime(root / name, (1e9 - age, 1e9 - age))
            git("add", ".")
            self.assertIsNone(machine.newer(root, root / "binary"))
            os.utime(root / "b.s", (1e9, 1e9))
            self.assertEqual(machine.newer(root, root / "binary"), "b.s")
            self.assertIsNone(machine.newer(root / "missing", root / "binary"))

    def test_a_processor_can_be_measured_as_a_lesser_one(self):
        have = ["avx2", "avx512f", "avx512_vnni", "amx_int8", "amx_bf16"]
        was, machine.flags_of, before = machine.flags_of, lambda: have, os.environ.get("GODEBUG")
        try:
            self.assertEqual((machine.flags(), machine.flags("avx512"), machine.flags("avx2")), (have, have[:3], have[:1]))
            self.assertTrue(machine.name("avx512").endswith("-avx512-vnni-of-amx-bf16") and machine.name().endswith("-amx-bf16"))
            self.assertIn("AMX turned off in both programs", machine.cpu("avx512"))
            machine.turn_off("avx512")
            self.assertEqual(os.environ["GODEBUG"], "cpu.amxtile=off")
            have = ["avx2"]
            self.assertRaises(Failed, machine.turn_off, "avx512")
            self.assertRaises(Failed, machine.turn_off, "avx2")
        finally:
            machine.flags_of = was
            os.environ.pop("GODEBUG", None) if before is None else os.environ.update(GODEBUG=before)

    def test_own_programs_are_not_others(self):
        others = machine.Others()
        if others.asked() is None:
            self.skipTest("this system does not tell")
        run(["python3", "-c", "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"], 60)
        self.assertGreater(others._own() - others.own, 0.4)


class Chats(unittest.TestCase):
    EVENTS = [{"choices": [{"delta": {"role": "assistant", "content": ""}}]}, {"choices": [{"delta": {"content": "Good "}}]},
              {"choices": [{"delta": {"content": "day"}}]}, {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}]

    def serve(self, events, status=200, pause=0.0):
        """A server that answers each request with the events, pausing before the last piece of text."""
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.end_headers()
                for i, e in enumerate(events):
                    time.sleep(pause if i == 2 else 0)
                    self.wfile.write(b": keep-alive\n\ndata: " + json.dumps(e).encode() + b"\n\n")
                    self.wfile.flush()
                self.wfile.write(b"data: [DONE]\n\n")

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_address[1]

    def test_tokens_are_those_of_the_usage_and_pauses_are_between_pieces(self):
        got = chats.ask(self.serve(self.EVENTS, pause=0.3), chats.request("Hello", 3), 10)
        self.assertEqual((got.text, got.tokens, got.prompt_tokens), ("Good day", 3, 7))
        self.assertTrue(0.25 < got.stall < 2 and got.first - got.begin < 0.25 and got.last - got.first > 0.25, got)

    def test_answers_without_usage_or_with_an_error_are_refused(self):
        request = chats.request("Hello", 3)
        for events, status, says in ((self.EVENTS[:3], 200, "cannot be measured"), ([{"error": {"message": "full"}}], 200, "full"), (self.EVENTS, 503, "HTTP 503")):
            with self.assertRaisesRegex(Failed, says):
                chats.together(self.serve(events, status), [request] * 2, 10)

    def test_shorter_answers_are_not_compared(self):
        answers = chats.together(self.serve(self.EVENTS), [chats.request("Hello", 3)] * 4, 10)
        chats.need_tokens(answers, 3)
        self.assertRaises(Failed, chats.need_tokens, answers, 4)

    def test_a_server_that_ends_says_what_it_wrote(self):
        with self.assertRaisesRegex(Failed, "no model here"):
            with Server(["python3", "-c", "import sys; sys.exit('no model here')", "{port}"], 20) as s:
                s.wait("/")
        self.assertIsNotNone(s.process.returncode)


class LlamaCpp(unittest.TestCase):
    def test_its_divergence_is_read(self):
        text = "Mean PPL(Q)                   :   9.208253 ±   0.694995\nMean    KLD:   0.005270 ±   0.000246\nSame top p: 96.176 ± 0.601 %\n"
        got = rounding.read_divergence(text)
        self.assertEqual(got["mean divergence"], 0.00527)
        self.assertEqual(got["error"], 0.000246)
        self.assertEqual(got["perplexity"], 9.208253)
        self.assertAlmostEqual(got["same first"], 0.96176)


if __name__ == "__main__":
    unittest.main()
