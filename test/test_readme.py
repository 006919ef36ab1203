"""What README.md lists is what there is: topics, services, parameters."""

import dataclasses
import json
import re
import runpy
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.parameter import Parameter

from go2_webrtc_driver.config import DriverConfig
from go2_webrtc_driver.protocol.actions import ACTIONS
from go2_webrtc_driver.ros.node import Go2Driver
from go2_webrtc_driver.ros.publications import HAS_TF, PUBLICATIONS
from go2_webrtc_driver.ros.services import SWITCHES, parse_request

ROOT = Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text()
FIELDS = {field.name: field for field in dataclasses.fields(DriverConfig)}
CHOICES = {each for field in FIELDS.values() for each in field.metadata['choices'] or ()}
# What is only there where tf2_msgs is installed.
TF = {('/tf', 'tf2_msgs/TFMessage'), ('/tf_static', 'tf2_msgs/TFMessage')}
OF_RCLPY = {'/parameter_events', '/rosout', '~/transition_event'}

# Names with an underscore, or with a value behind :=, that are no parameters of the driver.
OTHERS = {
    'launch arguments': {
        name
        for file in ROOT.glob('launch/*.py')
        for name in re.findall(r"DeclareLaunchArgument\(\s*'(\w+)'", file.read_text())
    },
    'topics and frames': {
        *('joint_states', 'battery_state', 'foot_force', 'cmd_vel'),
        *('base_link', 'camera_link', 'frame_id'),
    },
    'libraries': {'unitree_webrtc_connect', 'tf2_msgs'},
    'executables': {'sim_robot', 'check_aiortc'},
    'of ROS': {'qos_overrides'},
    'of Nav2': {'bond_timeout'},
}


def section(title):
    """Return the text below a heading."""
    return re.search(rf'^## {title}\n(.*?)(?=^## )', README, re.DOTALL | re.MULTILINE)[1]


def table(title, heading):
    """Return the rows, lists of cells, of the table whose first column has this heading."""
    lines = section(title).splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith(f'| {heading} |'))
    rows = lines[first + 2 :]
    end = next(n for n, line in enumerate(rows) if not line.startswith('|'))
    return [[cell.strip() for cell in row.strip('|').split(' | ')] for row in rows[:end]]


def quoted(text):
    return re.findall('`([^`]+)`', text)


def of_ros(message_type):
    """Return the name of a message or service as people write it."""
    return f'{message_type.__module__.partition(".")[0]}/{message_type.__name__}'


@pytest.fixture(scope='module')
def node():
    """A configured driver that never meets a robot."""
    context = Context()
    rclpy.init(context=context)
    values = {'robot_ip': '127.0.0.1', 'allow_acrobatics': True}
    node = Go2Driver(
        context=context, parameter_overrides=[Parameter(k, value=v) for k, v in values.items()]
    )
    node.trigger_configure()
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def names_of(node, endpoints):
    """Return (name as in the README, type) of publishers or subscriptions."""
    private = f'{node.get_fully_qualified_name()}/'
    given = {(each.topic_name, of_ros(each.msg_type)) for each in endpoints}
    named = {
        (f'~/{name.removeprefix(private)}' if name.startswith(private) else name, kind)
        for name, kind in given
    }
    return {(name, kind) for name, kind in named if name not in OF_RCLPY}


def test_the_table_of_published_topics_lists_what_the_code_publishes():
    listed = [(quoted(row[0])[0], quoted(row[1])[0]) for row in table('Topics', 'published')]
    rows = {(row.topic, of_ros(row.message_type)) for row in PUBLICATIONS} | TF
    assert len(listed) == len(set(listed))
    assert set(listed) - rows == {
        ('/diagnostics', 'diagnostic_msgs/DiagnosticArray'),
        ('~/response', 'std_msgs/String'),
    }
    assert rows <= set(listed)


def test_the_source_of_a_published_topic_is_the_one_it_is_made_of():
    sources = {quoted(row[0])[0]: row[2] for row in table('Topics', 'published')}
    for row in PUBLICATIONS:
        if row.topic == 'camera/camera_info':
            continue  # made of a file, when a picture comes
        known = 'video' if row.source == 'camera' else row.source
        assert known in sources[row.topic] or sources[row.topic].startswith('the same')


def test_a_configured_node_has_the_topics_that_are_listed(node):
    listed = {(quoted(row[0])[0], quoted(row[1])[0]) for row in table('Topics', 'published')}
    relative = {(f'/{name}' if name[0] not in '/~' else name, kind) for name, kind in listed}
    assert names_of(node, node.publishers) | TF == relative
    subscribed = {(quoted(row[0])[0], quoted(row[1])[0]) for row in table('Topics', 'subscribed')}
    relative = {(f'/{name}' if name[0] not in '/~' else name, kind) for name, kind in subscribed}
    assert names_of(node, node.subscriptions) == relative


def test_the_example_of_a_request_is_one():
    example = next(each for each in quoted(section('Topics')) if each.startswith('{'))
    assert parse_request(example).api_id == json.loads(example)['api_id']


def test_the_table_of_actions_lists_them_with_their_mode_and_their_patience():
    listed = {
        name: (mode, patience, does == 'acrobatics')
        for names, does, mode, patience in table('Services', '`std_srvs/Trigger`')
        for name in quoted(names)
    }
    assert listed == {
        f'~/{action.name}': (mode_of(action), f'{action.timeout:g} s', action.acrobatic)
        for action in ACTIONS
    }


def mode_of(action):
    assert action.normal is not None, 'the table has no word for an action of mcf alone'
    return 'not `mcf`' if action.mcf is None else 'any'


def test_the_table_of_switches_lists_them():
    rows = table('Services', '`std_srvs/SetBool`')
    assert [quoted(row[0])[0] for row in rows] == [f'~/{name}' for name in SWITCHES]


def test_a_configured_node_has_the_services_that_are_listed(node):
    listed = {
        (name, kind)
        for kind in ('std_srvs/Trigger', 'std_srvs/SetBool')
        for row in table('Services', f'`{kind}`')
        for name in quoted(row[0])
    }
    services = {(each.srv_name, of_ros(each.srv_type)) for each in node.services}
    assert {each for each in services if each[1].startswith('std_srvs/')} == listed


def test_every_parameter_that_is_named_exists():
    others = set().union(CHOICES, *OTHERS.values())
    for code in quoted(re.sub('```.*?```', '', README, flags=re.DOTALL)):
        if given := re.fullmatch('([a-z0-9_]+):=([a-z0-9_]+)', code):
            field = FIELDS.get(given[1])
            assert field or given[1] in OTHERS['launch arguments'], code
            allowed = field and field.metadata['choices']
            assert given[2] in (allowed or ('true', 'false')), code
        elif re.fullmatch('[a-z0-9]+(_[a-z0-9]+)+', code):
            assert code in FIELDS.keys() | others, code


def test_every_value_given_at_a_launch_is_one_of_an_argument_or_parameter():
    for name in re.findall('([a-z_]+):=', README):
        assert name in FIELDS.keys() | OTHERS['launch arguments']


def test_the_demo_shows_every_topic():
    demo = runpy.run_path(str(ROOT / 'demo' / 'demo.py'))
    published = {row.topic: row.message_type for row in PUBLICATIONS}
    others = {'/diagnostics': DiagnosticArray}
    if HAS_TF:
        others['/tf_static'] = published['/tf']
    assert {row.topic: row.message_type for row in demo['ROWS']} == published | others
