from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'go2_webrtc_driver'
HERE = Path(__file__).resolve().parent  # colcon --symlink-install runs a link to this file


def requirements(kind: str = '') -> list[str]:
    lines = (HERE / f'requirements{kind}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


setup(
    name=NAME,
    version='0.1.0',
    description='ROS 2 driver for the Unitree Go2 over WebRTC',
    maintainer='go2_webrtc_driver maintainers',
    maintainer_email='maintainers@go2-webrtc-driver.example',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        (f'share/{NAME}/launch', glob('launch/*.launch.py')),
        (f'share/{NAME}/config', glob('config/*')),
        (f'share/{NAME}/urdf', glob('urdf/*')),
    ],
    install_requires=requirements(),
    extras_require={'ros': requirements('-ros'), 'test': requirements('-dev')},
    zip_safe=False,
    entry_points={
        'console_scripts': [
            'check_aiortc = go2_webrtc_driver.checks.check_aiortc:main',
            'driver = go2_webrtc_driver.start:main',
            'sim_robot = go2_webrtc_driver.sim.__main__:main',
        ],
    },
)
