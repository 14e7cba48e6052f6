"""Torture: the whole platform under faults, and the proof that nothing acknowledged was lost or doubled.

    schedule.py   which fault comes when: data, drawn from a seed, printed and replayed
    stage.py      the platform under torture: its home on a small filesystem of its own, its processes
    damage.py     tears and flipped bits in the files of the log
    faults.py     how each fault is done, and undone
    verdict.py    the oracle: what was acknowledged against what is in the lake
    books.py      the ledger as the second oracle: that it balances, and agrees with the first
    run.py        one run: the fleet sends, faults come, everything drains, the oracle judges

The fleet of `producers` writes down each ping when it is answered; that file is what the verdict rests on. Nothing
here looks into the platform's code: it starts `catchment up`, kills processes, spoils files, and reads tables.
"""
