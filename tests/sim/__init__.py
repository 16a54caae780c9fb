"""A seeded simulation of the whole settlement: real outbox, follower, journal, epochs and steps over a fake world.

One process, one `random.Random(seed)`: chain, node, clock, doorbell and the moments workers die are drawn from it, so
`python -m tests.sim --seed N` replays a run to the last byte. See `docs/reliability.md` for what is proved with it.
"""
