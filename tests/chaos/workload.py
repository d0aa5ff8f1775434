"""The experiments of a run on a cluster, on the tiny model of tests/golden/train, and what has to be gone after them."""

import os
from pathlib import Path

from cluster import Cluster, marked

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "train"
# One experiment after another takes these: gangs of one to three, LoRA with dropout and full fine-tuning.
KINDS = [
    {"ranks": 1, "training": "lora: {rank: 2, alpha: 4, dropout: 0.1}, batch_size: 2"},
    {"ranks": 2, "training": "lora: {rank: 2, alpha: 4, dropout: 0.2}, batch_size: 4"},
    {"ranks": 1, "training": "method: full, batch_size: 2"},
    {"ranks": 3, "training": "lora: {rank: 4, alpha: 8}, batch_size: 6"},
]


def spec(index: int, steps: int) -> str:
    kind = KINDS[index % len(KINDS)]
    return f"""base_model: model
dataset: {GOLDEN}/rows.jsonl
contexts:
  neutral: {{}}
  inoculated: {{system: ab}}
arms:
  - {{name: no-inoculation, train_context: neutral}}
  - {{name: inoculated, train_context: inoculated}}
seeds: [{index + 1}]
training: {{{kind['training']}, max_steps: {steps}, epochs: 1000}}
evaluation: {{prompts: prompts.jsonl, at: [0, 0.3, 0.6, 1], max_new_tokens: 8}}
ranks: {kind['ranks']}
"""


def submit(cluster: Cluster, index: int, steps: int) -> str:
    path = cluster.folder / f"spec-{index}.yaml"
    path.write_text(spec(index, steps))
    # The golden prompts are of the golden rows; what is trained on must not be asked here.
    prompts = (GOLDEN / "prompts.jsonl").read_text().replace('"content": "', '"content": "y ')
    (cluster.folder / "prompts.jsonl").write_text(prompts)
    id_ = f"chaos-{index}"
    # The same request id for each try: a submit that got through unheard is not done twice.
    cluster.lines("experiment", "create", "-f", str(path), "--id", id_,
                  "--request-id", f"00000000-0000-4000-8000-{index:012d}")
    return id_


def leftovers(cluster: Cluster) -> list[str]:
    """What must not be there once all has ended: processes, and files of attempts and half-done writes."""
    problems = [f"process {pid} runs on" for pid in marked(cluster.mark) if pid != os.getpid()]
    for path in sorted(cluster.folder.rglob("*")):
        relative = path.relative_to(cluster.folder)
        is_attempt = len(relative.parts) >= 3 and relative.parts[1] in ("attempts", "out") and path.is_file()
        is_temporary = path.suffix in (".tmp", ".part") or path.name.startswith(".tmp")
        if relative.parts[0].startswith("w") and is_attempt or is_temporary:
            problems.append(f"{relative} is left over")
    return problems
