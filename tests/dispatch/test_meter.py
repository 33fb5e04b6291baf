"""How many calls and orders a second: what ended within the last ten seconds, also read from another thread."""

from __future__ import annotations

from imeiflow.dispatch.meter import Meter


class _Moment(float):
    """A time that, when it is looked at, lets a call end meanwhile, as the engine's loop does beside a page."""

    meter: Meter

    def __ge__(self, other: float) -> bool:
        self.meter.add(1)
        return float(self) >= other


def test_only_what_ended_lately_counts():
    now = [0.0]
    meter = Meter(lambda: now[0])
    for at, orders in ((0.0, 100), (15.0, 50), (20.0, 10), (20.05, 10)):
        now[0] = at
        meter.add(orders)
    assert meter.rates() == (0.3, 7.0)
    assert (meter.calls, meter.orders) == (4, 170)


def test_calls_may_end_while_another_thread_reads():
    now = [_Moment(0.0)]
    meter = Meter(lambda: now[0])
    _Moment.meter = meter
    for at in (0.0, 1.0, 2.0):
        now[0] = _Moment(at)
        meter.add(10)
    now[0] = _Moment(3.0)
    assert meter.rates() == (1.0, 10.0)
