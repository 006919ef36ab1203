"""All that the driver offers, over real DDS, with a robot that a test can look into."""

import itertools
import json
import math

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driver_process import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    User,
    context,
    driver,
    robot,
    robot_in_this_process,
    set_parameter,
    told,
    user,
    walk,
)
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import BatteryState, CompressedImage, LaserScan, PointCloud2
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from support import interrupt, read_output

from go2_webrtc_driver.protocol.actions import ACTIONS
from go2_webrtc_driver.protocol.topics import McfApi, SportApi, Status, Topic, VuiApi
from go2_webrtc_driver.ros.conversions import JOINT_NAMES
from go2_webrtc_driver.ros.publications import HAS_TF, PUBLICATIONS
from go2_webrtc_driver.sim.body.body import LOCKED
from go2_webrtc_driver.sim.brain.robot import DAMPED, LYING
from go2_webrtc_driver.sim.world import frame_mark
from go2_webrtc_driver.sim.world.world import RED_BOX

__all__ = ['context', 'robot', 'user']  # fixtures
FRAMES = {
    'camera/image_raw': 'camera_optical_frame',
    'camera/image_raw/compressed': 'camera_optical_frame',
    'camera/camera_info': 'camera_optical_frame',
    'odom': 'odom',
    '/tf': 'odom',
    'imu/data': 'imu_link',
    'joint_states': '',
    'battery_state': 'base_link',
    'points': 'odom',
    'scan': 'base_link',
}
BOX = RED_BOX.low[0]  # m, where it begins, straight ahead of the robot's start
VOXEL = 0.05  # m
WALL = 3.0  # m, of the walls at the sides
STOP = [(SportApi.MOVE, '{"x": 0.0, "y": 0.0, "z": 0.0}'), (SportApi.STOP_MOVE, '')]
PATIENT = ('silence_timeout:=60.0', 'blind_timeout:=60.0')  # with a robot that says nothing


def activate(user):
    assert user.transition(CONFIGURE)
    assert user.transition(ACTIVATE)


def trigger(user, name):
    return user.call(Trigger, name, Trigger.Request())


def switch(user, name, on):
    return user.call(SetBool, name, SetBool.Request(data=on)).success


def nonzero_moves(robot):
    """Return the velocities that the robot was told through Move, but for the zero ones."""
    moves = [json.loads(text) for api, text in told(robot) if api == SportApi.MOVE]
    return [move for move in moves if any(move.values())]


def watch_diagnostics(user):
    """Return a dict that keeps the newest status of the user's driver, by the name's end."""
    statuses, prefix = {}, f'{user.space}/go2_driver: '

    def on_array(array):
        for each in array.status:
            if each.name.startswith(prefix):
                statuses[each.name.removeprefix(prefix)] = each

    user.create_subscription(DiagnosticArray, '/diagnostics', on_array, 10)
    return statuses


def header_of(message):
    return message.transforms[0].header if hasattr(message, 'transforms') else message.header


def hear(*parameters):
    """Return three messages or more of every topic, by its name, and the diagnostics."""
    user = User()
    messages = {row.topic: [] for row in PUBLICATIONS}
    for row in PUBLICATIONS:
        user.create_subscription(
            row.message_type, row.topic, messages[row.topic].append, qos_profile_sensor_data
        )
    statuses = watch_diagnostics(user)
    with robot_in_this_process(low_state_rate=20.0) as (go2, _), driver(
        user, go2.ip, *parameters
    ):  # fmt: skip
        activate(user)
        user.until(lambda: min(map(len, messages.values())) >= 3)
        user.until(lambda: 'robot' in statuses and 'mcf' in str(statuses['connection'].values))
    user.destroy_node()
    return messages, statuses


@pytest.fixture(scope='module')
def heard(context):
    return hear()


@pytest.fixture(scope='module')
def messages(heard):
    return heard[0]


