import base64
import contextlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from go2_webrtc_driver.errors import DecodeError
from go2_webrtc_driver.protocol import commands, messages
from go2_webrtc_driver.protocol.messages import build_frame, build_message, parse_message
from go2_webrtc_driver.protocol.topics import MessageType


def test_a_message_of_the_robot_is_parsed():
    message = parse_message('{"type":"msg","topic":"rt/x","data":{"a":0}}')
    assert (message.type, message.topic, message.data) == (MessageType.MESSAGE, 'rt/x', {'a': 0})


def test_the_error_message_of_the_robot_has_info_in_place_of_data():
    message = parse_message('{"type":"err","info":"Validation Needed."}')
    assert (message.type, message.info) == (MessageType.ERROR, 'Validation Needed.')


def test_form_a_starts_with_both_lengths():
    frame = build_frame('rt/x', {'n': 1}, b'payload')
    header_length, payload_length = struct.unpack_from('<HH', frame)
    assert json.loads(frame[4 : 4 + header_length])['data'] == {'n': 1}
    assert frame[4 + header_length :] == b'payload'
    assert payload_length == 7
    assert parse_message(frame).payload == b'payload'


def test_form_b_is_parsed():
    header = b'{"type":"msg","topic":"rt/x","data":{}}'
    frame = struct.pack('<HHI4x', 2, 0, len(header)) + header + b'payload'
    assert parse_message(frame).topic == 'rt/x'
    assert parse_message(frame).payload == b'payload'


@pytest.mark.parametrize(
    'raw',
    [
        '', 'x', '[]', '7', '{}', '{"type":"nonsense"}', '{"type":7}', '{"type":["msg"]}',
        '{"type":"msg","topic":7}', '{"type":"msg","data":NaN}', '{"type":"msg","data":Infinity}',
        '[' * 100_000, b'', b'\x01', b'\xff\xff\x00\x00{}', b'\x02\x00\x00\x00\xff\xff\xff\xff',
        b'\x02\x00\x00\x00', b'\x02\x00\x07\x00\xff\xfe', ' ' * (messages.LARGEST_MESSAGE + 1),
    ],
    ids=range(19),
)  # fmt: skip
def test_what_is_no_message_is_a_decode_error(raw):
    with pytest.raises(DecodeError):
        parse_message(raw)


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_any_bytes_are_a_message_or_a_decode_error(raw):
    with contextlib.suppress(DecodeError):
        parse_message(raw)


def test_validation_is_the_md5_of_the_key_with_the_robots_prefix():
    # printf UnitreeGo2_abc | md5sum
    digest = bytes.fromhex('e1a6d73cd631720751b9a44da5c293b6')
    assert base64.b64decode(messages.validation_answer('abc')) == digest


def test_a_message_cannot_carry_what_is_no_number():
    with pytest.raises(ValueError, match='not JSON compliant'):
        build_message(MessageType.MESSAGE, 'rt/x', {'n': float('nan')})


def test_a_move_carries_its_speeds_as_json_in_a_string():
    text = commands.build_request(commands.move(0.5, -0.1, 0.25), identity=7)
    message = parse_message(text)
    assert message.type is MessageType.REQUEST
    assert message.topic == 'rt/api/sport/request'
    assert message.data['header']['identity'] == {'id': 7, 'api_id': 1008}
    assert json.loads(message.data['parameter']) == {'x': 0.5, 'y': -0.1, 'z': 0.25}


def test_json_that_would_take_long_to_read_is_not_read():
    text = build_message(MessageType.MESSAGE, 'rt/lf/lowstate', {'motor_state': [{}] * 100_000})
    with pytest.raises(
        DecodeError, match=f'expected at most {messages.LARGEST_TEXT} bytes of JSON'
    ):
        parse_message(text)


@pytest.mark.parametrize('topic', ['\ud800', '\n[FATAL] fire', '\x1b[2J', 'x' * 1000])
def test_a_topic_is_shown_in_one_short_printable_line(topic):
    shown = str(DecodeError(topic, 'why'))
    assert shown.isprintable()
    assert len(shown) < 100
    shown.encode()
