import pytest
from tests.cast import *
from containers.statuses import Status
from containers import operations

@pytest.mark.django_db
@pytest.mark.parametrize("status", list(Status))
def test_each(status, node):
    c = ContainerFactory(status=status, **({} if status in NOWHERE else {"node": node}))
    print(status, c.node, power_of(c), c.operation, c.operation and (c.operation.was, c.operation.kind, c.operation.target))

def test_order(db, plan):
    o = OrderFactory(plan=plan)
    print(o, o.container.node, o.container.plan)

def test_start(container, worker, lena):
    operations.request(container.pk, "start", by=lena)
    assert worker.waiting
    worker.carry_out_all()
    container.refresh_from_db()
    assert container.status == "running"
    print(effects_on(container.node, of=container))