def test_every_topic_is_in_its_frame(messages):
    frames = {topic: header_of(messages[topic][0]).frame_id for topic in set(FRAMES) & {*messages}}
    assert frames == {topic: FRAMES[topic] for topic in frames}
    assert {*messages} - {*FRAMES} == {'foot_force'}
    assert ('/tf' in messages) == HAS_TF
    assert messages['odom'][0].child_frame_id == 'base_link'


def test_a_prefix_comes_before_every_frame(context):
    messages, _ = hear('frame_prefix:=rex/')
    for topic in set(FRAMES) & {*messages}:
        wanted = FRAMES[topic] and f'rex/{FRAMES[topic]}'
        assert header_of(messages[topic][0]).frame_id == wanted, topic
    assert messages['odom'][0].child_frame_id == 'rex/base_link'


def test_stamps_increase(messages):
    for topic in set(FRAMES) & {*messages}:
        stamps = [header_of(message).stamp for message in messages[topic]]
        instants = [(stamp.sec, stamp.nanosec) for stamp in stamps]
        assert all(a < b for a, b in itertools.pairwise(instants)), topic


def test_the_imu_feels_gravity_and_is_upright(messages):
    imu = messages['imu/data'][-1]
    assert imu.linear_acceleration.z == pytest.approx(9.81, abs=0.3)
    assert imu.orientation.w == pytest.approx(1.0, abs=0.01)
    assert min(np.diag(np.reshape(imu.angular_velocity_covariance, (3, 3)))) > 0.0


def test_the_joints_are_twelve_by_name(messages):
    state = messages['joint_states'][-1]
    assert tuple(state.name) == JOINT_NAMES
    positions = dict(zip(state.name, state.position, strict=True))
    assert len(positions) == 12
    assert -2.8 < positions['FL_calf_joint'] < -0.8  # a standing robot's knees are bent
    assert positions['FL_calf_joint'] == pytest.approx(positions['FR_calf_joint'], abs=0.05)


def test_the_battery_is_given_in_the_units_of_its_message(messages):
    battery = messages['battery_state'][-1]
    assert battery.percentage == pytest.approx(0.87, abs=0.01)
    assert 24.0 < battery.voltage < 33.6
    assert -10.0 < battery.current < -0.5
    assert 20.0 < battery.temperature < 50.0
    assert battery.power_supply_status == BatteryState.POWER_SUPPLY_STATUS_DISCHARGING


def test_every_foot_of_a_standing_robot_carries_something(messages):
    assert len(messages['foot_force'][-1].data) == 4
    assert min(messages['foot_force'][-1].data) > 50.0


def test_the_odometry_of_a_standing_robot_is_its_start(messages):
    odometry = messages['odom'][-1]
    position, twist = odometry.pose.pose.position, odometry.twist.twist
    assert (position.x, position.y) == (0.0, 0.0)
    assert position.z == pytest.approx(0.32, abs=0.02)
    assert (twist.linear.x, twist.linear.y, twist.angular.z) == (0.0, 0.0, 0.0)


def test_the_points_show_the_box_and_a_wall_where_they_are(messages):
    cloud = messages['points'][-1]
    assert [field.name for field in cloud.fields] == ['x', 'y', 'z']
    points = np.array(cloud.data).view('<f4').reshape(-1, 3)
    assert len(points) == cloud.width > 1000
    x, y, z = points.T
    ahead = points[(abs(y) < 0.15) & (z > 0.1) & (z < 0.35) & (x > 0.0)]
    assert ahead[:, 0].min() == pytest.approx(BOX, abs=VOXEL)
    wall = points[(y > 2.7) & (z > 0.1) & (abs(x) < 1.0)]
    assert wall[:, 1].min() == pytest.approx(WALL, abs=VOXEL)


def test_the_scan_measures_the_box_ahead_and_the_wall_to_the_right(messages):
    scan = messages['scan'][-1]

    def at(angle):
        return scan.ranges[round((angle - scan.angle_min) / scan.angle_increment)]

    assert at(0.0) == pytest.approx(BOX, abs=VOXEL / 5)
    assert at(-math.pi / 2) == pytest.approx(WALL, abs=VOXEL / 5)
    assert len(scan.ranges) * scan.angle_increment == pytest.approx(2 * math.pi)


