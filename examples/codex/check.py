#!/usr/bin/env python3
"""check.py FOLDER SESSION: holds what the daemon says (show.json, history.json) against what the agent was asked for
(commits.log): three turns of one session, settled, and never a range under two keys. Exits 1 with what is wrong."""

import json
import sys
from pathlib import Path

TURNS = 3

folder, session = Path(sys.argv[1]), sys.argv[2]
shown = json.loads((folder / "show.json").read_text())
attempts = json.loads((folder / "history.json").read_text())["commits"]
requests = [line.split() for line in (folder / "commits.log").read_text().splitlines()]
wrong = []


def expect(what, seen, wanted):
    if seen != wanted:
        wrong.append(f"{what}: {seen}, but it should be {wanted}")


expect("generation", shown["generation"], TURNS)
expect("watermark", shown["watermark"], TURNS)
expect("dirty segments", shown["segments"], [])

journaled = {(row["session"], row["start"], row["end"], row["key"]) for row in attempts}
asked = {(name, int(start), int(end), key) for name, start, end, key in requests}
expect("ranges in the history", {row[:3] for row in journaled}, {(session, 1, TURNS)})
expect("keys in the history", len(journaled), 1)
expect("what the agent was asked for", asked, journaled)

# The attempt that the daemon's end cut off, and the one that was made of it after the restart.
expect("states of the attempts", sorted(row["state"] for row in attempts), ["committed", "in_doubt"])

for text in wrong:
    print(f"check.py: {text}", file=sys.stderr)
if wrong:
    sys.exit(1)
print(f"""Generation {TURNS}, watermark {TURNS}; turns 1 to {TURNS} are committed under one key, {attempts[0]["key"]}.
Attempts in the history: {len(attempts)}. Runs of the agent's command: {len(requests)}.""")
