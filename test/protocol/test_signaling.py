import base64
import contextlib
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from go2_webrtc_driver.errors import DecodeError, LinkRefused
from go2_webrtc_driver.protocol import offer_answer as signaling
from go2_webrtc_driver.protocol.offer_answer import Answer, Notice
from go2_webrtc_driver.protocol.sealing import decode_public_key, encode_public_key, seal

PRIVATE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NOTICE = Notice(PRIVATE_KEY.public_key(), '04291')
KEY, NONCE, SESSION_KEY = bytes(range(16)), bytes(12), '0123456789abcdef' * 2


def wrap(data1, data2):
    return base64.b64encode(json.dumps({'data1': data1, 'data2': data2}).encode()).decode()


@pytest.mark.parametrize(('scheme', 'key'), [(1, b''), (2, signaling.SHARED_KEY), (3, KEY)])
def test_a_notice_survives_every_scheme(scheme, key):
    body = signaling.encode_notice(NOTICE, scheme, key, NONCE)
    notice = signaling.decode_notice(body, KEY)
    assert notice.path == '04291'
    assert notice.public_key.public_numbers() == NOTICE.public_key.public_numbers()


def test_a_public_key_may_come_as_pem():
    pem = NOTICE.public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = 'x' * 10 + base64.b64encode(pem).decode() + 'xAxBxCxDxE'
    assert signaling.decode_notice(wrap(text, 1)).path == '01234'


def test_offer_and_answer_survive_the_exchange():
    body = signaling.encode_offer({'sdp': 'v=0', 'type': 'offer'}, NOTICE.public_key, SESSION_KEY)
    assert signaling.decode_offer(body, PRIVATE_KEY) == (
        {'sdp': 'v=0', 'type': 'offer'},
        SESSION_KEY,
    )
    reply = signaling.encode_answer(Answer('v=0\r\nü', 'answer'), SESSION_KEY)
    assert signaling.decode_answer('con_ing_', reply, SESSION_KEY) == Answer('v=0\r\nü', 'answer')


EC_KEY = base64.b64encode(
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()
SMALL_KEY = encode_public_key(rsa.RSAPublicNumbers(65537, (1 << 511) + 1).public_key())


@pytest.mark.parametrize(
    'body',
    [
        '', 'no base64!', base64.b64encode(b'no json').decode(), base64.b64encode(b'[]').decode(),
        wrap(None, 1), wrap(7, 2), wrap('short', 1), wrap('x' * 100, 1), wrap('AAAA', 2),
        wrap('x' * 10 + 'AAAA' + 'xAxBxCxDxE', 1), wrap('x' * 10 + EC_KEY + 'xAxBxCxDxE', 1),
        wrap('x' * 200, 4), wrap('x' * 200, '2'), wrap('x' * 200, []),
        wrap('x' * 10 + SMALL_KEY + 'xAxBxCxDxE', 1),
        signaling.encode_notice(NOTICE, 2, KEY, NONCE),
    ],
    ids=range(16),
)  # fmt: skip
def test_a_bad_notice_is_a_decode_error_that_names_the_step(body):
    with pytest.raises(DecodeError, match='con_notify'):
        signaling.decode_notice(body)


@pytest.mark.parametrize(
    'reply',
    [
        '', 'no base64!', base64.b64encode(b'odd').decode(), base64.b64encode(bytes(16)).decode(),
        seal('[]', SESSION_KEY), seal('{"sdp":7}', SESSION_KEY),
        seal('{"sdp":"v=0","type":"offer"}', SESSION_KEY),
        seal('{}', 'f' * 32),
    ],
    ids=range(8),
)  # fmt: skip
def test_a_bad_answer_is_a_decode_error_that_names_the_step(reply):
    with pytest.raises(DecodeError, match='con_ing_'):
        signaling.decode_answer('con_ing_', reply, SESSION_KEY)


@pytest.mark.parametrize(('key', 'why'), [(None, 'none is configured'), (bytes(16), 'decrypted')])
def test_a_robot_whose_own_key_is_missing_or_wrong_refuses(key, why):
    with pytest.raises(LinkRefused, match=f'con_notify: .*{why}'):
        signaling.decode_notice(signaling.encode_notice(NOTICE, 3, KEY, NONCE), key)


def test_a_robot_before_1_1_11_answers_in_plain_json():
    answer = Answer('v=0', 'answer')
    assert signaling.decode_plain_answer('offer', signaling.encode_plain_answer(answer)) == answer
    with pytest.raises(DecodeError, match='offer: expected an SDP answer, got type None'):
        signaling.decode_plain_answer('offer', '{"sdp": "v=0"}')


DER = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.integers(0, len(DER) - 1), st.integers(0, 255), st.booleans())
def test_a_key_with_a_changed_byte_is_a_key_or_a_decode_error(where, byte, cut):
    """Some are of a kind that the library does not know, which is no ValueError to it."""
    changed = DER[:where] + bytes([byte]) + (b'' if cut else DER[where + 1 :])
    with contextlib.suppress(DecodeError):
        key = decode_public_key('step', base64.b64encode(changed).decode())
        assert 1024 <= key.key_size <= 8192


@pytest.mark.parametrize(
    'key',
    [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=1024),
    ],
    ids=['Ed25519', 'EC', 'RSA of 1024 bits'],
)
def test_a_key_of_another_kind_is_a_decode_error(key):
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = base64.b64encode(der).decode()
    if isinstance(key, rsa.RSAPrivateKey):
        assert decode_public_key('step', text).key_size == 1024
        return
    with pytest.raises(DecodeError, match='expected an RSA public key'):
        decode_public_key('step', text)


def test_a_key_of_a_kind_that_nobody_knows_is_a_decode_error():
    unknown = DER.replace(bytes.fromhex('2a864886f70d010101'), bytes.fromhex('2a864886f70d01017f'))
    with pytest.raises(DecodeError, match='expected an RSA public key'):
        decode_public_key('step', base64.b64encode(unknown).decode())