def test_the_transform_of_a_scan_is_there_before_it(user, robot):
    poses, scans = [], []
    user.create_subscription(Odometry, 'odom', poses.append, 50)
    user.create_subscription(LaserScan, 'scan', scans.append, 50)
    with driver(user, robot.ip):
        activate(user)
        user.until(lambda: len(scans) > 10)
        posed = {(each.header.stamp.sec, each.header.stamp.nanosec) for each in poses}
    stamps = [(each.header.stamp.sec, each.header.stamp.nanosec) for each in scans]
    heard = [stamp for stamp in stamps if min(posed) <= stamp <= max(posed)]
    assert len(heard) > 5
    assert posed.issuperset(heard)
    assert stamps == sorted(stamps)


def test_the_compressed_picture_is_the_camera_s(messages):
    picture = messages['camera/image_raw/compressed'][-1]
    pixels = cv2.imdecode(np.array(picture.data), cv2.IMREAD_COLOR)
    assert pixels.shape == (720, 1280, 3)
    assert frame_mark.read(pixels) is not None
    info = messages['camera/camera_info'][-1]
    assert (info.width, info.height) == (1280, 720)


def test_diagnostics_tell_of_connection_streams_and_robot(heard):
    _, statuses = heard
    assert set(statuses) == {'connection', 'shared memory', 'streams', 'robot'}
    assert {each.level for each in statuses.values()} == {DiagnosticStatus.OK}
    assert {each.hardware_id[:4] for each in statuses.values()} == {'127.'}
    assert statuses['connection'].message == 'connected'
    keys = {pair.key for each in statuses.values() for pair in each.values}
    assert {'mode', 'rt/lf/sportmodestate rate [Hz]', 'battery [percent]'} <= keys


def test_sources_are_asked_for_only_while_somebody_subscribes(user, robot):
    with driver(user, robot.ip):
        activate(user)
        user.until(lambda: user.odometry)
        client = robot.client
        always = {Topic.SPORT_MODE_STATE.value, Topic.LOW_STATE.value}
        assert set(client.subscriptions) == always | {Topic.ROBOT_POSE.value}
        assert (client.camera.frames_sent, client.saves_traffic) == (0, True)

        clouds, pictures = [], []
        subscriptions = [
            user.create_subscription(PointCloud2, 'points', clouds.append, 10),
            user.create_subscription(
                CompressedImage, 'camera/image_raw/compressed', pictures.append, 10
            ),
        ]
        user.until(lambda: clouds and pictures)
        assert Topic.VOXEL_MAP.value in client.subscriptions

        for each in subscriptions:
            user.destroy_subscription(each)
        user.until(lambda: Topic.VOXEL_MAP.value not in client.subscriptions)
        user.until(lambda: not client.camera._on.is_set() and client.saves_traffic)
        assert robot.client is client


def test_an_action_succeeds_or_fails_as_the_robot_says(user, robot):
    with driver(user, robot.ip):
        assert user.transition(CONFIGURE)
        idle = trigger(user, 'stand_down')
        assert (idle.success, idle.message) == (False, 'the driver is not active')
        assert user.transition(ACTIVATE)
        assert trigger(user, 'stand_down').success
        assert robot.robot.posture is LYING
        lying = trigger(user, 'hello')
        assert not lying.success
        assert str(int(Status.SPORT_ERROR)) in lying.message
        assert trigger(user, 'stand_up').success
        assert robot.robot.posture is LOCKED
        stretch = user.client(Trigger, 'stretch')
        assert trigger(user, 'hello').success
        busy = user.answer(stretch, Trigger.Request())
        assert not busy.success
        assert str(int(Status.SPORT_ERROR)) in busy.message
        assert trigger(user, 'stop').success
        assert robot.robot.gesture is None
        asked = len(robot.requests)
        missing = trigger(user, 'wiggle_hips')
        assert not missing.success
        assert missing.message == "wiggle_hips: a robot in the mode 'mcf' does not have it"
        assert len(robot.requests) == asked
        assert user.transition(DEACTIVATE)
        assert not trigger(user, 'hello').success


