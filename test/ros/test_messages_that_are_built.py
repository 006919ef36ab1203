"""The message packages that PyPI has not: what set-up builds is what a ROS installation has."""

import importlib

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

TYPES = {
    'tf2_msgs': 'TFMessage',
    'ffmpeg_image_transport_msgs': 'FFMPEGPacket',
    'foxglove_msgs': 'CompressedVideo',
}
# What `ros2 topic info --verbose /tf` tells on Jazzy, Kilted and Lyrical.
HASH_OF_TF = 'e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087'


@pytest.fixture
def node():
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node('messages', context=context)
    node.spinner = SingleThreadedExecutor(context=context)
    node.spinner.add_node(node)
    yield node
    node.spinner.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


def message_class(package):
    """Return the one message of a package."""
    module = pytest.importorskip(f'{package}.msg', reason=f'ROS is sourced, without {package}')
    return getattr(module, TYPES[package])


def example(package):
    """Return a message with something in each field."""
    message = message_class(package)()
    if package == 'tf2_msgs':
        stamped = importlib.import_module('geometry_msgs.msg').TransformStamped()
        stamped.header.frame_id, stamped.child_frame_id = 'odom', 'base_link'
        stamped.transform.translation.z = 0.32
        message.transforms.append(stamped)
    elif package == 'foxglove_msgs':
        message.timestamp.sec, message.frame_id, message.format = 3, 'camera', 'h264'
        message.data = b'\0\0\0\1'
    else:
        message.header.frame_id, message.encoding, message.pts = 'camera', 'h264', 7
        message.width, message.height, message.flags, message.is_bigendian = 1280, 720, 1, True
        message.data = b'\0\0\0\1'
    return message


@pytest.mark.parametrize('package', TYPES)
def test_a_message_arrives_as_it_was_sent(node, package):
    sent, arrived = example(package), []
    node.create_subscription(type(sent), 'there', arrived.append, 10)
    publisher = node.create_publisher(type(sent), 'there', 10)
    for _ in range(100):
        if arrived:
            break
        publisher.publish(sent)
        node.spinner.spin_once(0.1)
    assert arrived[0] == sent


def test_the_type_of_tf_has_the_hash_that_ros_installations_show(node):
    node.create_publisher(message_class('tf2_msgs'), '/tf', 10)
    (info,) = node.get_publishers_info_by_topic('/tf')
    assert bytes(info.topic_type_hash.value).hex() == HASH_OF_TF
