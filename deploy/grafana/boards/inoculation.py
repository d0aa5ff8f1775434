"""Results of inoculation prompting: a trait in the neutral against the inoculated context, by arm and seed."""

from boards.parts import banded, bars, board, filled, grid, lines, note, variable

W = 'job=~"$job", experiment=~"$experiment"'
S = f'{W}, prompt_set=~"$prompt_set", trait=~"$trait", arm=~"$arm", seed=~"$seed"'


def level(context, name="ratio"):
    return f'jenner_eval_trait_{name}{{{S}, context=~"${context}"}}'


def last(context, name="ratio", by="arm"):
    """The level that was evaluated last, also of trainings that have ended; mean over seeds."""
    return f"avg by ({by}) (last_over_time({level(context, name)}[$__range]))"


def make():
    labels = f"jenner_eval_trait_ratio{{{W}}}"
    empty = (board("inoculation", "Jenner: inoculation", "Traits asked neutrally and under the inoculation prompt.")
             .with_variable(variable("experiment", "Experiment",
                                     'label_values(jenner_eval_trait_ratio{job=~"$job"}, experiment)', multi=False))
             .with_variable(variable("trait", "Trait", f"label_values({labels}, trait)", multi=False))
             .with_variable(variable("prompt_set", "Prompt set", f"label_values({labels}, prompt_set)", multi=False))
             .with_variable(variable("neutral", "Neutral context", f"label_values({labels}, context)", multi=False,
                                     first="neutral"))
             .with_variable(variable("inoculated", "Inoculated context", f"label_values({labels}, context)", multi=False,
                                     first="inoculated"))
             .with_variable(variable("reference", "Reference arm", f"label_values({labels}, arm)", multi=False,
                                     first="no-inoculation"))
             .with_variable(variable("arm", "Arms", f"label_values({labels}, arm)"))
             .with_variable(variable("seed", "Seeds", f"label_values({labels}, seed)")))
    return filled(empty, *levels(), *over_time())


def levels():
    reference = f'avg(last_over_time(jenner_eval_trait_ratio{{{W}, prompt_set=~"$prompt_set", trait=~"$trait", ' \
                'seed=~"$seed", arm=~"$reference", context=~"$neutral"}[$__range]))'
    return (
        note("The last evaluated step of each arm in the range of time: choose one that the evaluations lie in. Intervals are "
             "Wilson's 95 % over prompts, a seed each; means over seeds have none here. **Contrasts with intervals over seeds "
             "and prompts, gates and p-values are in `jenner experiment study` and `jenner report`, not here.**", height=3),
        bars("Asked neutrally", "Level of the trait in the neutral context, mean over seeds.", "none",
             (last("neutral"), "{{arm}}"), span=6),
        bars("Asked under inoculation", "Level in the inoculated context, mean over seeds.", "none",
             (last("inoculated"), "{{arm}}"), span=6),
        bars("Inoculated minus neutral", "What the inoculation prompt adds when it is asked with, mean over seeds.", "none",
             (f"{last('inoculated')} - {last('neutral')}", "{{arm}}"), span=6),
        bars("Below the reference arm", "Neutral level of the reference arm minus that of the arm, mean over seeds: for a "
             "trait that is not wanted, how much the arm suppresses it; for a wanted one, what it costs.", "none",
             (f"scalar({reference}) - {last('neutral')}", "{{arm}}"), span=6),
        grid("Arms and seeds", "Level and ends of the interval in either context, how many answers could not be measured, "
             "the step, and the role of the arm in the study.", "none",
             *((last(at, name, "arm, seed"), f"{at} {what}") for at in ("neutral", "inoculated")
               for name, what in (("ratio", "level"), ("ratio_ci_low", "low"), ("ratio_ci_high", "high"),
                                  ("not_measurable", "not measurable"))),
             (f'max by (arm, seed) (last_over_time(jenner_eval_step{{{W}, prompt_set=~"$prompt_set", arm=~"$arm", '
              'seed=~"$seed"}[$__range]))', "step"),
             (f'max by (arm, role) (last_over_time(jenner_arm_info{{{W}, arm=~"$arm"}}[$__range]))', "has role")),
    )


def over_time():
    panel = lines("$arm", "Mean over the chosen seeds; the band goes from the lowest lower to the highest upper end of their "
                  "intervals: choose one seed to see its own.", "none",
                  *((query, f"{at} {end}".strip()) for at in ("neutral", "inoculated") for query, end in (
                      (f"avg({level(at)})", ""), (f"min({level(at, 'ratio_ci_low')})", "low"),
                      (f"max({level(at, 'ratio_ci_high')})", "high"))), span=12)
    panel = banded(banded(panel, "neutral", "blue"), "inoculated", "orange")
    return ("Over time", panel.min(0).repeat("arm").repeat_direction("h").max_per_row(3))