def test_stop_ends_a_velocity_that_is_still_valid(user, robot):
    with driver(user, robot.ip, 'command_timeout:=2.0'):
        activate(user)
        walk(user)
        before = len(nonzero_moves(robot))
        assert before
        assert trigger(user, 'stop').success
        moves = len(nonzero_moves(robot))
        user.until(lambda: user.speed < 0.05)
        assert len(nonzero_moves(robot)) == moves
        assert told(robot)[-1] == (SportApi.STOP_MOVE, '')
        walk(user)


def test_a_damped_robot_ignores_velocities_until_it_is_told_to_stand_up(user, robot):
    with driver(user, robot.ip) as started:
        activate(user)
        walk(user)
        assert trigger(user, 'damp').success
        assert robot.robot.posture is DAMPED
        moves = len(nonzero_moves(robot))
        limp = 'velocities are dropped: the robot was told to go limp'
        user.until(lambda: (user.drive(0.5), limp in read_output(started))[1])
        user.until(lambda: user.speed == 0.0)
        at = user.x
        user.odometry.clear()
        user.until(lambda: (user.drive(0.5), len(user.odometry) > 10)[1])
        assert len(nonzero_moves(robot)) == moves
        assert user.x == at
        assert read_output(started).count(limp) == 1
        assert trigger(user, 'stand_up').success
        walk(user)


def services_of(user):
    """Return the names of the driver's own services, once the last one is known."""
    found = []

    def complete():
        found[:] = user.get_service_names_and_types()
        return any(name.endswith('/go2_driver/lidar') for name, _ in found)

    user.until(complete)
    return {name.rpartition('/')[2] for name, _ in found if f'/{user.space}/' in name}


def test_acrobatics_are_offered_only_if_they_are_allowed(user, robot):
    acrobatic = {action.name for action in ACTIONS if action.acrobatic}
    with driver(user, robot.ip):
        assert user.transition(CONFIGURE)
        assert 'hello' in services_of(user)
        assert not acrobatic & services_of(user)
    acrobat = User()
    with driver(acrobat, robot.ip, 'allow_acrobatics:=true'):
        activate(acrobat)
        acrobat.until(lambda: acrobatic <= services_of(acrobat))
        assert trigger(acrobat, 'back_flip').success
        assert told(robot)[-1] == (McfApi.BACK_FLIP, '')
    acrobat.destroy_node()


def test_switches_reach_the_robot(user, robot):
    with driver(user, robot.ip):
        activate(user)
        for on in (True, False):
            assert switch(user, 'obstacle_avoidance', on)
            assert robot.avoids_obstacles is on
            assert switch(user, 'light', on)
            assert robot.brightness == (10 if on else 0)
        for on in (False, True):
            assert switch(user, 'lidar', on)
            user.until(lambda on=on: robot.lidar_on is on)


class Requester:
    """What talks to the robot through ``~/request``."""

    def __init__(self, user):
        self._user = user
        self._publisher = user.create_publisher(String, 'go2_driver/request', 20)
        self.answers = []
        user.create_subscription(String, 'go2_driver/response', self._on_answer, 20)

    def _on_answer(self, message):
        self.answers.append(json.loads(message.data))

    def connect(self):
        """Wait until both ways are open: an error comes back."""
        self._user.until(lambda: (self.publish('?'), self.errors)[1])

    def publish(self, text):
        self._publisher.publish(String(data=text))

    def ask(self, topic, api_id, **more):
        self.publish(json.dumps({'topic': topic, 'api_id': api_id, **more}))

    @property
    def errors(self):
        return [answer['error'] for answer in self.answers if 'error' in answer]

    def expect_error(self, complaint):
        self._user.until(lambda: any(complaint in error for error in self.errors))


