"""The calls to the cloud, against a scripted one: what the driver makes of every bad answer."""

import asyncio
import datetime
import json
import ssl
import time
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from support import free_address

from go2_webrtc_driver.errors import LinkError, LinkRefused, LinkUnreachable
from go2_webrtc_driver.protocol import cloud, sealing
from go2_webrtc_driver.protocol.cloud import Reply, TurnAccount
from go2_webrtc_driver.protocol.offer_answer import Answer, encode_answer
from go2_webrtc_driver.signaling.account import Cloud
from go2_webrtc_driver.signaling.attempt import Progress
from go2_webrtc_driver.signaling.credentials import Credentials
from go2_webrtc_driver.signaling.remote import RemoteSignaling

SERIAL = 'B42D1000TEST0001'
PRIVATE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
TURN = TurnAccount('turn:127.0.0.1:3478', 'turn-user', 'turn-secret')
LOGIN = Credentials(email='me@example.com', password='my-password')
SECRETS = ('my-password', 'access-token', 'refresh-token', 'turn-secret', 'me@example.com')
STEPS = {
    cloud.LOGIN: 'POST', cloud.REFRESH: 'POST', cloud.PUBLIC_KEY: 'GET', cloud.ACCOUNT: 'POST',
    cloud.CONNECT: 'POST',
}  # fmt: skip


def ok(data):
    return Reply(cloud.OK, '', data)


def session_key(step, form):
    return sealing.unseal_key(step, form['sk'], PRIVATE_KEY)


GOOD = {
    cloud.LOGIN: lambda form: ok({'accessToken': 'access-token', 'refreshToken': 'refresh-token'}),
    cloud.REFRESH: lambda form: ok({'accessToken': 'new-token', 'refreshToken': 'refresh-token'}),
    cloud.PUBLIC_KEY: lambda form: ok(sealing.encode_public_key(PRIVATE_KEY.public_key())),
    cloud.ACCOUNT: lambda form: ok(
        cloud.encode_turn_account(TURN, session_key(cloud.ACCOUNT, form))
    ),
    cloud.CONNECT: lambda form: ok(
        encode_answer(Answer('v=0', 'answer'), session_key(cloud.CONNECT, form))
    ),
}


class ScriptedCloud:
    """Answers as ``GOOD`` says, where no other answer is scripted; remembers what it was asked."""

    def __init__(self, script):
        self.script = script
        self.calls = []
        self.tokens = []
        self.url = ''

    async def answer(self, request):
        step = request.path.lstrip('/')
        form = await request.post()
        self.calls.append((step, dict(form)))
        self.tokens.append(request.headers['Token'])
        reply = self.script.get(step, GOOD[step])
        reply = reply(form) if callable(reply) else reply
        if isinstance(reply, Reply):
            return web.Response(text=cloud.encode_reply(reply))
        return await reply if asyncio.iscoroutine(reply) else reply

    @property
    def steps(self):
        return [step for step, _ in self.calls]


