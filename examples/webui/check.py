"""Holds what the daemon says in the end against what the hosts have written down: each acknowledged turn is committed,
no turn under two keys, and no call took a second."""

import json
from collections import defaultdict

SECONDS_MAX = 1.0


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def all_pages(client, list_one_page, name):
    rows, cursor = [], None
    while True:
        page = list_one_page(cursor=cursor, limit=200)
        rows += page[name]
        cursor = page.get("cursor")
        if cursor is None:
            return rows


def check(client, folder):
    """Prints what was found; returns what is wrong."""
    wrong = []
    acked = defaultdict(list)
    for ack in lines(folder / "acks.jsonl"):
        acked[ack["session"]].append(ack["generation"])
    effects = lines(folder / "effects.jsonl")
    sessions = {row["session"]: row for row in all_pages(client, client.list_sessions, "sessions")}
    commits = all_pages(client, client.history, "commits")

    for session, generations in sorted(acked.items()):
        row = sessions.get(session, {"generation": 0, "watermark": 0})
        if len(set(generations)) != len(generations):
            wrong.append(f"{session}: a generation was given twice")
        if max(generations) > row["generation"]:
            wrong.append(f"{session}: generation {row['generation']}, but {max(generations)} was acknowledged")
    for session, row in sorted(sessions.items()):
        if row["watermark"] != row["generation"]:
            wrong.append(f"{session}: generation {row['generation']}, but the watermark is {row['watermark']}")

    # The keys under which each turn was taken by the provider, and committed as the journal has it.
    taken, journaled = defaultdict(set), defaultdict(set)
    for effect in effects:
        for generation in range(effect["start"], effect["end"] + 1):
            taken[effect["session"], generation].add(effect["key"])
    for commit in commits:
        if commit["state"] == "committed":
            for generation in range(commit["start"], commit["end"] + 1):
                journaled[commit["session"], generation].add(commit["key"])
    turns = [(session, generation) for session, row in sessions.items()
             for generation in range(1, row["generation"] + 1)]
    for turn in turns:
        if len(taken[turn]) != 1 or journaled[turn] != taken[turn]:
            wrong.append(f"{turn}: taken under the keys {sorted(taken[turn])}, "
                         f"committed under {sorted(journaled[turn])}")

    states = defaultdict(int)
    for commit in commits:
        states[commit["state"]] += 1
    repeated = len(effects) - len({effect["key"] for effect in effects})
    print(f"{sum(map(len, acked.values()))} turns acknowledged, {len(turns)} counted, in {len(sessions)} sessions.")
    print(f"Attempts: {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}. The provider took "
          f"{len(effects)} commits, {repeated} of them a second time under the same key.")

    worst = defaultdict(float)
    for row in lines(folder / "times.jsonl"):
        worst[row["call"]] = max(worst[row["call"]], row["seconds"])
    longest = ", ".join(f"{call} {seconds * 1000:.0f} ms" for call, seconds in sorted(worst.items()))
    print(f"Longest call: {longest}.")
    for call in ("mark", "register", "unregister", "status"):
        if not 0 < worst[call] < SECONDS_MAX:
            wrong.append(f"{call}: the longest took {worst[call]:.3f} s")
    if not turns or not acked:
        wrong.append("no turn was counted at all")
    for text in wrong:
        print(f"wrong: {text}")
    if not wrong:
        print("Nothing was lost, and nothing committed under two keys.")
    return wrong