def test_a_raw_request_gets_the_robot_s_reply(user, robot):
    requester, topic = Requester(user), Topic.VUI_REQUEST.value
    with driver(user, robot.ip):
        assert user.transition(CONFIGURE)
        requester.connect()
        requester.ask(topic, VuiApi.GET_VOLUME)
        requester.expect_error('the driver is not active')
        assert user.transition(ACTIVATE)
        requester.ask(topic, VuiApi.SET_VOLUME, parameter={'volume': 2})
        requester.ask(topic, VuiApi.GET_VOLUME)
        reply_topic = topic.replace('request', 'response')
        replies = requester.answers

        def volumes():
            texts = [each['data'] for each in replies if each.get('topic') == reply_topic]
            return [json.loads(text)['volume'] for text in texts if text]

        user.until(volumes)
        assert volumes() == [2]
        requester.ask(topic, VuiApi.SET_VOLUME, parameter={'volume': 99})
        requester.expect_error(f'the robot answered {int(Status.BAD_PARAMETER)}')
        assert robot.volume == 2


@pytest.fixture
def requester(user, robot):
    """A requester of a driver that is active and serves ``robot``."""
    requester = Requester(user)
    with driver(user, robot.ip):
        activate(user)
        requester.connect()
        yield requester


def test_a_raw_request_that_is_none_or_walks_gets_an_error(user, robot, requester):
    sport, speeds = Topic.SPORT_REQUEST.value, {'x': 1.0, 'y': 0.0, 'z': 0.0}
    avoid = Topic.OBSTACLES_AVOID_REQUEST.value
    for request, complaint in (
        ('no json', "infinity, got 'no json'"),
        ('[1]', 'expected an object with topic and api_id'),
        ('{"topic": 7}', 'topic: expected a name that ends with /request, got 7'),
        ('{"topic": "rt/wirelesscontroller", "api_id": 1}', "got 'rt/wirelesscontroller'"),
        ({'topic': sport, 'api_id': '1016'}, "api_id: expected a whole number, got '1016'"),
        ({'topic': sport, 'api_id': 1007, 'parameter': math.nan}, 'infinity, got \'{"'),
        ({'topic': sport, 'api_id': 1008, 'parameter': speeds}, 'publish it on cmd_vel'),
        ({'topic': avoid, 'api_id': 1003, 'parameter': speeds}, 'publish it on cmd_vel'),
    ):
        requester.answers.clear()
        requester.publish(request if isinstance(request, str) else json.dumps(request))
        requester.expect_error(complaint)
    assert told(robot) == STOP  # of the new link
    walk(user)


def test_requests_without_an_answer_do_not_hold_up_velocities(user, robot):
    """The robot says nothing, as a real one on a topic that it does not have."""
    requester = Requester(user)
    with driver(user, robot.ip, *PATIENT):
        activate(user)
        requester.connect()
        robot.muted = True
        for _ in range(10):
            requester.ask(Topic.VUI_REQUEST.value, VuiApi.GET_VOLUME)
        user.until(lambda: VuiApi.GET_VOLUME in {call.api_id for call in robot.calls})
        user.until(lambda: (user.drive(0.5), nonzero_moves(robot))[1])
        assert 'expected a response' not in str(requester.errors)
        stop = trigger(user, 'stop')
        robot.muted = False
    assert 'expected a response' in stop.message
    assert told(robot)[-1] == (SportApi.STOP_MOVE, '')


def test_slow_services_do_not_hold_up_velocities(user, robot):
    with driver(user, robot.ip, *PATIENT):
        activate(user)
        clients = [user.create_client(Trigger, f'go2_driver/{n}') for n in ('hello', 'dance1')]
        user.until(lambda: all(client.service_is_ready() for client in clients))
        robot.muted = True
        answers = [client.call_async(Trigger.Request()) for client in 3 * clients]
        user.until(lambda: (SportApi.HELLO, '') in told(robot))
        user.until(lambda: (user.drive(0.5), nonzero_moves(robot))[1])
        assert not any(answer.done() for answer in answers)


