"""Writes tests/golden/statistics.json: what scipy, statsmodels and numpy make of the cases that
core/statistics is tested with.

    pip install -r tools/golden/requirements-statistics.txt && python3 tools/golden/statistics_goldens.py
"""

import json
import math
import pathlib

import numpy as np
import pandas as pd
from scipy import optimize, special, stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

RNG = np.random.default_rng(20251005)


def plain(value):
    """To JSON: NaN is null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()
    if isinstance(value, (float, np.floating)):
        return None if math.isnan(value) else float(value)
    return value


def means():
    rows = []
    for values, confidence in [([1.0, 2.0], 0.95), ([0.1, 0.4, float("nan"), 0.35, 0.9], 0.95),
                               (RNG.normal(3, 2, 40), 0.9), (RNG.random(200), 0.99)]:
        values = np.asarray(values)
        kept = values[~np.isnan(values)]
        of = DescrStatsW(kept)
        rows.append({"values": values, "confidence": confidence, "mean": kept.mean(), "sd": kept.std(ddof=1),
                     "n": kept.size, "student": of.tconfint_mean(1 - confidence),
                     "normal": of.zconfint_mean(1 - confidence)})
    return rows


def paired():
    rows = []
    for n, shift, missing in [(2, 0.5, 0), (12, 0.3, 2), (100, 0.0, 7)]:
        first = RNG.normal(0, 1, n)
        second = first * 0.5 + RNG.normal(shift, 1, n)
        first[:missing] = np.nan
        test = stats.ttest_rel(first, second, nan_policy="omit")
        rows.append({"first": first, "second": second, "t": test.statistic, "p": test.pvalue,
                     "interval": list(test.confidence_interval(0.95))})
    return rows


def mcnemars():
    rows = []
    for b, c in [(0, 1), (0, 6), (5, 5), (3, 12), (40, 61), (1, 0), (200, 150)]:
        mid = 2 * stats.binom.cdf(min(b, c), b + c, 0.5) - stats.binom.pmf(min(b, c), b + c, 0.5)
        rows.append({"only_first": b, "only_second": c, "p": mcnemar([[7, b], [c, 9]], exact=True).pvalue,
                     "mid_p": mid})
    return rows


def permutations():
    rows = []
    cases = [RNG.normal(0.4, 1, n) for n in (1, 2, 5, 9, 13)] + [RNG.integers(-1, 2, 12).astype(float)]
    for d in cases:
        # scipy takes at least two pairs; a difference of 0 changes nothing.
        padded = np.concatenate([d, [0.0, 0.0]])
        test = stats.permutation_test((padded, np.zeros_like(padded)), lambda a, b, axis: np.mean(a - b, axis=axis),
                                      permutation_type="samples", vectorized=True, n_resamples=np.inf)
        rows.append({"differences": d, "p": test.pvalue, "exact": True})
    for n, shift in [(40, 0.25), (100, 0.15), (60, 0.0)]:
        d = RNG.normal(shift, 1, n)
        test = stats.permutation_test((d, np.zeros_like(d)), lambda a, b, axis: np.mean(a - b, axis=axis),
                                      permutation_type="samples", vectorized=True, n_resamples=200000,
                                      rng=np.random.default_rng(5))
        rows.append({"differences": d, "p": test.pvalue, "exact": False})
    return rows


def holms():
    rows = []
    for p in [[0.01], [0.04, 0.01, 0.03], [0.5, 0.5, 0.001, 0.02, 0.02, 0.9], list(RNG.random(12) ** 3)]:
        rows.append({"p": p, "adjusted": multipletests(p, method="holm")[1]})
    return rows


def deming(x, y, delta, origin):
    """Total least squares by singular vectors, y scaled so that both errors are alike."""
    mean_x, mean_y = (0.0, 0.0) if origin else (x.mean(), y.mean())
    scaled = np.column_stack([x - mean_x, (y - mean_y) / math.sqrt(delta)])
    direction = np.linalg.svd(scaled)[2][0]
    slope = direction[1] / direction[0] * math.sqrt(delta)
    return slope, mean_y - slope * mean_x


def regressions():
    rows = []
    for n, slope, noise in [(4, 1.0, 0.3), (7, 0.5, 0.1), (40, -0.8, 1.0), (12, 0.1, 0.02)]:
        x = RNG.normal(0.4, 1, n)
        y = slope * x + 0.2 + noise * RNG.normal(0, 1, n)
        if n == 12:  # ties
            x, y = np.round(x, 1), np.round(y, 1)
        line = stats.linregress(x, y)
        rest = [stats.pearsonr(np.delete(x, i), np.delete(y, i))[0] for i in range(n)]
        rows.append({
            "x": x, "y": y, "pearson": stats.pearsonr(x, y)[0], "spearman": stats.spearmanr(x, y)[0],
            "slope": line.slope, "intercept": line.intercept,
            "rmse": math.sqrt(np.mean((y - line.intercept - line.slope * x) ** 2)),
            "leave_one_out": [min(rest), max(rest)],
            "origin": np.linalg.lstsq(x[:, None], y, rcond=None)[0][0],
            "deming": [{"delta": d, "slope": deming(x, y, d, False)[0], "intercept": deming(x, y, d, False)[1],
                        "origin": deming(x, y, d, True)[0]} for d in (0.25, 1.0, 3.0)]})
    return rows


def logits():
    return [{"p": p, "margin": m, "logit": special.logit(min(max(p, m), 1 - m))}
            for p, m in [(0.5, 0.01), (0.0, 0.01), (1.0, 0.005), (0.123, 0.01), (0.999, 0.01)]]


def wilson_of(m, ratio):
    middle = (m + ratio / 2) / (1 + ratio)
    half = math.sqrt(ratio * m * (1 - m) + ratio**2 / 4) / (1 + ratio)
    return [middle - half, middle + half]


def henderson(y):
    """Variance components by quadratic forms: E[y'Ay] = sum over i of sigma_i^2 tr(A Z_i Z_i')."""
    seeds, prompts = np.nonzero(~np.isnan(y))
    values = y[seeds, prompts]
    keep = [np.unique(seeds), np.unique(prompts)]
    z = [(seeds[:, None] == keep[0]).astype(float), (prompts[:, None] == keep[1]).astype(float), np.eye(values.size)]
    project = [q @ np.linalg.pinv(q) for q in z[:2]]
    one = np.full((values.size, values.size), 1 / values.size)
    forms = [project[0] - one, project[1] - one, np.eye(values.size) - one]
    expected = [[np.trace(a @ q @ q.T) for q in z] for a in forms]
    components = np.linalg.solve(expected, [values @ a @ values for a in forms])
    weights = [np.sum(q.sum(0) ** 2) / values.size**2 for q in z]
    return values, components, weights, keep[0].size, keep[1].size


def crossed_interval(y, scale, confidence):
    values, parts, weights, num_seeds, num_prompts = henderson(y)
    parts[2] = max(0, parts[2])
    clipped = np.maximum(0, parts)
    within = clipped[1] * weights[1] + clipped[2] * weights[2]
    median = stats.f.ppf(0.5, num_seeds - 1, (num_seeds - 1) * (num_prompts - 1))
    between = max(0, parts[0] * weights[0] + (1 - median) * clipped[2] * weights[2])
    q = (1 + confidence) / 2
    half = math.sqrt(stats.t.ppf(q, num_seeds - 1) ** 2 * between + stats.t.ppf(q, num_prompts - 1) ** 2 * within)
    m = values.mean()
    if scale in ("binary", "rate"):
        interval = wilson_of(m, half**2 / (m * (1 - m)))
    elif scale == "difference":
        interval = [max(-1, m - half), min(1, m + half)]
    else:
        interval = [m - half, m + half]
    return {"mean": m, "interval": interval, "components": clipped, "variance": float(clipped @ weights),
            "num_seeds": num_seeds, "num_prompts": num_prompts, "num_measured": values.size}


def crossed():
    rows = []
    for num_seeds, num_prompts, seed_sd, missing, scale in [
            (3, 50, 0.8, 0, "binary"), (3, 50, 0.0, 0, "binary"), (5, 20, 0.5, 0, "rate"), (10, 30, 0.3, 0, "real"),
            (3, 40, 0.8, 20, "binary"), (4, 25, 0.3, 11, "difference"), (5, 12, 1.0, 9, "real")]:
        for _ in range(2):
            logit = (seed_sd * RNG.normal(size=(num_seeds, 1)) + 1.2 * RNG.normal(size=(1, num_prompts)) - 0.5
                     + 0.3 * RNG.normal(size=(num_seeds, num_prompts)))
            rate = special.expit(logit)
            y = {"binary": (RNG.random(rate.shape) < rate).astype(float), "rate": rate, "real": 10 * logit,
                 "difference": rate - special.expit(0.5 * logit + 0.4)}[scale]
            y = y.copy()
            gone = RNG.choice(y.size, missing, replace=False)
            y.flat[gone] = np.nan
            if missing == 20:
                y[:, 3] = np.nan  # a prompt that nobody could answer
            row = {"values": y, "scale": scale, "confidence": 0.95, **crossed_interval(y, scale, 0.95)}
            if missing == 0:  # the same by the analysis of variance
                frame = pd.DataFrame({"y": y.ravel(), "s": np.repeat(np.arange(num_seeds), num_prompts),
                                      "p": np.tile(np.arange(num_prompts), num_seeds)})
                square = anova_lm(ols("y ~ C(s) + C(p)", frame).fit())["mean_sq"]
                parts = np.maximum(0, [(square["C(s)"] - square["Residual"]) / num_prompts,
                                       (square["C(p)"] - square["Residual"]) / num_seeds, square["Residual"]])
                assert np.allclose(parts, row["components"], rtol=1e-9, atol=1e-12)
            rows.append(row)
    return rows


def one_seed():
    """Over the prompts only: t, as a rate by Wilson; binary: Wilson."""
    rows = []
    for n in (8, 50):
        binary = (RNG.random(n) < 0.3).astype(float)
        binary[0], binary[1] = 0, 1
        low, high = proportion_confint(binary.sum(), n, 0.05, method="wilson")
        rows.append({"values": [binary], "scale": "binary", "confidence": 0.95, "interval": [low, high]})
        real = RNG.normal(5, 2, n)
        rows.append({"values": [real], "scale": "real", "confidence": 0.9,
                     "interval": DescrStatsW(real).tconfint_mean(0.1)})
        rate = RNG.random(n)
        half = stats.t.ppf(0.975, n - 1) * rate.std(ddof=1) / math.sqrt(n)
        m = rate.mean()
        rows.append({"values": [rate], "scale": "rate", "confidence": 0.95,
                     "interval": wilson_of(m, half**2 / (m * (1 - m)))})
    return rows


def pigeonhole(y, resamples, rng):
    out = np.empty(resamples)
    for b in range(resamples):
        rows = rng.integers(0, y.shape[0], y.shape[0])
        columns = rng.integers(0, y.shape[1], y.shape[1])
        out[b] = np.nanmean(y[np.ix_(rows, columns)])
    return np.percentile(out, [2.5, 97.5])


def bootstraps():
    """Intervals of 10,000 resamples, with what 10,000 other resamples may differ by: 6 standard
    deviations of an end over 20 repeats."""
    rows = []
    for num_seeds, num_prompts, missing in [(1, 60, 0), (3, 50, 0), (5, 40, 12), (10, 30, 0)]:
        y = RNG.random((num_seeds, num_prompts)) * 0.5 + 0.2 * RNG.normal(size=(num_seeds, 1))
        y.flat[RNG.choice(y.size, missing, replace=False)] = np.nan
        ends = np.array([pigeonhole(y, 10000, np.random.default_rng(100 + i)) for i in range(20)])
        row = {"values": y, "resamples": 10000, "interval": ends.mean(0), "tolerance": 6 * ends.std(0)}
        if num_seeds == 1:
            other = stats.bootstrap((y[0],), np.mean, n_resamples=10000, method="percentile",
                                    rng=np.random.default_rng(7)).confidence_interval
            row["scipy"] = [other.low, other.high]
        rows.append(row)
    return rows


def power():
    rows = []
    for design in [{"num_prompts": 100, "num_seeds": 3, "base_rate": 0.5},
                   {"num_prompts": 200, "num_seeds": 1, "base_rate": 0.5, "paired": False, "prompt_share": 0.0},
                   {"num_prompts": 64, "num_seeds": 5, "base_rate": 0.9, "seed_sd": 0.8, "power": 0.9},
                   {"num_prompts": 50, "num_seeds": 10, "base_rate": 0.2, "seed_sd": 0.0, "paired": False}]:
        full = {"seed_sd": 0.3, "prompt_share": 0.5, "paired": True, "confidence": 0.95, "power": 0.8, **design}
        for increase in (False, True):
            base, seeds, prompts = full["base_rate"], full["num_seeds"], full["num_prompts"]
            q = (1 + full["confidence"]) / 2

            def lacking(d):
                v = [r * (1 - r) for r in (base, base + d if increase else base - d)]
                between = full["seed_sd"] ** 2 * (v[0] ** 2 + v[1] ** 2) / seeds if seeds > 1 else 0
                rest = sum(v) * ((1 - full["prompt_share"]) / (seeds * prompts)
                                 + (0 if full["paired"] else full["prompt_share"] / prompts))
                half2 = stats.t.ppf(q, prompts - 1) ** 2 * rest
                if seeds > 1:
                    half2 += stats.t.ppf(q, seeds - 1) ** 2 * between
                return math.sqrt(half2) + stats.norm.ppf(full["power"]) * math.sqrt(between + rest) - d

            widest = 1 - base if increase else base
            smallest = optimize.brentq(lacking, 0, widest, xtol=1e-14) if lacking(widest) <= 0 else float("nan")
            v = base * (1 - base)
            n = v / (full["seed_sd"] ** 2 * v**2 / seeds + full["prompt_share"] * v / prompts
                     + (1 - full["prompt_share"]) * v / (seeds * prompts))
            rows.append({**full, "increase": increase, "difference": smallest, "effective_n": n})
    return rows


CASES = {"mean": means, "paired_t": paired, "mcnemar": mcnemars, "sign_flip": permutations, "holm": holms,
         "regression": regressions, "logit": logits, "crossed": crossed, "one_seed": one_seed,
         "bootstrap": bootstraps, "power": power}

if __name__ == "__main__":
    path = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/statistics.json"
    result = {name: plain(make()) for name, make in CASES.items()}
    path.write_text("{\n" + ",\n".join(
        f' "{name}": [\n' + ",\n".join("  " + json.dumps(row) for row in rows) + "\n ]"
        for name, rows in result.items()) + "\n}\n")
    print(", ".join(f"{len(rows)} {name}" for name, rows in result.items()), "in", path)
