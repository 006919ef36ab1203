"""What is seen in RViz: the robot's model, the displays, and the launch file that starts them."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from urdf_parser_py.urdf import URDF

from go2_webrtc_driver.ros.conversions import JOINT_NAMES
from go2_webrtc_driver.ros.publications import PUBLICATIONS, publisher_qos
from go2_webrtc_driver.sim.pose import Pose
from go2_webrtc_driver.sim.world import scene

ROOT = Path(__file__).parent.parent

# Topic: RViz's class for it, which bears the name of the message but for the model, a String.
SHOWN = {
    'robot_description': 'RobotModel',
    'camera/image_raw': 'Image',
    'points': 'PointCloud2',
    'scan': 'LaserScan',
    'odom': 'Odometry',
}

# In the order of the wire.
JOINTS = (
    'FR_hip_joint', 'FR_thigh_joint', 'FR_calf_joint',
    'FL_hip_joint', 'FL_thigh_joint', 'FL_calf_joint',
    'RR_hip_joint', 'RR_thigh_joint', 'RR_calf_joint',
    'RL_hip_joint', 'RL_thigh_joint', 'RL_calf_joint',
)  # fmt: skip
LIMITS = {  # lower, upper [rad], effort [N m], velocity [rad/s]
    'hip': (-1.0472, 1.0472, 23.7, 30.1),
    'front thigh': (-1.5708, 3.4907, 23.7, 30.1),
    'rear thigh': (-0.5236, 4.5379, 23.7, 30.1),
    'calf': (-2.7227, -0.83776, 45.43, 15.7),
}

AS_THE_BODY = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
FRAMES = {  # position in base_link [m], then where x, y and z point in it
    'imu_link': ((-0.02557, 0, 0.04232), *AS_THE_BODY),
    'camera_link': ((0.32715, -0.00003, 0.04297), *AS_THE_BODY),
    'camera_optical_frame': ((0.32715, -0.00003, 0.04297), (0, -1, 0), (0, 0, -1), (1, 0, 0)),
    'lidar_link': (
        (0.28945, 0, -0.046825), (-0.96551, 0, -0.26036), (0, 1, 0), (0.26036, 0, -0.96551),
    ),
}  # fmt: skip

FAKE = """#!{python}
import json, pathlib, sys
files = [b for a, b in zip(sys.argv, sys.argv[1:]) if a == '--params-file']
parameters = [pathlib.Path(each).read_text() for each in files]
pathlib.Path(sys.argv[0] + '.json').write_text(json.dumps([sys.argv[1:], parameters]))
print('listens on', flush=True)
{then}
"""
# The end of the simulated robot ends the others.
UNTIL_ALL_ARE_TOLD = """
import time
end = time.monotonic() + 20
while len([*pathlib.Path(sys.argv[0]).parents[1].glob('*/*.json')]) < 3 and time.monotonic() < end:
    time.sleep(0.2)
