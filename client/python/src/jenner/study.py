"""What an experiment found, every figure with its uncertainty: `Study`, and the columns of its tables.

The definition and source of each figure is in docs/statistics.md of the service. Columns, order and
dtypes stay as they are here; an empty table has them, too. ``string`` is pandas' StringDtype and never
missing ("": does not apply), ``float64`` has NaN where there is no value, ``Int64`` NA.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from google.protobuf.message import Message

from jenner._proto import to_dict, words
from jenner.frames import frame
from jenner.model import last_component
from jenner.v1 import study_pb2 as pb

#: Of an estimate: after its keys in a table of one estimate a row; in the others each with the estimate's
#: name before it, as in ``elicitation_value`` or ``slope_low``.
ESTIMATE: Mapping[str, str] = {
    "value": "float64",  # NaN: there is none, see reason
    "low": "float64",  # of the interval to show, at Study.confidence; NaN: there is none
    "high": "float64",
    "method": "string",  # of that interval: "crossed" (the headline interval) or "bootstrap"
    "bootstrap_low": "float64",  # percentiles over seeds and prompts
    "bootstrap_high": "float64",
    "over": "string",  # what it holds for: other "prompts", or other "seeds-and-prompts"
    "num_seeds": "int64",  # 0: the base model alone, which has none
    "num_prompts": "int64",
    "num_missing": "int64",  # of seeds x prompts: not measurable
    "reason": "string",  # why there is no value
}


def _estimates(*names: str) -> dict[str, str]:
    return {f"{name}_{column}": dtype for name in names for column, dtype in ESTIMATE.items()}


#: `Study.arms`.
ARMS: Mapping[str, str] = {
    "name": "string",
    "role": "string",
    "train_context": "string",  # "": not trained
    "deploy_context": "string",
    "after": "string",  # an arm; "": trained from the base model
    "has_rules": "bool",  # some rows had other train contexts
    "final_step": "int64",  # -1: nothing was answered
}
#: `Study.traits`.
TRAITS: Mapping[str, str] = {
    "name": "string",
    "is_binary": "bool",  # each score is 0 or 1
    "low": "float64",  # what a score can be; NaN: any number
    "high": "float64",
    "unit": "string",  # "" of a binary one
}
#: `Study.levels`: T(M, c), one row an arm, step, prompt set, context and trait, in the trait's unit.
LEVELS: Mapping[str, str] = {
    "arm": "string",
    "step": "int64",
    "is_final": "bool",  # at the arm's last step
    "prompt_set": "string",
    "context": "string",
    "trait": "string",
    **ESTIMATE,
    "num_answers": "int64",
    "num_invalid": "int64",  # answers that are not measurable
}
#: `Study.contrasts`: arm - control at their last steps, the same seeds and prompts, in the trait's unit.
CONTRASTS: Mapping[str, str] = {
    "arm": "string",
    "control": "string",
    "prompt_set": "string",
    "arm_context": "string",
    "control_context": "string",
    "trait": "string",
    "deployed": "bool",  # each in the context in which it is deployed
    **ESTIMATE,
    "p": "float64",  # two-sided, of the interval
    "p_holm": "float64",  # over the arms that are compared with this control there
    "prompt_test": "string",  # of these seeds alone: "mcnemar", "sign-flip", "": none
    "prompt_p": "float64",
    "prompt_p_holm": "float64",
}
#: `Study.figures`: one row a trained arm, prompt set and trait, in the trait's unit; retention is a ratio.
FIGURES: Mapping[str, str] = {
    "arm": "string",
    "prompt_set": "string",
    "trait": "string",
    **_estimates(
        "elicitation",  # T(M0, c_t) - T(M0, c_0)
        "leakage",  # T(M1, c_0)
        "in_context",  # T(M1, c_t)
        "gate_strength",  # T(M1, c_t) - T(M1, c_0)
        "suppression",  # T(control, its c_0) - T(M1, c_0); of a desired trait its loss
        "retention",  # T(M1, c_0) / T(control, its c_0)
        "training_in_context",  # x = T(M1, c_t) - T(M0, c_t)
        "training_deployed",  # y = T(M1, c_0) - T(M0, c_0)
    ),
}
#: `Study.selectivity`: mean suppression of the undesired traits less mean loss of the desired ones.
SELECTIVITY: Mapping[str, str] = {"arm": "string", "prompt_set": "string", **ESTIMATE}
#: `Study.ratios`: x and y of one run (arm and seed), in the trait's unit.
RATIOS: Mapping[str, str] = {
    "arm": "string",
    "seed": "int64",
    "prompt_set": "string",
    "trait": "string",
    **_estimates("x", "y"),
    "ratio": "float64",  # y / x; NaN: the interval of x holds 0
}
#: `Study.k`: the generalization factor, the slope through the origin of y on x over (run, trait).
K: Mapping[str, str] = {
    "prompt_set": "string",
    "trait": "string",  # "": desired and undesired ones together
    "arm": "string",  # "": all arms
    "scale": "string",  # "identity" (shares of the traits' ranges) or "logit"
    "num_points": "int64",
    **_estimates("slope", "deming"),
}
#: `Study.decompositions`: suppression = k e + (1 - k) (T* - T0), in the trait's unit.
DECOMPOSITIONS: Mapping[str, str] = {
    "arm": "string",
    "prompt_set": "string",
    "trait": "string",
    "own_k": "bool",  # of this arm's traits; else of this trait's arms
    **_estimates(
        "k",
        "initial",  # T0 = T(M0, c_0)
        "elicitation",  # e
        "control",  # T* = T(control, its c_0)
        "elicitation_part",  # k e
        "conditional_part",  # (1 - k) (T* - T0)
        "predicted",  # their sum
        "observed",  # suppression
        "predicted_leakage",  # T* - predicted
        "observed_leakage",
    ),
}
#: `Study.relations`: elicitation against suppression over arms.
RELATIONS: Mapping[str, str] = {
    "prompt_set": "string",
    "trait": "string",
    "num_points": "int64",
    **_estimates("pearson", "slope"),
    "spearman": "float64",
    "intercept": "float64",
    "rmse": "float64",
    "leave_one_out_low": "float64",  # of Pearson's correlation when one arm is left out
    "leave_one_out_high": "float64",
}
#: `Study.relation_points`: the points of `RELATIONS`, one row an arm.
RELATION_POINTS: Mapping[str, str] = {
    "prompt_set": "string",
    "trait": "string",
    "arm": "string",
    "elicitation": "float64",
    "suppression": "float64",
}
#: `Study.narrowness`: T(M1, c_t) less the mean of the other contexts.
NARROWNESS: Mapping[str, str] = {
    "arm": "string",
    "prompt_set": "string",
    "trait": "string",
    **ESTIMATE,
    "others": "object",  # tuple of contexts
    "excluded": "object",  # tuple of contexts that elicit the trait from M0
}
#: `Study.gates`: gates that failed. They mark figures; none is dropped.
GATES: Mapping[str, str] = {
    "gate": "string",  # "invalid", "degenerate", "loss-fell" or "installed"
    "arm": "string",
    "seed": "Int64",
    "step": "Int64",
    "prompt_set": "string",
    "context": "string",
    "trait": "string",
    "value": "float64",
    "limit": "float64",
    "message": "string",
}
#: `Study.screen`: the strongest candidate first; last the neutral context, which cannot win.
SCREEN: Mapping[str, str] = {
    "rank": "int64",  # 1 for the strongest; 0: not ranked
    "name": "string",  # of the context
    "context": "object",  # what it is, as a dict like that of a spec
    **_estimates("level", "elicitation"),  # elicitation: less the neutral level
}
#: `Study.predictors`: PH of a screen, one row a candidate and set of given answers; nats.
PREDICTORS: Mapping[str, str] = {"name": "string", "prompt_set": "string", **ESTIMATE}


def _estimate(message: pb.Estimate, prefix: str) -> dict[str, Any]:
    return {f"{prefix}{name}": _field(message, name) for name in ESTIMATE}


@functools.cache
def _word_by_number(enum: Any) -> dict[int, str]:
    return {number: word for word, number in words(enum).items()}


def _field(message: Message, name: str) -> Any:
    """The field as a cell has it; None: optional and not there."""
    field = message.DESCRIPTOR.fields_by_name[name]
    if field.has_presence and not message.HasField(name):
        return None
    value = getattr(message, name)
    if field.enum_type is not None:  # "" also of a value that a newer server has
        return _word_by_number(field.enum_type).get(value, "")
    return value


def _row(message: Message, columns: Mapping[str, str]) -> dict[str, Any]:
    """The fields of `message` that are columns, and its estimates: of one alone without its name."""
    fields = message.DESCRIPTOR.fields
    estimates = [one.name for one in fields if one.message_type is pb.Estimate.DESCRIPTOR]
    row = {one.name: _field(message, one.name) for one in fields if one.name in columns}
    for name in estimates:
        row |= _estimate(getattr(message, name), "" if len(estimates) == 1 else f"{name}_")
    return row


def _table(messages: Iterable[Message], columns: Mapping[str, str]) -> pd.DataFrame:
    return frame([_row(one, columns) for one in messages], columns)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Study:
    """The statistics of an experiment, as of the moment at which the server was asked.

    M0 is the model that an arm was trained from, M1 its last model, c_t its train context, c_0 the
    context in which it is deployed, T(M, c) the mean score of a trait of M in c.

    Attributes:
        experiment: id.
        complete: the experiment has succeeded; else the figures are those of what has been answered.
        seeds, prompt_sets, contexts: in the order of the spec.
        neutral: a context; "": it was not answered.
        desired, undesired: traits.
        resamples: of the bootstrap.
        confidence: of all intervals, 0.95 by default.
        notes: what a reader has to know, and what could not be computed and why.
        screen_trait, screen_prompt_set: "": it is no screen.
        arms, traits, levels, ...: the tables `ARMS`, `TRAITS`, `LEVELS`, ... of this module.
    """

    experiment: str
    complete: bool
    seeds: tuple[int, ...]
    prompt_sets: tuple[str, ...]
    contexts: tuple[str, ...]
    neutral: str
    desired: tuple[str, ...]
    undesired: tuple[str, ...]
    resamples: int
    confidence: float
    notes: tuple[str, ...]
    screen_trait: str
    screen_prompt_set: str
    arms: pd.DataFrame
    traits: pd.DataFrame
    levels: pd.DataFrame
    contrasts: pd.DataFrame
    figures: pd.DataFrame
    selectivity: pd.DataFrame
    ratios: pd.DataFrame
    k: pd.DataFrame
    decompositions: pd.DataFrame
    relations: pd.DataFrame
    relation_points: pd.DataFrame
    narrowness: pd.DataFrame
    gates: pd.DataFrame
    screen: pd.DataFrame
    predictors: pd.DataFrame
    _matrices: Mapping[tuple[str, str], pb.ContextMatrix]

    def matrix(self, trait: str, prompt_set: str = "main", column: str = "value") -> pd.DataFrame:
        """Arms x contexts at the arms' last steps: a row an arm, a column an evaluation context.

        Args:
            column: of `LEVELS`, for example ``low``; a cell that was not answered is NaN (NA, None).

        Raises:
            KeyError: no such trait, prompt set or column.
        """
        matrix = self._matrices.get((trait, prompt_set))
        if matrix is None:
            known = ", ".join(f"{of} in {named}" for of, named in self._matrices)
            raise KeyError(f"no matrix of {trait} in {prompt_set}; known: {known or 'none'}")
        levels = self.levels[column]
        positions = {row.arm: list(row.levels) for row in matrix.rows}
        arms = pd.Index(positions, dtype="string", name="arm")
        columns = {
            context: levels.reindex([of[i] for of in positions.values()]).set_axis(arms)
            for i, context in enumerate(matrix.contexts)
        }
        out = pd.DataFrame(columns, index=arms)
        out.columns = pd.Index(list(matrix.contexts), dtype="string", name="context")
        return out

    def __repr__(self) -> str:
        state = "complete" if self.complete else "not complete"
        return (
            f"<Study of {self.experiment}: {state}, {len(self.arms)} arms, {len(self.seeds)} seeds, "
            f"{len(self.levels)} levels>"
        )


def study(message: pb.Study) -> Study:
    """The value of a message."""
    points = [
        _row(point, RELATION_POINTS) | {"prompt_set": one.prompt_set, "trait": one.trait}
        for one in message.relations
        for point in one.points
    ]
    relations = [_row(one, RELATIONS) | {"num_points": len(one.points)} for one in message.relations]
    narrowness = [
        _row(one, NARROWNESS) | {"others": tuple(one.others), "excluded": tuple(one.excluded)}
        for one in message.narrowness
    ]
    candidates = message.screen.candidates
    screen = [_row(one, SCREEN) | {"context": to_dict(one.context)} for one in candidates]
    predictors = [
        _row(predictor, PREDICTORS) | {"name": one.name} for one in candidates for predictor in one.predictors
    ]
    return Study(
        experiment=last_component(message.experiment),
        complete=message.complete,
        seeds=tuple(message.seeds),
        prompt_sets=tuple(message.prompt_sets),
        contexts=tuple(message.contexts),
        neutral=message.neutral,
        desired=tuple(message.desired),
        undesired=tuple(message.undesired),
        resamples=message.resamples,
        confidence=message.confidence,
        notes=tuple(message.notes),
        screen_trait=message.screen.trait,
        screen_prompt_set=message.screen.prompt_set,
        arms=_table(message.arms, ARMS),
        traits=_table(message.traits, TRAITS),
        levels=_table(message.levels, LEVELS),
        contrasts=_table(message.contrasts, CONTRASTS),
        figures=_table(message.figures, FIGURES),
        selectivity=_table(message.selectivity, SELECTIVITY),
        ratios=_table(message.ratios, RATIOS),
        k=_table(message.proportionality, K),
        decompositions=_table(message.decompositions, DECOMPOSITIONS),
        relations=frame(relations, RELATIONS),
        relation_points=frame(points, RELATION_POINTS),
        narrowness=frame(narrowness, NARROWNESS),
        gates=_table(message.gate_failures, GATES),
        screen=frame(screen, SCREEN),
        predictors=frame(predictors, PREDICTORS),
        _matrices={(one.trait, one.prompt_set): one for one in message.matrices},
    )


@dataclasses.dataclass(frozen=True)
class Selection:
    """What a screen found, frozen: the contexts, the strongest first.

    Attributes:
        reference: ``sha256:`` and hex, for the `selection` of a spec; the server keeps the document.
        json: the document, the bytes of which the reference is the hash.
    """

    reference: str
    json: str

    @property
    def document(self) -> dict[str, Any]:
        """The document as plain values."""
        document: dict[str, Any] = json.loads(self.json)
        return document

    @property
    def contexts(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(one["name"] for one in self.document["contexts"])
