"""A whole panel under load, in which everything is killed at random: `make soak`.

`world` starts and stops the processes and the nodes, with a line to one of these that can be
cut; `database` is a PostgreSQL server of its own. `people` click, and `ledger` keeps what they
were told; `chaos` decides who is killed when, and `takeup` sees how long work lies after that.
`audit` holds the database against the nodes, and `report` says what came of it.
"""