time.sleep(0.2)
"""


@pytest.fixture(scope='module')
def robot():
    return URDF.from_xml_file(str(ROOT / 'urdf' / 'go2.urdf'))


@pytest.fixture(scope='module')
def view():
    return yaml.safe_load((ROOT / 'config' / 'go2.rviz').read_text())['Visualization Manager']


def revolute(robot):
    return {each.name: each for each in robot.joints if each.type == 'revolute'}


def pose_of(robot, link, angles=None):
    """Return the pose of a link in ``base_link`` as a 4x4 matrix."""
    pose = np.eye(4)
    for name in robot.get_chain('base_link', link, links=False):
        joint = robot.joint_map[name]
        pose = pose @ transform(joint.origin.xyz, joint.origin.rpy)
        if joint.type == 'revolute':
            pose[:3, :3] @= turn(np.array(joint.axis) * (angles or {}).get(name, 0))
    return pose


def transform(xyz, rpy):
    pose = np.eye(4)
    pose[:3, 3] = xyz
    roll, pitch, yaw = np.eye(3) * rpy
    pose[:3, :3] = turn(yaw) @ turn(pitch) @ turn(roll)
    return pose


def turn(vector):
    return cv2.Rodrigues(np.array(vector, float))[0]


def legs(hip, thigh, calf):
    return dict(zip(JOINTS, 4 * (hip, thigh, calf), strict=True))


def test_the_model_is_one_tree_from_base_link(capfd):
    robot = URDF.from_xml_file(str(ROOT / 'urdf' / 'go2.urdf'))
    assert capfd.readouterr().err == ''
    children = [each.child for each in robot.joints]
    assert len(set(children)) == len(children)
    assert set(children) | {'base_link'} == {each.name for each in robot.links}
    assert all(robot.get_chain('base_link', each) for each in children)


def test_the_model_has_the_joints_of_the_wire_in_its_order(robot):
    assert tuple(revolute(robot)) == JOINTS


def test_the_driver_publishes_the_joints_of_the_model():
    assert JOINT_NAMES == JOINTS


def test_every_joint_has_the_published_limits(robot):
    for name, joint in revolute(robot).items():
        part = name.split('_')[1]
        if part == 'thigh':
            part = f'{"front" if name.startswith("F") else "rear"} thigh'
        limit = joint.limit
        assert (limit.lower, limit.upper, limit.effort, limit.velocity) == LIMITS[part]


def test_every_moving_link_has_a_mass_that_a_body_can_have(robot):
    for joint in revolute(robot).values():
        inertial = robot.link_map[joint.child].inertial
        assert inertial.mass > 0
        one, two, three = np.linalg.eigvalsh(inertial.inertia.to_matrix())
        assert one > 0
        assert one + two > three


def test_the_model_weighs_what_the_robot_weighs(robot):
    total = sum(each.inertial.mass for each in robot.links if each.inertial)
    assert 14 < total < 16.5


def test_the_root_carries_no_mass_since_kdl_warns_about_it(robot):
    assert robot.link_map['base_link'].inertial is None


def test_nothing_but_the_file_itself_is_needed_to_show_the_model():
    text = (ROOT / 'urdf' / 'go2.urdf').read_text()
    assert '<mesh' not in text
    assert 'package://' not in text


@pytest.mark.parametrize('link', FRAMES)
def test_a_sensor_is_where_it_is_published_to_be(robot, link):
    pose = pose_of(robot, link)
    position, *axes = FRAMES[link]
    np.testing.assert_allclose(pose[:3, 3], position, atol=1e-6)
    np.testing.assert_allclose(pose[:3, :3].T, axes, atol=1e-4)


def test_the_simulated_camera_is_where_the_model_has_it(robot):
    body = Pose(1.0, -2.0, 0.32, 0.7)
    camera = transform((body.x, body.y, body.z), (0, 0, body.yaw)) @ pose_of(
        robot, 'camera_optical_frame'
    )
    points = np.array([[4.0, -1.0, 0.5], [2.5, 0.3, 0.0], [1.0, 1.0, 1.0]])
    expected = (points - camera[:3, 3]) @ camera[:3, :3]
    np.testing.assert_allclose(scene.optical(body, points), expected, atol=1e-3)


def test_a_standing_robot_has_its_feet_on_the_ground_below_its_hips(robot):
    angles = legs(0.0, 0.8, -1.6)
    for name, x, y in (
        ('FR', 0.1934, -0.142), ('FL', 0.1934, 0.142),
        ('RR', -0.1934, -0.142), ('RL', -0.1934, 0.142),
    ):  # fmt: skip
        foot = pose_of(robot, f'{name}_foot', angles)[:3, 3]
        np.testing.assert_allclose(foot, (x, y, -0.2968), atol=1e-4)
    sole = robot.link_map['FR_foot'].visual.geometry.radius
    assert 0.2968 + sole == pytest.approx(0.3195, abs=1e-3)  # z of a recorded robot_pose


def test_knees_bend_backward_and_hips_turn_about_the_way_ahead(robot):
    angles = legs(0.2, 0.8, -1.5)
    for name, ahead, side in (('FR', 1, -1), ('FL', 1, 1), ('RR', -1, -1), ('RL', -1, 1)):
        knee = pose_of(robot, f'{name}_calf', angles)[:3, 3]
        foot = pose_of(robot, f'{name}_foot', angles)[:3, 3]
        assert knee[0] == pytest.approx(0.1934 * ahead - 0.1528, abs=1e-4)
        assert foot[0] == pytest.approx(0.1934 * ahead - 0.0156, abs=1e-4)
        # To the robot's left: 0.3113 below the hip, and turned by 0.2 rad.
        assert foot[1] == pytest.approx(side * (0.0465 + 0.0955 * 0.98007) + 0.06184, abs=1e-4)


def displays(view):
    return {each['Name']: each for each in view['Displays']}


def rainbow(share):
    """Return the colour, RGB of 0 to 1, that RViz gives to a share of an axis from its top."""
    section, within = divmod(5 * share + 1, 1)
    falling = 1 - (within if int(section) % 2 else 1 - within)
    return {
        1: (falling, 0, 1), 2: (0, falling, 1), 3: (0, 1, falling),
        4: (falling, 1, 0), 5: (1, falling, 0), 6: (1, falling, 0),
    }[int(section)]  # fmt: skip


def test_no_point_that_the_lidar_sees_has_the_colour_of_the_scan(view):
    axis = displays(view)['Points']['Autocompute Value Bounds']
    scan = [int(each) / 255 for each in displays(view)['Scan']['Color'].split(';')]
    for height in np.linspace(-0.3, 2.0, 47):  # m, from below the floor to the top of the map
        share = 1 - (height - axis['Min Value']) / (axis['Max Value'] - axis['Min Value'])
        assert math.dist(rainbow(share), scan) > 0.6, height


def test_the_view_follows_the_robot(view):
    assert view['Views']['Current']['Target Frame'] == 'base_link'


def test_the_view_has_tools_for_pose_and_goal_in_the_namespace(view):
    topics = {each['Class'].rpartition('/')[2]: each.get('Topic') for each in view['Tools']}
    assert topics['SetInitialPose']['Value'] == 'initialpose'
    assert topics['SetGoal']['Value'] == 'goal_pose'


def extent(visual):
    """Return the lowest and highest corner of a solid that is not turned [m]."""
    form, at = visual.geometry, np.array(visual.origin.xyz if visual.origin else (0, 0, 0))
    if hasattr(form, 'size'):
        half = np.array(form.size) / 2
    else:
        half = np.array([form.radius, form.radius, getattr(form, 'length', 2 * form.radius) / 2])
    return at - half, at + half


def meet(one, other):
    return (one[0] <= other[1]).all() and (other[0] <= one[1]).all()


def test_the_body_is_of_one_piece(robot):
    first, *others = map(extent, robot.link_map['trunk'].visuals)
    reached = [first]
    while touching := [each for each in others if any(meet(each, one) for one in reached)]:
        reached += touching
        others = [each for each in others if not any(each is one for one in touching)]
    assert not others


def topic_of(display):
    return display.get('Topic') or display.get('Description Topic')


def test_the_view_shows_what_is_published_and_the_model(view):
    shown = {
        topic['Value']: each['Class'].removeprefix('rviz_default_plugins/')
        for each in displays(view).values()
        if (topic := topic_of(each))
    }
    assert shown == SHOWN


def test_what_is_shown_is_published_with_the_type_that_is_shown():
    published = {row.topic: row.message_type.__name__ for row in PUBLICATIONS}
    for topic, kind in SHOWN.items():
        if topic != 'robot_description':  # robot_state_publisher's
            assert published[topic] == kind


def test_every_display_is_on(view):
    kinds = {each['Class'] for each in view['Displays']}
    assert {'rviz_default_plugins/TF', 'rviz_default_plugins/Grid'} < kinds
    assert all(each['Enabled'] and each['Value'] for each in view['Displays'])


@pytest.mark.parametrize('topic', SHOWN)
def test_a_display_gets_what_its_publisher_sends(view, topic):
    publisher = publisher_qos()
    if topic == 'robot_description':  # robot_state_publisher's
        publisher.durability = DurabilityPolicy.TRANSIENT_LOCAL
    given = next(
        each
        for each in map(topic_of, displays(view).values())
        if each is not None and each['Value'] == topic
    )
    wanted = QoSProfile(
        depth=given['Depth'],
        history=HistoryPolicy[given['History Policy'].upper().replace(' ', '_')],
        reliability=ReliabilityPolicy[given['Reliability Policy'].upper().replace(' ', '_')],
        durability=DurabilityPolicy[given['Durability Policy'].upper().replace(' ', '_')],
    )
    assert qos_check_compatible(publisher, wanted)[0] != QoSCompatibility.ERROR
    assert wanted.durability == publisher.durability  # else a late RViz misses the model


def test_the_view_names_no_frames_but_odom_and_the_one_it_follows(view):
    assert set(frames_named(view)) == {'odom', '<Fixed Frame>', 'base_link'}
    assert view['Global Options']['Fixed Frame'] == 'odom'
    assert displays(view)['Robot']['TF Prefix'] == ''


def frames_named(node):
    if isinstance(node, dict):
        yield from (v for k, v in node.items() if k.endswith(' Frame') and isinstance(v, str))
        node = list(node.values())
    for each in node if isinstance(node, list) else ():
        yield from frames_named(each)


@pytest.fixture
def launching():
    """Return the tests of the other launch files; skips, as they do, without launch_ros."""
    import test_launch

    return test_launch


@pytest.fixture
def launched(launching, tmp_path):
    """Launch the view with stand-ins for its programs; return what each of them was told."""
    stand_in(tmp_path, 'robot_state_publisher', 'robot_state_publisher')
    stand_in(tmp_path, 'rviz2', 'rviz2')
    stand_in(tmp_path, 'go2_webrtc_driver', 'driver')
    stand_in(tmp_path, 'go2_webrtc_driver', 'sim_robot', then=UNTIL_ALL_ARE_TOLD)
    (tmp_path / 'share' / 'go2_webrtc_driver').symlink_to(ROOT)

    def run(*arguments):
        file = ROOT / 'launch' / 'view.launch.py'
        places = f'{tmp_path}{os.pathsep}{os.environ["AMENT_PREFIX_PATH"]}'
        done = subprocess.run(
            [sys.executable, '-c', launching.LAUNCH, str(file), 'autostart:=false', *arguments],
            env={**os.environ, 'AMENT_PREFIX_PATH': places, 'ROS_LOG_DIR': str(tmp_path / 'log')},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return {
            each.name.removesuffix('.json'): json.loads(each.read_text())
            for each in tmp_path.glob('lib/*/*.json')
        }

    return run


def stand_in(prefix, package, name, then=''):
    index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
    index.mkdir(parents=True, exist_ok=True)
    (index / package).touch()
    file = prefix / 'lib' / package / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(FAKE.format(python=sys.executable, then=then))
    file.chmod(0o755)


def parameters(told):
    merged = {}
    for text in told[1]:
        for node in yaml.safe_load(text).values():
            merged.update(node['ros__parameters'])
    return merged


def test_the_launch_file_describes_its_own_arguments_and_those_it_passes_on(launching):
    declared = launching.arguments('view.launch.py')
    assert set(declared) == {
        *('sim', 'rviz', 'urdf', 'frame_prefix', 'namespace'),
        *launching.arguments('driver.launch.py'),
        *launching.arguments('sim.launch.py'),
    }
    assert all(each.description for each in declared.values())


def test_a_launch_starts_the_driver_the_model_and_the_view(launched, tmp_path):
    told = launched('robot_ip:=127.0.0.9')
    assert set(told) == {'driver', 'robot_state_publisher', 'rviz2'}
    assert parameters(told['driver'])['robot_ip'] == '127.0.0.9'
    model = URDF.from_xml_string(parameters(told['robot_state_publisher'])['robot_description'])
    assert model.get_root() == 'base_link'
    view = tmp_path / 'share' / 'go2_webrtc_driver' / 'config' / 'go2.rviz'
    assert told['rviz2'][0][:4] == ['-d', str(view), '-f', 'odom']


def test_a_simulated_robot_can_be_viewed(launched):
    told = launched('sim:=true', 'rviz:=false')
    assert set(told) == {'sim_robot', 'driver', 'robot_state_publisher'}
    assert told['sim_robot'][0][:2] == ['--ip', '127.0.0.1']
    assert parameters(told['driver'])['robot_ip'] == '127.0.0.1'


def test_a_namespace_moves_the_driver_the_model_and_the_view(launched):
    told = launched('namespace:=dog')
    assert len(told) == 3
    assert all('__ns:=/dog' in given for given, _ in told.values())


def test_a_frame_prefix_is_before_every_frame_of_the_driver_the_model_and_the_view(launched):
    told = launched('frame_prefix:=dog/')
    driver = parameters(told['driver'])
    assert driver['frame_prefix'] == 'dog/'
    assert driver['base_frame'] == 'base_link'
    model = URDF.from_xml_string(parameters(told['robot_state_publisher'])['robot_description'])
    assert model.get_root() == 'dog/base_link'
    assert all(each.name.startswith('dog/') for each in model.links)
    assert tuple(revolute(model)) == JOINTS
    assert told['rviz2'][0][2:4] == ['-f', 'dog/odom']
    assert 'Target Frame: dog/base_link\n' in Path(told['rviz2'][0][1]).read_text()


def test_the_driver_takes_its_base_frame_from_another_model(launched, tmp_path):
    file = tmp_path / 'vendor.urdf'
    file.write_text('<robot name="go2_description"><link name="base"/></robot>')
    driver = parameters(launched(f'urdf:={file}')['driver'])
    assert driver['base_frame'] == 'base'
    assert driver['frame_prefix'] == ''
    assert driver['publish_static_tf'] is True, 'that model has no camera'


def test_the_frames_on_the_body_come_from_the_model_alone(launched):
    assert parameters(launched('frame_prefix:=dog/')['driver'])['publish_static_tf'] is False
