import asyncio
from dataclasses import replace

import pytest
from rig import CONFIG, A, Rig, ScriptedLink, packet

from go2_webrtc_driver.errors import DecodeError, LinkBusy, LinkLost, LinkUnreachable
from go2_webrtc_driver.session.lasting import CAMERA
from go2_webrtc_driver.velocity import Velocity

pytestmark = pytest.mark.usefixtures('no_waiting')


def test_samples_come_in_order_across_links():
    async def main():
        rig = Rig(
            LinkUnreachable('down'), [packet(1), LinkLost('gone')], LinkBusy('app'), [packet(2)]
        )
        await rig.session.start()
        await rig.wait_for(lambda: len(rig.samples) == 2)
        await rig.session.stop()
        assert rig.samples == [(A, 1), (A, 2)]
        assert rig.opened == 2

    asyncio.run(main())


def test_the_robot_is_asked_for_what_is_needed_and_nothing_else():
    async def main():
        rig = Rig([packet(1)])
        await rig.session.start()
        await rig.wait_for(lambda: rig.samples)
        await rig.session.stop()
        assert set(rig.links[0].told[:3]) == {'stop', ('subscribe', A), ('video', True)}

    asyncio.run(main())


def test_pictures_come_as_samples_of_the_camera():
    async def main():
        rig = Rig([])
        await rig.session.start()
        rig.links[0].frames.put('picture')
        await rig.wait_for(lambda: rig.samples)
        await rig.session.stop()
        assert rig.samples == [(CAMERA, 'picture')]

    asyncio.run(main())


def test_silence_is_a_lost_link_and_a_new_one_is_opened():
    async def main():
        rig = Rig([packet(1)], [packet(2)], config=replace(CONFIG, silence_timeout=0.5))
        await rig.session.start()
        await rig.wait_for(lambda: len(rig.samples) == 2)
        await rig.session.stop()
        assert rig.links[0].told[-1] == 'stop and confirm'

    asyncio.run(main())


def test_a_bad_packet_is_dropped_and_counted_and_the_next_good_one_goes_through():
    async def main():
        rig = Rig([DecodeError('a', 'zero'), DecodeError('', 'torn'), packet(5)])
        await rig.session.start()
        await rig.wait_for(lambda: rig.samples)
        await rig.session.stop()
        assert (rig.samples, rig.status.dropped) == ([(A, 5)], 2)

    asyncio.run(main())


def test_a_command_is_sent_then_expires_into_a_stop():
    async def main():
        rig = Rig([packet(1)])
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        begun = len(rig.links[0].told)
        rig.session.command(Velocity(0.4))
        await rig.wait_for(lambda: 'stop' in rig.links[0].told[begun:])
        told = rig.links[0].told[begun:]
        speeds = [each.x for each in told if isinstance(each, Velocity)]
        assert 0.0 < speeds[0] <= 0.4
        assert speeds == sorted(speeds)
        assert told.index('stop') == len(speeds)
        await rig.session.stop()

    asyncio.run(main())


def test_the_robot_is_told_to_stop_when_the_session_ends():
    async def main():
        rig = Rig([packet(1)])
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        rig.session.command(Velocity(0.4))
        await rig.session.stop()
        assert rig.links[0].told[-1] == 'stop and confirm'

    asyncio.run(main())


def test_a_command_before_the_robot_is_heard_is_dropped():
    async def main():
        rig = Rig(LinkUnreachable('down'), [packet(1)])
        rig.session.command(Velocity(0.4))
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        await asyncio.sleep(3 / CONFIG.command_rate)
        assert Velocity(0.4) not in rig.links[1].told
        await rig.session.stop()

    asyncio.run(main())


def test_no_command_survives_a_lost_link():
    async def main():
        gone = asyncio.Event()

        class LosingLink(ScriptedLink):
            async def received(self):
                yield packet(1)
                await gone.wait()
                raise LinkLost('gone')

        rig = Rig([], [packet(2)], config=replace(CONFIG, command_timeout=2.0))
        rig.queue[0] = rig.links[0] = LosingLink([])
        await rig.session.start()
        await rig.wait_for(lambda: rig.connected)
        rig.session.command(Velocity(0.4))
        await rig.wait_for(lambda: Velocity(0.4) in rig.links[0].told)
        gone.set()
        await rig.wait_for(lambda: (A, 2) in rig.samples)
        await asyncio.sleep(3 / CONFIG.command_rate)
        assert Velocity(0.4) not in rig.links[1].told
        await rig.session.stop()

    asyncio.run(main())


def test_start_waits_for_the_first_data_and_passes_the_first_error_on():
    async def main():
        config = replace(CONFIG, wait_for_robot=True)
        with pytest.raises(LinkBusy, match='app'):
            await Rig(LinkBusy('app'), config=config).session.start()
        rig = Rig([packet(1)], config=config)
        await rig.session.start()
        assert rig.connected
        await rig.session.stop()
        assert not rig.connected

    asyncio.run(main())


def test_start_fails_when_an_open_link_stays_silent():
    async def main():
        config = replace(CONFIG, wait_for_robot=True, connect_timeout=1.0, silence_timeout=60.0)
        rig = Rig([], config=config)
        with pytest.raises(LinkUnreachable, match='robot X: expected its first data within'):
            await rig.session.start()
        assert rig.links[0].told[-1] == 'stop and confirm'
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_stop_interrupts_a_start_that_waits():
    async def main():
        rig = Rig([], config=replace(CONFIG, wait_for_robot=True, silence_timeout=60.0))
        starting = asyncio.ensure_future(rig.session.start())
        await rig.wait_for(lambda: rig.links[0].told)
        await rig.session.stop()
        with pytest.raises(LinkLost, match='stopped'):
            await starting

    asyncio.run(main())


def test_a_bug_ends_the_session_stops_the_robot_and_is_reported():
    async def main():
        rig = Rig([packet(1)], on_sample=lambda sample: 1 / 0)
        await rig.session.start()
        await rig.wait_for(lambda: rig.crashes)
        assert isinstance(rig.crashes[0], ZeroDivisionError)
        assert rig.links[0].told[-1] == 'stop and confirm'

    asyncio.run(main())
