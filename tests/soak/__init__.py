"""A whole panel under load, in which everything is killed at random: `make soak`.

`world` starts and stops the processes, the database, the daemons and the wire; `people` click;
`chaos` decides who is killed when; `audit` holds the database against the nodes; `report` says
what came of it.
"""