@asynccontextmanager
async def scripted_cloud(script, tls=None):
    served = ScriptedCloud(script)
    app = web.Application()
    for step, method in STEPS.items():
        app.router.add_route(method, f'/{step}', served.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    ip = free_address()
    await web.TCPSite(runner, ip, 8080, ssl_context=tls).start()
    served.url = f'http{"s" if tls else ""}://{ip}:8080/'
    try:
        yield served
    finally:
        await runner.cleanup()


async def attempt(account):
    """Go through all the signaling of one attempt to connect."""
    progress = Progress(account.robot)
    async with RemoteSignaling(account, SERIAL, ()) as signaling:
        network = await progress.within(1.0, signaling.prepare(progress))
        return network, await progress.within(1.0, signaling.exchange('v=0', progress))


def run(script, credentials=LOGIN, attempts=1):
    """Return the scripted cloud and the last attempt's result."""

    async def main():
        async with scripted_cloud(script) as served:
            account = Cloud(served.url, SERIAL, credentials)
            for _ in range(attempts):
                result = await attempt(account)
            return served, result

    return asyncio.run(main())


def test_an_attempt_logs_in_gets_a_turn_account_and_exchanges_the_offer():
    served, (network, answer) = run({})
    assert served.steps == [cloud.LOGIN, cloud.PUBLIC_KEY, cloud.ACCOUNT, cloud.CONNECT]
    assert answer == Answer('v=0', 'answer')
    server = network.ice_servers[0]
    assert (server.url, server.username, server.password) == (
        TURN.url, TURN.username, TURN.password,
    )  # fmt: skip
    assert (network.address, network.exclusive) == ('127.0.0.1', False)


def test_the_offer_reaches_the_robot_sealed_with_the_turn_account_and_the_token():
    served, _ = run({})
    form = dict(served.calls[-1][1])
    key = session_key(cloud.CONNECT, form)
    offer = json.loads(sealing.unseal(cloud.CONNECT, form['data'], key))
    assert offer == {
        'id': '', 'turnserver': TURN.as_json(), 'sdp': 'v=0', 'type': 'offer',
        'token': 'access-token',
    }  # fmt: skip
    assert (form['sn'], form['timeout']) == (SERIAL, '5')


def test_the_password_is_never_sent_itself():
    served, _ = run({})
    assert 'my-password' not in str(served.calls)


def test_the_tokens_serve_the_next_attempt_too():
    served, _ = run({}, attempts=2)
    assert served.steps.count(cloud.LOGIN) == 1


def expiring(times):
    """Let the TURN account be refused for an expired token the first ``times``."""
    left = [times]

    def account(form):
        left[0] -= 1
        return Reply(cloud.TOKEN_EXPIRED, 'expired') if left[0] >= 0 else GOOD[cloud.ACCOUNT](form)

    return {cloud.ACCOUNT: account}


def test_an_expired_token_is_refreshed():
    served, _ = run(expiring(1))
    assert served.steps.count(cloud.REFRESH) == 1
    assert served.tokens[-1] == 'new-token'


def test_where_a_refresh_fails_we_log_in_again():
    served, _ = run({**expiring(1), cloud.REFRESH: Reply(1003, 'no')})
    assert served.steps.count(cloud.LOGIN) == 2


def test_an_expired_token_without_a_password_is_refused():
    with pytest.raises(LinkRefused, match='token of the cloud has expired'):
        run(expiring(1), Credentials(token='access-token'))


def test_a_token_that_expires_again_at_once_is_refused():
    with pytest.raises(LinkRefused, match='webrtc/account: the cloud answered code 1001'):
        run(expiring(9))


def test_a_wrong_password_is_refused_in_the_clouds_words_without_the_secrets_in_them():
    said = Reply(1005, 'wrong password my-password of me@example.com')
    with pytest.raises(LinkRefused, match=r"code 1005 'wrong password \*\*\* of \*\*\*'"):
        run({cloud.LOGIN: said})


def echo(*names):
    """Refuse in words that hold what the form held."""
    return lambda form: Reply(1005, ' '.join(f'{name}={form[name]}' for name in names))


def test_the_hash_of_the_password_is_not_shown_either():
    with pytest.raises(LinkRefused, match=r"'email=\*\*\* password=\*\*\*'"):
        run({cloud.LOGIN: echo('email', 'password')})


def test_what_the_cloud_lent_us_is_not_shown_when_it_says_it_again():
    said = Reply(1005, f'not you, access-token, with {TURN.password}')
    with pytest.raises(LinkRefused, match=r"'not you, \*\*\*, with \*\*\*'"):
        run({cloud.CONNECT: said})


def test_tokens_of_before_are_not_shown_either():
    said = Reply(1005, 'access-token refresh-token')
    answers = iter([GOOD[cloud.LOGIN], lambda form: said])
    with pytest.raises(LinkRefused, match=r"'\*\*\* \*\*\*'"):
        run({
            **expiring(1),
            cloud.REFRESH: Reply(1003, 'no'),
            cloud.LOGIN: lambda form: next(answers)(form),
        })  # fmt: skip


def test_a_secret_that_is_cut_off_is_not_shown_either():
    said = Reply(1005, f'{"x" * 192}{LOGIN.password}')
    with pytest.raises(LinkRefused, match=r"'x{192}\*\*\*'"):
        run({cloud.LOGIN: said})


def test_a_robot_that_is_not_online_is_unreachable():
    with pytest.raises(LinkUnreachable, match=rf'{SERIAL}.*webrtc/connect.*not online.*1000'):
        run({cloud.CONNECT: Reply(cloud.DEVICE_OFFLINE, 'offline')})


def raw(text='', **options):
    return lambda form: web.Response(text=text, **options)


async def never():
    await asyncio.Event().wait()


def sealed(step, text):
    return lambda form: ok(sealing.seal(text, session_key(step, form)))


EVERYWHERE = {
    'not found': (raw(status=404), 'expected HTTP status 200, got 404'),
    'a redirect': (raw(status=302, headers={'Location': 'http://127.0.0.1:1/'}), 'got 302'),
    'no JSON': (raw('<html>access-token'), 'expected JSON, got 18 characters'),
    'a list': (raw('[]'), 'expected a JSON object'),
    'deep': (raw('[' * 100_000), 'expected JSON'),
    'huge': (raw('x' * 300_000), 'expected at most 262144 bytes, got more'),
    'no code': (raw('{}'), 'code: expected a whole number, got None'),
    'code of text': (raw('{"code": "100"}'), "code: expected a whole number, got '100'"),
    'code true': (raw('{"code": true}'), 'code: expected a whole number, got True'),
    'an unknown code': (Reply(77, 'x' * 9999), 'the cloud answered code 77'),
    'silence': (lambda form: never(), 'within 1 s, nothing came'),
    'no data': (ok(None), 'expected'),
    'data of another kind': (ok(7), 'expected'),
    'data of another form': (ok({'access-token': []}), 'expected'),
    'text that is not base64': (ok('%access-token%'), 'expected'),
}
AT_ONE_STEP = {
    'an empty token': (cloud.LOGIN, ok({'accessToken': ''}), 'accessToken: expected text'),
    'a token of another kind': (cloud.LOGIN, ok({'accessToken': 7}), 'got int'),
    'a huge token': (cloud.LOGIN, ok({'accessToken': 'x' * 5000}), 'got str of 5000'),
    'a token that no header can hold': (
        cloud.LOGIN, ok({'accessToken': '\ud800'}), 'expected tokens of printable ASCII',
    ),
    'a token of two lines': (
        cloud.LOGIN, ok({'accessToken': 'a\r\nX: y'}), 'expected tokens of printable ASCII',
    ),
    'a refresh token that no form can hold': (
        cloud.LOGIN,
        ok({'accessToken': 'a', 'refreshToken': '\ud800'}),
        'expected tokens of printable ASCII',
    ),
    'account with half a character': (
        cloud.ACCOUNT,
        sealed(cloud.ACCOUNT, '{"realm": "turn:h", "user": "u", "passwd": "\\ud800"}'),
        'expected printable user and passwd',
    ),
    'account at no possible name': (
        cloud.ACCOUNT,
        sealed(cloud.ACCOUNT, '{"realm": "turn:%s", "user": "u", "passwd": "p"}' % ('x' * 64)),
        'expected the name of a TURN server',
    ),
    'no RSA key': (cloud.PUBLIC_KEY, ok('AAAA'), 'expected an RSA public key'),
    'account under another key': (
        cloud.ACCOUNT, ok(sealing.seal('{}', 'f' * 32)), 'webrtc/account: expected',
    ),
    'account that is no JSON': (
        cloud.ACCOUNT, sealed(cloud.ACCOUNT, 'turn-secret'), 'expected JSON, got 11 characters',
    ),
    'account without password': (
        cloud.ACCOUNT,
        sealed(cloud.ACCOUNT, '{"realm": "turn:h", "user": "u"}'),
        'passwd: expected text',
    ),
    'account with another URL': (
        cloud.ACCOUNT,
        sealed(cloud.ACCOUNT, '{"realm": "http://h", "user": "u", "passwd": "p"}'),
        "realm: expected turn:host:port, got 'http://h'",
    ),
    'an answer without SDP': (
        cloud.CONNECT, sealed(cloud.CONNECT, '{"type": "answer"}'), 'expected an SDP answer',
    ),
    'an answer that is an offer': (
        cloud.CONNECT, sealed(cloud.CONNECT, '{"sdp": "v=0", "type": "offer"}'), "type 'offer'",
    ),
}  # fmt: skip
BAD = {
    f'{case} of {step}': (step, reply, message)
    for case, (reply, message) in EVERYWHERE.items()
    for step in (cloud.LOGIN, cloud.PUBLIC_KEY, cloud.ACCOUNT, cloud.CONNECT)
} | AT_ONE_STEP


@pytest.mark.parametrize('case', BAD)
def test_a_bad_answer_of_the_cloud_is_one_error_that_names_the_step_and_no_secret(case):
    step, reply, message = BAD[case]
    begun = time.monotonic()
    with pytest.raises(LinkError) as error:
        run({step: reply})
    said = str(error.value)
    assert said.startswith(f'robot {SERIAL}: ')
    assert step in said
    assert message in said
    assert not any(secret in said for secret in SECRETS)
    assert '\n' not in said
    assert len(said) < 500
    assert time.monotonic() - begun < 5.0


def test_a_cloud_that_is_not_there_is_unreachable():
    async def main():
        account = Cloud(f'http://{free_address()}:8080/', SERIAL, LOGIN)
        with pytest.raises(
            LinkUnreachable, match=r'login/email: expected an answer, got: .*connect to server$'
        ):
            await attempt(account)

    asyncio.run(main())


def certificate(folder):
    """Return a TLS context of the server's side with a certificate that nobody has signed."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'localhost')])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(PRIVATE_KEY.public_key()).serial_number(1)
        .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        .sign(PRIVATE_KEY, hashes.SHA256())
    )  # fmt: skip
    key = PRIVATE_KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / 'server.pem'
    path.write_bytes(key + signed.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_a_cloud_that_cannot_prove_who_it_is_gets_no_password(tmp_path):
    async def main():
        async with scripted_cloud({}, certificate(tmp_path)) as served:
            with pytest.raises(LinkUnreachable, match=r'login/email.*curl: .60. SSL'):
                await attempt(Cloud(served.url, SERIAL, LOGIN))
            assert served.calls == []

    asyncio.run(main())
