// Effects of each arm (elicitation, suppression, ...), ratios (k, retention) and contrasts against the controls,
// as dots with intervals.
import { type ContrastMessage, type Estimate, type Quantity } from "./document.ts";
import { choice } from "./dom.ts";
import { type Figure, figureView, onPick } from "./figure.ts";
import { type OnPick, flatTable, measureChoice } from "./figures_common.ts";
import { type Bar, forest } from "./forest.ts";
import { fixed, interval, pValue } from "./format.ts";
import { type Model, drawn, measureKey } from "./model.ts";

function barOf(arm: string, panel: string, estimate: Estimate | undefined, note = "", tip: string[] = []): Bar {
  const figures = drawn(estimate);
  const { bootstrap_low: low, bootstrap_high: high, method } = estimate ?? {};
  const bootstrap = low !== undefined && high !== undefined && method !== "INTERVAL_METHOD_BOOTSTRAP" ? [`bootstrap [${fixed(low)}, ${fixed(high)}]`] : [];
  return { arm, panel, ...figures, note, tip: [`${panel}: ${interval(figures.value, figures.low, figures.high)}`, ...bootstrap, ...tip] };
}

const EFFECTS: [Quantity, string][] = [
  ["elicitation", "elicitation"], ["in_context", "in context"], ["leakage", "leakage"], ["suppression", "suppression"], ["gate_strength", "gate strength"],
];

export function effectsFigure(model: Model, pick: OnPick): Figure {
  const measures = model.studied;
  let measure = measures[0]?.key ?? "";
  const controls = [measureChoice("Trait", measures, measure, (key) => { measure = key; figure.redraw(); })];
  const isOf = (one: { prompt_set: string; trait: string }) => measureKey(one.prompt_set, one.trait) === measure;
  const bars = (): Bar[] => {
    const { set, role } = model.measure(measure);
    const loss = role === "desired" ? "loss" : "suppression";
    return [
      ...model.study.figures.filter(isOf).flatMap((one) => EFFECTS.map(([quantity, name]) => barOf(one.arm, name === "suppression" ? loss : name, one[quantity]))),
      ...model.study.narrowness.filter(isOf).map((one) => barOf(one.arm, "narrowness", one.estimate, "", [`against ${one.others.join(", ") || "nothing"}${one.excluded.length > 0 ? `; left out, for they elicit: ${one.excluded.join(", ")}` : ""}`])),
      ...model.study.selectivity.filter((one) => one.prompt_set === set).map((one) => barOf(one.arm, "selectivity, all traits", one.estimate)),
    ];
  };
  const panels = () => {
    const found = new Set(bars().map((bar) => bar.panel));
    return [...found];
  };
  const figure = figureView({
    id: "effects",
    title: "Effects of each arm",
    lead: "Elicitation: base model, train prompt minus neutral. In context: trained, under the train prompt. Leakage: trained, neutral prompt. Suppression (of a desired trait its loss): no inoculation minus this arm, neutral prompt. Gate strength: in context minus leakage. Narrowness: in context minus the other prompts that do not elicit. Selectivity: suppression of undesired traits minus loss of desired ones.",
    controls,
    draw: (width) => {
      const svg = forest(model, bars(), panels(), width, "difference or level of the trait");
      if (svg) onPick<Bar>(svg, (bar) => pick({ arm: bar.arm, step: model.lastStep(bar.arm), set: model.measure(measure).set, trait: model.measure(measure).trait }));
      return svg;
    },
    describe: () => `${bars().length} effects with intervals for ${model.measure(measure).label}. The tables below have the same numbers.`,
    tables: () => [
      flatTable(model, "figures", `Effects on ${model.measure(measure).label}`, measure),
      flatTable(model, "narrowness", "Narrowness", measure),
      flatTable(model, "selectivity", "Selectivity"),
    ],
  });
  return figure;
}

// What has no unit: k of each arm and retention of each desired trait.
export function ratiosFigure(model: Model): Figure {
  const sets = model.sets.filter((set) => model.study.figures.some((one) => one.prompt_set === set));
  let set = sets[0] ?? "";
  const controls = sets.length > 1 ? [choice("Prompt set", sets.map((name) => ({ value: name, text: name })), set, (value) => { set = value; figure.redraw(); })] : [];
  const bars = (): Bar[] => [
    ...model.study.proportionality.filter((one) => one.prompt_set === set && one.trait === "" && one.arm !== "" && one.scale === "FIT_SCALE_IDENTITY")
      .map((one) => barOf(one.arm, "k, all traits", one.slope, "", [`from ${one.num_points} points`])),
    ...model.study.figures.filter((one) => one.prompt_set === set && model.study.desired.includes(one.trait)).map((one) => barOf(one.arm, `retention of ${one.trait}`, one.retention)),
  ];
  const figure = figureView({
    id: "ratios",
    title: "k and retention of each arm",
    lead: "k: how much of what is learnt under the train prompt shows under the neutral one (1: all, 0: nothing). Retention: level of a desired trait under the neutral prompt, as a share of that without inoculation.",
    controls,
    draw: (width) => forest(model, bars(), [...new Set(bars().map((bar) => bar.panel))], width, "ratio", { include: [0, 1], rules: [1], limits: [-1, 2] }),
    describe: () => `${bars().length} ratios with intervals. The tables below have the same numbers.`,
    tables: () => [
      flatTable(model, "proportionality", "k by trait and arm (empty: all), identity and logit scale", undefined, (row) => row.prompt_set === set),
      flatTable(model, "figures", "Effects, with retention", undefined, (row) => row.prompt_set === set),
    ],
  });
  return figure;
}

