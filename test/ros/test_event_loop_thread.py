import asyncio
import gc
import threading

import pytest

from go2_webrtc_driver.ros.event_loop_thread import EventLoopThread


@pytest.fixture
def loop_thread():
    thread = EventLoopThread('go2')
    yield thread
    thread.stop(5.0)


def test_run_returns_the_result(loop_thread):
    assert loop_thread.run(asyncio.sleep(0, 'x'), 5.0) == 'x'


def test_post_runs_on_the_loop_thread(loop_thread):
    seen, name = threading.Event(), []
    loop_thread.post(lambda: (name.append(threading.current_thread().name), seen.set()))
    assert seen.wait(5.0)
    assert name == ['go2']


def test_run_gives_up_and_cancels(loop_thread):
    cancelled = threading.Event()

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError):
        loop_thread.run(forever(), 0.05)
    assert cancelled.wait(5.0)


def test_run_from_the_loop_itself_is_refused(loop_thread):
    async def deadlock():
        loop_thread.run(asyncio.sleep(0), 5.0)

    with pytest.raises(RuntimeError, match='own thread'):
        loop_thread.run(deadlock(), 5.0)


def test_stop_lets_tasks_clean_up_and_ends_the_thread():
    thread, said = EventLoopThread('go2-ends'), []

    async def session():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            said.append('StopMove')

    async def start():
        session.task = asyncio.ensure_future(session())
        await asyncio.sleep(0)

    thread.run(start(), 5.0)
    thread.stop(5.0)
    assert said == ['StopMove']
    assert 'go2-ends' not in [each.name for each in threading.enumerate()]


def test_what_comes_after_the_end_of_the_loop_is_dropped_or_in_vain():
    thread = EventLoopThread('test')
    thread.stop(1.0)
    thread.post(print, 'never')
    with pytest.raises(TimeoutError, match='has ended'):
        thread.run(asyncio.sleep(0), 1.0)


def test_a_result_that_the_end_of_the_loop_cancels_is_told_as_that():
    thread, begun = EventLoopThread('test'), threading.Event()

    async def forever():
        begun.set()
        await asyncio.Event().wait()

    ending = threading.Timer(0.0, lambda: (begun.wait(5.0), thread.stop(5.0)))
    ending.start()
    with pytest.raises(TimeoutError, match='has ended'):
        thread.run(forever(), 5.0)
    ending.join()


def test_what_a_posted_function_raises_is_told():
    crashes, told = [], threading.Event()
    thread = EventLoopThread('go2', lambda error: (crashes.append(error), told.set()))
    thread.post(lambda: 1 / 0)
    assert told.wait(5.0)
    thread.stop(5.0)
    assert isinstance(crashes[0], ZeroDivisionError)


def test_an_error_that_nobody_awaits_is_logged_by_us_and_not_past_ros(loop_thread, caplog):
    async def fail():
        raise KeyError('lost')

    async def forget():
        task = asyncio.ensure_future(fail())
        await asyncio.wait({task})

    loop_thread.run(forget(), 5.0)
    gc.collect()
    assert [record.name for record in caplog.records] == [EventLoopThread.__module__]
    assert "KeyError: 'lost'" in caplog.text
