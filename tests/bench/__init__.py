"""How fast the panel is, as ratios against yardsticks that are measured in the same run.

    make bench                               everything, on SQLite; takes its time
    pytest tests/bench/test_hundred.py       the short forms alone, as CI runs them
    pytest tests/bench/test_hundred.py -m bench

A long form is marked `bench`, and left out unless `-m bench` asks for it. Both forms hand their
tables to the fixture `figures`, which shows them at the end of the run; those of a long form are
added to `bench-results.md` as well. Absolute times are shown, never asserted: they say more about
the machine.

What serves people runs behind gunicorn as the Procfile has it; other options of gunicorn are tried
with BERTH_BENCH_GUNICORN="--workers 4 --threads 4". Memory is watched for BERTH_BENCH_MINUTES, 10
unless it is said.
"""
