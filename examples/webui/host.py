#!/usr/bin/env python3
"""host.py FOLDER SEED [--no-turns]: a host of the kind of Hermes WebUI, until SIGTERM.

Threads hold conversations in a dozen sessions, with at most three agents in memory; the least recently used one is
committed and closed outside the cache's lock. Starting a new session commits the previous one in the background.
What a dead host has left behind is committed by agents that are rebuilt from the transcripts.
acks.jsonl gets each turn that the daemon has acknowledged, times.jsonl each call that took longer than any before.
"""

import logging
import random
import signal
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path

from provider import Agent, append_line
from tidemark import session_lifecycle as lifecycle

THREADS = 8
SESSIONS = 12
AGENTS_MAX = 3

folder, seed = Path(sys.argv[1]), sys.argv[2]
random.seed(seed)
stopping = threading.Event()


class Times:
    """The longest that each function took; told to the file at once, as the next moment may be the last."""

    def __init__(self):
        self.lock = threading.Lock()
        self.worst = {}

    def of(self, name, function, *arguments, **named):
        begun = time.monotonic()
        try:
            return function(*arguments, **named)
        finally:
            seconds = time.monotonic() - begun
            with self.lock:
                if seconds > self.worst.get(name, -1.0):
                    self.worst[name] = seconds
                    append_line(folder / "times.jsonl", {"call": name, "seconds": seconds})


times = Times()


class Agents:
    """The agents in memory. Who takes one for a turn gives it back; only then it can be evicted."""

    def __init__(self):
        self.lock = threading.Lock()
        self.cached = OrderedDict()  # session -> agent, the least recently used first
        self.running = set()  # sessions with a turn
        self.session_locks = {f"chat-{number:02}": threading.Lock() for number in range(SESSIONS)}

    def take(self, session):
        with self.lock:
            self.running.add(session)
            agent = self.cached.get(session)
            if agent is not None:
                self.cached.move_to_end(session)
                return agent
            agent = self.cached[session] = Agent(folder, session)
        times.of("register", lifecycle.register_agent, session, agent)
        return agent

    def give_back(self, session):
        with self.lock:
            self.running.discard(session)
            out = []
            for one in list(self.cached):
                if len(self.cached) - len(out) > AGENTS_MAX and one not in self.running:
                    out.append(one)
        for one in out:
            self.evict(one)

    def evict(self, session):
        """Under the session's lock, as clearing it would be, but not under the cache's: a commit takes its time."""
        with self.session_locks[session]:
            with self.lock:
                agent = self.cached.get(session)
                if agent is None or session in self.running:
                    return
            while lifecycle.commit_session_memory(session, agent=agent, wait=True, timeout=5):
                pass
            if times.of("status", lifecycle.has_uncommitted_work, session):
                return  # the provider said no: it stays, and is tried again another time
            times.of("unregister", lifecycle.unregister_agent, session)
            with self.lock:
                if session in self.running:
                    return
                del self.cached[session]
        agent.close()


agents = Agents()


def converse(number):
    """One user: turns in a session, then in another."""
    chance = random.Random(f"{seed} {number}")
    turn = 0
    while not stopping.is_set():
        session = chance.choice(sorted(agents.session_locks))
        for _ in range(chance.randint(1, 5)):
            if stopping.is_set():
                return
            agent = agents.take(session)
            try:
                with agents.session_locks[session]:
                    turn += 1
                    agent.answer(f"turn {turn} of user {number}")
                    generation = times.of("mark", lifecycle.mark_turn_completed, session, agent=agent)
                if generation:
                    append_line(folder / "acks.jsonl", {"session": session, "generation": generation})
                times.of("status", lifecycle.has_uncommitted_work, session)
            finally:
                agents.give_back(session)
        leave(session)


def leave(session):
    """A new session is begun: the previous one is committed, and nobody waits for that."""

    def commit():
        try:
            lifecycle.commit_session_memory(session)
        finally:
            lifecycle._unregister_background_commit_thread(threading.current_thread())

    thread = threading.Thread(target=commit, daemon=True)
    if lifecycle._register_background_commit_thread(thread):
        thread.start()


def main():
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    logging.getLogger("tidemark").setLevel(logging.CRITICAL)  # the provider's failures are part of the story
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    lifecycle.set_orphan_handler(lambda session: Agent(folder, session))
    threads = []
    if "--no-turns" not in sys.argv:
        threads = [threading.Thread(target=converse, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    while not stopping.wait(0.2):
        pass
    for thread in threads:
        thread.join()
    lifecycle.drain_all_on_shutdown(deadline=10)


main()