def test_cleanup_ends_what_still_waits_for_the_robot(user, robot):
    requester = Requester(user)
    with driver(user, robot.ip, 'silence_timeout:=60.0') as started:
        activate(user)
        requester.connect()
        hello = user.create_client(Trigger, 'go2_driver/hello')
        user.until(hello.service_is_ready)
        robot.muted = True
        hello.call_async(Trigger.Request())
        requester.ask(Topic.VUI_REQUEST.value, VuiApi.GET_VOLUME)
        user.until(lambda: {SportApi.HELLO, VuiApi.GET_VOLUME} <= {c.api_id for c in robot.calls})
        for number in (DEACTIVATE, CLEANUP, CONFIGURE):
            assert user.transition(number)
        assert interrupt(started)[0] == 0
        assert 'Traceback' not in read_output(started)


@pytest.mark.parametrize('interface', ['obstacle_avoidance', 'joystick'])
def test_every_way_to_walk_stops_on_a_zero_twist_and_when_a_twist_expires(user, robot, interface):
    parameters = (f'motion_interface:={interface}', 'command_timeout:=2.0')
    with driver(user, robot.ip, *parameters):
        activate(user)
        walk(user, speed=0.3, until=0.25)
        user.drive(0.0)
        user.until(lambda: user.speed < 0.05, timeout=1.5)
        stops = told(robot).count((SportApi.STOP_MOVE, ''))
        walk(user, speed=0.3, until=0.25)
        user.until(lambda: user.speed < 0.05, timeout=5.0)
        assert told(robot).count((SportApi.STOP_MOVE, '')) > stops
        assert robot.remote_from_api is (interface == 'obstacle_avoidance')
        assert not nonzero_moves(robot)
        walk(user, speed=0.3, until=0.25)
        assert user.transition(DEACTIVATE)
        assert told(robot)[-1] == (SportApi.STOP_MOVE, '')
        assert not robot.remote_from_api
        user.until(lambda: robot.client is None)


def test_obstacle_avoidance_stops_before_the_box_and_gives_the_remote_back_on_a_signal(
    user, robot
):
    parameter = 'motion_interface:=obstacle_avoidance'
    with driver(user, robot.ip, parameter, 'max_linear_x:=2.0') as started:
        activate(user)
        user.until(lambda: robot.remote_from_api and robot.avoids_obstacles)
        walk(user, speed=1.5, until=1.0)
        user.until(lambda: (user.drive(1.5), user.speed < 0.02)[1])
        nose = user.x + 0.35
        assert 0.3 < BOX - nose < 0.5
        assert interrupt(started)[0] == 0
    assert not robot.remote_from_api


def stamped(user, speed, age=None):
    """Send a stamped forward speed; ``age`` in seconds, or no stamp."""
    message = TwistStamped()
    message.twist.linear.x = speed
    if age is not None:
        sent_at = user.get_clock().now() - Duration(nanoseconds=round(age * 1e9))
        message.header.stamp = sent_at.to_msg()
    user.cmd_vel.publish(message)


def test_a_stamped_twist_moves_the_robot_unless_it_is_old(context, robot):
    user = User(TwistStamped)
    with driver(user, robot.ip, 'cmd_vel_type:=twist_stamped') as started:
        activate(user)
        old = 'velocities are dropped: expected one at most 0.5 s old'
        user.until(lambda: (stamped(user, 0.5, age=5.0), old in read_output(started))[1])
        for _ in range(10):
            stamped(user, 0.5, age=5.0)
        assert not nonzero_moves(robot)
        user.until(lambda: (stamped(user, 0.0, age=0.0), told(robot))[1])
        assert not nonzero_moves(robot)
        assert read_output(started).count(old) == 1
        early = 'expected a stamp of now, got one 60'
        user.until(lambda: (stamped(user, 0.5, age=-60.2), early in read_output(started))[1])
        assert not nonzero_moves(robot)
        user.until(lambda: user.odometry)
        user.until(lambda: (stamped(user, 0.5, age=0.0), user.speed > 0.4)[1])
        user.until(lambda: (stamped(user, 0.0), user.speed < 0.05)[1])
        user.until(lambda: (stamped(user, 0.5), user.speed > 0.4)[1])
    user.destroy_node()


