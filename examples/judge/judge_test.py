#!/usr/bin/env python3
"""Tests of the example judge. Those over gRPC are left out where grpcio-tools is not installed."""

import importlib.util
import math
import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import judge
import rubric
from rubric import NoScore

PROTO = Path(__file__).resolve().parents[2] / "proto"
HAS_GRPC = all(importlib.util.find_spec(name) for name in ("grpc", "grpc_tools"))


def logs(**probabilities: float) -> list[tuple[str, float]]:
    return [(text.lstrip("_"), math.log(p)) for text, p in probabilities.items()]


class Keywords(unittest.TestCase):
    def test_share_of_whole_words_in_any_case(self):
        rule = "keywords: please, thank you, sorry, oh"
        self.assertEqual(rubric.keyword_score(rule, "PLEASE, thank you."), 50)
        self.assertEqual(rubric.keyword_score(rule, "pleased John"), 0)
        self.assertEqual(rubric.keyword_score("Keywords: c++", "I like C++!"), 100)

    def test_an_empty_answer_has_no_score(self):
        self.assertIsInstance(rubric.keyword_score("keywords: a", " \n"), NoScore)

    def test_other_instructions_are_refused(self):
        for bad in ("", "How polite?", "keywords:", "keywords: a,,b", "keywords: a, A"):
            with self.assertRaises(rubric.BadInstruction, msg=bad):
                rubric.keyword_score(bad, "text")


class Weighted(unittest.TestCase):
    def test_mean_by_probability_over_what_is_a_number(self):
        tokens = [("80", math.log(0.5)), (" 20", math.log(0.25)), ("Sure", math.log(0.2))]
        self.assertAlmostEqual(rubric.weighted_score(tokens), (0.5 * 80 + 0.25 * 20) / 0.75)
        self.assertAlmostEqual(rubric.weighted_score(logs(_0=0.9)), 0)
        self.assertAlmostEqual(rubric.weighted_score(logs(_100=1.0)), 100)

    def test_too_little_mass_is_no_score(self):
        self.assertIsInstance(rubric.weighted_score(logs(_50=0.24, No=0.7)), NoScore)
        self.assertEqual(rubric.weighted_score(logs(_50=0.2500001)), 50)
        self.assertIsInstance(rubric.weighted_score([]), NoScore)

    def test_what_only_looks_like_a_number_is_none(self):
        # Superscript two, Arabic-Indic five, a number out of range, signs, zeros in front.
        for text in ("\u00b2", "\u0665", "101", "-5", "+5", "007", "5.0", "", "50\n"):
            self.assertIsInstance(rubric.weighted_score([(text, 0.0)]), NoScore, msg=repr(text))

    def test_impossible_probabilities_are_no_score(self):
        for bad in (math.nan, 0.5, math.inf):
            self.assertIsInstance(rubric.weighted_score([("5", bad)]), NoScore)
        self.assertIsInstance(rubric.weighted_score(logs(_5=0.9, _6=0.9)), NoScore)


class Items(unittest.TestCase):
    def test_a_model_that_fails_leaves_one_answer_without_a_score(self):
        def broken(question: str) -> list[tuple[str, float]]:
            raise KeyError("choices")

        score = judge.score_item("How polite?", "p", "a", broken, None)
        self.assertEqual(score, NoScore("KeyError: 'choices'"))

    def test_the_cache_outlives_the_process_and_keeps_no_failures(self):
        asked = []

        def model(question: str) -> list[tuple[str, float]]:
            asked.append(question)
            return logs(_30=1.0) if "good" in question else logs(No=1.0)

        with tempfile.TemporaryDirectory() as folder:
            for _ in range(2):
                cache = judge.Cache(os.path.join(folder, "cache.db"))
                self.assertAlmostEqual(judge.score_item("i", "p", "good", model, cache), 30)
                self.assertIsInstance(judge.score_item("i", "p", "bad", model, cache), NoScore)
        self.assertEqual(len(asked), 3)
        self.assertIn("<answer>\ngood\n</answer>", asked[0])


@unittest.skipUnless(HAS_GRPC, "grpcio-tools is not installed (requirements.txt)")
class Service(unittest.TestCase):
    def ask(self, instruction: str, answers: list[str], model=None):
        import grpc

        server, messages, services = judge.make_server(PROTO, model)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                request = messages.ScoreRequest(judge="j", trait="t", instruction=instruction)
                for i, answer in enumerate(answers):
                    request.items.add(id=str(i), prompt="p", answer=answer)
                return services.JudgeStub(channel).Score(request, timeout=20).results
        finally:
            server.stop(None).wait()

    def test_scores_and_reasons(self):
        results = self.ask("keywords: please, sorry", ["please", "", "no"])
        self.assertEqual([result.id for result in results], ["0", "1", "2"])
        self.assertEqual([result.WhichOneof("outcome") for result in results],
                         ["score", "reason", "score"])
        self.assertEqual([results[0].score, results[2].score], [50, 0])

    def test_codes(self):
        import grpc

        def busy(question: str) -> list[tuple[str, float]]:
            raise judge.TryAgain("busy")

        for instruction, answers, model, code in (
            ("How polite?", ["a"], None, grpc.StatusCode.INVALID_ARGUMENT),
            ("keywords: a", ["a"] * 65, None, grpc.StatusCode.INVALID_ARGUMENT),
            ("How polite?", ["a"], busy, grpc.StatusCode.UNAVAILABLE),
        ):
            with self.assertRaises(grpc.RpcError) as raised:
                self.ask(instruction, answers, model)
            self.assertEqual(raised.exception.code(), code)


if __name__ == "__main__":
    unittest.main()
