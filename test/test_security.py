"""What the driver does with hostile input, and what its source may not contain."""

import ast
import asyncio
import contextlib
import datetime
import ipaddress
import ssl
import time
import tracemalloc
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from support import free_address, lan

from go2_webrtc_driver.errors import LinkUnreachable
from go2_webrtc_driver.link.link import open_link
from go2_webrtc_driver.protocol import cloud
from go2_webrtc_driver.protocol import offer_answer as signaling
from go2_webrtc_driver.protocol.offer_answer import Notice
from go2_webrtc_driver.signaling.account import Cloud
from go2_webrtc_driver.signaling.credentials import Credentials
from go2_webrtc_driver.signaling.remote import RemoteSignaling

PACKAGE = Path(__file__).parent.parent / 'go2_webrtc_driver'
LEAVES = ('errors.py', 'config.py', 'velocity.py', 'complaints.py', 'files.py')
SOURCES = sorted(
    path.relative_to(PACKAGE).as_posix()
    for part in ('protocol', 'signaling', 'link', 'session', 'ros', *LEAVES)
    for path in ([PACKAGE / part] if part in LEAVES else (PACKAGE / part).glob('*.py'))
)
MODULES = {
    'pickle', 'marshal', 'shelve', 'dill', 'subprocess', 'pty', 'ctypes', 'importlib', 'runpy',
    'code', 'shutil', 'tempfile', 'glob', 'webbrowser',
}  # fmt: skip
OF_MODULES = {'ros/main.py': {'ctypes'}}  # for mallopt, with numbers of ours
CALLS = {
    'eval', 'exec', 'compile', '__import__', 'input', 'breakpoint',
    'os.system', 'os.popen', 'asyncio.create_subprocess_exec', 'asyncio.create_subprocess_shell',
    'yaml.unsafe_load', 'yaml.full_load', 'yaml.load_all', 'np.load', 'np.fromfile',
}  # fmt: skip
FILES = {
    'open', 'read_text', 'read_bytes', 'write_text', 'write_bytes', 'unlink', 'mkdir', 'makedirs',
    'rmdir', 'touch', 'symlink_to', 'save', 'savez', 'tofile', 'imread', 'imwrite', 'glob',
    'iterdir', 'listdir', 'scandir',
}  # fmt: skip
OF_OS = {'os.remove', 'os.rename', 'os.replace'}  # whose names strings and lists have too
# Calls with such a name; a path among them comes from a parameter, none from the robot.
ALLOWED = {
    ('files.py', 'open'),  # credentials_file and camera_info_file, or a file of the package
    ('files.py', 'os.open'),  # the same
    ('ros/shared_memory.py', 'os.open'),  # locks in /dev/shm
    ('ros/shared_memory.py', 'folder.iterdir'),  # /dev/shm
    ('ros/shared_memory.py', 'segment.unlink'),  # there, of owners that are dead
    ('ros/shared_memory.py', 'lock.unlink'),  # the same
    ('ros/shared_memory.py', "Path('/proc/self/maps').read_text"),
    ('link/link.py', 'link.open'),  # a link
}


