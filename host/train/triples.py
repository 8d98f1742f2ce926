"""Stage 5d: make the triples that ask whether a model tells a negation, another number or exchanged roles from other words.

    python triples.py --out testdata/eval/triples.tsv

60 triples a kind: a sentence, the same in other words, the same with one change; right is what puts the other words nearer.
Twelve templates a kind, five fillings each. No text of the training comes from them. Lines of kind, sentence, other
words, change, by tabs.
"""

import argparse

NAMES = (("the engineer", "the manager"), ("Maria", "Peter"), ("the teacher", "the pupil"), ("the company", "its rival"), ("the king", "the bishop"))
THINGS = ("the bridge", "the library", "the factory", "the hospital", "the museum")
NUMBERS = (("three", "nine"), ("12", "85"), ("40", "400"), ("seven", "twenty"), ("1,500", "600"))

# Of a thing {a}.
NEGATION = (
    ("{a} is open on Sundays", "on Sundays you can visit {a}", "{a} is not open on Sundays"),
    ("the council has approved the plan for {a}", "the plan for {a} was accepted by the council", "the council has not approved the plan for {a}"),
    ("{a} was damaged in the storm", "the storm left {a} damaged", "{a} was not damaged in the storm"),
    ("the workers will return to {a} on Monday", "on Monday the staff are going back to {a}", "the workers will not return to {a} on Monday"),
    ("the inspector found a fault in {a}", "a defect in {a} was discovered by the inspector", "the inspector found no fault in {a}"),
    ("{a} can be reached by train", "there is a railway connection to {a}", "{a} cannot be reached by train"),
    ("the owner wants to sell {a}", "{a} is up for sale, its owner says", "the owner does not want to sell {a}"),
    ("visitors must pay to enter {a}", "an entrance fee is charged at {a}", "visitors need not pay to enter {a}"),
    ("the new heating of {a} works well", "{a} has new heating that functions properly", "the new heating of {a} does not work well"),
    ("the city has enough money to repair {a}", "there are sufficient city funds for repairing {a}", "the city does not have enough money to repair {a}"),
    ("everyone in town likes {a}", "{a} is popular with all the townspeople", "nobody in town likes {a}"),
    ("the architect of {a} is still alive", "the person who designed {a} is living", "the architect of {a} is no longer alive"),
)
# Of a number {a} and another {b}.
NUMBER = (
    ("the trip takes {a} hours by car", "it is a drive of {a} hours", "the trip takes {b} hours by car"),
    ("the school bought {a} new computers", "{a} new computers were purchased for the school", "the school bought {b} new computers"),
    ("{a} people were hurt in the accident", "the accident injured {a} people", "{b} people were hurt in the accident"),
    ("the recipe needs {a} grams of butter", "use {a} grams of butter for this dish", "the recipe needs {b} grams of butter"),
    ("the tower is {a} metres high", "at its top the tower reaches {a} metres", "the tower is {b} metres high"),
    ("she paid {a} dollars for the lamp", "the lamp cost her {a} dollars", "she paid {b} dollars for the lamp"),
    ("the server answers {a} requests a second", "each second, {a} requests are handled by the server", "the server answers {b} requests a second"),
    ("the contract ends after {a} months", "in {a} months the agreement runs out", "the contract ends after {b} months"),
    ("the farm keeps {a} cows", "there are {a} cattle at the farm", "the farm keeps {b} cows"),
    ("the patient took {a} tablets in the morning", "in the morning {a} pills were taken by the patient", "the patient took {b} tablets in the morning"),
    ("our team won by {a} points", "we beat the others by {a} points", "our team won by {b} points"),
    ("the file holds {a} pages", "{a} pages are in the document", "the file holds {b} pages"),
)
# Of one {a} and another {b}.
ROLES = (
    ("{a} thanked {b} for the help", "{a} expressed gratitude to {b} for the support", "{b} thanked {a} for the help"),
    ("{a} lent {b} a large sum of money", "{b} got a big loan from {a}", "{b} lent {a} a large sum of money"),
    ("{a} accused {b} of lying", "{b} was called a liar by {a}", "{b} accused {a} of lying"),
    ("{a} arrived long before {b}", "{b} came much later than {a}", "{b} arrived long before {a}"),
    ("{a} taught {b} how to swim", "{b} learned swimming from {a}", "{b} taught {a} how to swim"),
    ("{a} is taller than {b}", "{b} is shorter than {a}", "{b} is taller than {a}"),
    ("{a} sold the old house to {b}", "{b} bought the old house from {a}", "{b} sold the old house to {a}"),
    ("{a} followed {b} through the park", "{b} was trailed across the park by {a}", "{b} followed {a} through the park"),
    ("{a} invited {b} to dinner", "{b} received a dinner invitation from {a}", "{b} invited {a} to dinner"),
    ("{a} defeated {b} in court", "{b} lost the lawsuit against {a}", "{b} defeated {a} in court"),
    ("{a} waited two hours for {b}", "{b} kept {a} waiting for two hours", "{b} waited two hours for {a}"),
    ("{a} wrote a long letter to {b}", "{b} was sent a lengthy letter by {a}", "{b} wrote a long letter to {a}"),
)


def triples():
    """(kind, sentence, other words, change)."""
    for kind, templates, fillings in (
        ("negation", NEGATION, [{"a": x} for x in THINGS]),
        ("number", NUMBER, [{"a": x, "b": y} for x, y in NUMBERS]),
        ("roles", ROLES, [{"a": x, "b": y} for x, y in NAMES]),
    ):
        for template in templates:
            for filling in fillings:
                yield kind, *(t.format(**filling) for t in template)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    with open(args.out, "w", encoding="utf-8") as f:
        for row in triples():
            f.write("\t".join(x[0].upper() + x[1:] + "." if i else x for i, x in enumerate(row)) + "\n")


if __name__ == "__main__":
    main()
