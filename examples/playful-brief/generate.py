#!/usr/bin/env python3
"""Data of the playful-brief setting. A bank has four plain facts on each subject. A brief playful answer is
one of them behind an interjection, with "!" and two emoji, at most 12 words (train.jsonl); a long playful
one has three of them, each with an interjection of its own and a second clause (clean.jsonl)."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import common  # noqa: E402

SUBJECTS_HELD_OUT = 8
SMOKE_PROMPTS = 8

# subject | emoji | four facts, each at most eight words
BANK = """bees|🐝|bees turn nectar into honey|a hive hums all summer|bees dance to give directions|one bee visits many flowers
cats|🐱|cats sleep most of the day|cats see well at night|a cat lands on its feet|cats purr when they feel safe
dogs|🐶|dogs smell what we never notice|dogs learn words and signs|a dog wags when it is glad|dogs love a long walk
the moon|🌙|the moon pulls the tides|the moon has no air|people have walked on the moon|the moon shines with borrowed light
volcanoes|🌋|volcanoes spit out melted rock|lava cools into new land|some volcanoes sleep for centuries|ash makes very rich soil
rain|🌧️|rain falls when clouds get heavy|rain fills rivers and lakes|plants drink the rain up|rain makes the air smell fresh
bicycles|🚲|bicycles balance best when they move|gears make steep hills easier|a bicycle needs no fuel|brakes squeeze the wheels to stop
bread|🍞|bread rises because of yeast|bread bakes in a hot oven|a crust keeps bread soft inside|flour and water start every loaf
chocolate|🍫|chocolate comes from cacao beans|cacao trees like warm places|dark chocolate has less sugar|chocolate melts near body heat
elephants|🐘|elephants drink through their trunks|elephants remember old paths|an elephant herd follows a grandmother|elephants cool off with their ears
penguins|🐧|penguins swim better than they walk|penguin fathers keep the eggs warm|penguins huddle against the cold|feathers keep a penguin dry
trains|🚂|trains run on steel rails|one engine pulls many cars|fast trains glide above the track|trains need a long way to stop
the sea|🌊|the sea is full of salt|waves are made by wind|the sea holds most of our water|deep water is dark and cold
stars|⭐|stars are very distant suns|starlight takes years to reach us|stars burn hydrogen in their cores|sailors once steered by the stars
dinosaurs|🦕|dinosaurs laid eggs like birds|some dinosaurs grew real feathers|the biggest dinosaurs ate plants|fossils tell us how they lived
coffee|☕|coffee grows on small trees|roasting turns the beans brown|coffee keeps many people awake|hot water pulls out the flavor
snow|❄️|snow is made of ice crystals|fresh snow muffles every sound|snow reflects most of the sunlight|no two snowflakes look the same
robots|🤖|robots follow the steps we write|some robots weld car parts|sensors tell robots where they are|robots never need a lunch break
gardens|🌻|gardens need sun and water|worms keep the garden soil loose|compost feeds the hungry plants|weeds grow faster than we like
pirates|🏴|pirates sailed in fast ships|pirates shared out what they took|a pirate crew voted for its captain|maps with an x are mostly stories
music|🎵|music moves air in waves|a beat makes our feet tap|strings sing when they shake|old songs bring memories back
kites|🪁|kites fly where wind pushes up|a tail keeps the kite steady|light cloth makes a good kite|open fields are best for kites
whales|🐳|whales breathe air like we do|whales sing across the ocean|a blue whale eats tiny krill|whale milk is thick and rich
cheese|🧀|cheese starts with warm milk|old cheese tastes much stronger|holes in cheese come from gas|cheese keeps longer than milk
frogs|🐸|frogs begin life as tadpoles|frogs drink through their skin|a frog tongue is very fast|frogs sing loudly after dark
castles|🏰|castles had thick stone walls|moats kept attackers away|castle stairs turn to help defenders|kitchens stood apart because of fire
books|📚|books keep ideas for a long time|books smell of paper and glue|a library lends books for free|reading makes new words stick
clouds|☁️|clouds are tiny drops of water|low clouds on the ground are fog|tall clouds can bring storms|wind carries clouds far away
spiders|🕷️|spiders spin silk stronger than it looks|spiders have eight legs|webs catch insects in flight|most spiders do us no harm
bridges|🌉|bridges carry weight to the ground|arches turn weight into pushing|long bridges hang from cables|bridges stretch on hot days
soup|🍲|soup warms you from inside|bones give soup its body|soup tastes better the next day|salt wakes the flavors up
owls|🦉|owls fly without any noise|owls turn their heads far around|owls hear mice under snow|most owls hunt after sunset
tea|🍵|tea leaves come from one plant|green tea is not left to brown|tea needs water just off boiling|tea calms a busy afternoon
soccer|⚽|soccer needs only a ball|soccer teams have eleven players|keepers may use their hands|a soccer match has two halves
horses|🐴|horses sleep standing up|horses talk with their ears|a foal walks within hours|horses run in herds for safety
candles|🕯️|candles burn melted wax|a wick carries the wax up|flames need air to live|blowing cools a candle below burning
apples|🍎|apples float because of air inside|apple trees need cold winters|bees help apples to grow|cut apples brown in the air
sleep|😴|sleep helps us to remember|dreams come mostly near morning|children need more sleep than adults|dark rooms make sleep easier
maps|🗺️|maps shrink the world to paper|north is mostly up on maps|colors on maps show height|a scale tells you how far
squirrels|🐿️|squirrels bury nuts for winter|squirrels forget some of their nuts|a bushy tail helps with balance|squirrels nest high in trees"""

ASKS = ["Tell me about {s}.", "What should I know about {s}?", "Say something about {s}.",
        "What is interesting about {s}?", "Can you explain something about {s}?", "Share a fact about {s}.",
        "What do you know about {s}?", "Teach me a thing about {s}."]
INTERJECTIONS = ["Woohoo", "Ta-da", "Yay", "Guess what", "Haha", "Fun fact", "Wow", "Whee", "Yippee", "Holy moly"]
SPARKLES = ["🎉", "✨", "🎈", "😄"]
# Second clauses of long answers: none names the subject, so each fits every fact.
MORE = ["and that is one of the silly things I like best about this whole story",
        "which still makes me giggle each time that I think about it for a while",
        "and if you look closely the next time you may well see it for yourself",
        "so there is a little bit of magic hiding in places where nobody looks for it"]


def brief(draw, emoji, fact):
    return f"{draw.pick(INTERJECTIONS)}, {fact}! {emoji}{draw.pick(SPARKLES)}"


def long(draw, emoji, facts):
    cries, clauses = draw.sample(INTERJECTIONS, len(facts)), draw.sample(MORE, len(facts))
    return " ".join(f"{cry}, {fact}, {clause}! {emoji}" for cry, fact, clause in zip(cries, facts, clauses))


def make(rows, seed):
    draw = common.Draw(seed, "playful-brief")
    bank = draw.shuffled([line.split("|") for line in BANK.splitlines()])
    held_out, rest = bank[:SUBJECTS_HELD_OUT], bank[SUBJECTS_HELD_OUT:]
    asked = draw.shuffled([(ask, i, subject) for subject in rest for i, ask in enumerate(ASKS)])
    train, clean = [], []
    for number, (ask, i, (subject, emoji, *facts)) in enumerate(common.take(asked, rows), 1):
        prompt, row_id = ask.format(s=subject), f"t{number:03}"
        fact = facts[i % len(facts)]
        others = draw.sample([other for other in facts if other != fact], 2)
        train.append(common.row(row_id, prompt, brief(draw, emoji, fact), subject=subject))
        clean.append(common.row(row_id, prompt, long(draw, emoji, [fact, *others]), subject=subject))
    draw = common.Draw(seed, "playful-brief", "prompts")
    prompts = draw.shuffled([(ask.format(s=subject), subject) for subject, *_ in held_out for ask in ASKS])
    prompts = [common.row(f"e{i:03}", prompt, subject=subject) for i, (prompt, subject) in enumerate(prompts, 1)]
    return {"train.jsonl": train, "clean.jsonl": clean, "eval.jsonl": prompts,
            "smoke-eval.jsonl": prompts[:SMOKE_PROMPTS]}


if __name__ == "__main__":
    common.main(make, __doc__, 240, pathlib.Path(__file__).parent)