def test_settings_reach_the_robot_at_the_start_and_live(user, robot):
    with driver(user, robot.ip, 'volume:=3') as started:
        activate(user)
        user.until(lambda: robot.volume == 3)
        for name, value, reached in (
            ('volume', 5, lambda: robot.volume == 5),
            ('light_brightness', 4, lambda: robot.brightness == 4),
            ('speed_level', 1, lambda: robot.robot.sport.speed_level == 1),
        ):
            assert set_parameter(user, name, value).successful
            user.until(reached)
        asked = len(robot.calls)
        for name, wrong in (('volume', 11), ('light_brightness', 'bright'), ('speed_level', 2)):
            assert not set_parameter(user, name, wrong).successful
        assert not any(call.parameter for call in robot.calls[asked:])  # but StopMove
        assert 'Traceback' not in read_output(started)


def test_a_lying_robot_is_left_lying_with_one_warning(user):
    with (
        robot_in_this_process(posture=LYING) as (go2, _),
        driver(user, go2.ip) as started,
    ):
        activate(user)
        user.until(lambda: user.odometry)
        lies = 'the robot is lying down: call stand_up, or set auto_stand'
        user.until(lambda: (user.drive(0.5), lies in read_output(started))[1])
        user.odometry.clear()
        user.until(lambda: (user.drive(0.5), len(user.odometry) > 10)[1])
        assert set(told(go2)) == set(STOP)  # of the new link
        assert user.x == 0.0
        assert read_output(started).count(lies) == 1
        assert trigger(user, 'stand_up').success
        walk(user)


def test_with_auto_stand_a_lying_robot_stands_up_and_walks(user):
    with robot_in_this_process(posture=LYING) as (go2, _), driver(
        user, go2.ip, 'auto_stand:=true'
    ):  # fmt: skip
        activate(user)
        user.until(lambda: user.odometry)
        walk(user)
        asked = [api for api, _ in told(go2) if api != SportApi.STOP_MOVE]
        assert asked[1:3] == [SportApi.STAND_UP, SportApi.BALANCE_STAND]


def test_with_auto_stand_a_robot_is_told_to_stand_up_once(user):
    with (
        robot_in_this_process(posture=LYING) as (go2, _),
        driver(user, go2.ip, 'auto_stand:=true'),
    ):
        activate(user)
        user.until(lambda: user.odometry)
        walk(user)
        assert [api for api, _ in told(go2)].count(SportApi.STAND_UP) == 1


def test_the_rates_of_a_new_activation_are_its_own(user, robot):
    statuses = watch_diagnostics(user)

    def rates():
        values = statuses['streams'].values if 'streams' in statuses else ()
        return [float(each.value) for each in values if each.key.endswith('rate [Hz]')]

    with driver(user, robot.ip):
        activate(user)
        user.until(lambda: max(rates(), default=0.0) > 10.0)
        assert user.transition(DEACTIVATE)
        user.until(lambda: 'not active' in statuses['connection'].message)
        statuses.clear()
        assert user.transition(ACTIVATE)
        seen = []
        user.until(lambda: (seen.extend(rates()), max(rates(), default=0.0) > 10.0)[1])
        assert min(seen) >= 0.0


def test_a_fault_of_the_robot_comes_and_goes_in_the_diagnostics(user):
    statuses = watch_diagnostics(user)

    def shows(text, level):
        user.until(lambda: (found := statuses.get('robot')) and text in found.message)
        assert statuses['robot'].level == level

    with robot_in_this_process() as (go2, loop), driver(user, go2.ip):
        activate(user)
        shows('no fault', DiagnosticStatus.OK)
        loop.post(go2.add_fault, 300, 0x10)
        shows('motor: winding overheating (300_10)', DiagnosticStatus.ERROR)
        loop.post(setattr, go2.robot.battery, 'charge', 0.05)
        shows('motion control: low battery protection (600_8)', DiagnosticStatus.ERROR)
        loop.post(go2.remove_fault, 300, 0x10)
        loop.post(setattr, go2.robot.battery, 'charge', 0.9)
        shows('no fault', DiagnosticStatus.OK)
        assert user.transition(DEACTIVATE)
        user.until(lambda: statuses['connection'].message == 'not active')
