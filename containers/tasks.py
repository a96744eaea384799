"""Where the queue finds its tasks."""

from containers.operations.carrying import carry_out_soon

__all__ = ["carry_out_soon"]
