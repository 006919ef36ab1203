import contextlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from go2_webrtc_driver.errors import DecodeError, LinkRefused
from go2_webrtc_driver.protocol import cloud, discovery, messages, sealing
from go2_webrtc_driver.protocol import offer_answer as signaling
from go2_webrtc_driver.protocol.cloud import Reply, Tokens, TurnAccount
from go2_webrtc_driver.protocol.discovery import Sighting

PRIVATE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SESSION_KEY = '0123456789abcdef' * 2
ACCOUNT = TurnAccount('turn:turn.example:3478', 'user', 'secret')
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda each: (
        st.lists(each, max_size=4)
        | st.dictionaries(
            st.sampled_from([
                'code', 'data', 'errorMsg', 'accessToken', 'refreshToken', 'user', 'passwd',
                'realm', 'sn', 'ip', 'name', 'sdp', 'type', 'data1', 'data2',
            ]),
            each,
            max_size=5,
        )
    ),
    max_leaves=12,
)  # fmt: skip
refusing = contextlib.suppress(DecodeError, LinkRefused)


def test_a_reply_and_what_it_carries_survive():
    body = cloud.encode_reply(Reply(100, 'fine', {'accessToken': 'a', 'refreshToken': 'r'}))
    reply = cloud.decode_reply('step', body)
    assert (reply.code, reply.message) == (100, 'fine')
    assert cloud.decode_tokens('step', reply.data) == Tokens('a', 'r')
    sealed = cloud.encode_turn_account(ACCOUNT, SESSION_KEY)
    assert cloud.decode_turn_account(sealed, SESSION_KEY) == ACCOUNT


def test_a_token_to_refresh_with_is_not_needed():
    assert cloud.decode_tokens('step', {'accessToken': 'a'}) == Tokens('a', '')


def test_no_secret_shows_in_a_repr():
    shown = repr([ACCOUNT, Tokens('secret', 'secret'), Reply(100, '', 'secret')])
    assert 'secret' not in shown


def test_a_signature_is_the_md5_of_the_apps_word_the_time_and_the_nonce():
    headers = cloud.headers('token', 1700000000000, 'abc')
    assert headers['AppSign'] == 'f8f6f68d621abf82c45047ca21f543c1'
    assert (headers['AppTimestamp'], headers['Token']) == ('1700000000000', 'token')


def test_discovery_survives_both_ways():
    assert discovery.decode_query(discovery.encode_query()) is None
    assert discovery.decode_query(discovery.encode_query('B42')) == 'B42'
    sighting = Sighting('B42', '192.168.1.5')
    assert discovery.decode_sighting(discovery.encode_sighting(sighting)) == sighting


@pytest.mark.parametrize('serial_number', ['', 'a b', 'x\ny', 'x' * 65, 'é', 7, None])
def test_a_serial_number_that_would_garble_a_log_is_refused(serial_number):
    with pytest.raises(DecodeError, match='sn: expected a serial number'):
        discovery.decode_sighting(json.dumps({'sn': serial_number}).encode())


@given(JSON, st.integers(1, 3))
def test_whatever_json_comes_is_decoded_or_refused_with_our_error(content, scheme):
    text = json.dumps(content)
    sealed = sealing.seal(text, SESSION_KEY)
    for attempt in (
        lambda: cloud.decode_reply('step', text),
        lambda: cloud.decode_tokens('step', content),
        lambda: cloud.decode_turn_account(sealed, SESSION_KEY),
        lambda: cloud.decode_turn_account(content, SESSION_KEY),
        lambda: discovery.decode_sighting(text.encode()),
        lambda: discovery.decode_query(text.encode()),
        lambda: sealing.decode_public_key('step', content),
        lambda: signaling.decode_answer('step', sealed, SESSION_KEY),
        lambda: signaling.decode_plain_answer('step', text),
        lambda: signaling.decode_notice(text, bytes(16)),
    ):
        with refusing:
            attempt()


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_refused_with_our_error(raw):
    text = raw.decode('latin1')
    for attempt in (
        lambda: cloud.decode_reply('step', text),
        lambda: cloud.decode_turn_account(text, SESSION_KEY),
        lambda: discovery.decode_sighting(raw),
        lambda: sealing.decode_public_key('step', text),
        lambda: sealing.unseal_key('step', text, PRIVATE_KEY),
        lambda: signaling.decode_answer('step', text, SESSION_KEY),
        lambda: signaling.decode_notice(text, bytes(16)),
        lambda: signaling.decode_offer(text, PRIVATE_KEY),
    ):
        with pytest.raises((DecodeError, LinkRefused)):
            attempt()


def test_content_as_deep_as_the_parser_takes_is_refused_too():
    """What can just be parsed cannot be shown a few calls deeper."""
    for depth in range(900, 1000):
        deep = '[' * depth + ']' * depth
        for attempt in (
            lambda text=deep: discovery.decode_sighting(f'{{"sn": {text}}}'.encode()),
            lambda text=deep: signaling.decode_plain_answer('step', f'{{"type": {text}}}'),
            lambda text=deep: cloud.decode_reply('step', f'{{"code": {text}}}'),
            lambda text=deep: messages.parse_message(f'{{"type": {text}}}'),
        ):
            with pytest.raises(DecodeError):
                attempt()
