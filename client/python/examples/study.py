# %% [markdown]
# # A study from Python
# Submits a study, follows it, and makes tables of it. Run it in Jupyter or VS Code cell by cell (`# %%`),
# or as a script: `python study.py`. It needs a running jenner-server with a worker that has the model;
# `JENNER_SERVER` names the server (`127.0.0.1:7070` if unset).

# %%
import os
from pathlib import Path

import pandas as pd

import jenner

here = Path(__file__).parent if "__file__" in globals() else Path()
# Fields of the spec to change, as in "training.max_steps=4"; separated by a blank.
overrides = os.environ.get("STUDY_SET", "").split()

client = jenner.Client()

# %% [markdown]
# A dry run checks everything and says what would run, without running it.

# %%
try:
    plan = client.submit(here / "study.yaml", overrides=overrides, dry_run=True)
except jenner.InvalidArgumentError as error:
    for fault in error.faults:
        print(fault)
    raise
print(f"{len(plan.jobs)} jobs for {sum(len(job.arms) for job in plan.jobs)} arms and seeds")
if plan.plan is not None:
    takes = "unknown" if plan.plan.seconds is None else f"{plan.plan.seconds / 60:.0f} min"
    print(f"{plan.plan.num_steps} steps, {plan.plan.num_answers} answers, time: {takes}")

# %% [markdown]
# The real thing. A watch tells each loss and each figure as it comes, also over a restart of the server.

# %%
experiment = client.submit(here / "study.yaml", overrides=overrides)
print(f"submitted {experiment.id}: {experiment.state}")
for update in client.watch(experiment):
    if isinstance(update, jenner.Cell):
        shares = ", ".join(
            f"{trait.trait} {trait.ratio:.2f}" for trait in update.traits if trait.ratio is not None
        )
        arms = " ".join(f"{arm}/{seed}" for arm, seed in update.arms)
        print(f"step {update.step:3} {update.context:12} {shares or 'nothing to measure'}  ({arms})")
    elif isinstance(update, jenner.Terminal):
        print(f"ended: {update.state}")
client.wait(experiment)  # raises, with the reason, if it did not succeed

# %% [markdown]
# The figures after the last step, over seeds. Each row of `levels` is one trait in one context; `low` and
# `high` are its interval.

# %%
study = client.study(experiment)
last = study.levels[study.levels["is_final"]]
table = last.pivot_table(index=["arm", "context"], columns="trait", values="value", sort=False, dropna=False)
with pd.option_context("display.float_format", "{:.2f}".format):
    print(table.to_string())

# %% [markdown]
# What the inoculation changed: each arm against its control in the context in which it is deployed, paired by
# seed and prompt.

# %%
shown = ["arm", "control", "trait", "arm_context", "value", "low", "high", "p_holm"]
print(study.contrasts.query("deployed")[shown].to_string(index=False, float_format="{:.3f}".format))
figures = study.figures.set_index(["arm", "trait"])
print(figures[["elicitation_value", "suppression_value"]].to_string(float_format="{:.2f}".format))
for note in study.notes:
    print(f"note: {note}")

# %% [markdown]
# Training contexts (rows) against evaluation contexts (columns).

# %%
for trait in study.traits["name"]:
    print(f"{trait}\n{study.matrix(trait).to_string(float_format='{:.2f}'.format)}")

# %% [markdown]
# How the losses fell, one column an arm and seed.

# %%
points = client.train_points(experiment)
curves = points.pivot_table(index="step", columns=["arm", "seed"], values="loss", sort=False)
print(curves.iloc[[0, -1]].to_string(float_format="{:.3f}".format))

# %% [markdown]
# And the answers themselves.

# %%
answers = client.samples(experiment, context="neutral", step=int(points["step"].max()))
for row in answers.groupby("arm", sort=False).head(1).itertuples():
    print(f"{row.arm}/{row.seed} {row.prompt_id}: {str(row.answer)[:60]!r}")
