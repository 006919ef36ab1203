from glob import glob

from setuptools import find_packages, setup

NAME = 'go2_webrtc_driver'

setup(
    name=NAME,
    version='0.1.0',
    description='ROS 2 driver for the Unitree Go2 over WebRTC',
    maintainer='go2_webrtc_driver maintainers',
    maintainer_email='maintainers@go2-webrtc-driver.example',
    license='Apache-2.0',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        (f'share/{NAME}/launch', glob('launch/*.launch.py')),
        (f'share/{NAME}/config', glob('config/*')),
        (f'share/{NAME}/urdf', glob('urdf/*')),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=True,
    entry_points={
        'console_scripts': [
            'check_aiortc = go2_webrtc_driver.checks.check_aiortc:main',
            'driver = go2_webrtc_driver.ros.main:main',
            'sim_robot = go2_webrtc_driver.sim.__main__:main',
        ],
    },
)