// Of a screen only: which contexts elicit its trait from the base model.
export function screenFigure(model: Model, pick: OnPick): Figure | null {
  const { screen } = model.study;
  if (!screen) return null;
  const bars = (): Bar[] => screen.candidates.flatMap((one) => [
    barOf(one.name, "level", one.level), barOf(one.name, "elicitation", one.elicitation, one.rank > 0 ? `#${one.rank}` : ""),
  ]);
  return figureView({
    id: "screen",
    title: "Screen: which prompts elicit the trait",
    lead: `How much each prompt brings ${screen.trait} out of the base model, the strongest first. Elicitation: less the level under the neutral prompt, which cannot win.`,
    draw: (width) => {
      const svg = forest(model, bars(), [...new Set(bars().map((bar) => bar.panel))], width, screen.trait, { rows: screen.candidates.map(({ name }) => ({ name, text: model.context(name)?.text ?? "" })) });
      if (svg) onPick<Bar>(svg, (bar) => pick({ arm: model.base?.name ?? "", context: bar.arm, set: screen.prompt_set, trait: screen.trait }));
      return svg;
    },
    describe: () => `${screen.candidates.length} prompts by how much they elicit ${screen.trait}. The table below has the same numbers.`,
    tables: () => [flatTable(model, "screen.candidates", "Candidates"), flatTable(model, "screen.candidates.predictors", "Predictors: how much likelier the prompt makes given answers, in nats")],
  });
}

export function contrastsFigure(model: Model, pick: OnPick): Figure {
  const have = new Set(model.study.contrasts.map((one) => measureKey(one.prompt_set, one.trait)));
  const measures = model.measures.filter((one) => have.has(one.key));
  let measure = measures[0]?.key ?? "";
  let where = ""; // a context, or "": each arm where it is deployed
  const contexts = [...new Set(model.study.contrasts.map((one) => one.arm_context))];
  const redraw = () => figure.redraw();
  const whereText = () => (where === "" ? "as deployed" : `under ${where}`);
  const controls = [
    measureChoice("Trait", measures, measure, (key) => { measure = key; redraw(); }),
    choice("Evaluation prompt", [{ value: "", text: "as deployed" }, ...contexts.map((name) => ({ value: name, text: name }))], where, (value) => { where = value; redraw(); }),
  ];
  const isShown = (one: ContrastMessage) => measureKey(one.prompt_set, one.trait) === measure && (where === "" ? one.deployed : one.arm_context === where && one.control_context === where);
  const shown = () => model.study.contrasts.filter(isShown);
  const figure = figureView({
    id: "contrasts",
    title: "Contrasts with the controls",
    lead: "The same seeds and prompts in both arms: this arm minus the control. p belongs to the interval, corrected over the arms by Holm's method; the p of the prompts, about these trained models only, is in the table.",
    controls,
    draw: (width) => {
      const bars = shown().map((one) => barOf(one.arm, `against ${one.control}`, one.difference, `p ${pValue(one.p_holm ?? null)}`.replace("p <", "p<").replace("p 0", "p=0").replace("p 1", "p=1"), [
        `p ${pValue(one.p ?? null)}, by Holm ${pValue(one.p_holm ?? null)}`,
        `these models: p ${pValue(one.prompt_p ?? null)}, by Holm ${pValue(one.prompt_p_holm ?? null)} (${one.prompt_test.replace("PROMPT_TEST_", "").toLowerCase().replaceAll("_", " ")})`,
        `${one.difference.num_seeds} seeds, ${one.difference.num_prompts} prompts`,
      ]));
      const svg = forest(model, bars, [...new Set(bars.map((bar) => bar.panel))], width, `difference of ${model.measure(measure).trait} ${whereText()}`);
      if (svg) onPick<Bar>(svg, (bar) => pick({ arm: bar.arm, step: model.lastStep(bar.arm), set: model.measure(measure).set, context: where || model.arm(bar.arm)?.deployContext || null, trait: model.measure(measure).trait }));
      return svg;
    },
    describe: () => `${shown().length} differences with intervals and p-values for ${model.measure(measure).label} ${whereText()}. The table below has the same numbers.`,
    contexts: () => model.contexts.filter((one) => one.name === (where || model.neutral)),
    tables: () => [flatTable(model, "contrasts", `Contrasts of ${model.measure(measure).label}`, measure)],
  });
  return figure;
}
