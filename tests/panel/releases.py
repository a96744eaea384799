"""The last migration of each app in every release, oldest first: what a release had, it has for
good. The steps for a release (CONTRIBUTING.md) say when to add one."""

RELEASES: dict[str, dict[str, str]] = {
    "0.1": {
        "containers": "0004_incus_nodes",
        "orders": "0001_initial",
        "panel": "0001_initial",
    },
}
