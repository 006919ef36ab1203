"""A driver as a process over real DDS, a node that uses it, and robots for it."""

import contextlib
import time

import pytest
import rclpy
from geometry_msgs.msg import Twist
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from support import free_address, process, wait_until

from go2_webrtc_driver.ros.event_loop_thread import EventLoopThread
from go2_webrtc_driver.sim.options import Options
from go2_webrtc_driver.sim.wire.peer import SimulatedGo2

CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE
DRIVER, SIM = 'go2_webrtc_driver.ros.main', 'go2_webrtc_driver.sim'
_namespaces = iter(range(10_000))


class User(Node):
    """A node that uses a driver in a namespace of its own."""

    def __init__(self, cmd_vel_type=Twist):
        self.space = f'robot{next(_namespaces)}'
        # rclpy 7.1.6 has crashed once while it destroyed the service that this leaves out.
        without = Parameter('start_type_description_service', value=False)
        super().__init__('user', namespace=self.space, parameter_overrides=[without])
        self.odometry = []
        self.create_subscription(Odometry, 'odom', self.odometry.append, 10)
        self.cmd_vel = self.create_publisher(cmd_vel_type, 'cmd_vel', 10)

    def spin(self, seconds=0.02):
        rclpy.spin_once(self, timeout_sec=seconds)

    def until(self, condition, timeout=20.0):
        wait_until(condition, timeout, self.spin)

    def call(self, kind, name, request, timeout=20.0):
        client = self.client(kind, name, timeout)
        response = self.answer(client, request, timeout)
        self.destroy_client(client)
        return response

    def client(self, kind, name, timeout=20.0):
        client = self.create_client(kind, f'go2_driver/{name}')
        assert client.wait_for_service(timeout)
        self._be_met(timeout)
        return client

    def answer(self, client, request, timeout=20.0):
        future = client.call_async(request)
        self.until(future.done, timeout)
        return future.result()

    def _be_met(self, timeout):
        """
        Wait until the driver has found the clients of this node.

        An answer to one that it has not found is lost, whatever the client says of the
        service. It finds them in the order of their making: what may be asked twice shows it.
        """
        client = self.create_client(GetState, 'go2_driver/get_state')
        assert client.wait_for_service(timeout)
        asked = []

        def ask():
            asked.append(client.call_async(GetState.Request()))
            end = time.monotonic() + 1.0
            while time.monotonic() < end and not any(each.done() for each in asked):
                self.spin()

        wait_until(lambda: any(each.done() for each in asked), timeout, ask)
        self.destroy_client(client)

    def transition(self, number):
        request = ChangeState.Request(transition=Transition(id=number))
        return self.call(ChangeState, 'change_state', request).success

    def state(self):
        return self.call(GetState, 'get_state', GetState.Request()).current_state.id

    def drive(self, x=0.0, y=0.0, yaw=0.0):
        twist = Twist()
        twist.linear.x, twist.linear.y, twist.angular.z = x, y, yaw
        self.cmd_vel.publish(twist)

    @property
    def speed(self):
        return self.odometry[-1].twist.twist.linear.x if self.odometry else None

    @property
    def x(self):
        return self.odometry[-1].pose.pose.position.x if self.odometry else None


@pytest.fixture(scope='module', autouse=True)
def context():
    rclpy.init()
    yield
    rclpy.shutdown()


@pytest.fixture
def user():
    node = User()
    yield node
    node.destroy_node()


@contextlib.contextmanager
def driver(user, ip, *parameters, env=None):
    arguments = ['--ros-args', '-r', f'__ns:=/{user.space}', '-p', f"robot_ip:='{ip}'"]
    for parameter in parameters:
        arguments += ['-p', parameter]
    with process(DRIVER, *arguments, env=env) as started:
        yield started


@pytest.fixture
def robot_ip():
    ip = free_address()
    with process(SIM, '--ip', ip, ready='listens'):
        yield ip


@contextlib.contextmanager
def robot_in_this_process(**options):
    """Run a simulated robot; yields it and the loop that owns it."""
    loop, go2 = EventLoopThread('robot'), SimulatedGo2(Options(ip=free_address(), **options))
    loop.run(go2.start(), 10.0)
    try:
        yield go2, loop
    finally:
        loop.run(go2.stop(), 10.0)
        loop.stop(10.0)


@pytest.fixture
def robot():
    """A simulated robot in this process, so that a test can see what it was told."""
    with robot_in_this_process() as (go2, _):
        yield go2


def told(robot):
    return [(api, parameter) for _, api, parameter, _ in robot.requests]


def walk(user, speed=0.5, until=0.4):
    """Drive forward until the robot reports that it moves."""
    user.until(lambda: (user.drive(speed), user.speed is not None and user.speed > until)[1])


def value_of(value):
    if isinstance(value, str):
        return ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)
    if isinstance(value, int):
        return ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=value)
    return ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)


def set_parameter(user, name, value):
    request = SetParameters.Request(
        parameters=[ParameterMessage(name=name, value=value_of(value))]
    )
    return user.call(SetParameters, 'set_parameters', request).results[0]