def calls(where):
    tree = ast.parse((PACKAGE / where).read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def name_of(call):
    return ast.unparse(call.func)


def imported(where):
    for node in ast.walk(ast.parse((PACKAGE / where).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition('.')[0]


@pytest.mark.parametrize('where', SOURCES)
def test_the_source_runs_no_code_and_no_program_that_a_text_names(where):
    assert not MODULES & set(imported(where)) - OF_MODULES.get(where, set())
    for call in calls(where):
        name = name_of(call)
        assert name not in CALLS, f'{where}:{call.lineno}'
        assert not name.startswith(('os.exec', 'os.spawn', 'os.posix_spawn', 'os.fork'))


@pytest.mark.parametrize('where', SOURCES)
def test_yaml_is_read_without_objects(where):
    for call in calls(where):
        if name_of(call) == 'yaml.load':
            assert ast.unparse(call.args[1]) in ('yaml.BaseLoader', 'yaml.SafeLoader')


def test_files_are_opened_in_few_places_only():
    found = {(where, name_of(call)) for where in SOURCES for call in calls(where)}
    opening = {
        (where, name) for where, name in found if name in OF_OS or name.rpartition('.')[2] in FILES
    }
    assert opening == ALLOWED


LOGIN = Credentials(email='hostile@example.com', password='hostile-password')
SERIAL = 'B42D1000TEST0001'
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
TIMEOUT = 1.0  # s, for an attempt to connect
OK = b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n'


@dataclass
class Server:
    """
    An HTTP server that answers as it likes, once it has read a request.

    Attributes:
        ip: address it listens on.
        requests: what it was asked, as bytes.
        sent: how much of an endless answer was taken [bytes].
    """

    ip: str
    requests: list = field(default_factory=list)
    sent: int = 0

    async def forever(self, writer, chunk, period=0.0):
        while True:
            writer.write(chunk)
            await writer.drain()
            self.sent += len(chunk)
            await asyncio.sleep(period)


@contextlib.asynccontextmanager
async def server(answer, port=signaling.PORT, tls=None):
    """Serve; ``answer(server, writer)`` is awaited after every request."""
    served, tasks = Server(free_address()), set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            head = await reader.readuntil(b'\r\n\r\n')
            served.requests.append(head)
            await answer(served, writer)
        writer.close()

    listening = await asyncio.start_server(serve, served.ip, port, ssl=tls)
    try:
        yield served
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def over_the_lan(served):
    async with open_link(lan(served.ip), TIMEOUT):
        pass


async def over_the_cloud(served, scheme='http'):
    account = Cloud(f'{scheme}://{served.ip}:{signaling.PORT}/', SERIAL, LOGIN)
    async with open_link(RemoteSignaling(account, SERIAL, ()), TIMEOUT):
        pass


async def says_nothing(served, writer):
    writer.write(OK + b'Content-Length: 0\r\n\r\n')
    await writer.drain()


@pytest.mark.parametrize('name', ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'])
def test_a_cloud_on_this_machine_is_not_asked_over_a_proxy_of_the_environment(monkeypatch, name):
    """The login would go there in clear."""

    async def main():
        async with server(says_nothing) as proxy, server(says_nothing) as cloud_here:
            monkeypatch.setenv(name, f'http://{proxy.ip}:{signaling.PORT}')
            with pytest.raises(LinkUnreachable):
                await over_the_cloud(cloud_here)
            assert proxy.requests == []
            assert cloud_here.requests != []

    asyncio.run(main())


WAYS = {'lan': over_the_lan, 'cloud': over_the_cloud}


async def never_ends(served, writer):
    writer.write(OK + b'\r\n')
    await served.forever(writer, b'x' * 65536)


async def has_endless_headers(served, writer):
    writer.write(OK)
    await served.forever(writer, b'X-A: ' + b'y' * 1000 + b'\r\n')


async def has_an_endless_header(served, writer):
    writer.write(OK + b'X-A: ')
    await served.forever(writer, b'y' * 65536)


async def trickles(served, writer):
    writer.write(OK + b'\r\n')
    await served.forever(writer, b'x', period=0.1)


async def trickles_its_headers(served, writer):
    writer.write(OK)
    await served.forever(writer, b'X-A: y\r\n', period=0.1)


async def stops_in_the_middle(served, writer):
    writer.write(OK + b'Content-Length: 100\r\n\r\nx')
    await asyncio.Event().wait()


def bomb():
    """Return 200 MiB as 0.9 MB of gzip."""
    packer = zlib.compressobj(1, wbits=31)
    return b''.join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()


BOMB = bomb()


async def unfolds(served, writer):
    length = b'Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n' % len(BOMB)
    writer.write(OK + length + BOMB)
    await writer.drain()
    await asyncio.Event().wait()


async def speaks_no_http(served, writer):
    writer.write(b'\x00\x1b[2J\r\n' * 100)
    await writer.drain()


async def has_a_bad_header(served, writer):
    writer.write(OK + b'X-A\x00: \x1b[2J\r\n\r\n')
    await writer.drain()


async def has_a_bad_length(served, writer):
    writer.write(OK + b'Content-Length: -7\r\nContent-Length: ' + b'9' * 100 + b'\r\n\r\n')
    await writer.drain()


async def hangs_up(served, writer):
    writer.write(b'HTT')


HOSTILE = {
    never_ends: 'expected at most 262144 bytes, got more',
    has_endless_headers: 'headers',
    has_an_endless_header: 'got',
    trickles: 'within 1 s, nothing came',
    trickles_its_headers: 'within 1 s, nothing came',
    stops_in_the_middle: 'within 1 s, nothing came',
    unfolds: 'expected at most 262144 bytes, got more',
    speaks_no_http: 'got',
    has_a_bad_header: 'got|expected JSON|expected base64',
    has_a_bad_length: 'got',
    hangs_up: 'got',
}


@pytest.mark.parametrize('answer', HOSTILE, ids=lambda answer: answer.__name__)
@pytest.mark.parametrize('way', WAYS)
def test_an_answer_without_end_takes_little_memory_and_no_more_time_than_given(way, answer):
    async def main():
        async with server(answer) as served:
            begun = time.monotonic()
            tracemalloc.start()
            try:
                with pytest.raises(LinkUnreachable, match=HOSTILE[answer]) as error:
                    await WAYS[way](served)
                _, most = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert str(error.value).isprintable()
            assert len(str(error.value)) < 400
            assert time.monotonic() - begun < TIMEOUT + 2.0
            assert most < 32 * 2**20
            assert served.sent < 32 * 2**20  # buffers of the kernel in between

    asyncio.run(asyncio.wait_for(main(), 30.0))


def redirects_to(other):
    async def answer(served, writer):
        place = f'http://{other.ip}:{signaling.PORT}/'.encode()
        writer.write(
            b'HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n'
            b'Location: ' + place + b'\r\n\r\n'
        )
        await writer.drain()

    return answer


def redirects_to_after(other, first):
    async def answer(served, writer):
        await (first if len(served.requests) == 1 else redirects_to(other))(served, writer)

    return answer


async def gives_a_notice(served, writer):
    body = signaling.encode_notice(Notice(KEY.public_key(), '12345'), 1, b'', b'').encode()
    writer.write(OK + b'Connection: close\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
    await writer.drain()


REDIRECTS = {
    'con_notify': (over_the_lan, redirects_to, signaling.PORT, 'con_notify'),
    'con_ing': (
        over_the_lan, lambda other: redirects_to_after(other, gives_a_notice), signaling.PORT,
        'con_ing_12345',
    ),
    'the offer of old firmware': (over_the_lan, redirects_to, signaling.OLD_PORT, 'offer'),
    'the cloud': (over_the_cloud, redirects_to, signaling.PORT, cloud.LOGIN),
}  # fmt: skip


@pytest.mark.parametrize('step', REDIRECTS)
def test_a_redirect_is_not_followed(step):
    connect, answer, port, named = REDIRECTS[step]

    async def main():
        async with server(gives_a_notice) as other, server(answer(other), port) as served:
            with pytest.raises(LinkUnreachable, match=f'{named}.*expected HTTP status 200.*307'):
                await connect(served)
            assert served.requests
            assert other.requests == []

    asyncio.run(asyncio.wait_for(main(), 30.0))


def certificate(folder, names, begin):
    """Return the server's side of TLS, with a certificate that only it has signed."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'cloud')])
    signed = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(KEY.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(KEY, hashes.SHA256())
    )  # fmt: skip
    key = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / 'server.pem'
    path.write_bytes(key + signed.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.parametrize('host', ['localhost', '127.0.0.1'])
def test_a_cloud_whose_certificate_nobody_vouches_for_gets_no_request(tmp_path, host):
    """Its names and dates are right: what is missing is somebody trusted who signed it."""

    async def main():
        names = [x509.DNSName('localhost'), x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]
        yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
        tls = certificate(tmp_path, names, yesterday)
        requests = []

        async def serve(reader, writer):
            requests.append(await reader.read(1000))
            writer.close()

        listening = await asyncio.start_server(serve, '127.0.0.1', 0, ssl=tls)
        port = listening.sockets[0].getsockname()[1]
        account = Cloud(f'https://{host}:{port}/', SERIAL, LOGIN)
        with pytest.raises(LinkUnreachable, match=r'login/email.*curl: \(60\) SSL'):
            async with open_link(RemoteSignaling(account, SERIAL, ()), 5.0):
                pass
        listening.close()
        assert b''.join(requests) == b''

    asyncio.run(asyncio.wait_for(main(), 30.0))
