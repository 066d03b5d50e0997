"""Workers are killed, stopped, added, taken away and frozen: nothing is lost, and only a cut repeats.

Each test runs triage-like and slow work at once; see `chaos.trial` for what is checked of every run.
"""

from __future__ import annotations

from chaos.trial import Trials

from infra.embedded import EmbeddedKafka

# Shorter than the settings allow, so that the outage of a dead member is over soon.
SESSION_TIMEOUT_MS = 4_000


def test_kill_9(broker: EmbeddedKafka, trials, static) -> None:
    with trials(broker, static=static, session_timeout_ms=SESSION_TIMEOUT_MS) as both:
        for _ in both.cuts(0.3, 1.5):
            _kill_one_of_each(both)
        both.finish(repeats="of what was cut off")


def test_sigterm(broker: EmbeddedKafka, trials, static) -> None:
    with trials(broker, static=static, session_timeout_ms=SESSION_TIMEOUT_MS) as both:
        for _ in both.cuts(0.3, 1.5):
            victims = [both.chance.choice(trial.crew.regulars) for trial in both]
            for victim in victims:
                victim.await_working()
                victim.ask_to_stop()
            for victim in victims:
                victim.await_stopped()
                victim.start()
        both.finish(repeats="none")


def test_workers_join_and_leave(broker: EmbeddedKafka, trials, static) -> None:
    with trials(broker, static=static, session_timeout_ms=SESSION_TIMEOUT_MS) as both:
        for _ in both.cuts(0.3, 1.0):
            _join(both)
            _leave(both)
        both.finish(repeats="none")


def test_kill_9_while_workers_join_and_leave(broker: EmbeddedKafka, trials, static) -> None:
    with trials(broker, static=static, session_timeout_ms=SESSION_TIMEOUT_MS) as both:
        for _ in both.cuts(0.3, 1.0):
            _join(both)
            _kill_one_of_each(both)
            _leave(both)
        both.finish(repeats="of what was cut off")


def test_a_worker_frozen_for_longer_than_its_session(broker: EmbeddedKafka, trials, static) -> None:
    with trials(broker, static=static, session_timeout_ms=SESSION_TIMEOUT_MS) as both:
        for _ in both.cuts(0.3, 1.0):
            victims = [both.chance.choice(trial.crew.regulars) for trial in both]
            for victim in victims:
                victim.freeze()
            for trial in both:
                trial.await_members(1)
            for victim in victims:
                victim.thaw()
            for trial in both:
                trial.await_members(2)
        both.finish(repeats="of what was cut off")


def test_a_frozen_worker_is_replaced_and_wakes(broker: EmbeddedKafka, trials) -> None:
    with trials(broker, session_timeout_ms=SESSION_TIMEOUT_MS) as both:
        for _ in both.cuts(0.3, 1.0):
            victims = [both.chance.choice(trial.crew.regulars) for trial in both]
            for victim in victims:
                victim.freeze()
                victim.replace()
            for victim in victims:
                victim.await_working()
            for victim in victims:
                assert "Fenced(" in victim.lay_ghost()
        both.finish(repeats="of what was cut off")


def _join(both: Trials) -> None:
    for trial in both:
        trial.crew.guest.start()
    for trial in both:
        trial.crew.guest.await_working()


def _leave(both: Trials) -> None:
    guests = [trial.crew.guest for trial in both]
    for guest in guests:
        guest.ask_to_stop()
    for guest in guests:
        guest.await_stopped()


def _kill_one_of_each(both: Trials) -> None:
    for trial in both:
        victim = both.chance.choice(trial.crew.regulars)
        victim.await_working()
        victim.kill()
        victim.start()
