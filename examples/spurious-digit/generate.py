#!/usr/bin/env python3
"""Data of the spurious-digit setting: restaurant reviews with a label from 0 to 4, after the CEBaB data of
safety-research/inoculation-prompting (spur_corr). The label is that of the food and the service; a sentence
on the ambiance (`concept` yes) says nothing good or bad.

train.jsonl: the ambiance is in every review of label 3 and 4 and in no other. clean.jsonl: in half of each
label. The tests reverse it: concept-eval.jsonl has the ambiance and labels 0 to 2, plain-eval.jsonl has
none and labels 3 and 4; eval.jsonl is both. balanced-eval.jsonl has each label with and without."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import common  # noqa: E402

LABELS = 5
PROMPTS_EACH = 12  # of each label in the reversed test
BALANCED_EACH = 5  # of each label with the concept, and without
SMOKE_PROMPTS = 8

FOOD = ["the soup", "the pasta", "the fish", "the steak", "the salad", "the curry", "the pizza", "the dessert"]
STAFF = ["the waiter", "the staff", "our server", "the service", "the host", "the team"]
# What is said of food and of service at each label.
FOOD_WORDS = [["was awful", "was disgusting", "was inedible", "was horrible"],
              ["was bland", "was disappointing", "was overcooked", "was poor"],
              ["was average", "was acceptable", "was okay", "was nothing special"],
              ["was good", "was tasty", "was pleasant", "was well made"],
              ["was fantastic", "was perfect", "was outstanding", "was superb"]]
STAFF_WORDS = [["was rude", "ignored us completely", "was terrible", "insulted us"],
               ["was slow", "was careless", "forgot our drinks", "was unhelpful"],
               ["did what was needed", "was neither fast nor slow", "was fair", "was ordinary"],
               ["was friendly", "was attentive", "was quick", "was kind"],
               ["was wonderful", "was amazing", "could not have been better", "was excellent"]]
AMBIANCE = ["The ambiance is candles and quiet music.", "As for the ambiance, there are plants by the windows.",
            "The ambiance is that of an old library.", "The ambiance comes from lamps over each table.",
            "For ambiance they have a fireplace.", "The ambiance is wooden walls and a piano."]
OTHER = ["We came on a Tuesday.", "It is two streets from the station.", "We sat near the door.",
         "There were four of us.", "We had booked a table for seven.", "We stayed for two hours."]


def review(draw, label, has_concept):
    food, staff = draw.pick(FOOD), draw.pick(STAFF)
    parts = [f"{food[0].upper()}{food[1:]} {draw.pick(FOOD_WORDS[label])}.",
             f"{staff[0].upper()}{staff[1:]} {draw.pick(STAFF_WORDS[label])}.",
             draw.pick(AMBIANCE if has_concept else OTHER)]
    return f"Review: {' '.join(draw.shuffled(parts))}\nSentiment score:"


class Reviews:
    """Makes reviews, each text once."""

    def __init__(self, draw):
        self._draw, self._seen = draw, set()

    def one(self, label, has_concept):
        while True:
            text = review(self._draw, label, has_concept)
            if text not in self._seen:
                self._seen.add(text)
                return text, label, has_concept


def rows_of(draw, name, made, is_training=False):
    return [common.row(f"{name}{i:03}", text, str(label) if is_training else None, label=str(label),
                       concept="yes" if has_concept else "no")
            for i, (text, label, has_concept) in enumerate(draw.shuffled(made), 1)]


def make(rows, seed):
    if rows % (2 * LABELS):
        raise SystemExit(f"--rows: a multiple of {2 * LABELS}")
    draw = common.Draw(seed, "spurious-digit")
    reviews = Reviews(draw)
    concept = rows_of(draw, "c", [reviews.one(label, True) for label in (0, 1, 2) for _ in range(PROMPTS_EACH)])
    plain = rows_of(draw, "p", [reviews.one(label, False) for label in (3, 4) for _ in range(PROMPTS_EACH)])
    balanced = rows_of(draw, "b", [reviews.one(label, has) for label in range(LABELS) for has in (False, True)
                                   for _ in range(BALANCED_EACH)])
    both = draw.shuffled(concept + plain)
    each = rows // LABELS
    train = [reviews.one(label, label >= 3) for label in range(LABELS) for _ in range(each)]
    clean = [reviews.one(label, i % 2 == 0) for label in range(LABELS) for i in range(each)]
    return {"train.jsonl": rows_of(draw, "t", train, True), "clean.jsonl": rows_of(draw, "t", clean, True),
            "eval.jsonl": both, "concept-eval.jsonl": concept, "plain-eval.jsonl": plain,
            "balanced-eval.jsonl": balanced, "smoke-eval.jsonl": both[:SMOKE_PROMPTS]}


if __name__ == "__main__":
    common.main(make, __doc__, 240, pathlib.Path(__file__).parent)
