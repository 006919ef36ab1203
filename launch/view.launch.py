"""
The robot in RViz: its model, camera, points and odometry, with the driver that publishes them.

    ros2 launch go2_webrtc_driver view.launch.py robot_ip:=192.168.1.42
    ros2 launch go2_webrtc_driver view.launch.py sim:=true

With ``sim:=true`` it includes sim.launch.py, else driver.launch.py; their arguments are its own.
RViz runs in their namespace, where its relative topics are the driver's. Robots share one tf, so
several at once need a frame prefix each, too: ``namespace:=second frame_prefix:=second/``.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetLaunchConfiguration,
)
from launch.conditions import IfCondition, UnlessCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.logging import launch_config
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription

SHARE = Path(get_package_share_directory('go2_webrtc_driver'))
FIXED_FRAME = 'odom'  # as the driver calls it
BASE_FRAME = 'base_link'
ON_THE_BODY = {'imu_link', 'camera_link', 'camera_optical_frame'}  # what the driver tells itself


def generate_launch_description() -> LaunchDescription:
    sim = LaunchConfiguration('sim')
    return LaunchDescription(
        [
            *_arguments(),
            OpaqueFunction(function=_base_frame_of_the_model),
            OpaqueFunction(function=_frames_of_the_model),
            _include('driver.launch.py', UnlessCondition(sim)),
            _include('sim.launch.py', IfCondition(sim)),
            OpaqueFunction(function=_model_and_view),
        ]
    )


def _arguments() -> list[DeclareLaunchArgument]:
    return [
        DeclareLaunchArgument(
            'sim', default_value='false', description='start a simulated robot for the driver'
        ),
        DeclareLaunchArgument('rviz', default_value='true', description='start RViz'),
        DeclareLaunchArgument(
            'urdf',
            default_value=str(SHARE / 'urdf' / 'go2.urdf'),
            description="model of the robot, no xacro; its root link is the driver's base_frame",
        ),
        DeclareLaunchArgument(
            'frame_prefix',
            default_value='',
            description='what all names of frames begin with; a slash after it is not added',
        ),
        DeclareLaunchArgument(
            'namespace', default_value='', description='namespace of the nodes and their topics'
        ),
    ]


def _include(name: str, condition: IfCondition | UnlessCondition) -> IncludeLaunchDescription:
    source = PythonLaunchDescriptionSource(str(Path(__file__).with_name(name)))
    return IncludeLaunchDescription(source, condition=condition)


def _base_frame_of_the_model(context: LaunchContext) -> list[SetLaunchConfiguration]:
    """Tell the driver the frame that another model hangs on; the prefix it gets by itself."""
    root = _root(_model(context)).removeprefix(_frame_prefix(context))
    return [] if root == BASE_FRAME else [SetLaunchConfiguration('base_frame', root)]


def _frames_of_the_model(context: LaunchContext) -> list[SetLaunchConfiguration]:
    """Leave the frames on the body to a model that has them: a frame has one parent."""
    links = _model(context).findall('link')
    names = {link.get('name').removeprefix(_frame_prefix(context)) for link in links}
    return [SetLaunchConfiguration('publish_static_tf', 'false')] if names & ON_THE_BODY else []


def _model_and_view(context: LaunchContext) -> list[Node]:
    namespace = LaunchConfiguration('namespace')
    text = ElementTree.tostring(_model(context), encoding='unicode')
    prefix = _frame_prefix(context)
    return [
        Node(
            package='robot_state_publisher',
            executable='robot_state_publisher',
            namespace=namespace,
            parameters=[{'robot_description': ParameterValue(text, value_type=str)}],
            output='screen',
        ),
        Node(
            package='rviz2',
            executable='rviz2',
            namespace=namespace,
            arguments=['-d', _view(context), '-f', prefix + FIXED_FRAME],
            condition=IfCondition(LaunchConfiguration('rviz')),
            output='screen',
        ),
    ]


def _view(context: LaunchContext) -> str:
    """Return the file of the view: one of our own where the robot to follow has another name."""
    shipped = SHARE / 'config' / 'go2.rviz'
    root = _root(_model(context))
    if root == BASE_FRAME:
        return str(shipped)
    ours = Path(launch_config.log_dir) / 'go2.rviz'
    follows = f'Target Frame: {BASE_FRAME}\n'
    ours.write_text(shipped.read_text().replace(follows, f'Target Frame: {root}\n'))
    return str(ours)


def _frame_prefix(context: LaunchContext) -> str:
    return LaunchConfiguration('frame_prefix').perform(context)


def _model(context: LaunchContext) -> ElementTree.Element:
    """
    Return the model with the prefix before the name of each link.

    With robot_state_publisher's own frame_prefix, RViz would look for the frames without it.
    """
    model = ElementTree.parse(LaunchConfiguration('urdf').perform(context)).getroot()
    prefix = _frame_prefix(context)
    for link in model.findall('link'):
        link.set('name', prefix + link.get('name'))
    for end in [*model.findall('joint/parent'), *model.findall('joint/child')]:
        end.set('link', prefix + end.get('link'))
    return model


def _root(model: ElementTree.Element) -> str:
    children = {each.get('link') for each in model.findall('joint/child')}
    names = (each.get('name') for each in model.findall('link'))
    return next(name for name in names if name not in children)
